"""What apps above the store add to its pages: badges of a capability, panels below its overview.

They register in their `ready()`; the store knows nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.http import HttpRequest

    from apps.accounts.models import User
    from apps.catalog.models import Capability


@dataclass(frozen=True)
class Badge:
    """A word with a tone (good, busy, wait, bad, idle), an icon and a sentence that explains it."""

    label: str
    tone: str = "idle"
    icon: str = "point"
    title: str = ""


@dataclass(frozen=True)
class Panel:
    """A card below the overview: a title and the rendered content."""

    title: str
    html: str


BadgeMaker = Callable[["Capability"], "list[Badge]"]
PanelMaker = Callable[["HttpRequest", "Capability"], "Panel | None"]
_badges: dict[str, BadgeMaker] = {}
_panels: dict[str, PanelMaker] = {}


def register_badges(name: str, maker: BadgeMaker) -> None:
    """Add badges to a capability's page; the same name replaces."""
    _badges[name] = maker


def register_panel(name: str, maker: PanelMaker) -> None:
    """Add a panel to a capability's overview; the same name replaces."""
    _panels[name] = maker


def badges_of(capability: Capability) -> list[Badge]:
    """What all apps have to say about a capability, in a word each."""
    return [badge for maker in _badges.values() for badge in maker(capability)]


def panels_of(request: HttpRequest, capability: Capability) -> list[Panel]:
    """The panels of all apps."""
    made = [maker(request, capability) for maker in _panels.values()]
    return [panel for panel in made if panel is not None]


@dataclass(frozen=True)
class Preparation:
    """Sample content that is being made: for a card on the store's front page."""

    title: str
    fraction: float | None
    message: str
    failed: bool
    steps: list[tuple[str, str, str]]
    """(what, status word, address) of each part."""


PreparationMaker = Callable[["User"], "Preparation | None"]
_preparation: PreparationMaker | None = None


def register_preparation(maker: PreparationMaker) -> None:
    """Say what the store shows while the sample content is being made; None when nothing is."""
    global _preparation
    _preparation = maker


def preparation(user: User) -> Preparation | None:
    """What is being prepared now; addresses only where this person may look."""
    return _preparation(user) if _preparation else None
