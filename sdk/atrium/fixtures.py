"""Fixtures of a model with the features that training computes for them, see `atrium.evaluation.parity`."""

import inspect
from collections.abc import Mapping
from typing import Any

from atrium import logged
from atrium.frameworks.python import PythonModel
from atrium.oip import read_json
from atrium.oip.arrays import to_array
from atrium.signature import Signature


def with_features(model: Any, signature: Signature, given: Mapping[str, Any]) -> dict[str, Any]:
    """A fixture with its features: those that it brings, else what a predict function logs for its inputs."""
    if "features" in given:
        return dict(given)
    if not inspect.isfunction(model):
        raise TypeError("say which features each fixture has: only a predict function can be asked for them")
    tensors = [read_json(tensor) for tensor in given["inputs"]]
    values = logged.start()
    PythonModel(model, signature).predict({tensor.name: to_array(tensor) for tensor in tensors})
    if not values:
        raise ValueError(f"predict logged nothing for {given.get('name')!r}; attach features with atrium.log")
    return {**given, "features": {name: logged.plain(value) for name, value in values.items()}}
