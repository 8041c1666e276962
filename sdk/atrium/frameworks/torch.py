"""PyTorch: exported programs (.pt2), TorchScript (.pt, .ts) and MLflow's pytorch flavour, where torch is installed.

The inputs are handed over as tensors in the signature's order; the answer is one tensor, or as many as there
are outputs, in their order. An output of kind `class` that the module does not give is the place of the largest
of its scores; `probabilities` are their softmax when the scores do not add up to one already.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atrium.frameworks.base import Array, CannotConvert, CannotLoad, Detection, Framework, Model, Source
from atrium.oip.arrays import DTYPES
from atrium.signature import Signature, TensorSpec
from atrium.told import tell

OPSET = 18
PATTERNS = ("*.pt2", "*.pt", "*.ts")
MLFLOW_FILE = "data/model.pth"


class TorchModel:
    """A module in evaluation mode with the signature that it answers by."""

    def __init__(self, module: Any, signature: Signature) -> None:
        self.module = module
        self.signature = signature

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        import torch

        with torch.inference_mode():
            given = [torch.from_numpy(np.array(inputs[spec.name])) for spec in self.signature.inputs]
            answer = self.module(*given)
        found = [np.asarray(part) for part in (answer if isinstance(answer, tuple | list) else [answer])]
        specs = self.signature.outputs
        if len(found) == len(specs) and not (len(specs) == 1 and specs[0].kind in ("class", "probabilities")):
            return {
                spec.name: array.reshape(_sizes(spec, array)).astype(DTYPES[spec.datatype])
                for spec, array in zip(specs, found, strict=True)
            }
        return {spec.name: _from_scores(spec, found[0]) for spec in specs}


def _sizes(spec: TensorSpec, array: Array) -> list[int]:
    """A column of one value per row is that value: [n, 1] for a signature of [-1]."""
    fits = len(spec.shape) == array.ndim
    return list(array.shape) if fits else [len(array), *(size for size in spec.shape[1:])]


def _from_scores(spec: TensorSpec, scores: Array) -> Array:
    if spec.kind == "class":
        chosen = scores.argmax(axis=1)
        if spec.datatype == "BYTES":
            return np.array([(spec.labels or [])[at] for at in chosen], dtype=object)
        return chosen.astype(DTYPES[spec.datatype])
    if spec.kind == "probabilities" and not np.allclose(scores.sum(axis=1), 1, atol=1e-4):
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores = raised / raised.sum(axis=1, keepdims=True)
    return scores.astype(DTYPES[spec.datatype])


class Torch(Framework):
    """Modules that torch can load without their authors' code, or with it, as MLflow saves them."""

    name = "pytorch"

    def detect(self, source: Source) -> Detection | None:
        flavour = source.flavour("pytorch")
        if flavour:
            folder = str(flavour.get("model_data") or "data")
            return Detection(
                {"file": f"{folder}/model.pth"},
                tell("the MLmodel file names the %(name)s flavour", name="pytorch"),
            )
        file = None if source.mlmodel else source.single(*PATTERNS)
        if file is None:
            return None
        return Detection(
            {"file": file.relative_to(source.root).as_posix()}, tell("there is one %(name)s", name=file.name)
        )

    def load(self, root: Path, entry: Mapping[str, Any], signature: Signature | None) -> Model:
        if signature is None:
            raise CannotLoad(
                tell("a PyTorch model needs a signature.json, or a signature in its MLmodel file"),
                tell(
                    "Add signature.json with the inputs and outputs in the order of the model's arguments and "
                    "results."
                ),
            )
        file = root / str(entry["file"])
        try:
            import torch

            torch.set_num_threads(1)  # replicas use the cores, not threads inside one
            return TorchModel(_module(torch, file), signature)
        except ImportError as error:
            raise CannotLoad(
                tell(
                    "this environment lacks a package; list it in requirements.txt: %(error)s",
                    error=str(error),
                )
            ) from error
        except Exception as error:
            raise CannotLoad(f"{file.name}: {type(error).__name__}: {error}") from error

    def convert(self, model: Model, signature: Signature, target: Path) -> None:
        assert isinstance(model, TorchModel)
        raise CannotConvert(
            tell("export it with torch.onnx.export and hand in the .onnx file to serve it as ONNX")
        )


def _module(torch: Any, file: Path) -> Any:
    if file.suffix == ".pt2":
        return torch.export.load(str(file)).module()
    if file.suffix in (".pt", ".ts"):
        return torch.jit.load(str(file), map_location="cpu").eval()
    loaded = torch.load(str(file), map_location="cpu", weights_only=False)  # only ever inside a sandbox
    return loaded.eval()
