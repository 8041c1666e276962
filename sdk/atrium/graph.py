"""Graphs of composite capabilities: several members wired to one model. Read, checked and drawn up here.

    {"format": "atrium-graph/1",
     "nodes": [{"name": "clean", "kind": "member", "member": "clean", "inputs": {"text": "request.text"}},
               {"name": "mean", "kind": "average", "of": ["a.probabilities", "b.probabilities"]},
               {"name": "vote", "kind": "vote", "of": ["a.class", "b.class"]},
               {"name": "route", "kind": "switch", "on": "request.region",
                "branches": {"north": "a"}, "default": "b", "inputs": {"text": "clean.text"}}],
     "outputs": {"class": "vote.value"}}

A source is "request.<input>" or "<node>.<output>" of a node that stands before. `average` and `vote` give one
output, `value`; `pick` gives the place of the largest score of each row. A switch sends each row to the member of
its field's value, else to the default; it gives the outputs that all its members have.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from atrium.signature import Signature, TensorSpec

FORMAT = "atrium-graph/1"
FILE = "graph.json"
MEMBERS = "members"
REQUEST = "request"
KINDS = ("member", "average", "vote", "pick", "switch")
SHAPES = ("sequence", "average", "vote", "switch")
MOST_NODES = 40
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class InvalidGraph(ValueError):
    """A graph that cannot be run; the text names the node and what is expected."""


@dataclass(frozen=True, slots=True)
class Node:
    """One step. Which fields are used depends on its kind."""

    name: str
    kind: str
    member: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    of: list[str] = field(default_factory=list)
    on: str = ""
    branches: dict[str, str] = field(default_factory=dict)
    default: str = ""

    @property
    def members(self) -> list[str]:
        """The members that this step calls."""
        if self.kind == "switch":
            return [*dict.fromkeys([*self.branches.values(), *([self.default] if self.default else [])])]
        return [self.member] if self.member else []

    @property
    def sources(self) -> list[str]:
        """Where its values come from."""
        return [*self.inputs.values(), *self.of, *([self.on] if self.on else [])]


@dataclass(frozen=True, slots=True)
class Graph:
    """A checked graph: steps in the order in which they run, and the signature that it has as a whole."""

    nodes: list[Node]
    outputs: dict[str, str]
    signature: Signature


def read_graph(document: Any, members: Mapping[str, Signature]) -> Graph:
    """The graph in a document, wired to members of these signatures. Raises InvalidGraph."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InvalidGraph(f"{FILE}: 'format' must be '{FORMAT}'")
    entries = document.get("nodes")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_NODES:
        raise InvalidGraph(f"{FILE}: 'nodes' must be a list of 1 to {MOST_NODES} steps")
    requested: dict[str, TensorSpec] = {}
    given: dict[str, TensorSpec] = {}
    nodes = [_read_node(entry, at) for at, entry in enumerate(entries)]
    seen: set[str] = {REQUEST}
    for node in nodes:
        if node.name in seen:
            raise InvalidGraph(f"node '{node.name}': the name is taken")
        seen.add(node.name)
        for name, spec in _outputs_of(node, members, given, requested).items():
            given[f"{node.name}.{name}"] = spec
    outputs = document.get("outputs")
    if not isinstance(outputs, dict) or not outputs:
        raise InvalidGraph(
            f'{FILE}: \'outputs\' must name at least one output, such as {{"class": "vote.value"}}'
        )
    specs = [
        replace(_known(str(source), given, "outputs"), name=str(name)) for name, source in outputs.items()
    ]
    wired = {str(name): str(source) for name, source in outputs.items()}
    return Graph(nodes, wired, Signature(list(requested.values()), specs))


def _read_node(entry: Any, at: int) -> Node:
    if not isinstance(entry, dict):
        raise InvalidGraph(f"nodes[{at}] must be an object")
    name, kind = str(entry.get("name") or ""), str(entry.get("kind") or "")
    if not _NAME.fullmatch(name):
        raise InvalidGraph(
            f"nodes[{at}]: the name '{name[:40]}' must be lower-case letters, digits, '-' or '_'"
        )
    if kind not in KINDS:
        raise InvalidGraph(f"node '{name}': kind '{kind[:40]}' is none of {', '.join(KINDS)}")
    inputs, branches, of = entry.get("inputs") or {}, entry.get("branches") or {}, entry.get("of") or []
    if not isinstance(inputs, dict) or not isinstance(branches, dict) or not isinstance(of, list):
        raise InvalidGraph(f"node '{name}': 'inputs' and 'branches' must be objects, 'of' a list")
    return Node(
        name=name,
        kind=kind,
        member=str(entry.get("member") or ""),
        inputs={str(key): str(value) for key, value in inputs.items()},
        of=[str(source) for source in of],
        on=str(entry.get("on") or ""),
        branches={str(key): str(value) for key, value in branches.items()},
        default=str(entry.get("default") or ""),
    )


def _outputs_of(
    node: Node,
    members: Mapping[str, Signature],
    given: Mapping[str, TensorSpec],
    requested: dict[str, TensorSpec],
) -> dict[str, TensorSpec]:
    """What a step gives, after its inputs were checked; what it asks of the caller goes into `requested`."""
    place = f"node '{node.name}'"
    if node.kind in ("average", "vote", "pick"):
        specs = [_known(source, given, place) for source in node.of]
        least = 1 if node.kind == "pick" else 2
        if len(specs) < least:
            raise InvalidGraph(f"{place}: 'of' must name at least {least} outputs")
        return {"value": _combined(node, specs, place)}
    if not node.members:
        raise InvalidGraph(f"{place}: it names no member")
    for name in node.members:
        if name not in members:
            raise InvalidGraph(f"{place}: there is no member '{name}'; there are {', '.join(members)}")
        for spec in members[name].inputs:
            _connect(node, spec, given, requested, place)
    if node.kind == "switch":
        _connect_field(node, given, requested, place)
    first, *others = [{spec.name: spec for spec in members[name].outputs} for name in node.members]
    return {
        name: spec
        for name, spec in first.items()
        if all(name in other and _alike(spec, other[name]) for other in others)
    }


def _connect(
    node: Node,
    spec: TensorSpec,
    given: Mapping[str, TensorSpec],
    requested: dict[str, TensorSpec],
    place: str,
) -> None:
    source = node.inputs.get(spec.name, f"{REQUEST}.{spec.name}")
    origin, _, name = source.partition(".")
    if origin != REQUEST:
        found = _known(source, given, place)
        if not _alike(spec, found):
            raise InvalidGraph(
                f"{place}: input '{spec.name}' takes {_told(spec)}, but {source} gives {_told(found)}"
            )
        return
    known = requested.get(name)
    if known is not None and not _alike(known, spec):
        raise InvalidGraph(f"{place}: {source} is {_told(known)} for another step, but {_told(spec)} here")
    if known is None:
        requested[name] = replace(spec, name=name)


def _connect_field(
    node: Node, given: Mapping[str, TensorSpec], requested: dict[str, TensorSpec], place: str
) -> None:
    """The field that a switch looks at: one value per row, of the request or of a step before."""
    origin, _, name = node.on.partition(".")
    if not node.branches or not name:
        raise InvalidGraph(f"{place}: a switch needs 'on', such as request.region, and 'branches'")
    if origin != REQUEST:
        found = _known(node.on, given, place)
    else:
        choices: list[Any] | None = None if node.default else sorted(node.branches)
        found = requested.setdefault(name, TensorSpec(name, "BYTES", (-1,), kind="text", choices=choices))
    if tuple(found.shape) != (-1,) or found.datatype in ("FP16", "FP32", "FP64"):
        raise InvalidGraph(f"{place}: it can switch on texts or whole numbers [-1], not on {_told(found)}")


def _combined(node: Node, specs: list[TensorSpec], place: str) -> TensorSpec:
    first = specs[0]
    for source, spec in zip(node.of, specs, strict=True):
        if not _alike(first, spec):
            raise InvalidGraph(f"{place}: {source} is {_told(spec)}, {node.of[0]} is {_told(first)}")
    if node.kind == "vote":
        if first.datatype in ("FP16", "FP32", "FP64") or tuple(first.shape) != (-1,):
            raise InvalidGraph(f"{place}: classes are voted on, not {_told(first)}")
        return replace(first, name="value")
    if first.datatype not in ("FP32", "FP64"):
        raise InvalidGraph(f"{place}: numbers with a fraction are averaged, not {_told(first)}")
    if node.kind == "pick":
        if len(first.shape) != 2:
            raise InvalidGraph(f"{place}: it picks from scores [-1, n], not from {_told(first)}")
        return TensorSpec("value", "INT64", (-1,), kind="class", labels=first.labels)
    return replace(first, name="value")


def _known(source: str, given: Mapping[str, TensorSpec], place: str) -> TensorSpec:
    if source not in given:
        names = ", ".join(given) or "none"
        raise InvalidGraph(f"{place}: '{source}' is no output of a step before it; there are {names}")
    return given[source]


def _alike(left: TensorSpec, right: TensorSpec) -> bool:
    if left.datatype != right.datatype or len(left.shape) != len(right.shape):
        return False
    return all(a == b or -1 in (a, b) for a, b in zip(left.shape, right.shape, strict=True))


def _told(spec: TensorSpec) -> str:
    return f"{spec.datatype} [{', '.join(str(size) for size in spec.shape)}]"


def draw_up(
    shape: str, members: Sequence[tuple[str, Signature]], *, on: str = "", values: Sequence[str] = ()
) -> dict[str, Any]:
    """The document of a common shape, wired by the names of inputs and outputs. Raises InvalidGraph.

    sequence: each step takes from the nearest step before it that gives its input, else from the request.
    average, vote: every member sees the request; scores are averaged and the best class picked, or classes
    are voted on. switch: `values` name, member by member, the field's value; an empty one is the default.
    """
    if shape not in SHAPES:
        raise InvalidGraph(f"the shape '{shape}' is none of {', '.join(SHAPES)}")
    if len(members) < 2:
        raise InvalidGraph("choose at least two members")
    if shape == "sequence":
        nodes, outputs = _sequence(members)
    elif shape == "switch":
        nodes, outputs = _switch(members, on, values)
    else:
        nodes, outputs = _ensemble(shape, members)
    return {"format": FORMAT, "nodes": nodes, "outputs": outputs}


def _sequence(members: Sequence[tuple[str, Signature]]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    nodes: list[dict[str, Any]] = []
    given: dict[str, tuple[str, TensorSpec]] = {}
    for name, signature in members:
        inputs = {
            spec.name: given[spec.name][0]
            for spec in signature.inputs
            if spec.name in given and _alike(spec, given[spec.name][1])
        }
        if nodes and not inputs:
            wanted = ", ".join(f"{spec.name} {_told(spec)}" for spec in signature.inputs)
            raise InvalidGraph(
                f"step '{name}' takes {wanted}, which no step before it gives; name them alike, or wire them "
                "in the graph itself"
            )
        nodes.append({"name": name, "kind": "member", "member": name, "inputs": inputs})
        given |= {spec.name: (f"{name}.{spec.name}", spec) for spec in signature.outputs}
    name, signature = members[-1]
    return nodes, {spec.name: f"{name}.{spec.name}" for spec in signature.outputs}


def _ensemble(
    shape: str, members: Sequence[tuple[str, Signature]]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    nodes: list[dict[str, Any]] = [{"name": name, "kind": "member", "member": name} for name, _ in members]
    kinds = ("class",) if shape == "vote" else ("probabilities", "value")
    found = _common(members, kinds)
    sources = [f"{name}.{found.name}" for name, _ in members]
    if shape == "vote":
        return [*nodes, {"name": "vote", "kind": "vote", "of": sources}], {found.name: "vote.value"}
    nodes.append({"name": "mean", "kind": "average", "of": sources})
    outputs = {found.name: "mean.value"}
    if found.kind == "probabilities":
        nodes.append({"name": "best", "kind": "pick", "of": ["mean.value"]})
        outputs = {"class": "best.value", **outputs}
    return nodes, outputs


def _common(members: Sequence[tuple[str, Signature]], kinds: Sequence[str]) -> TensorSpec:
    """The output of one of these kinds that all members have."""
    for spec in members[0][1].outputs:
        others = [
            any(spec.name == other.name and _alike(spec, other) for other in signature.outputs)
            for _, signature in members
        ]
        if spec.kind in kinds and all(others):
            return spec
    raise InvalidGraph(f"the members have no output of the kind {' or '.join(kinds)} in common")


def _switch(
    members: Sequence[tuple[str, Signature]], on: str, values: Sequence[str]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    if not on:
        raise InvalidGraph("name the field to switch on, such as region")
    branches: dict[str, str] = {}
    default = ""
    for at, (name, _) in enumerate(members):
        value = values[at].strip() if at < len(values) else ""
        if not value and default:
            raise InvalidGraph(f"'{name}' and '{default}' both have no value; only one can be the default")
        if not value:
            default = name
        else:
            branches[value] = name
    node = {
        "name": "route",
        "kind": "switch",
        "on": f"{REQUEST}.{on}",
        "branches": branches,
        "default": default,
    }
    first = members[0][1].outputs
    common = [
        spec
        for spec in first
        if all(
            any(spec.name == s.name and _alike(spec, s) for s in signature.outputs)
            for _, signature in members
        )
    ]
    if not common:
        raise InvalidGraph("the members have no output in common")
    return [node], {spec.name: f"route.{spec.name}" for spec in common}
