"""`python -m atrium.runner --package DIR --uds PATH` (or `--port N` on a cluster)."""

import argparse
import os
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m atrium.runner", description=__doc__)
    parser.add_argument("--package", type=Path, required=True, help="folder of the packaged version")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--uds", type=Path, help="unix socket to answer on")
    where.add_argument("--port", type=int, help="TCP port to answer on")
    parser.add_argument("--host", default="127.0.0.1", help="address for --port")
    arguments = parser.parse_args()
    if not arguments.package.is_dir():
        parser.error(f"--package {arguments.package} is no folder")
    # Replicas use the cores, not threads inside one; must be set before NumPy is loaded.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from atrium.runner.serve import serve

    serve(arguments.package, uds=arguments.uds, host=arguments.host, port=arguments.port or 0)


if __name__ == "__main__":
    main()
