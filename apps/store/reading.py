"""An answer in words: what the outputs of a call mean under the signature. Pure computation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from apps.store.inputs import flatten

MOST_TYPED = 24


@dataclass(frozen=True)
class Value:
    """One output that is neither the class nor its probabilities."""

    title: str
    text: str
    unit: str = ""


@dataclass(frozen=True)
class Series:
    """Numbers in an order, such as a forecast."""

    title: str
    numbers: list[float]
    unit: str = ""

    @property
    def low(self) -> float:
        return min(self.numbers)

    @property
    def high(self) -> float:
        return max(self.numbers)

    @property
    def span(self) -> tuple[str, str]:
        """The smallest and the largest number with four digits, for a sentence."""
        return f"{self.low:.4g}", f"{self.high:.4g}"


@dataclass(frozen=True)
class Piece:
    """A stretch of a text that was asked about; `label` is empty where nothing was marked."""

    text: str
    label: str = ""


@dataclass(frozen=True)
class Reading:
    """The first item's answer: `answer` in words, its probability, all probabilities, series, and further values.

    `places` are the stretches that were marked in the text that was asked about: (start, end, label).
    """

    answer: str = ""
    confidence: float | None = None
    probabilities: list[tuple[str, float]] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    places: list[tuple[int, int, str]] | None = None


def read_answer(signature: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]]) -> Reading:
    """What the outputs say about the first item of a call."""
    specs = {spec["name"]: spec for spec in signature.get("outputs") or []}
    labels = labels_of(signature)
    answer, probabilities, values, series = "", [], [], []
    places: list[tuple[int, int, str]] | None = None
    for output in outputs:
        spec = specs.get(output["name"], {})
        item = _first_item(output)
        kind = kind_of_output(spec, output["name"])
        if kind == "class" and item:
            answer = _label(item[0], spec.get("labels") or labels)
        elif kind == "probabilities" and all(isinstance(value, int | float) for value in item):
            names = spec.get("labels") or labels
            probabilities = [
                (names[at] if at < len(names) else str(at), float(value)) for at, value in enumerate(item)
            ]
        elif kind == "series" and len(numbers := _numbers(item)) > 1:
            series.append(Series(spec.get("title") or output["name"], numbers, spec.get("unit") or ""))
        elif kind == "spans" and (found := _places(item)) is not None:
            places = found
        else:
            values.append(Value(spec.get("title") or output["name"], _text(item), spec.get("unit") or ""))
    if not answer and probabilities:
        answer = max(probabilities, key=lambda pair: pair[1])[0]
    confidence = dict(probabilities).get(answer)
    names = labels or [name for name, _p in probabilities]
    return Reading(answer, confidence, probabilities, values, names, series, places)


def asked_series(signature: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]]) -> list[Series]:
    """The series of a question, for a chart beside the answer's."""
    specs = {spec["name"]: spec for spec in signature.get("inputs") or []}
    found = []
    for tensor in inputs:
        spec = specs.get(tensor["name"], {})
        numbers = _numbers(_first_item(tensor)) if spec.get("kind") == "series" else []
        if len(numbers) > 1:
            found.append(Series(spec.get("title") or tensor["name"], numbers, spec.get("unit") or ""))
    return found


def marked_text(
    signature: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]], places: Sequence[tuple[int, int, str]]
) -> list[Piece]:
    """The text of a question cut where the answer's stretches begin and end; nothing where no text was asked about.

    Of stretches that overlap the one that begins first is shown.
    """
    texts = {spec["name"] for spec in signature.get("inputs") or [] if spec.get("kind") == "text"}
    items = [_first_item(tensor) for tensor in inputs if tensor["name"] in texts]
    if not items or not items[0]:
        return []
    text, at, pieces = str(items[0][0]), 0, []
    for start, end, label in sorted(places):
        if not at <= start < end <= len(text):
            continue
        pieces += [Piece(text[at:start]), Piece(text[start:end], label)]
        at = end
    return [piece for piece in [*pieces, Piece(text[at:])] if piece.text]


def _places(item: Sequence[Any]) -> list[tuple[int, int, str]] | None:
    """The stretches of the protocol's JSON list; None when the answer is something else."""
    try:
        entries = json.loads(item[0])
        return [(int(entry["start"]), int(entry["end"]), str(entry["label"])) for entry in entries]
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def _numbers(item: Sequence[Any]) -> list[float]:
    """The values as numbers; none when one of them is no number."""
    good = all(isinstance(value, int | float) and not isinstance(value, bool) for value in item)
    return [float(value) for value in item] if good else []


def labels_of(signature: Mapping[str, Any]) -> list[str]:
    """The classes that a capability can answer, where its signature names them."""
    for spec in signature.get("outputs") or []:
        if spec.get("labels"):
            return [str(label) for label in spec["labels"]]
    return []


def expected_of(signature: Mapping[str, Any], label: str) -> dict[str, Any] | None:
    """A label that a person named as right, as the outcome of a call keeps it."""
    for spec in signature.get("outputs") or []:
        if kind_of_output(spec, spec["name"]) != "class":
            continue
        labels = [str(each) for each in spec.get("labels") or labels_of(signature)]
        number = spec["datatype"] != "BYTES" and label in labels
        return {spec["name"]: labels.index(label) if number else label}
    return None


@dataclass(frozen=True)
class Numbers:
    """A numeric output of an answer, to be typed anew: `text` is its values as they are."""

    name: str
    title: str
    unit: str
    text: str
    count: int
    whole: bool


def numbers_in(signature: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]]) -> list[Numbers]:
    """The outputs that are a few numbers and neither a class nor its probabilities."""
    specs = {spec["name"]: spec for spec in signature.get("outputs") or []}
    found = []
    for output in outputs:
        spec = specs.get(output["name"], {})
        data = list(flatten(output.get("data", [])))
        numeric = str(output.get("datatype", "")).startswith(("FP", "BF", "INT", "UINT"))
        if not numeric or kind_of_output(spec, output["name"]) in ("class", "probabilities"):
            continue
        if 1 <= len(data) <= MOST_TYPED and len(_numbers(data)) == len(data):
            whole = str(output["datatype"]).startswith(("INT", "UINT"))
            text = ", ".join(str(value) for value in data)
            title, unit = spec.get("title") or output["name"], spec.get("unit") or ""
            found.append(Numbers(output["name"], title, unit, text, len(data), whole))
    return found


def read_numbers(asked: Numbers, text: str) -> list[float] | list[int]:
    """What somebody typed, with commas or blanks between. Raises ValueError that says what is wrong."""
    parts = text.replace(",", " ").split()
    if len(parts) != asked.count:
        raise ValueError(
            _("%(given)d numbers were given, %(count)d are needed.")
            % {"given": len(parts), "count": asked.count}
        )
    try:
        values = [int(part) if asked.whole else float(part) for part in parts]
    except ValueError as error:
        words = _("Type whole numbers.") if asked.whole else _("Type numbers, such as 3.5.")
        raise ValueError(words) from error
    if not all(math.isfinite(value) for value in values):
        raise ValueError(_("Type numbers, such as 3.5."))
    return values


def kind_of_output(spec: Mapping[str, Any], name: str) -> str:
    """`class`, `probabilities` or `value`: what the signature says, else what the name suggests."""
    return str(spec.get("kind") or "") or {
        "class": "class",
        "label": "class",
        "probabilities": "probabilities",
    }.get(name.lower(), "value")


def _first_item(output: Mapping[str, Any]) -> list[Any]:
    flat = list(flatten(output.get("data", [])))
    shape = list(output.get("shape") or [len(flat)])
    return flat[: math.prod(shape[1:])] if shape else flat


def _label(value: Any, labels: Sequence[str]) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(labels):
        return str(labels[value])
    return str(value)


def _text(item: Sequence[Any]) -> str:
    shown = [f"{value:.6g}" if isinstance(value, float) else str(value) for value in item[:20]]
    return ", ".join(shown) + (" …" if len(item) > 20 else "")
