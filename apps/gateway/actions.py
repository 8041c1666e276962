"""What apps above the gateway offer to do with a call, or with a list of them. They register in their `ready()`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.gateway.models import Call


@dataclass(frozen=True)
class Choice:
    """What is chosen before a button is pressed: a field `name` with its `label` and its values."""

    name: str
    label: str
    values: Sequence[str]


@dataclass(frozen=True)
class Action:
    """A button under a call that posts to `url`; `hint` says in a sentence what will happen.

    For a list of calls it is a link to `url`.
    """

    label: str
    url: str
    icon: str
    hint: str = ""
    choice: Choice | None = None


@dataclass(frozen=True)
class Mark:
    """Something that an app above knows of a call, as a link under its heading."""

    label: str
    url: str
    icon: str


Maker = Callable[["User", "Call"], "Action | None"]
ListMaker = Callable[["User", "Sequence[Call]"], "Action | None"]
_makers: dict[str, Maker] = {}
_for_lists: dict[str, ListMaker] = {}
Marker = Callable[["User", "Call"], "Sequence[Mark]"]
_markers: dict[str, Marker] = {}


def register(name: str, maker: Maker) -> None:
    """Add an action; the same name replaces. For an app's `ready()`."""
    _makers[name] = maker


def actions_for(user: User, call: Call) -> list[Action]:
    """What this person may do with this call."""
    found = [maker(user, call) for maker in _makers.values()]
    return [action for action in found if action is not None]


def register_for_list(name: str, maker: ListMaker) -> None:
    """Add what can be done with the calls of a list; the same name replaces. For an app's `ready()`."""
    _for_lists[name] = maker


def actions_for_list(user: User, calls: Sequence[Call]) -> list[Action]:
    """What this person may do with these calls."""
    found = [maker(user, calls) for maker in _for_lists.values()]
    return [action for action in found if action is not None]


def register_marks(name: str, marker: Marker) -> None:
    """Add what is known of a call; the same name replaces. For an app's `ready()`."""
    _markers[name] = marker


def marks_of(user: User, call: Call) -> list[Mark]:
    """What apps above know of this call, as far as this person may see it."""
    return [mark for marker in _markers.values() for mark in marker(user, call)]
