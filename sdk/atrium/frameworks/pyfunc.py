"""Any other MLflow model, through MLflow's own python_function loader."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atrium.frameworks.base import Array, CannotLoad, Detection, Framework, Model, Source
from atrium.oip.arrays import DTYPES
from atrium.signature import Signature
from atrium.told import tell


class PyFuncModel:
    """MLflow's pyfunc model; a table is handed over as a data frame, one tensor as an array."""

    def __init__(self, model: Any, signature: Signature) -> None:
        self._model = model
        self._signature = signature

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        answer = self._model.predict(self._given(inputs))
        specs = self._signature.outputs
        if isinstance(answer, dict):
            return {spec.name: np.asarray(answer[spec.name], DTYPES[spec.datatype]) for spec in specs}
        if hasattr(answer, "columns") and {spec.name for spec in specs} <= set(answer.columns):
            return {spec.name: np.asarray(answer[spec.name], DTYPES[spec.datatype]) for spec in specs}
        return {specs[0].name: np.asarray(answer).astype(DTYPES[specs[0].datatype])}

    def _given(self, inputs: Mapping[str, Array]) -> Any:
        import pandas as pd

        names = [column.name for column in self._signature.columns]
        if names:
            return pd.DataFrame(inputs[self._signature.inputs[0].name], columns=names)
        if all(array.ndim == 1 for array in inputs.values()):
            return pd.DataFrame({name: list(array) for name, array in inputs.items()})
        return next(iter(inputs.values())) if len(inputs) == 1 else dict(inputs)


class PyFunc(Framework):
    """The last one asked: an MLmodel file with the python_function flavour."""

    name = "mlflow"

    def detect(self, source: Source) -> Detection | None:
        if source.flavour("python_function") is None:
            return None
        return Detection({}, tell("the MLmodel file names the %(name)s flavour", name="python_function"))

    def load(self, root: Path, entry: Mapping[str, Any], signature: Signature | None) -> Model:
        if signature is None:
            raise CannotLoad(
                tell("the MLmodel file has no signature"),
                tell(
                    "Log the model with a signature (mlflow.models.infer_signature), or add a signature.json."
                ),
            )
        try:
            from mlflow import pyfunc

            return PyFuncModel(pyfunc.load_model(str(root)), signature)
        except Exception as error:
            raised = f"{type(error).__name__}: {error}"
            raise CannotLoad(tell("MLflow cannot load it here: %(error)s", error=raised)) from error
