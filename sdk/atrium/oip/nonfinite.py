"""Numbers that JSON does not have: what to say of NaN, Infinity and 1e999 in a body that cannot be read for them."""

import json
import math
from collections.abc import Iterator
from typing import Any

from atrium.oip.tensors import show

MOST_BYTES = 1 << 20
"""A body above this is not read a second time: it would hold up the calls behind it."""


class _Literal(str):
    """NaN, Infinity or -Infinity, as it was written."""

    __slots__ = ()


def without_json(text: bytes) -> str:
    """Which tensor of an unreadable body has such a number, and what to send; empty where that is not what is wrong."""
    if len(text) > MOST_BYTES:
        return ""
    try:
        document = json.loads(text, parse_constant=_Literal)
    except (ValueError, RecursionError):
        return ""
    return next((_words(where, number) for where, number in _found(document)), "")


def _found(document: Any) -> Iterator[tuple[str, str | float]]:
    entries = document.get("inputs") if isinstance(document, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            for at, value in enumerate(_flat(entry.get("data"))):
                if _is_one(value):
                    yield f"input {show(entry['name'])}, value {at}: ", value
    yield from (("", value) for value in _flat(document) if _is_one(value))


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _flat(part)
    else:
        yield value


def _is_one(value: Any) -> bool:
    return isinstance(value, _Literal) or (isinstance(value, float) and math.isinf(value))


def _words(where: str, number: str | float) -> str:
    if isinstance(number, str):
        return (
            f"{where}{number} is not JSON, which has no such number; send a finite number, "
            "or null for a missing value where the capability takes one"
        )
    return f"{where}the number is too large for any datatype; send one of at most 1.798e308"
