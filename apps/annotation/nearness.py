"""When two inputs are almost the same: both have the same key.

A text's key is its words without case, punctuation and the digits that tell one ticket from the next; numbers count
to two significant digits. Two inputs on different sides of a rounding stay apart: too few are put together rather
than too many, and an audited share tells whether those that are deserve it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import orjson

_DIGITS = re.compile(r"\d+")
_GAPS = re.compile(r"[\W_]+")


def near_key(inputs: Mapping[str, Any]) -> str:
    """The key of a task's inputs, {name: value}; 64 hexadecimal digits."""
    coarse = {name: _coarse(value) for name, value in inputs.items()}
    return hashlib.sha256(orjson.dumps(coarse, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _coarse(value: Any) -> Any:
    if isinstance(value, str):
        return _GAPS.sub(" ", _DIGITS.sub("0", value.casefold())).strip()
    if isinstance(value, float):
        return f"{value:.1e}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:.1e}"
    if isinstance(value, list):
        return [_coarse(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _coarse(part) for name, part in value.items()}
    return value
