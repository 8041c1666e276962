"""Why this answer: what changes when one part of the input is taken away. Pure computation.

Occlusion (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014; for single features also
known as leave-one-out): each part is replaced by a neutral value, all variants are asked in one call, and a part's
weight is how much the answer's score falls without it. It says what this answer rests on, not what causes what, and
parts that stand in for each other share little of the weight.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from apps.store.inputs import flatten
from apps.store.reading import kind_of_output

MOST_PARTS = 128
MOST_VALUES = 8_000_000
"""In all variants together; more would fill a web process's memory."""
_WORD = re.compile(r"[\u4e00-\u9fff]{1,2}|[^\s\u4e00-\u9fff]+")


@dataclass(frozen=True)
class Part:
    """A piece of one input: the places of a tensor's values, or a span of a text."""

    tensor: str
    label: str
    places: tuple[int, ...]
    value: str = ""


@dataclass(frozen=True)
class Weight:
    """How much the score falls when a part is replaced; `neutral` is what it was replaced by, in words."""

    part: Part
    weight: float
    neutral: str


@dataclass(frozen=True)
class Question:
    """One call that asks for the answer itself (row 0) and for each variant."""

    parts: list[Part]
    neutrals: list[str]
    tensors: list[dict[str, Any]]


def takes_many(signature: Mapping[str, Any]) -> bool:
    """Whether all variants fit one call: every input's first axis is free."""
    inputs = signature.get("inputs") or []
    return bool(inputs) and all(list(spec["shape"])[:1] == [-1] for spec in inputs)


def question(
    signature: Mapping[str, Any], tensors: Sequence[Mapping[str, Any]], cases: Sequence[Mapping[str, Any]]
) -> Question:
    """The variants of one item's tensors. Shipped cases say what is ordinary for a column of a table.

    Raises ValueError for an input that is too large to be asked about so often.
    """
    given = {tensor["name"]: list(flatten(tensor["data"])) for tensor in tensors}
    specs = [spec for spec in signature["inputs"] if spec["name"] in given]
    parts: list[Part] = []
    for spec in specs:
        parts += _parts(spec, given[spec["name"]], signature.get("columns") or [])
    parts = parts[:MOST_PARTS]
    if (len(parts) + 1) * sum(map(len, given.values())) > MOST_VALUES:
        raise ValueError("too many values")
    rows = {name: [values] for name, values in given.items()}
    neutrals = []
    for part in parts:
        spec = next(spec for spec in specs if spec["name"] == part.tensor)
        changed, words = _without(part, spec, given[part.tensor], signature.get("columns") or [], cases)
        neutrals.append(words)
        for name, values in given.items():
            rows[name].append(changed if name == part.tensor else values)
    joined = [
        {
            **{key: spec[key] for key in ("name", "datatype")},
            "shape": [len(parts) + 1, *_item_shape(spec, given[spec["name"]])],
            "data": [value for row in rows[spec["name"]] for value in row],
        }
        for spec in specs
    ]
    return Question(parts, neutrals, joined)


def _item_shape(spec: Mapping[str, Any], values: Sequence[Any]) -> list[int]:
    shape = list(spec["shape"])[1:]
    known = math.prod(size for size in shape if size > 0)
    return [size if size > 0 else len(values) // known for size in shape]


def _parts(
    spec: Mapping[str, Any], values: Sequence[Any], columns: Sequence[Mapping[str, Any]]
) -> list[Part]:
    name, shape = spec["name"], _item_shape(spec, values)
    if spec["datatype"] == "BYTES":
        return _words(name, str(values[0]) if values else "")
    if columns and shape == [len(columns)]:
        return [
            Part(name, column.get("title") or column["name"], (at,), _shown(values[at]))
            for at, column in enumerate(columns)
        ]
    if len(shape) == 2:
        return _tiles(name, shape)
    if len(values) <= 1:
        return [Part(name, spec.get("title") or name, (0,), _shown(values[0]))] if values else []
    return _stretches(name, len(values))


def _words(name: str, text: str) -> list[Part]:
    found = list(_WORD.finditer(text))
    size = max(1, math.ceil(len(found) / MOST_PARTS))
    groups = [found[at : at + size] for at in range(0, len(found), size)]
    return [
        Part(name, text[group[0].start() : group[-1].end()], (group[0].start(), group[-1].end()))
        for group in groups
    ]


def _tiles(name: str, shape: Sequence[int]) -> list[Part]:
    """An image in at most MOST_PARTS tiles, row by row."""
    height, width = shape
    step = 1
    while math.ceil(height / step) * math.ceil(width / step) > MOST_PARTS:
        step += 1
    return [
        Part(
            name,
            f"{top + 1}/{left + 1}",
            tuple(
                row * width + column
                for row in range(top, min(top + step, height))
                for column in range(left, min(left + step, width))
            ),
        )
        for top in range(0, height, step)
        for left in range(0, width, step)
    ]


def _stretches(name: str, length: int) -> list[Part]:
    size = max(1, math.ceil(length / 32))
    return [
        Part(name, f"{at + 1}–{min(at + size, length)}", tuple(range(at, min(at + size, length))))
        for at in range(0, length, size)
    ]


def _without(
    part: Part,
    spec: Mapping[str, Any],
    values: Sequence[Any],
    columns: Sequence[Mapping[str, Any]],
    cases: Sequence[Mapping[str, Any]],
) -> tuple[list[Any], str]:
    """The values with the part replaced, and by what."""
    if spec["datatype"] == "BYTES":
        start, end = part.places
        text = str(values[0])
        return [text[:start] + text[end:]], "–"
    changed = list(values)
    ordinary = _ordinary(part, spec, len(values), columns, cases)
    column = columns[part.places[0]] if columns and len(values) == len(columns) else {}
    whole = (column.get("datatype") or spec["datatype"]) not in {"FP16", "FP32", "FP64", "BF16"}
    for place in part.places:
        changed[place] = round(ordinary) if whole else ordinary
    return changed, _shown(ordinary)


def _ordinary(
    part: Part,
    spec: Mapping[str, Any],
    width: int,
    columns: Sequence[Mapping[str, Any]],
    cases: Sequence[Mapping[str, Any]],
) -> float:
    """For a column the median of the shipped cases, else the middle of its range; elsewhere the lowest value."""
    if not columns or width != len(columns):
        return float(spec.get("minimum") or 0)
    column, seen = columns[part.places[0]], []
    for case in cases:
        for tensor in case.get("inputs") or []:
            if tensor["name"] == part.tensor:
                seen += list(flatten(tensor["data"]))[part.places[0] :: width]
    numbers = [float(value) for value in seen if isinstance(value, int | float)]
    if numbers:
        return median(numbers)
    low, high = column.get("minimum"), column.get("maximum")
    return (low + high) / 2 if low is not None and high is not None else float(low or 0)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


def weigh(
    asked: Question, signature: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]]
) -> tuple[str, list[Weight]]:
    """What the weights are measured in (`probability`, `value` or `answer`), and one weight for each part."""
    unit, scores = _scores(signature, outputs, len(asked.parts) + 1)
    weights = [
        Weight(part, scores[0] - scores[at + 1], asked.neutrals[at]) for at, part in enumerate(asked.parts)
    ]
    return unit, weights


def _scores(
    signature: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]], rows: int
) -> tuple[str, list[float]]:
    specs = {spec["name"]: spec for spec in signature.get("outputs") or []}
    by_kind: dict[str, list[Any]] = {}
    for output in outputs:
        kind = kind_of_output(specs.get(output["name"], {}), output["name"])
        by_kind.setdefault(kind, list(flatten(output.get("data", []))))
    flat = by_kind.get("probabilities")
    if flat and len(flat) % rows == 0 and len(flat) > rows:
        width = len(flat) // rows
        best = max(range(width), key=lambda at: flat[at])
        return "probability", [float(flat[row * width + best]) for row in range(rows)]
    classes = by_kind.get("class")
    if classes and len(classes) == rows:
        return "answer", [1.0 if value == classes[0] else 0.0 for value in classes]
    numbers = by_kind.get("value", [])
    if len(numbers) >= rows and all(isinstance(value, int | float) for value in numbers[:rows]):
        width = len(numbers) // rows
        return "value", [float(numbers[row * width]) for row in range(rows)]
    return "answer", [0.0] * rows
