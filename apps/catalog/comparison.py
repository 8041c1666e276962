"""Versions side by side: what a version is made of, row by row, with what differs marked. No database here."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from packaging.utils import canonicalize_name

_PROPERTIES = (
    "datatype",
    "shape",
    "kind",
    "unit",
    "minimum",
    "maximum",
    "choices",
    "labels",
    "sensitive",
    "optional",
)
_CONTEXT_LINES = 2
_MOST_PARAMETERS = 200
_MOST_LONELY = 5


@dataclass(frozen=True, slots=True)
class Side:
    """One version as it is compared; the texts are those of its package."""

    number: str
    facts: Mapping[str, Any]
    signature: Mapping[str, Any]
    report: Mapping[str, Any]
    parameters: Mapping[str, Any]
    lineage: Mapping[str, str]
    environment: str = ""
    card: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One property of all sides. `kind` says how its values are shown: text, mono, number, small, bytes, ms, moment."""

    title: str
    values: list[Any]
    kind: str = "text"

    @property
    def differs(self) -> bool:
        return any(value != self.values[0] for value in self.values[1:])

    @property
    def lacking(self) -> bool:
        """Whether a version has none of it that another has."""
        return self.differs and None in self.values


@dataclass(frozen=True, slots=True)
class Section:
    """Rows that belong together; `rows_differ` counts those that differ."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)

    @property
    def rows_differ(self) -> int:
        return sum(row.differs for row in self.rows)

    @property
    def lonely(self) -> list[Row]:
        """What only some of the versions have, where that is so much that it would hide the rest."""
        found = [row for row in self.rows if row.lacking]
        return found if len(found) > _MOST_LONELY else []

    @property
    def shown(self) -> list[Row]:
        """The other rows."""
        return [row for row in self.rows if not row.lacking] if self.lonely else self.rows

    @property
    def shown_differ(self) -> bool:
        """Whether one of the shown rows differs."""
        return any(row.differs for row in self.shown)


def compare(sides: Sequence[Side]) -> list[Section]:
    """The sections of the comparison, in the order in which people ask; empty ones are left out."""
    sections = [
        Section("version", _("Version"), _facts(sides)),
        Section("signature", _("Signature"), list(_signature(sides))),
        Section("cases", _("Cases"), list(_cases(sides))),
        Section("size", _("Size"), _size(sides)),
        Section("latency", _("Latency of one item"), _latency(sides)),
        Section("environment", _("Environment"), list(_environment(sides))),
        Section("parameters", _("Parameters"), list(_parameters(sides))),
        Section("lineage", _("Lineage"), list(_lineage(sides))),
    ]
    return [section for section in sections if section.rows]


def _row(label: str, sides: Sequence[Side], value: Callable[[Side], Any], kind: str = "text") -> Row:
    return Row(label, [value(side) for side in sides], kind)


def _facts(sides: Sequence[Side]) -> list[Row]:
    wanted = (
        ("status", _("Status"), "text"),
        ("digest", _("Digest"), "digest"),
        ("framework", _("Framework"), "text"),
        ("runtime", _("Served by"), "text"),
        ("created_by", _("Made by"), "text"),
        ("created_at", _("Made"), "moment"),
        ("changelog", _("What is new"), "text"),
    )

    def fact(name: str) -> Callable[[Side], Any]:
        return lambda side: side.facts.get(name)

    return [_row(label, sides, fact(name), kind) for name, label, kind in wanted]


def _signature(sides: Sequence[Side]) -> Iterator[Row]:
    for where, direction in (
        ("inputs", _("input")),
        ("outputs", _("output")),
        ("columns", _("column")),
    ):
        by_side = [{str(spec["name"]): spec for spec in side.signature.get(where) or []} for side in sides]
        for name in _names(by_side):
            yield Row(f"{direction} {name}", [_described(specs.get(name)) for specs in by_side], "mono")


def _described(spec: Mapping[str, Any] | None) -> str | None:
    """A tensor or column in one line, such as `FP32 [-1,8,8], minimum 0, maximum 16`; None when it is missing."""
    if spec is None:
        return None
    parts = []
    for name in _PROPERTIES:
        value = spec.get(name)
        if value in (None, "", []):
            continue
        text = (
            value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        )
        parts.append(text if name in ("datatype", "shape") else f"{name} {text}")
    return ", ".join(parts).replace(", [", " [", 1) or "–"


def _cases(sides: Sequence[Side]) -> Iterator[Row]:
    by_side = [{str(case["name"]): case for case in side.report.get("cases") or []} for side in sides]
    yield Row(_("Count"), [len(cases) for cases in by_side], "number")
    for name in _names(by_side):
        yield Row(name, [_case(cases.get(name)) for cases in by_side])
    conversions = [side.report.get("conversion") or {} for side in sides]
    if any(conversions):
        yield Row(_("Conversion"), [conversion.get("reason") for conversion in conversions])
    apart = [conversion.get("differences") or {} for conversion in conversions]
    for name in _names(apart):
        label = _("largest difference of %(output)s by conversion") % {"output": name}
        yield Row(label, [differences.get(name) for differences in apart], "small")
    yield from _int8(sides)


def _int8(sides: Sequence[Side]) -> Iterator[Row]:
    """What became of the int8 twin, and how far its answers lie from those of the model as served."""
    tried = [_quantisation(side) for side in sides]
    if not any(tried):
        return
    yield Row(_("Int8"), [_chosen(twin) for twin in tried])
    yield Row(_("why"), [twin.get("reason") for twin in tried])
    outputs = [twin.get("outputs") or {} for twin in tried]
    for name in _names(outputs):
        label = _("largest difference of %(output)s as int8") % {"output": name}
        yield Row(label, [(each.get(name) or {}).get("difference") for each in outputs], "small")


def _quantisation(side: Side) -> Mapping[str, Any]:
    return side.report.get("quantisation") or {}


def _chosen(twin: Mapping[str, Any]) -> str | None:
    if not twin:
        return None
    if twin.get("chosen"):
        return _("served as int8")
    return _("offered") if twin.get("offered") else _("not offered")


def _case(case: Mapping[str, Any] | None) -> str | None:
    if case is None:
        return None
    if not case.get("passed"):
        return _("failed: %(reason)s") % {"reason": case.get("message", "")}
    return _("passed, largest difference %(value)s") % {"value": f"{case.get('difference') or 0:.3g}"}


def _size(sides: Sequence[Side]) -> list[Row]:
    return [
        _row(_("Whole package"), sides, lambda side: side.facts.get("size"), "bytes"),
        _row(_("Files"), sides, lambda side: side.facts.get("files"), "number"),
        _row(
            _("Model as handed in"),
            sides,
            lambda side: (side.report.get("size") or {}).get("before"),
            "bytes",
        ),
        _row(_("Model as served"), sides, lambda side: (side.report.get("size") or {}).get("after"), "bytes"),
        *_where_tried(_("Model as int8"), [_quantisation(side).get("size") for side in sides], "bytes"),
    ]


def _where_tried(label: str, values: Sequence[Any], kind: str) -> list[Row]:
    """The row, when at least one version has something to say in it."""
    return [Row(label, list(values), kind)] if any(value is not None for value in values) else []


def _latency(sides: Sequence[Side]) -> list[Row]:
    def figure(when: str, which: str) -> Callable[[Side], Any]:
        return lambda side: ((side.report.get("latency") or {}).get(when) or {}).get(which)

    def int8(which: str) -> list[Any]:
        return [(_quantisation(side).get("latency") or {}).get(which) for side in sides]

    return [
        _row(_("as handed in, p50"), sides, figure("before", "p50_ms"), "ms"),
        _row(_("as handed in, p99"), sides, figure("before", "p99_ms"), "ms"),
        _row(_("as served, p50"), sides, figure("after", "p50_ms"), "ms"),
        _row(_("as served, p99"), sides, figure("after", "p99_ms"), "ms"),
        *_where_tried(_("as int8, p50"), int8("p50_ms"), "ms"),
        *_where_tried(_("as int8, p99"), int8("p99_ms"), "ms"),
    ]


def _environment(sides: Sequence[Side]) -> Iterator[Row]:
    """Every package of any side; the reader's page hides what is the same."""
    locks = [packages_of(side.environment) for side in sides]
    for name in sorted(_names(locks), key=str.lower):
        yield Row(name, [lock.get(name) for lock in locks], "mono")


def packages_of(lock: str) -> dict[str, str]:
    """{package: version} of a lock or a list of what is installed."""
    found: dict[str, str] = {}
    for line in lock.splitlines():
        name, pinned, rest = line.strip().partition("==")
        if pinned and not name.startswith(("#", "-")) and rest.split():
            found[canonicalize_name(name.split("[")[0].strip())] = rest.split()[0].rstrip(";\\")
    return found


def _parameters(sides: Sequence[Side]) -> Iterator[Row]:
    by_side = [dict(flattened(side.parameters)) for side in sides]
    for name in list(_names(by_side))[:_MOST_PARAMETERS]:
        yield Row(name, [values.get(name) for values in by_side], "mono")


def flattened(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a JSON document by dotted name; lists stay whole."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from flattened(entry, f"{name}.{key}" if name else str(key))
    elif name:
        yield name, json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _lineage(sides: Sequence[Side]) -> Iterator[Row]:
    for name, label in (
        ("dataset", _("Data set version")),
        ("job", _("Training job")),
        ("code", _("Code")),
        ("source", _("Upload digest")),
    ):
        values = [side.lineage.get(name) or None for side in sides]
        if any(values):
            yield Row(label, values, "digest" if name in ("code", "source") else "mono")


def _names(by_side: Sequence[Mapping[str, Any]]) -> dict[str, None]:
    """All names, in the order in which the sides bring them."""
    return dict.fromkeys(name for entries in by_side for name in entries)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text's difference; `kind` is same, added, removed or gap."""

    kind: str
    text: str


def text_difference(before: str, after: str) -> list[Line]:
    """The lines that left and came, with a little of what stands around them; empty when nothing changed."""
    kinds = {"+": "added", "-": "removed"}
    found = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=_CONTEXT_LINES)
    lines = []
    for line in list(found)[2:]:  # after the two lines that name the files
        if line.startswith("@@"):
            lines.append(Line("gap", "…"))
        else:
            lines.append(Line(kinds.get(line[:1], "same"), line[1:]))
    return lines
