"""The parameters that a sweep tries: a grid, or random draws. Nothing here asks the database."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from itertools import product
from typing import Any

from django.utils.translation import gettext as _

from apps.core.errors import Invalid
from apps.workbench.blueprints import kind_of

MOST_TRIALS = 500


def points_of(space: Any, method: str, *, count: int = 0, seed: int = 0) -> list[dict[str, Any]]:
    """The sets of parameters to try, each different, in an order that follows from the seed.

    `space` has for each parameter a list of values, or `{"min", "max"}` with `"scale": "log"`, `"type": "int"` and,
    for a grid, `"steps"`. Raises Invalid that names the parameter.
    """
    if not isinstance(space, Mapping) or not space:
        raise Invalid(
            _(
                'Say what to try, such as {"depth": [2, 4], "rate": {"min": 0.001, "max": 0.1, "scale": "log"}}.'
            ),
            fields={"space": _("empty")},
        )
    if method == "grid":
        return _grid(space)
    if not 1 <= count <= MOST_TRIALS:
        raise Invalid(
            _("Say how many sets to draw: 1 to %(most)d.") % {"most": MOST_TRIALS},
            fields={"count": _("missing")},
        )
    return _draws(space, count, random.Random(seed))


def _grid(space: Mapping[str, Any]) -> list[dict[str, Any]]:
    axes = {name: _values(name, one) for name, one in space.items()}
    total = math.prod(len(values) for values in axes.values())
    if total > MOST_TRIALS:
        raise Invalid(
            _(
                "The grid has %(n)d combinations; at most %(most)d are tried. Try fewer values, or draw at random."
            )
            % {"n": total, "most": MOST_TRIALS},
            fields={"space": _("too many")},
        )
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def _draws(space: Mapping[str, Any], count: int, source: random.Random) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for _attempt in range(count * 20):
        point = {name: _drawn(name, one, source) for name, one in space.items()}
        if point not in found:
            found.append(point)
        if len(found) == count:
            break
    return found


def _values(name: str, one: Any) -> list[Any]:
    """The values of one axis of a grid."""
    if isinstance(one, list):
        return _listed(name, one)
    low, high = _range(name, one)
    steps = one.get("steps")
    if not isinstance(steps, int) or not 2 <= steps <= MOST_TRIALS:
        raise _wrong(name, _("a range of a grid needs “steps”, a whole number from 2 on"))
    shares = [step / (steps - 1) for step in range(steps)]
    return list(dict.fromkeys(_at(share, low, high, one) for share in shares))


def _drawn(name: str, one: Any, source: random.Random) -> Any:
    if isinstance(one, list):
        return source.choice(_listed(name, one))
    low, high = _range(name, one)
    return _at(source.random(), low, high, one)


def _listed(name: str, values: list[Any]) -> list[Any]:
    if not values or not all(isinstance(value, bool | int | float | str) for value in values):
        raise _wrong(name, _("a list needs numbers, words, true or false"))
    return values


def _range(name: str, one: Any) -> tuple[float, float]:
    if not isinstance(one, Mapping) or set(one) - {"min", "max", "scale", "type", "steps"}:
        raise _wrong(name, _("give a list of values, or “min” and “max” with “scale”, “type”, “steps”"))
    low: Any = one.get("min")
    high: Any = one.get("max")
    if kind_of(low) not in ("int", "float") or kind_of(high) not in ("int", "float") or not low < high:
        raise _wrong(name, _("“min” and “max” must be numbers, the first below the second"))
    if one.get("scale", "linear") not in ("linear", "log") or one.get("type", "float") not in (
        "int",
        "float",
    ):
        raise _wrong(name, _("“scale” is linear or log, “type” int or float"))
    if one.get("scale") == "log" and low <= 0:
        raise _wrong(name, _("on a logarithmic scale “min” must be above 0"))
    return float(low), float(high)


def _at(share: float, low: float, high: float, one: Mapping[str, Any]) -> int | float:
    """The value at a share of the range; logarithmic ranges are even in the logarithm."""
    if one.get("scale") == "log":
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        value = low + share * (high - low)
    return round(value) if one.get("type") == "int" else float(f"{value:.8g}")


def _wrong(name: str, words: str) -> Invalid:
    message = _("The parameter %(name)s: %(what)s.") % {"name": name, "what": words}
    return Invalid(message, fields={"space": message})
