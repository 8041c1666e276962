"""ONNX models, by onnxruntime with one thread per replica: replicas, not threads, use the cores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atrium.frameworks.base import Array, CannotLoad, Detection, Framework, Model, Source
from atrium.signature import Signature, TensorSpec
from atrium.told import tell

ONNX_TYPES = {
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
    **{
        f"tensor({sign}int{bits})": f"{sign.upper()}INT{bits}"
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}


class OnnxModel:
    """A session whose graph has the signature's names, or is mapped to them by position."""

    def __init__(self, path: Path, signature: Signature | None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise CannotLoad(
                tell(
                    "%(name)s is no model that onnxruntime can load: %(error)s",
                    name=path.name,
                    error=str(error),
                ),
                tell(
                    "Export it again, and see whether onnx.checker.check_model takes it before you hand it in."
                ),
            ) from error
        graph_inputs = [node.name for node in self.session.get_inputs()]
        graph_outputs = [node.name for node in self.session.get_outputs()]
        inputs = [spec.name for spec in signature.inputs] if signature else graph_inputs
        outputs = [spec.name for spec in signature.outputs] if signature else graph_outputs
        self._inputs = _pair("input", inputs, graph_inputs)
        pairs = _pair("output", outputs, graph_outputs)
        self._output_names = [name for name, _ in pairs]
        self._fetch = [node for _, node in pairs]
        self._run = self.session.run

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        answers = self._run(self._fetch, {node: inputs[name] for name, node in self._inputs})
        return dict(zip(self._output_names, answers, strict=True))


def _pair(what: str, names: list[str], nodes: list[str]) -> list[tuple[str, str]]:
    """Names of the signature beside names of the graph: equal names, else by position."""
    if set(names) <= set(nodes):
        return [(name, name) for name in names]
    if len(names) != len(nodes):
        raise CannotLoad(
            tell(
                "the signature has %(names)s, the ONNX graph %(nodes)s; name the graph's in the signature",
                names=f"{what} {', '.join(names)}",
                nodes=f"{what} {', '.join(nodes)}",
            )
        )
    return list(zip(names, nodes, strict=True))


class Onnx(Framework):
    """A bare .onnx file or MLflow's onnx flavour."""

    name = "onnx"

    def detect(self, source: Source) -> Detection | None:
        flavour = source.flavour("onnx")
        if flavour and isinstance(flavour.get("data"), str):
            return Detection(
                {"file": flavour["data"]}, tell("the MLmodel file names the %(name)s flavour", name="onnx")
            )
        if source.mlmodel:
            return None
        file = source.single("*.onnx")
        if file is None:
            return None
        return Detection(
            {"file": file.relative_to(source.root).as_posix()}, tell("there is one %(name)s", name=file.name)
        )

    def load(self, root: Path, entry: Mapping[str, Any], signature: Signature | None) -> Model:
        return OnnxModel(root / str(entry["file"]), signature)

    def guess_signature(self, model: Model) -> Signature | None:
        assert isinstance(model, OnnxModel)
        inputs = [_spec(node) for node in model.session.get_inputs()]
        outputs = [_spec(node) for node in model.session.get_outputs()]
        return Signature(inputs, outputs)


def _spec(node: Any) -> TensorSpec:
    datatype = ONNX_TYPES.get(node.type)
    if datatype is None:
        raise CannotLoad(
            tell(
                "the ONNX graph's '%(name)s' is %(type)s, not a tensor; convert the model without ZipMap",
                name=node.name,
                type=node.type,
            )
        )
    shape = tuple(size if isinstance(size, int) and size > 0 else -1 for size in node.shape)
    return TensorSpec(node.name, datatype, shape, kind="text" if datatype == "BYTES" else None)


def probe(specs: list[TensorSpec]) -> dict[str, Array]:
    """A neutral input for every tensor (zeros, empty strings), one item each."""
    from atrium.oip.arrays import DTYPES

    arrays: dict[str, Array] = {}
    for spec in specs:
        shape = tuple(1 if size == -1 else size for size in spec.shape)
        fill: Any = "" if spec.datatype == "BYTES" else 0
        arrays[spec.name] = np.full(shape, fill, dtype=DTYPES[spec.datatype])
    return arrays
