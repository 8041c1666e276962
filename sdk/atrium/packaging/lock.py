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


_CHOICE = "DEBUG Selecting: "
"""Begins uv's word for a version that it chose; with --verbose alone it tells of them before the end."""


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
    code, said = _follow(_command(uv, wanted, lock))
    if code:
        message = "\n".join(said[-12:]) or f"uv ended with {code}"
        work.result({"failure": {"step": "environment", "message": message, "advice": ADVICE}})
        return 1
    packages = sum("==" in line for line in lock.read_text(encoding="utf-8").splitlines())
    work.result({"packages": packages})
    work.progress(1.0, f"{packages} packages locked")
    return 0


def _follow(command: list[str]) -> tuple[int, list[str]]:
    """Print what uv chooses and says while it works; gives its exit code and its own lines."""
    said: list[str] = []
    chosen: set[str] = set()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as running:
        for line in running.stderr or ():
            if line.startswith(_CHOICE):
                choice = line[len(_CHOICE) :].partition(" ")[0]
                if choice not in chosen:
                    print(" ", choice, flush=True)
                chosen.add(choice)
            elif not line.startswith(("DEBUG ", "TRACE ")):
                print(line, end="", flush=True)
                said += [line.rstrip()] if line.strip() else []
    return running.returncode, said


def _command(uv: str, wanted: Path, lock: Path) -> list[str]:
    return [
        *(
            uv,
            "pip",
            "compile",
            "--verbose",
            "--no-config",
            "--no-header",
            "--generate-hashes",
            "--no-annotate",
        ),
        *("--only-binary", ":all:", "--python", sys.executable, "--cache-dir", "/tmp/uv"),  # noqa: S108 - its own
        *("--output-file", str(lock), str(wanted)),
    ]


if __name__ == "__main__":
    sys.exit(main())
