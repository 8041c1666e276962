"""Asks about one large CSV file, as the batch job does. `ask_large_csv.py FOLDER MEGABYTES`

Prints JSON: what came of it, and by how many megabytes the process grew.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from peak import peak_mb  # beside this script

from atrium.evaluation.endpoint import Answer
from atrium.predict import Prediction

COLUMNS = 64
SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, COLUMNS]}],
    "outputs": [
        {"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class", "labels": ["no", "yes"]}
    ],
}


class Model:
    """Answers 1 for every row."""

    def infer(self, tensors: list[Any]) -> Answer:
        return Answer({"class": np.ones(tensors[0].shape[0], dtype=np.int64)}, 0.001, "1.0", "r")

    def close(self) -> None:
        pass


def write(source: Path, megabytes: int) -> int:
    """A table of so many megabytes at least; how many rows it has."""
    cells = np.random.default_rng(0).random((1000, COLUMNS))
    thousand = "".join(",".join(f"{cell:.6f}" for cell in row) + "\n" for row in cells).encode()
    times = -(-(megabytes << 20) // len(thousand))
    with source.open("wb") as file:
        file.write(",".join(f"x_{at}" for at in range(COLUMNS)).encode() + b"\n")
        for _ in range(times):
            file.write(thousand)
    return 1000 * times


def main() -> None:
    folder = Path(sys.argv[1])
    source = folder / "rows.csv"
    count = write(source, int(sys.argv[2]))
    os.environ["ATRIUM_WORK"] = str(folder)
    resting = peak_mb()
    prediction = Prediction({"signature": SIGNATURE, "at_once": 1}, source, Model)
    told = prediction.ask(prediction.check(), folder)
    grown = peak_mb() - resting
    print(json.dumps({**told, "count": count, "size": source.stat().st_size, "grown_mb": grown}))


if __name__ == "__main__":
    main()
