"""Frameworks that a model may come in, each a plug-in behind `base.Framework`."""

import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from atrium.frameworks.base import CannotConvert, CannotLoad, Detection, Framework, Source
from atrium.frameworks.boosting import LightGbm, XGBoost
from atrium.frameworks.composite import Composite
from atrium.frameworks.onnx import Onnx
from atrium.frameworks.pyfunc import PyFunc
from atrium.frameworks.python import PythonFunction
from atrium.frameworks.sklearn import SciKitLearn
from atrium.frameworks.torch import Torch

GROUP = "atrium.frameworks"

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


@cache
def known() -> tuple[Framework, ...]:
    """All plug-ins in the order in which they are asked: those that installed packages bring, then the shipped ones.

    A package brings one by an entry point of the group `atrium.frameworks` that names a Framework class. One that
    cannot be loaded, or takes the name of another, is left out with a line on the standard error.
    """
    found: dict[str, Framework] = {}
    taken = {framework.name for framework in ALL}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            framework = _plug_in(entry)
            if framework.name in taken:
                raise TypeError(f"there is a framework '{framework.name}' already")
        except Exception as error:
            print(
                f"framework plug-in {entry.name} is left out: {type(error).__name__}: {error}",
                file=sys.stderr,
            )
            continue
        taken.add(framework.name)
        found[framework.name] = framework
    return (*found.values(), *ALL)


def _plug_in(entry: EntryPoint) -> Framework:
    framework = entry.load()()
    if not isinstance(framework, Framework):
        raise TypeError(f"{entry.value} is no atrium.frameworks.base.Framework")
    return framework


def by_name(name: str) -> Framework:
    """The plug-in of that name; raises CannotLoad with the names there are."""
    for framework in known():
        if framework.name == name:
            return framework
    names = ", ".join(framework.name for framework in known())
    raise CannotLoad(f"unknown framework '{name}'; this environment has {names}")


__all__ = ["ALL", "CannotConvert", "CannotLoad", "Detection", "Framework", "Source", "by_name", "known"]
