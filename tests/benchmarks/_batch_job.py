"""Times 10,000 rows by the CSV job, by an evaluation and by the bare model, in turn. `_batch_job.py PARAMS.json`

Runs in the environment of jobs; prints one line of JSON: seconds by name, a list each.
"""

import json
import os
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from atrium.evaluation.endpoint import Endpoint
from atrium.evaluation.run import Evaluation
from atrium.predict import Prediction

params = json.loads(Path(sys.argv[1]).read_text())
folder = Path(params["folder"])
os.environ["ATRIUM_WORK"] = str(folder)
with (Path(params["model"]) / "model.pkl").open("rb") as file:
    model = pickle.load(file)
rows = np.load(folder / "rows.npy")
address, path, key = params["address"], params["path"], params["key"]
side = {"address": address, "path": path, "key": key}
told = {"signature": params["signature"], "target": "label", "candidate": side}


def csv_job() -> None:
    """The whole of the job's work: check every row, ask, write the answers."""
    prediction = Prediction(params, folder / "rows.csv", lambda: Endpoint(address, path, key))
    result = prediction.ask(prediction.check(), folder)
    assert result["answered"] == len(rows), result


def answers() -> list[str]:
    with (folder / "answers.csv").open() as file:
        return [line.rstrip().split(",")[-2] for line in file][1:]


def evaluation() -> list[Any]:
    """An evaluation's pass over its rows, which it has read before."""
    return [answer["class"] for answer in measured.outputs(measured.candidate)]


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


measured = Evaluation(told, folder)
csv_job()
assert answers() == [str(each) for each in model.predict(rows)]
assert (np.concatenate(evaluation()) == model.predict(rows)).all()
took: dict[str, list[float]] = {"bare": [], "csv": [], "evaluation": []}
for _ in range(params["rounds"]):
    took["bare"].append(timed(lambda: model.predict(rows)))
    took["csv"].append(timed(csv_job))
    took["evaluation"].append(timed(evaluation))
print(json.dumps(took))
