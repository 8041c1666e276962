"""10,000 rows of digits through the gateway, beside the model's own `predict` on the whole array.

The model is the forest of the gateway's benchmark, as its author has it (scikit-learn). By the CSV path: what the
store's batch job does from the file to the file with the answers. By an evaluation: a pass over its rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from portal.environment import ROOT
from tests.benchmarks import Left, Result, gateway
from tests.benchmarks._processes import FOLDER, median

ROWS = 10_000
ROUNDS = int(os.environ.get("ATRIUM_BENCH_ROUNDS", "5"))
MAKE = """
import csv, sys
from pathlib import Path
import numpy as np
from sklearn.datasets import load_digits
folder, count = Path(sys.argv[1]), int(sys.argv[2])
rows, labels = load_digits(return_X_y=True)
rows = np.tile(rows, (count // len(rows) + 1, 1))[:count].astype("float32")
rows += np.random.default_rng(0).uniform(0, 0.4, rows.shape).astype("float32").round(3)
np.save(folder / "rows.npy", rows)
names = [f"x_{at}" for at in range(rows.shape[1])]
texts = [[str(value) for value in row] for row in rows]
with (folder / "rows.csv").open("w", newline="") as file:
    csv.writer(file).writerows([names, *texts])
(folder / "inputs" / "data").mkdir(parents=True)
with (folder / "inputs" / "data" / "test.csv").open("w", newline="") as file:
    told = [[*row, str(labels[at % len(labels)])] for at, row in enumerate(texts)]
    csv.writer(file).writerows([[*names, "label"], *told])
"""


def measure() -> Iterator[Result]:
    packages = gateway.packages(FOLDER / "models" / "atrium")
    package = packages["forest"]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atrium-bench-")))
        run("-c", MAKE, folder, str(ROWS))
        url = gateway.through_gateway(stack, package)
        told = {
            "folder": str(folder),
            "model": str(package.parents[1] / "inputs" / "source"),
            "signature": json.loads((package / "package.json").read_text())["signature"],
            "address": url.removesuffix(gateway.V2),
            "path": gateway.V2,
            "key": gateway.KEY,
            "rounds": ROUNDS,
        }
        (folder / "bench.json").write_text(json.dumps(told))
        took = json.loads(
            run(ROOT / "tests/benchmarks/_batch_job.py", folder / "bench.json").splitlines()[-1]
        )
    bare = median(took["bare"])
    for name, id_ in (
        ("csv", "store.batch10k_csv.vs_bare_model"),
        ("evaluation", "evaluation.batch10k.vs_bare_model"),
    ):
        seconds = median(took[name])
        yield Result(
            id_, round(bare / seconds, 3), "ratio", ">= 0.5",
            f"{ROWS} rows in {seconds * 1000:.0f} ms, the bare model takes {bare * 1000:.0f} ms",
        )  # fmt: skip


def run(*words: str | Path) -> str:
    done = subprocess.run(
        [str(gateway._base), *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "sdk")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Left(f"{str(words[0])[:40]} failed: {done.stderr[-600:]}")
    return done.stdout
