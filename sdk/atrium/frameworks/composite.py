"""Composites: several packaged versions wired by a graph, all in one process behind one signature.

A source holds graph.json and its members' packages, members/<name>/…, so that its digest pins every file of them.
Each step's time and outputs are attached to the call's log.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from atrium import logged
from atrium.cases import Model as AnyModel
from atrium.cases import run_cases
from atrium.frameworks.base import Array, CannotLoad, Detection, Framework, Model, Source
from atrium.graph import FILE, MEMBERS, REQUEST, Graph, InvalidGraph, Node, read_graph
from atrium.oip.arrays import DTYPES, from_array, to_array
from atrium.oip.tensors import write_json
from atrium.package import Package, open_package
from atrium.signature import Signature, TensorSpec
from atrium.told import tell

MOST_LOGGED = 64


class CompositeModel:
    """The members, loaded, and the graph that wires them."""

    def __init__(
        self,
        graph: Graph,
        members: Mapping[str, AnyModel],
        inputs: Mapping[str, list[str]],
        signature: Signature | None = None,
        sealed: frozenset[str] = frozenset(),
    ) -> None:
        self.graph = graph
        self.signature = signature or graph.signature
        self._members = members
        self._inputs = inputs
        self._sealed = sealed  # outputs, as "<node>.<output>", that no log may hold

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        values: dict[str, Array] = {f"{REQUEST}.{name}": array for name, array in inputs.items()}
        for node in self.graph.nodes:
            started = time.perf_counter()
            try:
                answers = self._run(node, values)
            except Exception as error:
                raise RuntimeError(f"step '{node.name}' raised {type(error).__name__}: {error}") from error
            took_ms = (time.perf_counter() - started) * 1000
            shown = {
                name: array for name, array in answers.items() if f"{node.name}.{name}" not in self._sealed
            }
            _log(node.name, took_ms, shown)
            values |= {f"{node.name}.{name}": array for name, array in answers.items()}
        return {
            spec.name: _as(spec, values[self.graph.outputs[spec.name]]) for spec in self.signature.outputs
        }

    def _run(self, node: Node, values: Mapping[str, Array]) -> dict[str, Array]:
        if node.kind == "average":
            return {"value": np.mean([values[source] for source in node.of], axis=0)}
        if node.kind == "vote":
            return {"value": vote([values[source] for source in node.of])}
        if node.kind == "pick":
            return {"value": values[node.of[0]].argmax(axis=1)}
        if node.kind == "switch":
            return self._switch(node, values)
        return self._call(node, node.member, values)

    def _call(
        self, node: Node, member: str, values: Mapping[str, Array], rows: Any = slice(None)
    ) -> dict[str, Array]:
        given = {
            name: values[node.inputs.get(name, f"{REQUEST}.{name}")][rows] for name in self._inputs[member]
        }
        return {name: _given_on(array) for name, array in self._members[member].predict(given).items()}

    def _switch(self, node: Node, values: Mapping[str, Array]) -> dict[str, Array]:
        """Each row by the member of its value; the rows come back in their order."""
        keys = [_text(value) for value in values[node.on].tolist()]
        chosen = [node.branches.get(key, node.default) for key in keys]
        if "" in chosen:
            unknown = keys[chosen.index("")]
            raise ValueError(f"{node.on} is '{unknown}'; it must be one of {', '.join(node.branches)}")
        parts: list[tuple[Array, dict[str, Array]]] = []
        for member in dict.fromkeys(chosen):
            rows = np.array([at for at, name in enumerate(chosen) if name == member], dtype=np.int64)
            parts.append((rows, self._call(node, member, values, rows)))
        logged.log(
            f"{node.name} took", chosen[:MOST_LOGGED] if len(chosen) > 1 else chosen[0] if chosen else ""
        )
        return _joined(parts, len(keys))


def _given_on(answer: Any) -> Array:
    """A member's answer as the next one gets it: texts as texts, as when it is called alone."""
    array = np.asarray(answer)
    if array.dtype.kind in "OS" and array.size and isinstance(array.flat[0], bytes):
        return to_array(from_array("", array, "BYTES"))
    return array


def _joined(parts: list[tuple[Array, dict[str, Array]]], count: int) -> dict[str, Array]:
    names = [name for name in parts[0][1] if all(name in answers for _, answers in parts)] if parts else []
    joined = {}
    for name in names:
        first = parts[0][1][name]
        whole = np.empty((count, *first.shape[1:]), dtype=first.dtype)
        if any(answers[name].dtype != first.dtype for _, answers in parts):
            whole = whole.astype(object)
        for rows, answers in parts:
            whole[rows] = answers[name]
        joined[name] = whole
    return joined


def vote(answers: list[Array]) -> Array:
    """The class that most members gave, row by row; on a tie the one that an earlier member gave."""
    columns = [array.tolist() for array in answers]
    winners = [Counter(row).most_common(1)[0][0] for row in zip(*columns, strict=True)]
    return np.array(winners, dtype=answers[0].dtype)


def _as(spec: TensorSpec, array: Array) -> Array:
    return array if spec.datatype == "BYTES" else np.asarray(array).astype(DTYPES[spec.datatype])


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _log(name: str, took_ms: float, answers: Mapping[str, Array]) -> None:
    """A step's time and outputs, as far as a call's log holds them."""
    shown = {
        output: [_plain(value) for value in array[:MOST_LOGGED].tolist()]
        if array.size <= MOST_LOGGED
        else f"{array.dtype} {list(array.shape)}"
        for output, array in answers.items()
    }
    logged.log(name, {"ms": round(took_ms, 3), "outputs": shown})


def _plain(value: Any) -> Any:
    return _text(value) if isinstance(value, bytes) else value


class Composite(Framework):
    """Graphs of packaged versions."""

    name = "composite"

    def detect(self, source: Source) -> Detection | None:
        if not (source.root / FILE).is_file():
            return None
        return Detection({"file": FILE}, tell("there is one %(name)s", name=FILE))

    def load(self, root: Path, entry: Mapping[str, Any], signature: Signature | None) -> Model:
        from atrium.runner.replica import load_model  # the runner knows how to load each member

        try:
            packages = {
                path.name: open_package(path) for path in sorted((root / MEMBERS).iterdir()) if path.is_dir()
            }
            document = json.loads((root / str(entry["file"])).read_text(encoding="utf-8"))
            graph = read_graph(document, {name: package.signature for name, package in packages.items()})
        except (ValueError, InvalidGraph) as error:
            raise CannotLoad(str(error)) from error
        used = {name for node in graph.nodes for name in node.members}
        members = {name: load_model(package) for name, package in packages.items() if name in used}
        for name, model in members.items():
            _check(name, model, packages[name])
        graph = replace(graph, signature=_with_examples(graph, packages))
        inputs = {
            name: [spec.name for spec in package.signature.inputs] for name, package in packages.items()
        }
        return CompositeModel(graph, members, inputs, signature, _sealed(graph, packages))

    def guess_signature(self, model: Model) -> Signature | None:
        assert isinstance(model, CompositeModel)
        return model.graph.signature

    def joins_calls(self) -> bool:
        return False  # each call's log has the times of its own steps


def _check(name: str, model: AnyModel, package: Package) -> None:
    """A member answers as it did alone: the environment that it shares may have other packages than its own."""
    for result in run_cases(model, package.cases):
        if not result.passed:
            raise CannotLoad(
                tell(
                    "member '%(member)s': its case '%(case)s' fails here: %(message)s",
                    member=name,
                    case=result.name,
                    message=result.message,
                )
            )


def _sealed(graph: Graph, packages: Mapping[str, Package]) -> frozenset[str]:
    """Outputs that a member's signature calls sensitive, and what is made of them by averaging, voting, picking."""
    found: set[str] = set()
    for node in graph.nodes:
        for member in node.members:
            specs = packages[member].signature.outputs
            found |= {f"{node.name}.{spec.name}" for spec in specs if spec.sensitive}
        if found & set(node.of):
            found.add(f"{node.name}.value")
    return frozenset(found)


def _with_examples(graph: Graph, packages: Mapping[str, Package]) -> Signature:
    """The signature with an example for each input, from a shipped case of the member that takes it."""
    examples: dict[str, Any] = {}
    for node in graph.nodes:
        for member in node.members:
            for case in packages[member].cases[:1]:
                for tensor in case.inputs:
                    source = node.inputs.get(tensor.name, f"{REQUEST}.{tensor.name}")
                    examples.setdefault(source, _first_item(write_json(tensor)))
        if node.kind == "switch" and node.on.startswith(f"{REQUEST}."):
            examples.setdefault(node.on, next(iter(node.branches)))
    inputs = [
        replace(
            spec, example=spec.example if spec.example is not None else examples.get(f"{REQUEST}.{spec.name}")
        )
        for spec in graph.signature.inputs
    ]
    return replace(graph.signature, inputs=inputs)


def _first_item(tensor: Mapping[str, Any]) -> Any:
    shape = list(tensor["shape"])
    flat = np.array(tensor["data"], dtype=object).ravel()
    size = int(np.prod(shape[1:], dtype=np.int64)) if shape else 1
    item = flat[:size].reshape(shape[1:]).tolist()
    return item if shape[1:] else flat[0]
