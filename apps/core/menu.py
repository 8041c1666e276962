"""The navigation: apps register their entries, the role decides which are shown, the policy what works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MenuItem:
    """One entry. `label` is a lazy translation, `icon` a Tabler icon's name, empty `roles` means everybody."""

    section: str
    label: str
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
