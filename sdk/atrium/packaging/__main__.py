"""`python -m atrium.packaging`, the entry of the packaging job; works in the job's folder."""

import sys

from atrium import work
from atrium.packaging.job import package


def main() -> int:
    """Package inputs/source into outputs/package; result.json says how every step went."""
    result = package(work.inputs() / "source", work.outputs() / "package", work.params())
    work.result(result)
    if result["status"] != "packaged":
        return 1
    work.progress(1.0, "packaged")
    print(f"packaged: digest {result['digest']}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
