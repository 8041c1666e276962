"""XGBoost and LightGBM boosters, in environments that carry them; as ONNX where onnxmltools is installed.

Both give scores: one number per row (regression, or the probability of the second of two classes), or one
per row and class. The number of classes comes from the booster, so that a signature may leave outputs open.
"""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from atrium.frameworks.base import Array, CannotConvert, CannotLoad, Detection, Framework, Model, Source
from atrium.frameworks.sklearn import fit_to_signature
from atrium.oip.arrays import DTYPES
from atrium.signature import Column, Signature, TensorSpec
from atrium.told import tell

OPSET = 15
NUMBERED = ("Column_", "f")


@dataclass(slots=True)
class BoosterModel:
    """A booster with the signature that it answers by; `classes` is 0 for a regression."""

    booster: Any
    score: Callable[[Array], Any]
    features: list[str]
    classes: int
    signature: Signature | None = None

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        assert self.signature is not None
        rows = self._rows(inputs)
        scores = np.asarray(self.score(rows))
        return {spec.name: self._output(spec, scores) for spec in self.signature.outputs}

    def _rows(self, inputs: Mapping[str, Array]) -> Array:
        assert self.signature is not None
        specs = self.signature.inputs
        if len(specs) == 1:
            array = inputs[specs[0].name]
            return array.reshape(len(array), -1)
        return np.stack([inputs[spec.name].ravel() for spec in specs], axis=1).astype(np.float32)

    def _output(self, spec: TensorSpec, scores: Array) -> Array:
        if spec.kind == "probabilities":
            whole = np.stack([1 - scores, scores], axis=1) if scores.ndim == 1 else scores
            return whole.astype(DTYPES[spec.datatype])
        if self.classes and spec.kind != "value":
            chosen = scores.argmax(axis=1) if scores.ndim > 1 else (scores > 0.5).astype(np.int64)
            if spec.datatype != "BYTES":
                return chosen.astype(DTYPES[spec.datatype])
            return np.array([(spec.labels or [])[at] for at in chosen], dtype=object)
        return scores.astype(DTYPES[spec.datatype])


class _Boosting(Framework):
    """What the two have in common: one model file, named by the MLflow flavour or by its ending."""

    patterns: tuple[str, ...] = ()

    def detect(self, source: Source) -> Detection | None:
        flavour = source.flavour(self.name)
        if flavour and isinstance(flavour.get("data"), str):
            return Detection(
                {"file": flavour["data"]}, tell("the MLmodel file names the %(name)s flavour", name=self.name)
            )
        file = None if source.mlmodel else source.single(*self.patterns)
        if file is None:
            return None
        return Detection(
            {"file": file.relative_to(source.root).as_posix()}, tell("there is one %(name)s", name=file.name)
        )

    def load(self, root: Path, entry: Mapping[str, Any], signature: Signature | None) -> Model:
        try:
            model = self.open(root / str(entry["file"]))
        except ImportError as error:
            raise CannotLoad(
                tell("this environment has no %(name)s; list it in requirements.txt", name=self.name)
            ) from error
        except Exception as error:
            raise CannotLoad(f"{entry['file']}: {type(error).__name__}: {error}") from error
        model.signature = signature
        return model

    def open(self, path: Path) -> BoosterModel:
        """The booster in a file."""
        raise NotImplementedError

    def guess_signature(self, model: Model) -> Signature | None:
        assert isinstance(model, BoosterModel)
        columns = [] if model.features[0].startswith(NUMBERED) else [Column(name) for name in model.features]
        table = TensorSpec("features", "FP32", (-1, len(model.features)), kind="number")
        return Signature([table], [], columns)

    def complete(self, model: Model, signature: Signature) -> Signature:
        assert isinstance(model, BoosterModel)
        if not any(spec.kind for spec in signature.outputs):
            signature = replace(signature, outputs=_outputs(model.classes))
        model.signature = signature
        return signature

    def convert(self, model: Model, signature: Signature, target: Path) -> None:
        assert isinstance(model, BoosterModel)
        if len(signature.inputs) > 1:
            raise CannotConvert(tell("it takes one input per column; give one input [-1, n] to make it ONNX"))
        try:
            from onnxmltools.convert.common.data_types import FloatTensorType

            initial = [("rows", FloatTensorType([None, len(model.features)]))]
            target.write_bytes(fit_to_signature(self.to_onnx(model.booster, initial), signature))
        except CannotConvert:
            raise
        except ImportError as error:
            raise CannotConvert(
                tell("this environment has no onnxmltools (%(error)s)", error=str(error))
            ) from error
        except Exception as error:
            raise CannotConvert(f"onnxmltools: {type(error).__name__}: {error}") from error

    def to_onnx(self, booster: Any, initial: list[Any]) -> Any:
        """The booster as onnxmltools converts it."""
        raise NotImplementedError


def _outputs(classes: int) -> list[TensorSpec]:
    if not classes:
        return [TensorSpec("value", "FP32", (-1,), kind="value")]
    labels = [str(number) for number in range(classes)]
    return [
        TensorSpec("class", "INT64", (-1,), kind="class", labels=labels),
        TensorSpec("probabilities", "FP32", (-1, classes), kind="probabilities", labels=labels),
    ]


class XGBoost(_Boosting):
    """Boosters saved as .ubj, .json by MLflow, or .xgb; classifiers too: their file holds the booster."""

    name = "xgboost"
    patterns = ("*.ubj", "*.xgb")

    def open(self, path: Path) -> BoosterModel:
        import xgboost

        booster = xgboost.Booster()
        booster.load_model(str(path))
        learner = json.loads(booster.save_config())["learner"]
        objective = str(learner["objective"]["name"])
        if objective == "multi:softmax":  # its answer is the class alone; the scores are the same model's
            booster.set_param({"objective": "multi:softprob"})
        classes = int(learner["learner_model_param"]["num_class"])
        if objective.startswith("binary:"):
            classes = 2
        features = booster.feature_names or [f"f{at}" for at in range(booster.num_features())]

        def score(rows: Array) -> Any:
            return booster.inplace_predict(rows, validate_features=False)

        return BoosterModel(booster, score, features, classes)

    def to_onnx(self, booster: Any, initial: list[Any]) -> Any:
        from onnxmltools import convert

        unnamed = copy.copy(booster)  # the converter knows columns by number only
        unnamed.feature_names = None
        return convert.convert_xgboost(unnamed, initial_types=initial, target_opset=OPSET)


class LightGbm(_Boosting):
    """Boosters saved as text, and the pickled estimators that MLflow writes."""

    name = "lightgbm"
    patterns = ("*.lgb",)

    def open(self, path: Path) -> BoosterModel:
        import lightgbm

        if path.suffix == ".pkl":
            import joblib

            loaded = joblib.load(path)  # only ever inside a sandboxed workload
            booster = getattr(loaded, "booster_", loaded)
        else:
            booster = lightgbm.Booster(model_file=str(path))
        text = booster.model_to_string(num_iteration=1)
        objective = next((line for line in text.splitlines() if line.startswith("objective=")), "")
        classes = 2 if objective.startswith(("objective=binary", "objective=cross_entropy")) else 0
        if booster.num_model_per_iteration() > 1:
            classes = booster.num_model_per_iteration()
        return BoosterModel(booster, booster.predict, list(booster.feature_name()), classes)

    def to_onnx(self, booster: Any, initial: list[Any]) -> Any:
        from onnxmltools import convert

        return convert.convert_lightgbm(booster, initial_types=initial, target_opset=OPSET, zipmap=False)
