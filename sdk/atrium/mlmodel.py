"""MLflow's model folder: the MLmodel file, its signature and its input example."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from atrium.frameworks.base import Source
from atrium.graph import FILE as GRAPH
from atrium.oip.arrays import DTYPES, Array
from atrium.oip.tensors import FLOATS
from atrium.signature import Column, Signature, TensorSpec

MLMODEL = "MLmodel"
COLUMN_TYPES = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "binary": "BYTES",
}
NUMPY_TYPES = {str(dtype): datatype for datatype, dtype in DTYPES.items() if datatype != "BYTES"} | {
    "object": "BYTES",
    "str": "BYTES",
}


class InvalidModel(ValueError):
    """A source that is no model; the text says what was looked for."""


def read_source(root: Path) -> Source:
    """The model in a folder: its MLmodel file may lie at the top or in one folder below."""
    if (root / GRAPH).is_file():
        return Source(root)  # the MLmodel files below are its members' own
    found = sorted(root.rglob(MLMODEL), key=lambda path: (len(path.parts), str(path)))
    if not found:
        return Source(_descend(root))
    import yaml

    try:
        document = yaml.safe_load(found[0].read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidModel(f"{MLMODEL} is not YAML: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("flavors"), dict):
        raise InvalidModel(f"{MLMODEL} names no flavors; save the model with mlflow.<framework>.save_model")
    return Source(found[0].parent, document)


def _descend(root: Path) -> Path:
    """An archive often holds one folder with everything in it."""
    entries = [path for path in root.iterdir() if not path.name.startswith(".")]
    return _descend(entries[0]) if len(entries) == 1 and entries[0].is_dir() else root


def signature_of(source: Source) -> Signature | None:
    """The MLmodel file's signature in Atrium's terms; None when it has none.

    A table of numbers becomes one input `features` [-1, n] with columns, whole ones and such as may be missing among
    them; a table with texts becomes one
    input [-1] per column.
    """
    document = source.mlmodel.get("signature")
    if not isinstance(document, dict) or not document.get("inputs"):
        return None
    inputs, columns = _specs(json.loads(document["inputs"]), "features")
    outputs, _ = _specs(json.loads(document.get("outputs") or "[]"), "value")
    return Signature(inputs, outputs, columns)


def _specs(entries: list[dict[str, Any]], fallback: str) -> tuple[list[TensorSpec], list[Column]]:
    if any(entry.get("type") == "tensor" for entry in entries):
        return [_tensor(entry, fallback) for entry in entries], []
    datatypes = [COLUMN_TYPES.get(str(entry.get("type")), "BYTES") for entry in entries]
    names = [str(entry.get("name") or f"{fallback}_{at}") for at, entry in enumerate(entries)]
    if len(entries) > 1 and "BYTES" not in datatypes and fallback == "features":
        table = TensorSpec(fallback, "FP32", (-1, len(entries)), kind="number")
        columns = [
            Column(
                name,
                table.datatype if datatype in FLOATS else datatype,
                optional=entry.get("required") is False,
            )
            for name, datatype, entry in zip(names, datatypes, entries, strict=True)
        ]
        return [table], columns
    if len(entries) == 1 and not entries[0].get("name"):
        names = [fallback]
    specs = [
        TensorSpec(name, datatype, (-1,), kind="text" if datatype == "BYTES" else None)
        for name, datatype in zip(names, datatypes, strict=True)
    ]
    return specs, []


def _tensor(entry: dict[str, Any], fallback: str) -> TensorSpec:
    spec = entry["tensor-spec"]
    datatype = NUMPY_TYPES.get(str(spec["dtype"]), "BYTES")
    return TensorSpec(str(entry.get("name") or fallback), datatype, tuple(spec["shape"]))


def input_example(source: Source, signature: Signature) -> dict[str, Array] | None:
    """The saved input example as arrays by the signature's names; None when there is none that fits."""
    info = source.mlmodel.get("saved_input_example_info")
    if not isinstance(info, dict):
        return None
    path = source.root / str(info.get("artifact_path", "input_example.json"))
    if not path.is_file():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    try:
        return _arrays(document, signature)
    except (TypeError, ValueError, KeyError):
        return None


def _arrays(document: Any, signature: Signature) -> dict[str, Array]:
    if isinstance(document, dict) and "dataframe_split" in document:
        document = document["dataframe_split"]
    if isinstance(document, dict) and "columns" in document and "data" in document:
        return _table(document["columns"], document["data"], signature)
    tensors = document["inputs"] if isinstance(document, dict) and "inputs" in document else document
    if not isinstance(tensors, dict):
        tensors = {signature.inputs[0].name: tensors}
    return {spec.name: _array(spec, tensors[spec.name]) for spec in signature.inputs}


def _table(columns: list[Any], rows: list[list[Any]], signature: Signature) -> dict[str, Array]:
    if len(signature.inputs) == 1 and len(signature.inputs[0].shape) == 2:
        return {signature.inputs[0].name: _array(signature.inputs[0], rows)}
    places = {str(name): at for at, name in enumerate(columns)}
    return {spec.name: _array(spec, [row[places[spec.name]] for row in rows]) for spec in signature.inputs}


def _array(spec: TensorSpec, data: Any) -> Array:
    array = np.array(data, dtype=DTYPES[spec.datatype])
    return array.reshape([len(array), *spec.shape[1:]]) if spec.item_count > 0 and spec.batched else array
