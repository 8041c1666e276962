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


def _number_lines_slow(values: Any) -> list[bytes]:
    return [",".join(map(str, row)).encode() for row in values]


loads: Callable[[bytes | str], Any] = _loads_slow
dumps: Callable[[Any], bytes] = _dumps_slow
number_lines: Callable[[Any], list[bytes]] = _number_lines_slow
"""Each row of an array of finite numbers with commas between them, each as short as it reads back the same."""
try:
    import orjson

    def _number_lines(values: Any) -> list[bytes]:
        text = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)
        return text[2:-2].split(b"],[") if values.size else [b""] * len(values)

    loads = orjson.loads
    dumps = orjson.dumps
    number_lines = _number_lines
except ImportError:  # a person's own machine: correct, four times slower
    pass


def pretty(value: Any) -> str:
    """JSON for files that people read: indented, keys in the order given, ends with a newline."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
