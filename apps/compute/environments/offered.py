"""Environments that a person may choose: `base`, and those that an upper app adds, such as people's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import User

Provider = Callable[["User | AnonymousUser"], Iterable[tuple[str, str]]]
_providers: list[Provider] = []


def register(provider: Provider) -> None:
    """Add a provider of (name, label); for an app's `ready()`."""
    if provider not in _providers:
        _providers.append(provider)


def offered_to(user: User | AnonymousUser) -> list[tuple[str, str]]:
    """(name, label) of every environment that the person may choose for code of theirs."""
    return [("base", "base"), *(pair for provider in _providers for pair in provider(user))]
