"""The navigation: apps register their entries, the role decides which are shown, the policy what works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.utils.functional import Promise


@dataclass(frozen=True)
class MenuItem:
    """One entry. `label` is a lazy translation, `icon` a Tabler icon's name, empty `roles` means everybody."""

    section: str | Promise
    label: str | Promise
    url_name: str
    icon: str
    roles: frozenset[str] = frozenset()
    order: int = 100


_items: dict[str, MenuItem] = {}


def register(item: MenuItem) -> None:
    """Add an entry; for an app's `ready()`."""
    _items[item.url_name] = item


def items_for(roles: set[str]) -> list[MenuItem]:
    """The entries for a person with these roles, in order. A platform admin sees all."""
    shown = [i for i in _items.values() if not i.roles or i.roles & roles or "admin" in roles]
    return sorted(shown, key=lambda item: (item.order, str(item.label)))


_LANDING_ORDER = ("admin", "operator", "qa", "developer", "annotator", "consumer")
_landings: dict[str, str] = {}
_administration: dict[str, MenuItem] = {}


def register_landing(role: str, url_name: str) -> None:
    """Say where people of a role land after logging in; for an app's `ready()`."""
    _landings[role] = url_name


def landing_of(roles: set[str]) -> str:
    """The landing page's URL name for a person with these roles; empty when no app has registered one."""
    return next((_landings[role] for role in _LANDING_ORDER if role in roles and role in _landings), "")


def register_administration(item: MenuItem) -> None:
    """Add a card to the administration page; `section` is its one line of explanation. For an app's `ready()`."""
    _administration[item.url_name] = item


def administration_pages() -> list[MenuItem]:
    """The cards of the administration page, in order."""
    return sorted(_administration.values(), key=lambda item: (item.order, str(item.label)))
