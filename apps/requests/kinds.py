"""Kinds of requests: the app that asks says what a yes and a no do. The callbacks run in the deciding transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.utils.functional import Promise

    from apps.accounts.models import User
    from apps.requests.models import Request

Callback = Callable[["Request", "User | None"], None]
Check = Callable[["Request", "User", bool], None]
Facts = Callable[["Request"], list[tuple[str, str]]]


def _nothing(request: Request, by: User | None) -> None:
    """A kind without a consequence: the ticket alone matters."""


def _anyhow(request: Request, by: User, approve: bool) -> None:
    """A kind that may be decided on its ticket."""


def _no_facts(request: Request) -> list[tuple[str, str]]:
    """A kind whose title and reason say it all."""
    return []


@dataclass(frozen=True)
class Kind:
    """`label` is a lazy translation; `on_closed` hears of withdrawal and expiry; `facts` are shown to who decides."""

    name: str
    label: str | Promise
    on_granted: Callback
    on_rejected: Callback
    on_closed: Callback
    before_decision: Check
    facts: Facts = _no_facts


_kinds: dict[str, Kind] = {}


def register(
    kind: str,
    label: str | Promise,
    on_granted: Callback = _nothing,
    on_rejected: Callback = _nothing,
    on_closed: Callback | None = None,
    before_decision: Check = _anyhow,
    facts: Facts = _no_facts,
) -> None:
    """Add a kind; for an app's `ready()`. Callbacks get `(request, by)`; `by` is None when the portal decided.

    `on_closed` runs when the request is withdrawn or expires; without it `on_rejected` does.
    `before_decision` gets `(request, by, approve)` and may raise: for what is decided elsewhere only,
    or for what nobody can say yes to any more. `facts` gives [(label, text)] of what is asked for, in the reader's
    language.
    """
    closed = on_closed or on_rejected
    _kinds[kind] = Kind(kind, label, on_granted, on_rejected, closed, before_decision, facts)


def get(kind: str) -> Kind:
    """The kind of that name; one without consequences when its app is gone."""
    return _kinds.get(kind) or Kind(kind, kind, _nothing, _nothing, _nothing, _anyhow)


def choices() -> list[tuple[str, str | Promise]]:
    """(name, label) of every kind."""
    return sorted((kind.name, kind.label) for kind in _kinds.values())


def known(kind: str) -> bool:
    """Whether an app has registered this kind."""
    return kind in _kinds
