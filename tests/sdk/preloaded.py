"""Packages sources in forks of one process that has read what packaging imports, most of a packaging's time.

Run by the interpreter of the environment. A line of standard input is a job's folder; the answer is a line with the
exit code of what `python -m atrium.packaging` would have done there; it prints into the file `log`.
"""

import contextlib
import importlib
import os
import runpy
import sys
import traceback

READ_BEFORE = (
    "lightgbm",
    "mlflow.pyfunc",
    "onnxmltools",
    "onnxruntime",
    "pandas",
    "skl2onnx",
    "sklearn.ensemble",
    "xgboost",
)


def package(folder: str) -> int:
    """The exit code, as of a process of its own."""
    os.chdir(folder)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    try:
        runpy.run_module("atrium.packaging", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return int(end.code or 0)
    except Exception:  # noqa: BLE001 - as the interpreter does at a process's end
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    for name in READ_BEFORE:
        with contextlib.suppress(ImportError):  # not every environment has all
            importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            code = package(line.rstrip("\n"))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)


if __name__ == "__main__":
    main()
