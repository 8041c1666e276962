"""scikit-learn estimators and pipelines: MLflow's sklearn flavour, joblib, pickle, cloudpickle and skops.

An input [-1, …] whose item has as many numbers as the estimator has features is handed over as
[-1, features]: an estimator of 64 features takes images [-1, 8, 8]. Several inputs, or an input of
strings and numbers by column, become the columns of a data frame. Outputs are filled by their kind:
`probabilities` by predict_proba, all others by predict.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from atrium.frameworks.base import Array, CannotConvert, CannotLoad, Detection, Framework, Model, Source
from atrium.oip.arrays import DTYPES
from atrium.signature import Signature, TensorSpec
from atrium.told import tell

PATTERNS = ("model.pkl", "model.joblib", "model.skops", "*.joblib", "*.skops", "*.pkl")
OPSET = 18
INNER = "estimator/"


class SciKitLearnModel:
    """An estimator with the signature that it answers by."""

    def __init__(self, estimator: Any, signature: Signature | None) -> None:
        self.estimator = estimator
        self.signature = signature

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        assert self.signature is not None
        rows = self.rows(inputs)
        answers: dict[str, Array] = {}
        for spec in self.signature.outputs:
            answer = np.asarray(self._call(spec, rows))
            answers[spec.name] = answer if spec.datatype == "BYTES" else answer.astype(DTYPES[spec.datatype])
        return answers

    def _call(self, spec: TensorSpec, rows: Any) -> Any:
        if spec.kind == "probabilities":
            return self.estimator.predict_proba(rows)
        if hasattr(self.estimator, "predict"):
            return self.estimator.predict(rows)
        return self.estimator.transform(rows)

    def rows(self, inputs: Mapping[str, Array]) -> Any:
        """What the estimator itself takes for these tensors."""
        assert self.signature is not None
        if len(self.signature.inputs) > 1:
            import pandas as pd

            return pd.DataFrame({spec.name: inputs[spec.name].ravel() for spec in self.signature.inputs})
        array = inputs[self.signature.inputs[0].name]
        names = getattr(self.estimator, "feature_names_in_", None)
        if names is not None and array.ndim > 1:
            import pandas as pd

            return pd.DataFrame(array.reshape(len(array), -1), columns=list(names))
        return array.reshape(len(array), -1) if array.ndim > 2 else array


def _unpickle(path: Path) -> Any:
    if path.suffix == ".skops":
        from skops import io  # only in environments that list it

        unknown = io.get_untrusted_types(file=path)
        if unknown:
            raise CannotLoad(
                tell(
                    "%(name)s holds types that skops does not trust: %(types)s",
                    name=path.name,
                    types=", ".join(unknown),
                )
            )
        return io.load(path)
    import joblib

    return joblib.load(path)  # plain pickles and cloudpickles too; only ever inside a sandboxed workload


class SciKitLearn(Framework):
    """Estimators with predict, and predict_proba where they classify."""

    name = "sklearn"

    def detect(self, source: Source) -> Detection | None:
        flavour = source.flavour("sklearn")
        if flavour and isinstance(flavour.get("pickled_model"), str):
            return Detection(
                {"file": flavour["pickled_model"]},
                tell("the MLmodel file names the %(name)s flavour", name="sklearn"),
            )
        if source.mlmodel or list(source.root.rglob("*.py")):
            return None
        file = source.single(*PATTERNS)
        if file is None:
            return None
        return Detection(
            {"file": file.relative_to(source.root).as_posix()}, tell("there is one %(name)s", name=file.name)
        )

    def load(self, root: Path, entry: Mapping[str, Any], signature: Signature | None) -> Model:
        file = root / str(entry["file"])
        if not file.is_file():
            raise CannotLoad(
                tell("%(name)s is missing; hand in the whole folder that log_model wrote", name=entry["file"])
            )
        try:
            estimator = _unpickle(file)
        except CannotLoad:
            raise
        except Exception as error:
            raise CannotLoad(
                tell(
                    "%(name)s cannot be loaded in this environment (%(error)s); save it with the package "
                    "versions of the environment, or list yours in requirements.txt",
                    name=file.name,
                    error=f"{type(error).__name__}: {error}",
                )
            ) from error
        if not hasattr(estimator, "predict") and not hasattr(estimator, "transform"):
            raise CannotLoad(
                tell(
                    "%(name)s holds a %(type)s, which has no predict; save an estimator",
                    name=file.name,
                    type=type(estimator).__name__,
                )
            )
        return SciKitLearnModel(estimator, signature)

    def guess_signature(self, model: Model) -> Signature | None:
        assert isinstance(model, SciKitLearnModel)
        features = getattr(model.estimator, "n_features_in_", None)
        if not isinstance(features, int):
            return None
        inputs = [TensorSpec("features", "FP32", (-1, features), kind="number")]
        return Signature(inputs, outputs_of(model.estimator))

    def complete(self, model: Model, signature: Signature) -> Signature:
        """The signature with the outputs that the estimator can give, unless they are named by kind."""
        assert isinstance(model, SciKitLearnModel)
        if not any(spec.kind for spec in signature.outputs):
            signature = replace(signature, outputs=outputs_of(model.estimator))
        model.signature = signature
        return signature

    def convert(self, model: Model, signature: Signature, target: Path) -> None:
        assert isinstance(model, SciKitLearnModel)
        try:
            target.write_bytes(to_onnx(model.estimator, signature))
        except CannotConvert:
            raise
        except Exception as error:
            raise CannotConvert(f"skl2onnx: {type(error).__name__}: {error}") from error


def outputs_of(estimator: Any) -> list[TensorSpec]:
    """The outputs that an estimator can give: class and probabilities, or value."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return [TensorSpec("value", "FP32", (-1,), kind="value")]
    labels = [str(value) for value in np.asarray(classes).tolist()]
    datatype = "INT64" if np.asarray(classes).dtype.kind in "iub" else "BYTES"
    outputs = [TensorSpec("class", datatype, (-1,), kind="class", labels=labels)]
    if hasattr(estimator, "predict_proba"):
        shape = (-1, len(labels))
        outputs.append(TensorSpec("probabilities", "FP32", shape, kind="probabilities", labels=labels))
    return outputs


def to_onnx(estimator: Any, signature: Signature) -> bytes:
    """The estimator as an ONNX model with the signature's names, shapes and datatypes."""
    from skl2onnx import to_onnx as convert
    from skl2onnx.common import data_types

    if len(signature.inputs) > 1:
        initial = [(spec.name, _onnx_type(data_types, spec, [None, 1])) for spec in signature.inputs]
    else:
        spec = signature.inputs[0]
        width = [spec.item_count] if len(spec.shape) > 1 else ([1] if spec.datatype != "BYTES" else [])
        initial = [(spec.name, _onnx_type(data_types, spec, [None, *width]))]
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None
    return fit_to_signature(
        convert(estimator, initial_types=initial, options=options, target_opset=OPSET), signature
    )


def fit_to_signature(model: Any, signature: Signature) -> bytes:
    """A converted ONNX graph of rows and columns with the signature's names, shapes and datatypes."""
    import onnx

    if all(entry.domain for entry in model.opset_import):  # trees alone need only ai.onnx.ml
        model.opset_import.append(onnx.helper.make_opsetid("", 15))
    model = onnx.compose.add_prefix(model, INNER)  # frees the signature's names
    _keep_locale(model.graph)
    _reshape_inputs(onnx, model, signature.inputs)
    _rename_outputs(onnx, model, signature.outputs)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _onnx_type(data_types: Any, spec: TensorSpec, shape: list[int | None]) -> Any:
    kinds = {
        "BYTES": "StringTensorType",
        "FP32": "FloatTensorType",
        "FP64": "DoubleTensorType",
        "INT64": "Int64TensorType",
        "INT32": "Int32TensorType",
        "BOOL": "BooleanTensorType",
    }
    if spec.datatype not in kinds:
        raise CannotConvert(
            tell("input '%(name)s': skl2onnx takes no %(type)s", name=spec.name, type=spec.datatype)
        )
    return getattr(data_types, kinds[spec.datatype])(shape)


def _element_type(onnx: Any, datatype: str) -> int:
    dtype = np.dtype(str) if datatype == "BYTES" else DTYPES[datatype]
    return int(onnx.helper.np_dtype_to_tensor_dtype(dtype))


def _value_info(onnx: Any, spec: TensorSpec) -> Any:
    sizes = [None if size == -1 else size for size in spec.shape]
    return onnx.helper.make_tensor_value_info(spec.name, _element_type(onnx, spec.datatype), sizes)


def _keep_locale(graph: Any) -> None:
    """Lower-case by the C locale, which every machine has; packaging compares letters beyond ASCII too."""
    for node in graph.node:
        if node.op_type == "StringNormalizer":
            kept = [attribute for attribute in node.attribute if attribute.name != "locale"]
            del node.attribute[:]
            node.attribute.extend(kept)
            locale = node.attribute.add()
            locale.name, locale.type, locale.s = "locale", 3, b"C"


def _reshape_inputs(onnx: Any, model: Any, specs: list[TensorSpec]) -> None:
    """Put a Reshape in front: the graph takes the signature's shapes, the estimator rows and columns."""
    graph = model.graph
    for spec, inner in zip(specs, list(graph.input), strict=True):
        sizes = [size.dim_value or -1 for size in inner.type.tensor_type.shape.dim]
        target = onnx.numpy_helper.from_array(np.array(sizes, dtype=np.int64), f"{inner.name}_shape")
        graph.initializer.append(target)
        graph.node.insert(0, onnx.helper.make_node("Reshape", [spec.name, target.name], [inner.name]))
    del graph.input[:]
    graph.input.extend(_value_info(onnx, spec) for spec in specs)


def _rename_outputs(onnx: Any, model: Any, specs: list[TensorSpec]) -> None:
    """Give the graph's outputs the signature's names, datatypes and shapes."""
    graph = model.graph
    produced = [output.name for output in graph.output]
    chosen = [_produced_by(spec, produced) for spec in specs]
    kinds = {output.name: output.type.tensor_type.elem_type for output in graph.output}
    del graph.output[:]
    for spec, found in zip(specs, chosen, strict=True):
        wanted = _element_type(onnx, spec.datatype)
        source = found
        if spec.datatype != "BYTES" or kinds[found] != wanted:  # numbers may be declared wrongly
            source = f"{INNER}{spec.name}_cast"
            graph.node.append(onnx.helper.make_node("Cast", [found], [source], to=wanted))
        sizes = np.array(spec.shape, dtype=np.int64)
        shape = onnx.numpy_helper.from_array(sizes, f"{INNER}{spec.name}_shape")
        graph.initializer.append(shape)
        graph.node.append(onnx.helper.make_node("Reshape", [source, shape.name], [spec.name]))
        graph.output.append(_value_info(onnx, spec))


def _produced_by(spec: TensorSpec, produced: list[str]) -> str:
    words = ("prob",) if spec.kind == "probabilities" else ("label", "variable")
    for name in produced:
        if any(word in name.removeprefix(INNER) for word in words):
            return name
    if len(produced) == 1:
        return produced[0]
    raise CannotConvert(
        tell(
            "output '%(name)s': the converted graph has only %(outputs)s",
            name=spec.name,
            outputs=", ".join(produced),
        )
    )
