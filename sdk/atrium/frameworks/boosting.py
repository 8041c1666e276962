"""XGBoost and LightGBM boosters, in environments that carry them; served by their own framework."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atrium.frameworks.base import Array, CannotLoad, Detection, Framework, Model, Source
from atrium.oip.arrays import DTYPES
from atrium.signature import Signature, TensorSpec


class BoosterModel:
    """A booster that gives one score per row and class."""

    def __init__(self, score: Callable[[Array], Any], signature: Signature) -> None:
        self._score = score
        self._signature = signature

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        rows = inputs[self._signature.inputs[0].name]
        scores = np.asarray(self._score(rows.reshape(len(rows), -1)))
        return {spec.name: self._output(spec, scores) for spec in self._signature.outputs}

    def _output(self, spec: TensorSpec, scores: Array) -> Array:
        if spec.kind == "probabilities" and scores.ndim == 1:
            scores = np.stack([1 - scores, scores], axis=1)
        if spec.kind == "class":
            chosen = scores.argmax(axis=1) if scores.ndim > 1 else (scores > 0.5).astype(np.int64)
            if spec.datatype != "BYTES":
                return chosen.astype(DTYPES[spec.datatype])
            return np.array([(spec.labels or [])[at] for at in chosen], dtype=object)
        return scores.astype(DTYPES[spec.datatype])


class _Boosting(Framework):
    """What the two have in common: one model file, named by the MLflow flavour or by its ending."""

    key = "data"
    patterns: tuple[str, ...] = ()

    def detect(self, source: Source) -> Detection | None:
        flavour = source.flavour(self.name)
        if flavour and isinstance(flavour.get(self.key), str):
            return Detection({"file": flavour[self.key]}, f"the MLmodel file names the {self.name} flavour")
        file = None if source.mlmodel else source.single(*self.patterns)
        if file is None:
            return None
        return Detection({"file": file.relative_to(source.root).as_posix()}, f"there is one {file.name}")

    def load(self, root: Path, entry: Mapping[str, Any], signature: Signature | None) -> Model:
        if signature is None:
            raise CannotLoad(
                f"a {self.name} model needs a signature.json, or a signature in its MLmodel file"
            )
        try:
            score = self.scorer(root / str(entry["file"]))
        except ImportError as error:
            raise CannotLoad(f"this environment has no {self.name}; list it in requirements.txt") from error
        except Exception as error:
            raise CannotLoad(f"{entry['file']}: {type(error).__name__}: {error}") from error
        return BoosterModel(score, signature)

    def scorer(self, path: Path) -> Callable[[Array], Any]:
        raise NotImplementedError


class XGBoost(_Boosting):
    """Boosters saved as .ubj, .json or .xgb."""

    name = "xgboost"
    patterns = ("*.ubj", "*.xgb")

    def scorer(self, path: Path) -> Callable[[Array], Any]:
        import xgboost

        booster = xgboost.Booster()
        booster.load_model(str(path))
        return booster.inplace_predict


class LightGbm(_Boosting):
    """Boosters saved as text."""

    name = "lightgbm"
    patterns = ("*.lgb",)

    def scorer(self, path: Path) -> Callable[[Array], Any]:
        import lightgbm

        booster = lightgbm.Booster(model_file=str(path))
        return booster.predict
