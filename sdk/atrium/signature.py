"""What a capability takes and gives: named tensors with type, shape, unit, allowed range and examples.

    {"inputs":  [{"name": "image", "datatype": "FP32", "shape": [-1, 8, 8], "kind": "image",
                  "title": "Handwritten digit", "minimum": 0, "maximum": 16, "example": [[…]]}],
     "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class", "labels": ["0", …]}],
     "columns": [{"name": "mean radius", "datatype": "FP32", "unit": "mm", "minimum": 0, "maximum": 50,
                  "examples": [14.1, 20.6]}, {"name": "visits", "datatype": "INT32", "optional": true}]}

-1 in a shape is a size that varies; a leading -1 is the number of items in one call. `columns` describes
the last axis of a tabular input [-1, n]: each has a datatype (the table's where it names none; whole numbers and
truth values, 0 and 1, may stand in a table of floats), one value per row (shape [-1]), and may be missing (NaN or
null) where it is `optional`. `example` is one value, `examples` are several: the first of them is the example.
`minimum`, `maximum` and `choices` are enforced: a call outside them is refused with the place and the value.
`sensitive` on a tensor or a column keeps its values out of the call log: "encrypt" (or true) writes them encrypted,
"drop" not at all. NaN and infinity are refused unless `allow_missing` is true.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from atrium.oip.tensors import (
    DATATYPES,
    FLOATS,
    INTEGER_RANGES,
    InvalidTensor,
    Tensor,
    refuse_datatype,
    show,
    show_shape,
)
from atrium.told import Told, tell

KINDS = frozenset({"image", "text", "number", "series", "class", "probabilities", "value", "spans"})

SENSITIVE = ("encrypt", "drop")


class InvalidSignature(ValueError):
    """A signature that cannot describe a capability; `why` names the place and what is expected, in any language."""

    def __init__(self, why: Told) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a tabular input: one value per row."""

    name: str
    datatype: str | None = None
    shape: tuple[int, ...] = (-1,)
    optional: bool = False
    title: str | None = None
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: list[Any] | None = None
    description: str | None = None
    sensitive: bool | str = False
    example: Any = None
    examples: list[Any] | None = None

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers; those of truth values are 0 and 1."""
        return self.datatype not in (None, "BYTES", *FLOATS)

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """The smallest and the largest value: its own, else its datatype's."""
        return limits_of(self.datatype, self.minimum, self.maximum)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    kind: str | None = None
    title: str | None = None
    description: str | None = None
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: list[Any] | None = None
    labels: list[str] | None = None
    allow_missing: bool = False
    sensitive: bool | str = False
    example: Any = None
    examples: list[Any] | None = None

    @property
    def item_count(self) -> int:
        """Numbers per item when only the leading size varies, else -1."""
        rest = self.shape[1:] if self.batched else self.shape
        return -1 if -1 in rest else math.prod(rest)

    @property
    def batched(self) -> bool:
        """Whether the first axis counts the items of a call."""
        return bool(self.shape) and self.shape[0] == -1

    def accepts(self, shape: Sequence[int]) -> bool:
        return len(shape) == len(self.shape) and all(
            want in (-1, got) for want, got in zip(self.shape, shape, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs, outputs and, for one table, the columns."""

    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    columns: list[Column] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "inputs": [_lean(spec) for spec in self.inputs],
            "outputs": [_lean(spec) for spec in self.outputs],
        }
        if self.columns:
            document["columns"] = [_lean(column) for column in self.columns]
        return document

    @property
    def batched(self) -> bool:
        """Whether calls can be joined along the first axis of every input and split again."""
        return all(spec.batched for spec in [*self.inputs, *self.outputs])

    def table(self) -> TensorSpec | None:
        """The input whose last axis the columns describe."""
        if not self.columns:
            return None
        wide = [spec for spec in self.inputs if spec.shape[-1:] == (len(self.columns),)]
        return wide[0] if wide else None


def parse_signature(document: Any) -> Signature:
    """The signature in a JSON document; raises InvalidSignature naming the entry that is wrong."""
    if not isinstance(document, dict):
        raise InvalidSignature(
            tell("a signature must be an object with 'inputs' and 'outputs', got %(got)s", got=show(document))
        )
    inputs = [_read_spec(entry, "inputs", at) for at, entry in enumerate(_entries(document, "inputs"))]
    outputs = [_read_spec(entry, "outputs", at) for at, entry in enumerate(_entries(document, "outputs"))]
    columns = [_read_column(entry, at) for at, entry in enumerate(document.get("columns") or [])]
    for key, specs in (("inputs", inputs), ("outputs", outputs)):
        if not specs:
            raise InvalidSignature(tell("signature.%(key)s is empty; name at least one tensor", key=key))
        if len({spec.name for spec in specs}) != len(specs):
            raise InvalidSignature(tell("signature.%(key)s uses a name twice; names must differ", key=key))
    signature = Signature(inputs, outputs, columns)
    table = signature.table()
    if columns and table is None:
        raise InvalidSignature(
            tell(
                "signature.columns has %(count)d entries, but no input has %(count)d as its last size",
                count=len(columns),
            )
        )
    if table is None:
        return signature
    return replace(signature, columns=[_typed(column, at, table) for at, column in enumerate(columns)])


def limits_of(
    datatype: str | None, low: float | None, high: float | None
) -> tuple[float | None, float | None]:
    """A column's own smallest and largest value, else its datatype's."""
    least, most = (0, 1) if datatype == "BOOL" else INTEGER_RANGES.get(datatype or "", (None, None))
    return least if low is None else low, most if high is None else high


def columns_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The columns of a signature's document, each with datatype and shape: older ones name neither."""
    columns = document.get("columns") or []
    wide = (spec for spec in document.get("inputs") or [] if list(spec["shape"])[-1:] == [len(columns)])
    table = next(wide, None) if columns else None
    datatype = table["datatype"] if table else None
    return [{"datatype": datatype, "shape": [-1], **column} for column in columns]


def _typed(column: Column, at: int, table: TensorSpec) -> Column:
    """The column with its datatype, which the table must be able to hold. Raises InvalidSignature."""
    place = f"signature.columns[{at}]"
    datatype = column.datatype or table.datatype
    if datatype != table.datatype and (table.datatype not in FLOATS or datatype == "BYTES"):
        raise InvalidSignature(
            tell(
                "%(place)s.datatype is '%(datatype)s', which the input '%(table)s' of %(held)s cannot hold",
                place=place,
                datatype=datatype,
                table=table.name,
                held=table.datatype,
            )
        )
    if column.optional and table.datatype not in FLOATS:
        raise InvalidSignature(
            tell(
                "%(place)s is optional, but %(held)s of the input '%(table)s' knows no missing value; "
                "use FP32 or FP64 there",
                place=place,
                held=table.datatype,
                table=table.name,
            )
        )
    return replace(column, datatype=datatype)


def _entries(document: dict[str, Any], key: str) -> list[Any]:
    entries = document.get(key)
    if not isinstance(entries, list):
        raise InvalidSignature(_must_be_a_list(f"signature.{key}", entries))
    return entries


def _read_spec(entry: Any, key: str, at: int) -> TensorSpec:
    place = f"signature.{key}[{at}]"
    if not isinstance(entry, dict):
        raise InvalidSignature(tell("%(place)s must be an object, got %(got)s", place=place, got=show(entry)))
    unknown = set(entry) - set(TensorSpec.__slots__)
    if unknown:
        raise InvalidSignature(
            tell("%(place)s has unknown fields: %(names)s", place=place, names=", ".join(sorted(unknown)))
        )
    name, datatype, shape = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if not isinstance(name, str) or not name:
        raise InvalidSignature(
            tell("%(place)s.name must be a non-empty string, got %(got)s", place=place, got=show(name))
        )
    if datatype not in DATATYPES:
        raise InvalidSignature(_must_be_one_of(f"{place}.datatype", datatype, DATATYPES))
    if not isinstance(shape, list | tuple) or not all(type(size) is int and size >= -1 for size in shape):
        raise InvalidSignature(
            tell(
                "%(place)s.shape must be a list of sizes (-1 varies), got %(got)s",
                place=place,
                got=show(shape),
            )
        )
    if entry.get("kind") not in KINDS | {None}:
        raise InvalidSignature(_must_be_one_of(f"{place}.kind", entry["kind"], KINDS))
    _check_range(place, entry)
    _check_sensitive(place, entry)
    labels = entry.get("labels")
    if labels is not None:
        if not isinstance(labels, list):
            raise InvalidSignature(_must_be_a_list(f"{place}.labels", labels))
        entry = {**entry, "labels": [str(label) for label in labels]}
    return TensorSpec(**{**_with_examples(place, entry), "shape": tuple(shape)})


def _read_column(entry: Any, at: int) -> Column:
    place = f"signature.columns[{at}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise InvalidSignature(
            tell("%(place)s must be an object with a 'name', got %(got)s", place=place, got=show(entry))
        )
    unknown = set(entry) - set(Column.__slots__)
    if unknown:
        raise InvalidSignature(
            tell("%(place)s has unknown fields: %(names)s", place=place, names=", ".join(sorted(unknown)))
        )
    if entry.get("datatype") is not None and entry["datatype"] not in DATATYPES:
        raise InvalidSignature(_must_be_one_of(f"{place}.datatype", entry["datatype"], DATATYPES))
    if list(entry.get("shape") or [-1]) != [-1]:
        raise InvalidSignature(
            tell(
                "%(place)s.shape must be [-1], one value per row, got %(got)s",
                place=place,
                got=show(entry["shape"]),
            )
        )
    if not isinstance(entry.get("optional", False), bool):
        raise InvalidSignature(
            tell(
                "%(place)s.optional must be true or false, got %(got)s",
                place=place,
                got=show(entry["optional"]),
            )
        )
    _check_range(place, entry)
    _check_sensitive(place, entry)
    return Column(**{**_with_examples(place, entry), "shape": (-1,)})


def _with_examples(place: str, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with its one example, which is the first of several where only those are given."""
    examples = entry.get("examples")
    if examples is None:
        return entry
    if not isinstance(examples, list) or not examples:
        raise InvalidSignature(
            tell(
                "%(place)s.examples must be a list of at least one, got %(got)s",
                place=place,
                got=show(examples),
            )
        )
    return entry if entry.get("example") is not None else {**entry, "example": examples[0]}


def _check_range(place: str, entry: dict[str, Any]) -> None:
    for key in ("minimum", "maximum"):
        value = entry.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InvalidSignature(
                tell("%(place)s must be a number, got %(got)s", place=f"{place}.{key}", got=show(value))
            )
    low, high = entry.get("minimum"), entry.get("maximum")
    if low is not None and high is not None and low > high:
        raise InvalidSignature(
            tell(
                "%(place)s: minimum %(low)s is above maximum %(high)s",
                place=place,
                low=str(low),
                high=str(high),
            )
        )
    for key in ("title", "unit", "description"):
        if entry.get(key) is not None and not isinstance(entry[key], str):
            raise InvalidSignature(
                tell("%(place)s must be a text, got %(got)s", place=f"{place}.{key}", got=show(entry[key]))
            )
    if entry.get("choices") is not None and not isinstance(entry["choices"], list):
        raise InvalidSignature(_must_be_a_list(f"{place}.choices", entry["choices"]))


def _check_sensitive(place: str, entry: dict[str, Any]) -> None:
    given = entry.get("sensitive", False)
    if not isinstance(given, bool) and given not in SENSITIVE:
        raise InvalidSignature(
            tell(
                "%(place)s.sensitive is %(got)s; use true, 'encrypt' or 'drop'", place=place, got=show(given)
            )
        )


def check_examples(signature: Signature) -> None:
    """Refuse a signature whose own examples it would refuse in a call; asked when a version is packaged."""
    for place, specs in (("inputs", signature.inputs), ("columns", signature.columns)):
        for spec in specs:
            for value in _flat([spec.example, *(spec.examples or [])]):
                _check_example(f"signature.{place}, '{spec.name}'", spec, value)


def _flat(example: Any) -> list[Any]:
    if isinstance(example, list | tuple):
        return [value for part in example for value in _flat(part)]
    return [] if example is None else [example]


def _check_example(place: str, spec: TensorSpec | Column, value: Any) -> None:
    if spec.choices is not None and value not in spec.choices:
        raise InvalidSignature(
            tell(
                "%(place)s: the example %(value)s is not one of %(choices)s",
                place=place,
                value=show(value),
                choices=", ".join(map(str, spec.choices)),
            )
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    low = -math.inf if spec.minimum is None else spec.minimum
    high = math.inf if spec.maximum is None else spec.maximum
    if value < low or value > high:
        raise InvalidSignature(_example_outside(place, value, low, high, spec.unit))
    if isinstance(spec, Column) and spec.whole and value != math.floor(value):
        raise InvalidSignature(
            tell(
                "%(place)s: the example %(value)s is no whole number, as %(datatype)s has it",
                place=place,
                value=show(value),
                datatype=spec.datatype,
            )
        )


def _example_outside(place: str, value: float, low: float, high: float, unit: str | None) -> Told:
    measure = f" {unit}" if unit else ""
    if value < low:
        return tell(
            "%(place)s: the example %(value)s is below the smallest allowed value %(limit)s",
            place=place,
            value=show(value),
            limit=f"{low:g}{measure}",
        )
    return tell(
        "%(place)s: the example %(value)s is above the largest allowed value %(limit)s",
        place=place,
        value=show(value),
        limit=f"{high:g}{measure}",
    )


def _must_be_a_list(place: str, got: Any) -> Told:
    return tell("%(place)s must be a list, got %(got)s", place=place, got=show(got))


def _must_be_one_of(place: str, got: Any, known: Iterable[str]) -> Told:
    words = ", ".join(sorted(known))
    return tell("%(place)s is %(got)s; use one of %(known)s", place=place, got=show(got), known=words)


def _lean(spec: TensorSpec | Column) -> dict[str, Any]:
    document = {key: value for key, value in asdict(spec).items() if value is not None and value is not False}
    if "shape" in document:
        document["shape"] = list(document["shape"])
    return document


def check_inputs(signature: Signature, tensors: Sequence[Tensor]) -> None:
    """Refuse a call that the signature does not allow: names, types, shapes, ranges, choices, NaN."""
    given = {tensor.name: tensor for tensor in tensors}
    wanted = [spec.name for spec in signature.inputs]
    if len(given) != len(wanted) or not all(name in given for name in wanted):
        _refuse_names(list(given), wanted)
    items: int | None = None
    table = signature.table()
    for spec in signature.inputs:
        tensor = given[spec.name]
        check_tensor(spec, tensor, signature.columns if spec is table else ())
        if spec.batched:
            if items is not None and tensor.shape[0] != items:
                raise InvalidTensor(
                    f"input '{spec.name}' has {tensor.shape[0]} items, but another input has {items}; "
                    "send the same number in all inputs"
                )
            items = tensor.shape[0]
        if spec is table:
            _check_columns(signature.columns, tensor)
    if items == 0:
        raise InvalidTensor("the call has no items: the first size is 0; send at least one item")


def _refuse_names(given: list[str], wanted: list[str]) -> None:
    takes = ", ".join(f"'{name}'" for name in wanted)
    missing = next((name for name in wanted if name not in given), None)
    extra = next((name for name in given if name not in wanted), None)
    if missing is not None:
        unknown = "" if extra is None else f" and '{extra}' is unknown"
        raise InvalidTensor(f"input '{missing}' is missing{unknown}; this capability takes {takes}")
    raise InvalidTensor(f"unknown input '{extra}'; this capability takes {takes}")


def check_tensor(spec: TensorSpec, tensor: Tensor, columns: Sequence[Column] = ()) -> None:
    """Refuse a tensor that its entry in the signature does not allow; `columns` are those of its last axis."""
    if tensor.datatype != spec.datatype:
        refuse_datatype(spec.name, spec.datatype, tensor.datatype)
    if not spec.accepts(tensor.shape):
        raise InvalidTensor(
            f"input '{spec.name}': expected shape {show_shape(spec.shape)}, "
            f"got {show_shape(tensor.shape)}{_shape_hint(spec, len(tensor.shape))}"
        )
    _check_finite(spec, tensor, columns)
    if spec.minimum is not None or spec.maximum is not None:
        _check_bounds(spec, tensor)
    if spec.choices is not None:
        _check_choices(spec, tensor)


def _shape_hint(spec: TensorSpec, dimensions: int) -> str:
    if not spec.batched or spec.item_count < 0 or (dimensions != len(spec.shape) > 1):
        return f"; send a tensor of {len(spec.shape)} dimensions"
    if spec.item_count == 1:
        return "; send one value per item"
    values = "strings" if spec.datatype == "BYTES" else "numbers"
    return f"; send {spec.item_count} {values} per item"


def _check_finite(spec: TensorSpec, tensor: Tensor, columns: Sequence[Column]) -> None:
    if spec.datatype not in FLOATS or spec.allow_missing:
        return
    values = tensor.flat()
    if not math.isfinite(sum(values)):
        for at, value in enumerate(values):
            if math.isnan(value) and columns and columns[at % len(columns)].optional:
                continue
            if not math.isfinite(value):
                raise InvalidTensor(f"input '{spec.name}', {_place(tensor, at)}: {_not_finite(value)}")


def _not_finite(value: float) -> str:
    """What is wrong with it; the caller may have written NaN as null or as "NaN", or sent its bytes."""
    if math.isinf(value):
        return f"{'Infinity' if value > 0 else '-Infinity'} is not allowed; send a finite number"
    return (
        "a number is missing (NaN or null), and this capability takes no missing values; "
        "send a number there, or leave the item out"
    )


def _check_bounds(spec: TensorSpec, tensor: Tensor) -> None:
    values = tensor.flat()
    low = -math.inf if spec.minimum is None else spec.minimum
    high = math.inf if spec.maximum is None else spec.maximum
    if values and min(values) >= low and max(values) <= high:
        return
    for at, value in enumerate(values):
        if value < low or value > high:
            raise InvalidTensor(
                f"input '{spec.name}', {_place(tensor, at)}: {_outside(value, low, high, spec.unit)}"
            )


def _outside(value: float, low: float, high: float, unit: str | None) -> str:
    measure = f" {unit}" if unit else ""
    if value < low:
        return f"{show(value)} is below the smallest allowed value {low:g}{measure}"
    return f"{show(value)} is above the largest allowed value {high:g}{measure}"


def _check_choices(spec: TensorSpec, tensor: Tensor) -> None:
    allowed = {str(choice).encode() if spec.datatype == "BYTES" else choice for choice in spec.choices or []}
    for at, value in enumerate(tensor.flat()):
        if value not in allowed:
            shown = show(value.decode(errors="replace") if isinstance(value, bytes) else value)
            raise InvalidTensor(
                f"input '{spec.name}', {_place(tensor, at)}: {shown} is not one of "
                f"{', '.join(str(choice) for choice in spec.choices or [])}"
            )


def _check_columns(columns: Sequence[Column], tensor: Tensor) -> None:
    values = tensor.flat()
    width = len(columns)
    for at, column in enumerate(columns):
        given = [
            (row, value)
            for row, value in enumerate(values[at::width])
            if not (column.optional and value != value)  # NaN: it is missing
        ]
        if column.choices is not None:
            _check_column_choices(column, tensor, given)
        if tensor.datatype != "BYTES":
            _check_column_numbers(column, tensor, given)


def _check_column_numbers(column: Column, tensor: Tensor, given: Sequence[tuple[int, Any]]) -> None:
    least, most = column.limits if column.datatype != tensor.datatype else (column.minimum, column.maximum)
    low = -math.inf if least is None else least
    high = math.inf if most is None else most
    whole = column.whole and column.datatype != tensor.datatype
    for row, value in given:
        place = f"input '{tensor.name}', row {row}, column '{column.name}'"
        if value < low or value > high:
            raise InvalidTensor(f"{place}: {_outside(value, low, high, column.unit)}")
        if whole and value == value and value != math.floor(value):  # NaN is missing
            raise InvalidTensor(
                f"{place}: {show(value)} is no whole number; send one, as {column.datatype} has it"
            )


def _check_column_choices(column: Column, tensor: Tensor, given: Sequence[tuple[int, Any]]) -> None:
    choices = column.choices or []
    allowed = {str(choice).encode() for choice in choices} if tensor.datatype == "BYTES" else set(choices)
    for row, value in given:
        if value not in allowed:
            shown = show(value.decode(errors="replace") if isinstance(value, bytes) else value)
            raise InvalidTensor(
                f"input '{tensor.name}', row {row}, column '{column.name}': {shown} is not one of "
                f"{', '.join(str(choice) for choice in choices)}"
            )


def _place(tensor: Tensor, at: int) -> str:
    """Where element `at` of the flat data stands: item 3, position [0,7]."""
    if len(tensor.shape) <= 1:
        return f"item {at}"
    place: list[int] = []
    for size in reversed(tensor.shape):
        at, index = divmod(at, size)
        place.append(index)
    first, *rest = reversed(place)
    return f"item {first}, position {show_shape(rest)}"
