"""What apps above the gateway add to what the data plane knows of capabilities. They register in their `ready()`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

Maker = Callable[[Collection[int]], dict[int, dict[str, Any]]]
_makers: dict[str, Maker] = {}


def register(name: str, maker: Maker) -> None:
    """Add what is told of capabilities, by their ids; the same name replaces. It reads within a transaction."""
    _makers[name] = maker


def added(capabilities: Collection[int]) -> dict[int, dict[str, Any]]:
    """{capability: what is told of it}, for those that there is something to tell of."""
    found: dict[int, dict[str, Any]] = {}
    for maker in _makers.values():
        for pk, told in maker(capabilities).items():
            found[pk] = found.get(pk, {}) | told
    return found
