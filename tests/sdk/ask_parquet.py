"""Asks about Parquet files in the base environment, which has pyarrow. `ask_parquet.py FOLDER [MEGABYTES]`

Prints JSON: what became of each file of CASES, or, with a size, of one file of that size and the memory it took.
"""

import json
import os
import sys
from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from peak import peak_mb  # beside this script

from atrium import rows
from atrium.evaluation.endpoint import Answer
from atrium.oip.arrays import to_array
from atrium.predict import Prediction
from atrium.rows import Unusable

TABLE = {
    "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [
        {"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class", "labels": ["no", "yes"]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "kind": "probabilities"},
    ],
    "columns": [{"name": "age", "minimum": 0, "maximum": 120}, {"name": "size"}],
}
TYPED = {
    **TABLE,
    "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 3]}],
    "columns": [
        {"name": "age", "datatype": "FP32"},
        {"name": "cells", "datatype": "INT32", "optional": True, "minimum": 0},
        {"name": "roaming", "datatype": "BOOL", "optional": True},
    ],
}
TEXT = {**TABLE, "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}], "columns": []}
IMAGE = {**TABLE, "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 2, 2]}], "columns": []}
MANY = {**TABLE, "columns": [], "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 64]}]}


class Model:
    """Answers 1 for every row; keeps what it was asked first."""

    def __init__(self) -> None:
        self.first: Any = None
        self.largest = 0

    def infer(self, tensors: list[Any]) -> Answer:
        array = to_array(tensors[0])
        if self.first is None:
            missing = array != array if array.dtype.kind == "f" else np.zeros(array.shape, bool)
            self.first = np.where(missing, None, array.astype(object)).tolist()
        self.largest = max(self.largest, len(array))
        shares = np.array([[0.25, 0.75]] * len(array))
        return Answer(
            {"class": np.ones(len(array), dtype=np.int64), "probabilities": shares}, 0.001, "1.0", "r"
        )

    def close(self) -> None:
        pass


def wrong_letters() -> pa.Table:
    column = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 3], np.int32)), pa.py_buffer(b"a\xff!")]
    )
    return pa.table({"text": column})


def pairs(**columns: Any) -> pa.Table:
    return pa.table(columns)


CASES: dict[str, tuple[dict[str, Any], pa.Table | bytes]] = {
    "kinds": (
        TABLE,
        pairs(
            id=["x", None],
            size=pa.array([1.5, 2], pa.float32()),
            age=pa.array([30, 40], pa.int8()),
            day=[date(2026, 1, 2)] * 2,
            tags=[["a"], None],
        ),
    ),
    "categories": (
        TABLE, pairs(age=pa.array([30, 40]), size=pa.array(["1.5", "2"]).dictionary_encode())
    ),
    "decimals": (TABLE, pairs(age=[Decimal("1.5")], size=[2.0])),
    "columns": (TABLE, pairs(age=[1.0], weight=[2.0])),
    "missing": (TABLE, pairs(age=[1.0, 2.0], size=[1.0, None])),
    "range": (TABLE, pairs(age=[1.0, 130.0], size=[1.0, 1.0])),
    "day": (TABLE, pairs(age=[date(2026, 1, 2)], size=[1.0])),
    "struct": (TEXT, pairs(text=[{"a": 1}])),
    "letters": (TEXT, wrong_letters()),
    "bytes": (TEXT, pairs(text=[b"a\xff!"])),
    "chinese": (TEXT, pairs(text=["光缆中断", "a, b\nc"])),
    "lists": (IMAGE, pairs(image=[[1, 2, 3, 4], [5, 6, 7, 8]])),
    "nested": (IMAGE, pairs(image=[[[1, 2], [3, 4]]])),
    "length": (IMAGE, pairs(image=[[1, 2, 3, 4], [1, 2, 3]])),
    "no rows": (TABLE, pairs(age=pa.array([], pa.float64()), size=pa.array([], pa.float64()))),
    "cut": (TABLE, b"PAR1...."),
    "from csv": (TABLE, b"id,age,size\nx,30,1.5\ny,40,2\n"),
    "from csv with quotes": (TABLE, b'id,age,size\n"x, y",30,1.5\n'),
    "absent": (TYPED, pairs(age=[30.0, 40.0], id=["x", "y"])),
    "empty cells": (TYPED, b"age,cells,roaming\n30,,true\n40,3,false\n"),
    "many": (MANY, pairs(**{f"x_{at}": np.zeros(6_000, np.float32) for at in range(64)})),
}  # fmt: skip


def ask(signature: dict[str, Any], source: Path, folder: Path) -> dict[str, Any]:
    model = Model()
    os.environ["ATRIUM_WORK"] = str(folder)
    try:
        prediction = Prediction({"signature": signature, "at_once": 1}, source, lambda: model)
        told = prediction.ask(prediction.check(), folder)
    except Unusable as error:
        return error.facts
    return {**told, "asked": model.first, "largest": model.largest}


def every_case(folder: Path) -> dict[str, Any]:
    told = {}
    for name, (signature, content) in CASES.items():
        source, answers = folder / "rows", folder / "answers.parquet"
        if isinstance(content, bytes):
            source.write_bytes(content)
        else:
            pq.write_table(content, source)
        with suppress(FileNotFoundError):
            answers.unlink()
        told[name] = ask(signature, source, folder)
        if answers.exists():
            found = pq.read_table(answers)
            kinds = {field.name: str(field.type) for field in found.schema}
            rows_ = json.loads(json.dumps(found.to_pylist(), default=str))
            told[name] |= {"kinds": kinds, "rows": rows_, "csv": (folder / "answers.csv").read_text()}
    return told


def one_large(folder: Path, megabytes: int) -> dict[str, Any]:
    """Random numbers in one row group, which is the hardest: nothing of it can be left out."""
    count = megabytes * (1 << 20) // 256
    names = [f"x_{at}" for at in range(64)]
    chance = np.random.default_rng(0)
    if not (folder / "rows").exists():
        pq.write_table(
            pa.table({name: chance.random(count, np.float32) for name in names}),
            folder / "rows",
            row_group_size=count,
            use_dictionary=False,
        )
        return {}
    resting = peak_mb()
    told = ask(MANY, folder / "rows", folder)
    grown = peak_mb() - resting
    return {**told, "asked": None, "grown_mb": grown, "block": rows.BLOCK_ROWS}


def main() -> None:
    folder = Path(sys.argv[1])
    told = one_large(folder, int(sys.argv[2])) if len(sys.argv) > 2 else every_case(folder)
    print("\n" + json.dumps(told))


if __name__ == "__main__":
    main()
