"""Whether training and serving compute the same features: fixtures that training wrote, asked of the served endpoint.

A model folder may hold features.json, which `atrium.save_model(…, fixtures=…)` writes:

    [{"name": "one ticket", "inputs": [tensor, …], "features": {"words": ["a-9", "a"]}, "tolerance": 1e-5}]

The code that answers attaches the same features to its call with `atrium.log`; the gateway hands them to the callers
of a test deployment.
"""

import math
from collections.abc import Mapping
from typing import Any

from atrium.evaluation.endpoint import Endpoint, Refused
from atrium.oip import read_json

TOLERANCE = 1e-5
_SHOWN = 80


def compare(endpoint: Endpoint, fixture: Mapping[str, Any]) -> dict[str, Any]:
    """Ask one fixture: {"name", "passed", "message"}; the message names the first feature that differs."""
    name = str(fixture.get("name", "?"))
    try:
        expected, tolerance = dict(fixture["features"]), float(fixture.get("tolerance", TOLERANCE))
        tensors = [read_json(tensor) for tensor in fixture["inputs"]]
        if not expected or not tensors:
            return {"name": name, "passed": False, "message": "it names no feature, or no input"}
        given = endpoint.infer(tensors).logged
    except Refused as refused:
        return {"name": name, "passed": False, "message": str(refused)}
    except (KeyError, TypeError, ValueError) as error:
        return {"name": name, "passed": False, "message": f"this is no fixture: {error!r}"[:200]}
    for feature, value in expected.items():
        if feature not in given:
            return {"name": name, "passed": False, "message": f"serving logs no “{feature}”"}
        if not agree(value, given[feature], tolerance):
            told = f"“{feature}” is {_brief(value)} in training and {_brief(given[feature])} in serving"
            return {"name": name, "passed": False, "message": told}
    return {"name": name, "passed": True, "message": ""}


def agree(training: Any, serving: Any, tolerance: float) -> bool:
    """Whether two values are the same: numbers within the tolerance, lists and objects entry by entry."""
    if isinstance(training, bool) or isinstance(serving, bool):
        return training is serving
    if isinstance(training, int | float) and isinstance(serving, int | float):
        both = math.isnan(training) and math.isnan(serving)
        return both or math.isclose(training, serving, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(training, list) and isinstance(serving, list):
        same = len(training) == len(serving)
        return same and all(agree(a, b, tolerance) for a, b in zip(training, serving, strict=True))
    if isinstance(training, dict) and isinstance(serving, dict):
        same = training.keys() == serving.keys()
        return same and all(agree(value, serving[name], tolerance) for name, value in training.items())
    return bool(training == serving)


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
