"""Intermediate values that user code attaches to the call that it is answering."""

from contextvars import ContextVar
from typing import Any

MAX_VALUES = 100
NOT_FINITE = "not_finite"
"""The runner attaches this to a call that it answered with NaN or infinity, which a release counts as a bad answer."""

_values: ContextVar[dict[str, Any] | None] = ContextVar("atrium_log", default=None)


def log(name: str, value: Any) -> None:
    """Attach a value to the running call's log; outside a runner it does nothing.

    Numbers, strings, lists, dicts and arrays are kept. When several calls are answered together, a list
    or array with one entry per item is divided among them, and anything else is attached to each.
    """
    values = _values.get()
    if values is not None and (name in values or len(values) < MAX_VALUES):
        values[str(name)] = value


def start() -> dict[str, Any]:
    """Begin to collect for a call (the runner does, before it calls the model)."""
    values: dict[str, Any] = {}
    _values.set(values)
    return values


def plain(value: Any, depth: int = 0) -> Any:
    """A logged value as JSON can hold it."""
    if depth > 8:
        return "…"
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth)
    if isinstance(value, dict):
        return {str(key): plain(entry, depth + 1) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry, depth + 1) for entry in value]
    return str(value)[:1000]


def share(values: dict[str, Any], start_at: int, items: int, total: int) -> dict[str, Any]:
    """The part of a joint call's values that belongs to one of its calls."""
    if items == total:
        return values
    return {name: _slice(value, start_at, items, total) for name, value in values.items()}


def _slice(value: Any, start_at: int, items: int, total: int) -> Any:
    is_row_wise = (isinstance(value, list | tuple) or hasattr(value, "tolist")) and hasattr(value, "__len__")
    if is_row_wise and len(value) == total:
        return value[start_at : start_at + items]
    return value
