"""A Python package with a `predict` function.

The folder holds `model.py` (or the module that `atrium.json` names: {"module": "…", "function": "…"}).
`predict(inputs)` takes a dict of arrays by input name and returns a dict of arrays by output name; when
its parameters are named like the inputs it is called with them. A `load(folder)` function, if there is
one, runs once before, with the folder of the model.
"""

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atrium.frameworks.base import Array, CannotLoad, Detection, Framework, Model, Source
from atrium.oip.arrays import DTYPES
from atrium.signature import Signature
from atrium.told import tell

SETTINGS = "atrium.json"
ADVICE = tell(
    "Correct the code, try it with `python -c 'import model'` in the folder alone, and hand it in again."
)
EXAMPLE = (
    '{"inputs": [{"name": "x", "datatype": "FP64", "shape": [-1]}], '
    '"outputs": [{"name": "y", "datatype": "FP64", "shape": [-1]}]}'
)


class PythonModel:
    """The function with the signature that it answers by."""

    def __init__(self, function: Callable[..., Any], signature: Signature) -> None:
        self._function = function
        self._signature = signature
        names = {spec.name for spec in signature.inputs}
        self._by_name = set(inspect.signature(function).parameters) == names and "inputs" not in names

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        answer = self._function(**inputs) if self._by_name else self._function(dict(inputs))
        specs = self._signature.outputs
        if not isinstance(answer, Mapping):
            if len(specs) != 1:
                raise TypeError(f"predict must return a dict with {', '.join(spec.name for spec in specs)}")
            answer = {specs[0].name: answer}
        missing = [spec.name for spec in specs if spec.name not in answer]
        if missing:
            raise TypeError(f"predict's answer lacks the output '{missing[0]}'")
        return {spec.name: np.asarray(answer[spec.name], dtype=DTYPES[spec.datatype]) for spec in specs}


class PythonFunction(Framework):
    """Any Python code; it runs in its replica's sandbox only."""

    name = "python"

    def detect(self, source: Source) -> Detection | None:
        if source.mlmodel:
            return None
        settings = source.root / SETTINGS
        if settings.is_file():
            document = json.loads(settings.read_text(encoding="utf-8"))
            if isinstance(document, dict) and isinstance(document.get("module"), str):
                entry = {"module": document["module"], "function": document.get("function", "predict")}
                return Detection(
                    entry,
                    tell("%(file)s names the module %(module)s", file=SETTINGS, module=document["module"]),
                )
        for name in ("model.py", "predict.py", "__init__.py"):
            if (source.root / name).is_file() and "def predict" in (source.root / name).read_text("utf-8"):
                return Detection(
                    {"module": Path(name).stem, "function": "predict"},
                    tell("%(name)s has predict", name=name),
                )
        return None

    def load(self, root: Path, entry: Mapping[str, Any], signature: Signature | None) -> Model:
        if signature is None:
            raise CannotLoad(
                tell("a predict function needs a signature.json beside it: inputs and outputs"),
                tell("Add signature.json, such as %(example)s.", example=EXAMPLE),
            )
        module = self._import(root, str(entry["module"]))
        function = getattr(module, str(entry.get("function", "predict")), None)
        if not callable(function):
            raise CannotLoad(
                tell(
                    "the module %(module)s has no function %(function)s",
                    module=entry["module"],
                    function=entry.get("function"),
                ),
                tell("Define it, or name the right one in %(file)s.", file=SETTINGS),
            )
        prepare = getattr(module, "load", None)
        if callable(prepare):
            try:
                prepare(root)
            except Exception as error:
                raised = f"{type(error).__name__}: {error}"
                raise CannotLoad(tell("load() raised %(error)s", error=raised), ADVICE) from error
        return PythonModel(function, signature)

    def _import(self, root: Path, name: str) -> Any:
        sys.path.insert(0, str(root.parent if name == "__init__" else root))
        name = root.name if name == "__init__" else name
        for known in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
            if not str(getattr(sys.modules[known], "__file__", "")).startswith(str(root)):
                del sys.modules[known]
        try:
            return importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raised = f"{type(error).__name__}: {error}"
            raise CannotLoad(
                tell("importing %(module)s raised %(error)s", module=name, error=raised), ADVICE
            ) from error

    def joins_calls(self) -> bool:
        return False
