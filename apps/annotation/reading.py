"""What of a logged call people see: its first item's input, the model's class and how sure it was."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from apps.catalog.models import Version
from apps.core.telling import say as _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.annotation.models import Project
    from apps.gateway.models import Call


HIDDEN = {"sealed", "sealed_columns", "dropped"}
"""What a tensor has whose signature calls it, or a column of it, sensitive (`apps.gateway.dataplane.sealing`)."""


class Unreadable(Exception):
    """The call cannot be shown; `why` is the reason in words that can be kept."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Read:
    """`inputs` and `answer` by tensor name, one item each; `signature` is the version's that answered."""

    inputs: dict[str, Any]
    answer: dict[str, Any]
    predicted: str
    confidence: float | None
    signature: dict[str, Any]


@dataclass
class Reader:
    """Reads the calls of a project, each by the signature of the version that answered; it keeps those it has met."""

    project: Project
    _versions: dict[str, Version | None] = field(default_factory=dict)

    def read(self, call: Call) -> Read:
        """What people see of a call. Raises Unreadable."""
        if call.request is None or call.response is None:
            raise Unreadable(_("its bodies were above the size that is kept"))
        version = self._version(call.version)
        try:
            request, response = orjson.loads(bytes(call.request)), orjson.loads(bytes(call.response))
        except orjson.JSONDecodeError as error:
            raise Unreadable(_("its bodies are no JSON (binary tensors are not shown yet)")) from error
        try:
            inputs = _items(request.get("inputs", []), version.signature.get("inputs", []))
            answer = _items(response.get("outputs", []), version.signature.get("outputs", []))
            predicted = _predicted(answer, version.signature)
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise Unreadable(_("its bodies are not built as the Open Inference Protocol says")) from error
        return Read(inputs, answer, predicted, call.score, version.signature)

    def _version(self, number: str) -> Version:
        if number not in self._versions:
            rows = Version.objects.filter(capability=self.project.capability, number=number)
            self._versions[number] = rows.first()
        found = self._versions[number]
        if found is None:
            raise Unreadable(_("version %(number)s is not known") % {"number": number})
        return found


def class_said(outputs: Sequence[dict[str, Any]], version: Version) -> str:
    """The class that an answer to a single item names, by the signature of its version; empty where it has none."""
    try:
        return _predicted(answer_said(outputs, version), version.signature)
    except (AttributeError, IndexError, KeyError, TypeError):
        return ""


def answer_said(outputs: Sequence[dict[str, Any]], version: Version) -> dict[str, Any]:
    """An answer to a single item by tensor name; empty where it cannot be read."""
    try:
        return _items(list(outputs), version.signature.get("outputs", []))
    except (Unreadable, AttributeError, IndexError, KeyError, TypeError):
        return {}


def certainty(read: Read, measure: str) -> float:
    """How certain an answer is, from 0 to 1: its confidence, its lead over the next best (margin), or how far it is
    from even odds (entropy: one less the entropy over its largest value). Raises Unreadable.
    """
    if measure == "confidence" and read.confidence is not None:
        return read.confidence
    odds = sorted(_odds(read), reverse=True)
    if measure == "confidence":
        return odds[0]
    if measure == "margin":
        return odds[0] - odds[1]
    return 1 + sum(share * math.log(share) for share in odds if share > 0) / math.log(len(odds))


def _odds(read: Read) -> list[float]:
    for spec in read.signature.get("outputs", []):
        value = read.answer.get(spec["name"])
        named = "probabilities" in (spec.get("kind"), spec["name"])
        if named and isinstance(value, list) and len(value) > 1 and sum(value) > 0:
            total = sum(value)
            return [max(float(share), 0.0) / total for share in value]
    raise Unreadable(_("its version answers with no probabilities for each class"))


def _items(tensors: list[dict[str, Any]], specs: list[dict[str, Any]]) -> dict[str, Any]:
    """The first item of each tensor, flat. More items in one call are more than one task's matter."""
    by_name = {tensor["name"]: tensor for tensor in tensors}
    found = {}
    for spec in specs:
        tensor = by_name.get(spec["name"])
        if tensor is None:
            continue
        if HIDDEN & tensor.keys():
            raise Unreadable(
                _("“%(name)s” is sensitive, and nobody is shown it for labelling") % {"name": spec["name"]}
            )
        flat, shape = _flat(tensor["data"]), tensor["shape"]
        if shape and shape[0] != 1:
            raise Unreadable(
                _("it holds %(n)d items in one call; only single ones become tasks") % {"n": shape[0]}
            )
        found[spec["name"]] = flat if len(flat) > 1 else flat[0]
    if not found:
        raise Unreadable(_("none of its tensors is in the signature"))
    return found


def _flat(data: Any) -> list[Any]:
    return [value for part in data for value in _flat(part)] if isinstance(data, list) else [data]


def _predicted(answer: dict[str, Any], signature: dict[str, Any]) -> str:
    for spec in signature.get("outputs", []):
        if spec.get("kind") == "class" and spec["name"] in answer:
            value, labels = answer[spec["name"]], spec.get("labels")
            return (
                str(labels[value])
                if labels and isinstance(value, int) and 0 <= value < len(labels)
                else str(value)
            )
    return ""


def out_of_range(read: Read) -> list[str]:
    """The names of the inputs or columns whose value lies outside what the signature says of them."""
    found = []
    for spec in read.signature.get("inputs", []):
        value = read.inputs.get(spec["name"])
        values = value if isinstance(value, list) else [value]
        columns = read.signature.get("columns") or []
        specs = columns if len(columns) == len(values) else [spec] * len(values)
        found += [
            str(bounds.get("name", spec["name"]))
            for bounds, each in zip(specs, values, strict=True)
            if isinstance(each, int | float) and not _inside(each, bounds)
        ]
    return list(dict.fromkeys(found))


def _inside(value: float, bounds: dict[str, Any]) -> bool:
    low, high = bounds.get("minimum"), bounds.get("maximum")
    return (low is None or value >= low) and (high is None or value <= high)
