"""One evaluation: everything that is measured, in the order in which it is told."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import atrium
from atrium.evaluation import DATASET, fairness, load, parity, resampling, robustness, scoring
from atrium.evaluation.endpoint import Answer, Endpoint, Refused, in_order
from atrium.evaluation.table import Table, read_table, read_tables
from atrium.evaluation.tasks import Answers, Task, choose
from atrium.evaluation.tasks.classification import mcnemar
from atrium.evaluation.tasks.spans import TextSpans
from atrium.oip import Tensor, read_json
from atrium.oip.arrays import to_array
from atrium.pace import Pace
from atrium.signature import Signature, parse_signature

Array = NDArray[Any]
_SHOWN_ROWS = 200
_INPUT_CHARACTERS = 300


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
        groups = params.get("groups", [])
        self.datasets: list[str] = params.get("datasets", [])
        data, slices = folder / "inputs" / "data", list(dict.fromkeys([*params.get("slices", []), *groups]))
        self.table: Table = (
            read_tables(data, self.datasets, self.signature, target=params["target"], slices=slices)
            if self.datasets
            else read_table(data, self.signature, target=params["target"], slices=slices)
        )
        self.groups = groups
        self.task: Task[Any] = choose(self.signature, params.get("task", ""))(
            self.signature, self.table.truth
        )
        self.all_rows = np.arange(len(self.table))
        self.calls = 0
        self._said: list[dict[str, Array]] = []
        self._paces: dict[str, Pace] = {}
        self.candidate = Side("candidate", **params["candidate"])
        self.production = Side("production", **params["production"]) if params.get("production") else None

    def measure(self) -> dict[str, Any]:
        """The whole result; progress is told on the way."""
        atrium.progress(0.05, f"{len(self.table)} rows to the candidate")
        self._said = self.outputs(self.candidate)
        mine = self.task.read(self._said)
        result: dict[str, Any] = {"rows": len(self.table), "task": self.task.name, "main": self.task.main}
        result |= self._quality(mine)
        if self.production:
            atrium.progress(0.4, "the same rows to the version in production")
            result |= self._comparison(mine, self._ask(self.production))
        atrium.progress(0.6, "latency and throughput")
        result["figures"] |= self._load(result)
        atrium.progress(0.8, "inputs that are not as they should be")
        result |= self._robustness(result, mine)
        broken = sum(not check["passed"] for check in result["robustness"])
        result["figures"]["robustness_failed"] = {"value": broken, "n": len(result["robustness"])}
        result["cases"] = self._cases()
        failed = sum(not case["passed"] for case in result["cases"])
        result["figures"]["cases_failed"] = {"value": failed, "n": len(result["cases"])}
        if fixtures := self.params.get("fixtures"):
            result["parity"] = self._parity(fixtures)
            apart = sum(not found["passed"] for found in result["parity"])
            result["figures"]["parity_failed"] = {"value": apart, "n": len(fixtures)}
        result["calls"] = self.calls
        self._write_rows(mine)
        return result

    def _ask(self, side: Side, changed: dict[str, Array] | None = None) -> Answers:
        return self.task.read(self.outputs(side, changed=changed))

    def outputs(
        self,
        side: Side,
        which: Array | None = None,
        *,
        changed: dict[str, Array] | None = None,
        alone: bool = False,
    ) -> list[dict[str, Array]]:
        """What came back for these rows (None: all of them), call after call; `alone` asks about each by itself."""
        total = len(self.table) if which is None else len(which)
        pace = self._paces.setdefault(side.name, Pace(self.table.width))

        def requests() -> Iterator[list[Tensor]]:
            start = 0
            while start < total:
                end = min(total, start + (1 if alone else pace.rows))
                part = slice(start, end)
                yield self.table.tensors(part if which is None else which[part], self.signature, changed)
                start = end

        def ask(endpoint: Endpoint, tensors: list[Tensor]) -> Answer:
            answer = endpoint.infer(tensors)
            if not alone:
                pace.took(tensors[0].shape[0], answer.seconds)
            return answer

        found = []
        for answer in in_order(side.connect, ask, requests(), at_once=1 if alone else 2):
            found.append(answer.outputs)
            self.calls += 1
        return found

    def _figures(self, answers: Answers, rows: Array) -> dict[str, Any]:
        return resampling.estimate(len(rows), self.task.statistic(answers, rows))

    def _quality(self, mine: Answers) -> dict[str, Any]:
        found = self._figures(mine, self.all_rows) | self._scored(mine)
        slices = []
        for name, rows in self._slices():
            local = self._figures(mine.take(rows), rows)
            slices.append({"slice": name, "n": len(rows), "figures": local})
            found |= {f"{name}/{metric}": figure for metric, figure in local.items()}
        groups = [
            fairness.by_group(self.task, mine, column, self.table.slices[column]) for column in self.groups
        ]
        found |= {f"{entry['column']}/fairness_gap": entry["gap"] for entry in groups}
        return {
            "figures": found,
            "slices": slices,
            **({"datasets": self.datasets} if self.datasets else {}),
            "fairness": groups,
            "wrong": int((self.task.errors(mine) > 0).sum()),
            "errors": [self._row(int(row), mine) for row in self.task.wrong(mine)[:_SHOWN_ROWS]],
            **self.task.detail(mine),
        }

    def _slices(self) -> Iterator[tuple[str, Array]]:
        """Each slice as `column=value` with its rows; data sets, where there are several, stand first."""
        for column, values in self.table.slices.items():
            for value in (
                self.datasets if column == DATASET and self.datasets else sorted(set(values.tolist()))
            ):
                yield f"{column}={value}", np.flatnonzero(values == value)

    def _scored(self, mine: Answers) -> dict[str, Any]:
        """Figures of the suite's own scorer, called `score:<name>`."""
        source = self.params.get("scorer", "")
        if not source.strip():
            return {}
        rows = [
            {key: told[key] for key in ("truth", "answer")} | {"inputs": self._inputs(row)}
            for row, told in ((row, self.task.row(mine, row)) for row in range(len(self.table)))
        ]
        scores = scoring.score_rows(source, rows, self.folder)
        found = resampling.estimate(len(self.table), resampling.means(scores))
        return {f"score:{name}": figure for name, figure in found.items()}

    def _inputs(self, row: int) -> dict[str, Any]:
        return {name: values[row].tolist() if isinstance(values[row], np.ndarray) else _plain_value(values[row])
                for name, values in self.table.inputs.items()}  # fmt: skip

    def _row(self, row: int, mine: Answers) -> dict[str, Any]:
        source = {DATASET: self.table.slices[DATASET][row]} if self.datasets else {}
        return {"row": row, "id": self.table.ids[row], **source, **self.task.row(mine, row)}

    def _comparison(self, mine: Answers, other: Answers) -> dict[str, Any]:
        differences = self._differences(mine, other, self.all_rows)
        for name, rows in self._slices():
            local = self._differences(mine.take(rows), other.take(rows), rows)
            differences |= {f"{name}/{metric}": figure for metric, figure in local.items()}
        left, right = self.task.errors(mine), self.task.errors(other)
        same = self.task.same(mine, other)
        apart = np.flatnonzero(~same)
        apart = apart[np.argsort(-np.abs(left - right)[apart], kind="stable")]
        told = [
            self._row(int(row), mine) | {"production": self.task.row(other, int(row))["answer"]}
            for row in apart[:_SHOWN_ROWS]
        ]
        comparison = {"disagreements": told} | self._apart(left, right, same)
        if self.datasets:
            sources = self.table.slices[DATASET]
            comparison["datasets"] = {
                name: self._apart(left[sources == name], right[sources == name], same[sources == name])
                for name in self.datasets
            }
        return {"differences": differences, "comparison": comparison}

    def _differences(self, mine: Answers, other: Answers, rows: Array) -> dict[str, Any]:
        """Candidate minus production on these rows, whose answers are given alone."""
        statistic = resampling.difference(self.task.statistic(mine, rows), self.task.statistic(other, rows))
        return resampling.estimate(len(rows), statistic)

    def _apart(self, left: Array, right: Array, same: Array) -> dict[str, Any]:
        """On how many rows two versions disagree, and which is better there, by each one's errors."""
        found: dict[str, Any] = {"disagreeing": int((~same).sum())}
        found |= {"better": int((left < right).sum()), "worse": int((left > right).sum())}
        if self.task.higher_is_better:
            found["mcnemar"] = mcnemar(left == 0, right == 0)
        return found

    def _load(self, result: dict[str, Any]) -> dict[str, Any]:
        requests = [
            self.table.tensors(slice(i, i + 1), self.signature) for i in range(min(100, len(self.table)))
        ]
        endpoint = self.candidate.connect()
        found = load.one_after_another(endpoint, requests)
        endpoint.close()
        result["latency"] = {"histogram": found.pop("histogram"), "edges": found.pop("edges")}
        busy = load.saturation(self.candidate.connect, requests)
        self.calls += load.CALLS + busy["calls"]
        result["load"] = busy
        return found | {"throughput": busy["throughput"]}

    def _robustness(self, result: dict[str, Any], mine: Answers) -> dict[str, Any]:
        def main_figure(changed: dict[str, Array]) -> float:
            answers = self._ask(self.candidate, changed)
            return float(
                self.task.statistic(answers, self.all_rows)(np.ones((1, len(self.table))))[self.task.main][0]
            )

        plain = result["figures"][self.task.main]["value"]
        endpoint = self.candidate.connect()
        checks = robustness.spoiled_inputs(endpoint, self.table, self.signature)
        endpoint.close()
        if plain is None:
            return {"robustness": checks, "importance": []}
        whole = [at for at, column in enumerate(self.signature.columns) if column.whole]
        in_place = isinstance(self.task, TextSpans)
        figures, damages = robustness.damaged(
            self.table, main_figure, self.task.gain, plain, whole, in_place=in_place
        )
        result["figures"] |= figures
        found = {"robustness": [*checks, *damages, self._alone(mine)]}
        if robustness.text_input(self.table) is None:
            return found | robustness.importance(
                self.table, self.signature, main_figure, self.task.gain, plain
            )
        if in_place:  # a word that is left out cannot be found, and says nothing of what others rest on
            return found | {"importance": []}
        return found | self._tokens(result["figures"], mine)

    def _tokens(self, figures: dict[str, Any], mine: Answers) -> dict[str, Any]:
        """The words that the answers rest on. Texts say a thing more than once, so one word seldom turns an answer:
        where there are probabilities, what is lost is told by how sure the right answer is (`log_loss`).
        """
        metric = "log_loss" if figures.get("log_loss", {}).get("value") is not None else self.task.main
        ones = np.ones((1, len(self.table)))

        def figure(rows: Array, changed: dict[str, Array]) -> float:
            anew = self.outputs(self.candidate, rows, changed=changed)
            place = self.all_rows.copy()  # of each row's answer among those of all rows and the new ones
            place[rows] = len(self.table) + np.arange(len(rows))
            answers = self.task.read([*self._said, *anew]).take(place)
            found = self.task.statistic(answers, self.all_rows)(ones).get(metric)
            return (
                math.nan if found is None else float(found[0])
            )  # one answer without a number takes them from all

        def loss(plain: float, changed: float) -> float:
            return self.task.gain(plain, changed) if metric == self.task.main else changed - plain

        said = [str(self.task.row(mine, row)["answer"]) for row in range(len(self.table))]
        plain = float(figures[metric]["value"])
        tokens = robustness.importance_of_tokens(self.table, said, figure, loss, plain)
        return tokens | {"importance_of": "tokens", "importance_by": metric}

    def _alone(self, mine: Answers) -> dict[str, Any]:
        """Whether a row gets the same answer alone as among others."""
        rows = self.all_rows[: min(20, len(self.table))]
        joined = self.task.read(self.outputs(self.candidate, rows, alone=True))
        same = self.task.same(joined, mine.take(rows))
        apart = int((~same).sum())
        told = f"{apart} of {len(rows)} rows get another answer" if apart else "the same answers"
        return {"check": "one row at a time", "passed": not apart, "told": told}

    def _parity(self, fixtures: list[dict[str, Any]]) -> list[dict[str, Any]]:
        endpoint = self.candidate.connect()
        found = [parity.compare(endpoint, fixture) for fixture in fixtures]
        endpoint.close()
        return found

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

    def _write_rows(self, mine: Answers) -> None:
        target = self.folder / "outputs" / "rows.jsonl"
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("w", encoding="utf-8") as file:
            for row in range(len(self.table)):
                told = self._row(row, mine) | {"inputs": self._shown(row)}
                told["slices"] = {column: str(values[row]) for column, values in self.table.slices.items()}
                file.write(json.dumps(told, ensure_ascii=False, allow_nan=False) + "\n")

    def _shown(self, row: int) -> str:
        """The inputs of a row as a short text, for a reader."""
        text = "; ".join(f"{name}: {_brief(value)}" for name, value in self._inputs(row).items())
        return text if len(text) <= _INPUT_CHARACTERS else text[:_INPUT_CHARACTERS] + "…"


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


def _plain_value(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _brief(value: Any) -> str:
    if isinstance(value, list):
        flat = np.ravel(value).tolist()
        return " ".join(f"{number:.4g}" if isinstance(number, float) else str(number) for number in flat)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
