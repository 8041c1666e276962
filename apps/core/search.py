"""Global search: each app registers a provider that finds its own things under the viewer's rights."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.accounts.models import User

MOST_HITS = 20
"""Of each kind of thing, where there is room for them."""
_WORD = re.compile(r"[a-z0-9]+")
_HAN = re.compile(r"[\u4e00-\u9fff]+")


@dataclass(frozen=True)
class Hit:
    """One thing found: what it is, where it is, and a line about it."""

    kind: str
    title: str
    url: str
    summary: str = ""
    icon: str = "search"


Provider = Callable[["User", str, int], Sequence[Hit]]
_providers: dict[str, Provider] = {}
_first: set[str] = set()


def register(name: str, provider: Provider, *, first: bool = False) -> None:
    """Add a provider, called as `provider(user, query, limit)`; for an app's `ready()`.

    What most people look for stands `first`.
    """
    _providers[name] = provider
    if first:
        _first.add(name)


def find(user: User, query: str, *, limit: int = 6) -> list[Hit]:
    """What this person may see that matches, at most `limit` for each kind of thing."""
    query = query.strip()
    if not query:
        return []
    names = sorted(_providers, key=lambda name: name not in _first)
    return [hit for name in names for hit in _providers[name](user, query, limit)]


def lexemes(text: str) -> list[str]:
    """Words in lower case, and each pair of neighbouring Han characters (one alone stays one).

    PostgreSQL's `simple` configuration cannot split Chinese, so both sides of the index use this.
    """
    text = text.lower()
    pairs = [run[i : i + 2] for run in _HAN.findall(text) for i in range(max(1, len(run) - 1))]
    return _WORD.findall(text) + pairs
