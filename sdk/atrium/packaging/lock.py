"""`python -m atrium.packaging.lock --uv PATH`: resolve and lock a model's packages with uv.

Reads inputs/requirements.in, writes outputs/environment.lock with hashes. Only packages that come ready made
are taken: building one from source would run its authors' code. Nothing is installed here.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from atrium import work

ADVICE = (
    "Correct requirements.txt so that its versions exist for this Python and go together; or save the model "
    "with the versions of the base environment; or hand it in as ONNX."
)


def main(argv: list[str] | None = None) -> int:
    """Lock; the exit code is 1 when uv finds no set of packages that fits, with its words in result.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", required=True)
    uv = parser.parse_args(argv).uv
    wanted = work.inputs() / "requirements.in"
    lock = work.outputs() / "environment.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    print(wanted.read_text(encoding="utf-8"), flush=True)
    work.progress(0.1, "resolving the packages")
    done = subprocess.run(_command(uv, wanted, lock), capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr, sep="", flush=True)
    if done.returncode:
        message = "\n".join(done.stderr.strip().splitlines()[-12:]) or f"uv ended with {done.returncode}"
        work.result({"failure": {"step": "environment", "message": message, "advice": ADVICE}})
        return 1
    packages = sum("==" in line for line in lock.read_text(encoding="utf-8").splitlines())
    work.result({"packages": packages})
    work.progress(1.0, f"{packages} packages locked")
    return 0


def _command(uv: str, wanted: Path, lock: Path) -> list[str]:
    return [
        *(uv, "pip", "compile", "--no-config", "--no-header", "--generate-hashes", "--no-annotate"),
        *("--only-binary", ":all:", "--python", sys.executable, "--cache-dir", "/tmp/uv"),  # noqa: S108 - its own
        *("--output-file", str(lock), str(wanted)),
    ]


if __name__ == "__main__":
    sys.exit(main())
