"""Frameworks that a model may come in, each a plug-in behind `base.Framework`."""

from atrium.frameworks.base import CannotConvert, CannotLoad, Detection, Framework, Source
from atrium.frameworks.boosting import LightGbm, XGBoost
from atrium.frameworks.composite import Composite
from atrium.frameworks.onnx import Onnx
from atrium.frameworks.pyfunc import PyFunc
from atrium.frameworks.python import PythonFunction
from atrium.frameworks.sklearn import SciKitLearn
from atrium.frameworks.torch import Torch

# In this order they are asked; the first that recognises the source takes it.
ALL: tuple[Framework, ...] = (
    Composite(),
    Onnx(),
    SciKitLearn(),
    XGBoost(),
    LightGbm(),
    Torch(),
    PythonFunction(),
    PyFunc(),
)


def by_name(name: str) -> Framework:
    """The plug-in of that name; raises CannotLoad with the names there are."""
    for framework in ALL:
        if framework.name == name:
            return framework
    known = ", ".join(framework.name for framework in ALL)
    raise CannotLoad(f"unknown framework '{name}'; this release serves {known}")


__all__ = ["ALL", "CannotConvert", "CannotLoad", "Detection", "Framework", "Source", "by_name"]
