"""The picture of a composite's graph: boxes in columns by depth, and the curves between them. Numbers only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from atrium.graph import REQUEST, Graph, Node

BOX_WIDTH, BOX_HEIGHT = 168, 58
COLUMN, ROW, MARGIN = 232, 82, 12
TOP, LIFT = 30, 64  # room above the boxes, and how far a curve that passes a box bends away from it
_ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Box:
    """One step: two lines of text at a place."""

    name: str
    kind: str
    title: str
    detail: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Curve:
    """A connection, as an SVG path, with what flows along it."""

    path: str
    label: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that the drawing needs."""

    boxes: list[Box]
    curves: list[Curve]
    width: int
    height: int
    words: str


def draw(graph: Graph, members: Mapping[str, str]) -> Picture:
    """The picture of a graph; `members` says what each member is, such as "digits 1.2.0"."""
    depths = _depths(graph)
    columns: dict[int, list[str]] = defaultdict(list)
    for name, depth in depths.items():
        columns[depth].append(name)
    tallest = max(len(names) for names in columns.values())
    places = {
        name: (MARGIN + depth * COLUMN, TOP + int((at + (tallest - len(names)) / 2) * ROW))
        for depth, names in columns.items()
        for at, name in enumerate(names)
    }
    nodes = {node.name: node for node in graph.nodes}
    boxes = [_box(name, nodes.get(name), graph, members, place) for name, place in places.items()]
    return Picture(
        boxes=boxes,
        curves=[_curve(places[start], places[end], label) for start, end, label in _edges(graph)],
        width=2 * MARGIN + max(columns) * COLUMN + BOX_WIDTH,
        height=2 * TOP + (tallest - 1) * ROW + BOX_HEIGHT,
        words="; ".join(f"{start} → {end} ({label})" for start, end, label in _edges(graph)),
    )


def _edges(graph: Graph) -> list[tuple[str, str, str]]:
    """(from, to, what) once per pair of boxes."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for node in graph.nodes:
        for source in _sources(node, graph):
            origin, _dot, name = source.partition(".")
            found[origin, node.name].append(name)
    for output, source in graph.outputs.items():
        found[source.partition(".")[0], _ANSWER].append(output)
    return [(start, end, ", ".join(dict.fromkeys(names))) for (start, end), names in found.items()]


def _sources(node: Node, graph: Graph) -> list[str]:
    """Its sources, with what it takes from the request without saying so."""
    sources = list(node.sources)
    if node.members and not any(source.startswith(f"{REQUEST}.") for source in node.inputs.values()):
        wired = set(node.inputs)
        implied = [spec.name for spec in graph.signature.inputs if spec.name not in wired]
        if not node.inputs:
            field = node.on.removeprefix(f"{REQUEST}.")
            sources += [f"{REQUEST}.{name}" for name in implied if name != field]
    return sources


def _depths(graph: Graph) -> dict[str, int]:
    depths = {REQUEST: 0}
    for node in graph.nodes:
        before = [depths[source.partition(".")[0]] for source in _sources(node, graph)]
        depths[node.name] = 1 + max(before, default=0)
    depths[_ANSWER] = 1 + max(depths.values())
    return depths


def _box(
    name: str, node: Node | None, graph: Graph, members: Mapping[str, str], place: tuple[int, int]
) -> Box:
    titles: dict[str, Any] = {
        "average": _("average"),
        "vote": _("vote"),
        "pick": _("best class"),
        "switch": _("switch"),
    }
    if node is None:
        ends = name == _ANSWER
        title = _("Answer") if ends else _("Request")
        specs = graph.signature.outputs if ends else graph.signature.inputs
        return Box(name, "end", title, _cut(", ".join(spec.name for spec in specs)), *place)
    if node.kind == "member":
        return Box(name, "member", _cut(name), _cut(members.get(node.member, node.member)), *place)
    if node.kind == "switch":
        field = node.on.partition(".")[2]
        told = [f"{value}: {member}" for value, member in node.branches.items()]
        told += [f"…: {node.default}"] if node.default else []
        return Box(
            name, "switch", _cut(_("switch on %(field)s") % {"field": field}), _cut(", ".join(told)), *place
        )
    return Box(name, node.kind, _cut(name), str(titles[node.kind]), *place)


def _cut(text: str, most: int = 24) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _curve(start: tuple[int, int], end: tuple[int, int], label: str) -> Curve:
    x1, y1 = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT // 2
    x2, y2 = end[0], end[1] + BOX_HEIGHT // 2
    middle = (x1 + x2) // 2
    lift = LIFT if x2 - x1 > COLUMN else 0
    path = f"M{x1} {y1} C{middle} {y1 - lift} {middle} {y2 - lift} {x2} {y2}"
    return Curve(path, _cut(label, 14), middle, (y1 + y2) // 2 - 5 - lift * 3 // 4)
