"""JSON as bytes: orjson where it is installed (portal, `base` environment), else the standard library.

Both refuse `NaN` and `Infinity` literals, which JSON does not have.
"""

import json
from collections.abc import Callable
from typing import Any


def _refuse(literal: str) -> Any:
    raise ValueError(f"{literal} is not JSON")


def _loads_slow(text: bytes | str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _dumps_slow(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _numbers_slow(values: Any) -> list[str]:
    return [str(value) for value in values]


loads: Callable[[bytes | str], Any] = _loads_slow
dumps: Callable[[Any], bytes] = _dumps_slow
numbers: Callable[[Any], list[str]] = _numbers_slow
"""The finite numbers of an array of one dimension, each as short as it reads back the same."""
try:
    import orjson

    def _numbers(values: Any) -> list[str]:
        text = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY).decode()
        return text[1:-1].split(",") if len(values) else []

    loads = orjson.loads
    dumps = orjson.dumps
    numbers = _numbers
except ImportError:  # a person's own machine: correct, four times slower
    pass


def pretty(value: Any) -> str:
    """JSON for files that people read: indented, keys in the order given, ends with a newline."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
