"""A suite's own scorer: Python that gives each row named numbers. It runs in a process of its own.

    def score(truth, answer, inputs):
        return {"cost": 0 if truth == answer else 5}

The evaluation's job is in the sandbox already; the child has no key, no environment, limited memory and time,
and what it prints is thrown away. It has the job's user, so the job closes itself to it first: neither its
environment nor its memory can be opened. And it starts no process that could outlive it and change what is
written down later.
"""

import ctypes
import json
import resource
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
TIME_LIMIT_S = 120
MEMORY_LIMIT = 1 << 30
MOST_METRICS = 20
PR_SET_DUMPABLE = 4
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""A thread counts as a process, and there may be none."""


class ScorerFailed(ValueError):
    """The scorer did not give numbers; the text says at which row and why."""


def score_rows(source: str, rows: list[dict[str, Any]], folder: Path) -> dict[str, Array]:
    """Scores by name and row, NaN where a row got none. `rows`: {"truth", "answer", "inputs"}."""
    (folder / "scorer.py").write_text(source, encoding="utf-8")
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    command = [sys.executable, "-m", "atrium.evaluation.scoring", str(folder)]
    search = ":".join(path for path in sys.path if path)
    environment = {"PYTHONPATH": search, "PATH": "/usr/bin:/bin", **ONE_THREAD}
    _close_to_others()
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=TIME_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ScorerFailed(f"the scorer took more than {TIME_LIMIT_S} s") from error
    if done.returncode:
        raise ScorerFailed(done.stderr.decode(errors="replace").strip()[-500:] or "the scorer ended")
    return _table(json.loads((folder / "scores.json").read_text(encoding="utf-8")))


def _close_to_others() -> None:
    """Nobody but root may open this process's memory or environment from now on, also not who has its user."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise ScorerFailed("the evaluation cannot be closed to its scorer on this system")


def _table(scores: list[dict[str, Any]]) -> dict[str, Array]:
    names = sorted({name for row in scores for name in row})
    if len(names) > MOST_METRICS:
        raise ScorerFailed(f"the scorer gives {len(names)} figures, at most {MOST_METRICS} are kept")
    return {name: np.array([float(row.get(name, np.nan)) for row in scores]) for name in names}


def _child(folder: Path) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CPU, (TIME_LIMIT_S, TIME_LIMIT_S))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    scope: dict[str, Any] = {"__name__": "scorer"}
    rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    scores = []
    try:
        exec(compile((folder / "scorer.py").read_text("utf-8"), "scorer.py", "exec"), scope)  # noqa: S102
        for row in rows:
            given = scope["score"](row["truth"], row["answer"], row["inputs"])
            scores.append({str(name): float(value) for name, value in given.items()})
    except Exception:
        print(f"row {len(scores)}: " + traceback.format_exc(limit=-1), file=sys.stderr)
        return 1
    (folder / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(_child(Path(sys.argv[1])))
