"""One evaluation: everything that is measured, in the order in which it is told."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import atrium
from atrium.evaluation import figures, load, robustness
from atrium.evaluation.endpoint import Endpoint, Refused
from atrium.evaluation.table import Table, read_table
from atrium.oip import Tensor, read_json
from atrium.oip.arrays import to_array
from atrium.signature import Signature, TensorSpec, parse_signature

Array = NDArray[Any]
BATCH = 64
_SHOWN_ERRORS = 200


@dataclass(frozen=True)
class Side:
    """One version to call: the candidate, or what is in production."""

    name: str
    address: str
    path: str
    key: str

    def connect(self) -> Endpoint:
        return Endpoint(self.address, self.path, self.key)


class Evaluation:
    """Calls the candidate, and production for comparison, and collects `result.json` and the rows behind it."""

    def __init__(self, params: dict[str, Any], folder: Path) -> None:
        self.params, self.folder = params, folder
        self.signature: Signature = parse_signature(params["signature"])
        self.table: Table = read_table(
            folder / "inputs" / "data",
            self.signature,
            target=params["target"],
            slices=params.get("slices", []),
        )
        self.labels = self._labels()
        self.truth = np.array([self.labels.index(str(value)) for value in self.table.truth])
        self.candidate = Side("candidate", **params["candidate"])
        self.production = Side("production", **params["production"]) if params.get("production") else None

    def _labels(self) -> list[str]:
        spec = _by_kind(self.signature.outputs, "class")
        found = sorted({str(value) for value in self.table.truth})
        labels = list(spec.labels or []) if spec else []
        return labels + [value for value in found if value not in labels]

    def measure(self) -> dict[str, Any]:
        """The whole result; progress is told on the way."""
        atrium.progress(0.05, f"{len(self.table)} rows to the candidate")
        mine = self._ask(self.candidate)
        result: dict[str, Any] = {"rows": len(self.table), "labels": self.labels, "task": "classification"}
        result |= self._quality(mine)
        if self.production:
            atrium.progress(0.4, "the same rows to the version in production")
            result |= self._comparison(mine, self._ask(self.production))
        atrium.progress(0.6, "latency and throughput")
        result["figures"] |= self._load(result)
        atrium.progress(0.8, "inputs that are not as they should be")
        result |= self._robustness(result)
        result["cases"] = self._cases()
        failed = sum(not case["passed"] for case in result["cases"])
        result["figures"]["cases_failed"] = {"value": failed, "n": len(result["cases"])}
        self._write_rows(mine)
        return result

    def _ask(self, side: Side) -> figures.Answers:
        return self._answers(side, range(0, len(self.table), BATCH), {})

    def _answers(self, side: Side, starts: Iterable[int], changed: dict[str, Array]) -> figures.Answers:
        endpoint, classes, probabilities = side.connect(), [], []
        for start in starts:
            answer = endpoint.infer(self.table.tensors(slice(start, start + BATCH), self.signature, changed))
            classes.append(self._classes(answer.outputs))
            spread = _by_kind(self.signature.outputs, "probabilities")
            if spread is not None and spread.name in answer.outputs:
                probabilities.append(answer.outputs[spread.name].astype(float))
        endpoint.close()
        joined = np.concatenate(probabilities) if probabilities else None
        if joined is not None and joined.shape[1] != len(self.labels):
            joined = None
        return figures.Answers(np.concatenate(classes), joined)

    def _classes(self, outputs: dict[str, Array]) -> Array:
        spec = _by_kind(self.signature.outputs, "class") or self.signature.outputs[0]
        values = outputs[spec.name].ravel()
        if spec.labels and values.dtype.kind in "iu":
            return np.where((values >= 0) & (values < len(spec.labels)), values, -1).astype(int)
        texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()]
        return np.array([self.labels.index(text) if text in self.labels else -1 for text in texts])

    def _quality(self, mine: figures.Answers) -> dict[str, Any]:
        classes = len(self.labels)
        found = figures.estimate(len(self.table), figures.classification(self.truth, mine, classes))
        slices = []
        for column, values in self.table.slices.items():
            for value in sorted(set(values.tolist())):
                rows = np.flatnonzero(values == value)
                part = figures.Answers(
                    mine.predicted[rows], None if mine.probabilities is None else mine.probabilities[rows]
                )
                local = figures.estimate(len(rows), figures.classification(self.truth[rows], part, classes))
                name = f"{column}={value}"
                slices.append({"slice": name, "n": len(rows), "figures": local})
                found |= {f"{name}/{metric}": figure for metric, figure in local.items()}
        quality: dict[str, Any] = {
            "figures": found,
            "slices": slices,
            "confusion": figures.confusion(self.truth, mine.predicted, classes),
            "errors": self._errors(mine),
        }
        if mine.probabilities is not None:
            quality["calibration"] = figures.calibration(self.truth, mine.probabilities)
            if classes == 2:
                quality["roc"] = figures.roc(self.truth, mine.probabilities)
        return quality

    def _errors(self, mine: figures.Answers) -> list[dict[str, Any]]:
        wrong = np.flatnonzero(mine.predicted != self.truth)
        return [self._row(int(row), mine) for row in wrong[:_SHOWN_ERRORS]]

    def _row(self, row: int, mine: figures.Answers) -> dict[str, Any]:
        predicted = int(mine.predicted[row])
        told = {
            "row": row,
            "id": self.table.ids[row],
            "truth": self.labels[self.truth[row]],
            "answer": self.labels[predicted] if predicted >= 0 else None,
        }
        if mine.probabilities is not None:
            told["confidence"] = round(float(mine.probabilities[row].max()), 4)
        return told

    def _comparison(self, mine: figures.Answers, other: figures.Answers) -> dict[str, Any]:
        classes = len(self.labels)
        differences = figures.estimate(
            len(self.table),
            figures.difference(
                figures.classification(self.truth, mine, classes),
                figures.classification(self.truth, other, classes),
            ),
        )
        apart = np.flatnonzero(mine.predicted != other.predicted)
        disagreements = [
            self._row(int(row), mine) | {"production": self.labels[int(other.predicted[row])]}
            for row in apart[:_SHOWN_ERRORS]
            if other.predicted[row] >= 0
        ]
        test = figures.mcnemar(self.truth, mine.predicted, other.predicted)
        return {
            "differences": differences,
            "comparison": {"mcnemar": test, "disagreements": disagreements, "disagreeing": len(apart)},
        }

    def _load(self, result: dict[str, Any]) -> dict[str, Any]:
        requests = [
            self.table.tensors(slice(i, i + 1), self.signature) for i in range(min(100, len(self.table)))
        ]
        endpoint = self.candidate.connect()
        found = load.one_after_another(endpoint, requests)
        endpoint.close()
        result["latency"] = {"histogram": found.pop("histogram"), "edges": found.pop("edges")}
        busy = load.at_once(self.candidate.connect, requests)
        result["load"] = busy
        return found | {"throughput": busy["throughput"]}

    def _robustness(self, result: dict[str, Any]) -> dict[str, Any]:
        def accuracy(changed: dict[str, Array]) -> float:
            answers = self._answers(self.candidate, range(0, len(self.table), BATCH), changed)
            return float((answers.predicted == self.truth).mean())

        plain = result["figures"]["accuracy"]["value"]
        endpoint = self.candidate.connect()
        checks = robustness.spoiled_inputs(endpoint, self.table, self.signature)
        endpoint.close()
        drop = robustness.noise(self.table, accuracy, plain)
        if drop is not None:
            result["figures"]["robustness_noise_drop"] = drop
        return {
            "robustness": checks,
            "importance": robustness.importance(self.table, self.signature, accuracy, plain),
        }

    def _cases(self) -> list[dict[str, Any]]:
        endpoint = self.candidate.connect()
        found = [self._case(endpoint, case) for case in self.params.get("cases", [])]
        endpoint.close()
        return found

    def _case(self, endpoint: Endpoint, case: dict[str, Any]) -> dict[str, Any]:
        tensors: list[Tensor] = [read_json(tensor) for tensor in case["inputs"]]
        try:
            outputs = endpoint.infer(tensors).outputs
        except Refused as refused:
            return {"name": case["name"], "passed": False, "message": str(refused)}
        for document in case["expected"]:
            expected, given = to_array(read_json(document)), outputs.get(document["name"])
            if given is None or not _agree(expected, given, float(case.get("tolerance", 1e-5))):
                return {
                    "name": case["name"],
                    "passed": False,
                    "message": f"output “{document['name']}” differs",
                }
        return {"name": case["name"], "passed": True, "message": ""}

    def _write_rows(self, mine: figures.Answers) -> None:
        target = self.folder / "outputs" / "rows.jsonl"
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("w", encoding="utf-8") as file:
            for row in range(len(self.table)):
                file.write(json.dumps(self._row(row, mine), ensure_ascii=False) + "\n")


def _agree(expected: Array, given: Array, tolerance: float) -> bool:
    if expected.shape != given.shape:
        return False
    if expected.dtype.kind in "OUS" or given.dtype.kind in "OUS":
        return [_plain(v) for v in expected.ravel().tolist()] == [_plain(v) for v in given.ravel().tolist()]
    return bool(
        np.allclose(expected.astype(float), given.astype(float), rtol=0, atol=tolerance, equal_nan=True)
    )


def _plain(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _by_kind(specs: list[TensorSpec], kind: str) -> TensorSpec | None:
    return next((spec for spec in specs if spec.kind == kind), None)
