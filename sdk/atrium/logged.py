"""What user code knows of the call that it is answering: the parameters that came with it, and the values that the
code attaches to it.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

MAX_VALUES = 100
NOT_FINITE = "not_finite"
"""The runner attaches this to a call that it answered with NaN or infinity, which a release counts as a bad answer."""

_values: ContextVar[dict[str, Any] | None] = ContextVar("atrium_log", default=None)
_parameters: ContextVar[Mapping[str, Any]] = ContextVar("atrium_parameters", default={})  # noqa: B039  never changed


def log(name: str, value: Any) -> None:
    """Attach a value to the running call's log; outside a runner it does nothing.

    Numbers, strings, lists, dicts and arrays are kept. When several calls are answered together, a list
    or array with one entry per item is divided among them, and anything else is attached to each.
    """
    values = _values.get()
    if values is not None and (name in values or len(values) < MAX_VALUES):
        values[str(name)] = value


def parameters() -> dict[str, Any]:
    """The `parameters` of the running call's request, which an experiment may have given; empty outside a runner.

    Read them with what counts otherwise: `atrium.parameters().get("threshold", 0.5)`.
    """
    return dict(_parameters.get())


def start(given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Begin a call with the parameters of its request, and to collect its values (the runner does, before it calls
    the model).
    """
    values: dict[str, Any] = {}
    _values.set(values)
    _parameters.set(given or {})
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
