"""Label Studio's own JSON, and its JSON-MIN."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import orjson

from apps.annotation.formats.base import NOTHING, Format, Item, Said, Shape, no_file
from apps.annotation.label_types.regions import Regions
from apps.core.errors import Invalid
from apps.core.telling import say as _


def _array(source: IO[bytes], what: str) -> list[Any]:
    try:
        found = orjson.loads(source.read())
    except orjson.JSONDecodeError as error:
        raise no_file(what, error) from error
    if not isinstance(found, list):
        raise no_file(what, _("it is no list of tasks"))
    return found


def _write_array(rows: Iterable[Any], out: IO[bytes]) -> int:
    count = 0
    out.write(b"[")
    for row in rows:
        out.write((b",\n" if count else b"\n") + orjson.dumps(row))
        count += 1
    out.write(b"\n]\n")
    return count


class LabelStudio(Format):
    """Tasks with `data`, `annotations` and `predictions`. What was decided is an annotation of `decision`.

    The first prediction is what people begin from; of single labels it is what the model said. One that cannot be read
    is left out.
    """

    slug, title, suffix = "label-studio", "Label Studio JSON", "json"
    DECISION = "decision"

    def write(self, items: Callable[[], Iterable[Item]], shape: Shape, out: IO[bytes]) -> int:
        return _write_array((self._task(item, shape) for item in items()), out)

    def _task(self, item: Item, shape: Shape) -> dict[str, Any]:
        said = list(item.said)
        if item.decided:
            said.insert(0, Said(0, self.DECISION, item.value))
        setting = shape.setting(item.inputs)
        return {
            "id": item.pk,
            "data": item.inputs,
            "annotations": [
                {
                    "id": entry.pk,
                    "completed_by": entry.user,
                    "was_cancelled": entry.skipped,
                    "ground_truth": entry.user == self.DECISION,
                    "lead_time": entry.seconds,
                    "result": [] if entry.skipped else shape.kind.to_label_studio(entry.value, setting),
                }
                for entry in said
            ],
            "predictions": [
                {"model_version": item.version, "result": shape.kind.to_label_studio(item.proposed, setting)}
            ]
            if item.proposed is not None
            else [],
            "meta": {"predicted": item.predicted, "confidence": item.confidence, "version": item.version},
        }

    def read(self, source: IO[bytes], shape: Shape) -> Iterator[Any]:
        for task in _array(source, "Label Studio JSON"):
            yield self._row(task, shape)

    def _row(self, task: Any, shape: Shape) -> Any:
        """A task, or a bare object of data, which Label Studio takes too."""
        if not isinstance(task, dict):
            return Invalid(_("it is no object"))
        data = task.get("data", task)
        if not isinstance(data, dict):
            return Invalid(_("its `data` is no object"))
        about = task.get("meta")
        meta: dict[str, Any] = about if isinstance(about, dict) else {}
        row = {"inputs": data, "predicted": meta.get("predicted"), "confidence": meta.get("confidence")}
        given = task.get("annotations") if data is not task else None
        try:
            value = _decision(given or [], data, shape)
        except Invalid as error:
            return error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return Invalid(_("its annotations cannot be read: %(why)s") % {"why": error})
        if data is not task:
            row |= _begin(task.get("predictions"), row, shape)
        return row if value is NOTHING else row | {"value": value}


def _begin(predictions: Any, row: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """The first prediction as a row keeps it: a single label is what the model said, other values are to begin from."""
    first = predictions[0] if isinstance(predictions, list) and predictions else None
    if not isinstance(first, dict) or not first.get("result"):
        return {}
    setting = shape.setting(row["inputs"])
    try:
        said = shape.kind.from_label_studio(first["result"], setting)
        if shape.kind.slug == "single" and isinstance(said, str):
            return {"predicted": row["predicted"] or said}
        return {"proposed": shape.kind.clean(said, setting)}
    except Invalid as error:
        return {"proposed": error}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return {"proposed": Invalid(_("its prediction cannot be read: %(why)s") % {"why": error})}


def _decision(given: list[dict[str, Any]], data: dict[str, Any], shape: Shape) -> Any:
    """The annotation that is the ground truth, else the first one that was not cancelled."""
    usable = [entry for entry in given if not entry.get("was_cancelled")]
    usable.sort(key=lambda entry: not entry.get("ground_truth"))
    if not usable:
        return NOTHING
    return shape.kind.from_label_studio(usable[0]["result"], shape.setting(data))


class LabelStudioMin(Format):
    """JSON-MIN: the data and the label side by side, one object for each task with a label."""

    slug, title, suffix = "json-min", "Label Studio JSON-MIN", "json"
    _KNOWN = ("id", "label", "annotator", "annotation_id", "lead_time", "created_at", "updated_at")

    def write(self, items: Callable[[], Iterable[Item]], shape: Shape, out: IO[bytes]) -> int:
        return _write_array((self._row(item, shape) for item in items() if item.decided), out)

    def _row(self, item: Item, shape: Shape) -> dict[str, Any]:
        result = shape.kind.to_label_studio(item.value, shape.setting(item.inputs))
        return {
            **item.inputs,
            "id": item.pk,
            "label": _least(result, shape),
            "annotator": LabelStudio.DECISION,
        }

    def read(self, source: IO[bytes], shape: Shape) -> Iterator[Any]:
        for row in _array(source, "JSON-MIN"):
            if not isinstance(row, dict):
                yield Invalid(_("it is no object"))
                continue
            told: dict[str, Any] = {"inputs": {n: v for n, v in row.items() if n not in self._KNOWN}}
            if "label" in row:
                try:
                    result = _most(row["label"], shape)
                    told["value"] = shape.kind.from_label_studio(result, shape.setting(told["inputs"]))
                except Invalid as error:
                    yield error
                    continue
                except (AttributeError, KeyError, TypeError, ValueError) as error:
                    yield Invalid(_("its label cannot be read: %(why)s") % {"why": error})
                    continue
            yield told


def _least(result: list[dict[str, Any]], shape: Shape) -> Any:
    """What Label Studio makes of a result: regions as a list of values, one choice or text as itself."""
    if shape.kind.is_regions:
        return [part["value"] for part in result]
    if not result:
        return {"choices": []}
    value, kind = result[0]["value"], result[0]["type"]
    if kind == "choices" and len(value["choices"]) == 1:
        return value["choices"][0]
    if kind == "textarea" and len(value["text"]) == 1:
        return value["text"][0]
    if kind == "rating":
        return value["rating"]
    return value


def _most(label: Any, shape: Shape) -> list[dict[str, Any]]:
    """The result that a label of JSON-MIN stands for."""
    if isinstance(shape.kind, Regions):
        if not isinstance(label, list):
            raise Invalid(_("A list of regions is needed."))
        return [{"type": shape.kind.studio_type, "value": value} for value in label]
    if isinstance(label, dict):
        kind = {"selected": "pairwise"}.get(next(iter(label), ""), next(iter(label), ""))
        return [{"type": kind, "value": label}]
    if shape.kind.slug == "rating":
        return [{"type": "rating", "value": {"rating": label}}]
    if shape.kind.slug in ("text", "rows"):
        return [{"type": "textarea", "value": {"text": [label]}}]
    return [{"type": "choices", "value": {"choices": [label]}}]
