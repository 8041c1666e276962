"""The form of Try it, made from a signature: which fields, how they are read, how an example fills them.

No Django here but the translation of messages. A field's `key` is its name in the posted form.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from atrium.signature import columns_of, limits_of

FLOATS = frozenset({"FP16", "FP32", "FP64", "BF16"})
LARGEST_DRAWN = 64
LARGEST_PICTURE = 500_000
"""Values of an image that is read from a file; as text they have to fit a form."""
LONGEST_TEXT = 20_000
_EXACT = 1e15
"""Below it a whole number stands as it is in any float."""
_BETWEEN = re.compile(r"\s*[,;]\s*|\s+")


@dataclass(frozen=True)
class Picture:
    """How an image lies in a tensor: `first` says that the channels stand before rows and columns."""

    rows: int
    columns: int
    channels: int
    first: bool
    minimum: float
    maximum: float
    integers: bool


@dataclass
class Field:
    """One control. `kind` is number, choice, text, series, image, picture or json."""

    key: str
    label: str
    kind: str
    datatype: str
    shape: list[int]
    unit: str = ""
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: list[Any] = field(default_factory=list)
    example: Any = None
    optional: bool = False
    value: str = ""
    error: str = ""

    @property
    def wanted(self) -> int:
        """How many values it takes; 0 when any number of them."""
        return _item_size(self.shape)

    @property
    def picture(self) -> Picture | None:
        """How an image lies in it; None for what is no image of a known size."""
        found = _channels(self.shape)
        if found is None:
            return None
        integers = self.datatype not in FLOATS
        low = 0 if self.minimum is None else self.minimum
        high = (255 if integers else 1) if self.maximum is None else self.maximum
        return Picture(*found, minimum=low, maximum=high, integers=integers)

    @property
    def step(self) -> str:
        """The step of a number control."""
        return "any" if self.datatype in FLOATS else "1"

    @property
    def range(self) -> str:
        """The allowed range in words, with its unit; empty when there is none."""
        unit = f" {self.unit}" if self.unit else ""
        low, high = self.minimum, self.maximum
        if low is not None and high is not None:
            return f"{low:g} – {high:g}{unit}"
        if low is not None:
            return f"≥ {low:g}{unit}"
        return f"≤ {high:g}{unit}" if high is not None else unit.strip()


@dataclass
class Group:
    """The controls of one input tensor; a table has one for each column."""

    name: str
    title: str
    help: str
    table: bool
    datatype: str
    fields: list[Field]


def form_of(signature: Mapping[str, Any]) -> list[Group]:
    """One group of empty controls for each input of a signature."""
    columns = columns_of(dict(signature))
    return [_group(at, spec, columns) for at, spec in enumerate(signature.get("inputs") or [])]


def _group(at: int, spec: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> Group:
    shape, datatype = list(spec["shape"]), spec["datatype"]
    title = spec.get("title") or spec["name"]
    table = (
        bool(columns)
        and shape[-1:] == [len(columns)]
        and datatype != "BYTES"
        and spec.get("kind") != "series"
    )
    if table:
        fields = [
            _control(f"in-{at}-{n}", column, column["datatype"] or datatype, [1])
            for n, column in enumerate(columns)
        ]
    else:
        fields = [_control(f"in-{at}", spec, datatype, shape)]
    return Group(spec["name"], title, spec.get("description") or "", table, datatype, fields)


def _control(key: str, spec: Mapping[str, Any], datatype: str, shape: list[int]) -> Field:
    low, high = spec.get("minimum"), spec.get("maximum")
    if datatype == "BOOL" and shape == [1]:
        low, high = limits_of(datatype, low, high)
    return Field(
        key=key,
        label=spec.get("title") or spec["name"],
        kind=_kind(spec, datatype, shape),
        datatype=datatype,
        shape=shape,
        unit=spec.get("unit") or "",
        help=spec.get("description") or "",
        minimum=low,
        maximum=high,
        choices=list(spec.get("choices") or []),
        example=spec.get("example"),
        optional=bool(spec.get("optional")),
    )


def _kind(spec: Mapping[str, Any], datatype: str, shape: list[int]) -> str:
    rest = shape[1:] if shape[:1] == [-1] else shape
    if spec.get("choices"):
        return "choice"
    if datatype == "BYTES" and math.prod(rest or [1]) == 1:
        return "text"
    if spec.get("kind") == "image" and len(rest) == 2 and all(0 < size <= LARGEST_DRAWN for size in rest):
        return "image"
    if spec.get("kind") == "image" and datatype not in {"BYTES", "BOOL"} and _channels(shape):
        return "picture"
    if datatype != "BYTES" and (not rest or rest == [1]):
        return "number"
    return "series" if datatype != "BYTES" and len(rest) == 1 else "json"


def _channels(shape: Sequence[int]) -> tuple[int, int, int, bool] | None:
    """(rows, columns, channels, whether the channels come first) of one item's shape."""
    rest = list(shape[1:] if list(shape[:1]) == [-1] else shape)
    if len(rest) == 4 and rest[0] == 1:
        rest = rest[1:]
    if any(size < 1 for size in rest) or math.prod(rest) > LARGEST_PICTURE:
        return None
    if len(rest) == 2:
        return rest[0], rest[1], 1, False
    if len(rest) == 3 and rest[2] in {1, 3, 4}:
        return rest[0], rest[1], rest[2], False
    if len(rest) == 3 and rest[0] in {1, 3, 4}:
        return rest[1], rest[2], rest[0], True
    return None


# Filling


def fill(groups: Sequence[Group], tensors: Sequence[Mapping[str, Any]]) -> None:
    """Put the first item of v2 tensors (an example's, a case's) into the controls."""
    given = {tensor["name"]: tensor for tensor in tensors}
    for group in groups:
        tensor = given.get(group.name)
        if tensor is None:
            continue
        flat = list(flatten(tensor["data"]))
        if group.table:
            for control, value in zip(group.fields, flat, strict=False):
                control.value = _shown(value)
        else:
            _fill_one(group.fields[0], flat)


def fill_from_signature(groups: Sequence[Group]) -> bool:
    """Put the signature's own examples into the controls; whether there were any."""
    found = False
    for control in (control for group in groups for control in group.fields):
        if control.example is not None:
            found = True
            _fill_one(control, list(flatten(control.example)))
    return found


def _fill_one(control: Field, flat: list[Any]) -> None:
    size = _item_size(control.shape)
    item = flat[:size] if size else flat
    if control.kind in {"number", "choice", "text"}:
        control.value = _shown(item[0]) if item else ""
    elif control.kind == "series":
        control.value = ", ".join(_shown(value) for value in item)
    else:
        control.value = json.dumps(item)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT else f"{value:.7g}"
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def flatten(data: Any) -> Iterator[Any]:
    """The numbers or texts of nested lists, row by row."""
    if isinstance(data, list | tuple):
        for inner in data:
            yield from flatten(inner)
    else:
        yield data


def _item_size(shape: Sequence[int]) -> int:
    rest = shape[1:] if list(shape[:1]) == [-1] else list(shape)
    return 0 if -1 in rest else math.prod(rest or [1])


# Reading


def read(groups: Sequence[Group], posted: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """The v2 input tensors of a posted form, one item each. None when a control has an error, which it then says."""
    for control in (control for group in groups for control in group.fields):
        control.value = posted.get(control.key, "")
    tensors = [_tensor(group) for group in groups]
    wrong = any(control.error for group in groups for control in group.fields)
    return None if wrong else [tensor for tensor in tensors if tensor is not None]


def _tensor(group: Group) -> dict[str, Any] | None:
    if group.table:
        row = [_number(control, control.value) for control in group.fields]
        return {"name": group.name, "datatype": group.datatype, "shape": [1, len(row)], "data": row}
    control = group.fields[0]
    data = _read(control)
    if control.error:
        return None
    shape = list(control.shape)
    if shape[:1] == [-1]:
        shape[0] = 1
    if control.kind == "series" and shape[-1:] == [-1]:
        shape[-1] = len(data)
    return {"name": group.name, "datatype": group.datatype, "shape": shape, "data": data}


def _read(control: Field) -> list[Any]:
    if control.kind == "text":
        return [_text(control)]
    if control.kind == "choice":
        return [_choice(control)]
    if control.kind == "number":
        return [_number(control, control.value)]
    if control.kind == "series":
        return _series(control)
    return _list(control)


def _series(control: Field) -> list[Any]:
    """Numbers as they are pasted: between commas, semicolons, tabs, or one a line."""
    values = [_number(control, part) for part in _BETWEEN.split(control.value.strip().rstrip(",;"))]
    if not control.error:
        _check_length(control, values)
    return values


def _text(control: Field) -> str:
    if not control.value.strip():
        control.error = _("Write something here, or take an example.")
    elif len(control.value) > LONGEST_TEXT:
        control.error = _("This is longer than %(most)d characters; shorten it.") % {"most": LONGEST_TEXT}
    return control.value


def _choice(control: Field) -> Any:
    for choice in control.choices:
        if str(choice) == control.value:
            return choice
    offered = ", ".join(str(choice) for choice in control.choices[:8])
    control.error = _("Choose one of the values: %(values)s.") % {"values": offered}
    return None


def _number(control: Field, text: str) -> Any:
    text = text.strip().replace("\u2212", "-")
    if not text:
        if not control.optional:
            control.error = control.error or _("A number is missing here.")
        return None
    try:
        value = float(text) if control.datatype in FLOATS else int(text)
    except ValueError:
        kind = _("a number") if control.datatype in FLOATS else _("a whole number")
        control.error = _("“%(text)s” is not %(kind)s.") % {"text": text[:40], "kind": kind}
        return None
    _check_range(control, value)
    return value


def _check_range(control: Field, value: float) -> None:
    if not math.isfinite(value):
        control.error = _("This is not a finite number.")
        return
    low, high = control.minimum, control.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        control.error = _("%(value)s is outside of the allowed range %(range)s.") % {
            "value": f"{value:g}",
            "range": control.range,
        }


def _list(control: Field) -> list[Any]:
    try:
        values = list(flatten(json.loads(control.value)))
    except ValueError:
        values = []
    if not values:
        control.error = _missing(control)
        return []
    _check_length(control, values)
    if control.error:
        return []
    if control.datatype != "BYTES":
        return _numbers(control, values)
    return [str(value) for value in values]


def _missing(control: Field) -> str:
    if control.kind == "image":
        return _("Draw something first.")
    if control.kind == "picture":
        return _("Choose an image first.")
    return _("This is no JSON list of values, such as [1, 2, 3].")


def _check_length(control: Field, values: Sequence[Any]) -> None:
    if control.wanted and len(values) != control.wanted:
        control.error = _("There are %(got)d values where %(want)d are expected.") % {
            "got": len(values),
            "want": control.wanted,
        }


def _numbers(control: Field, values: list[Any]) -> list[Any]:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            control.error = _("“%(text)s” is not %(kind)s.") % {
                "text": str(value)[:40],
                "kind": _("a number"),
            }
            return []
        _check_range(control, value)
    if control.kind == "image" and not any(values):
        control.error = _("Draw something first.")
    return values
