"""What apps above the store add to its pages: a capability's panels, a subscription's links.

They register in their `ready()`; the store knows nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.http import HttpRequest

    from apps.accounts.models import User
    from apps.catalog.models import Capability, Version
    from apps.store.models import Subscription


@dataclass(frozen=True)
class Badge:
    """A word with a tone (good, busy, wait, bad, idle), an icon and a sentence that explains it."""

    label: str
    tone: str = "idle"
    icon: str = "point"
    title: str = ""


@dataclass(frozen=True)
class Panel:
    """A card above the overview: a title and the rendered content."""

    title: str
    html: str


@dataclass(frozen=True)
class Link:
    """A button that leads to a page of another app."""

    label: str
    url: str
    icon: str


PanelMaker = Callable[["HttpRequest", "Capability"], "Panel | None"]
LinkMaker = Callable[["Subscription"], Link]
_panels: dict[str, PanelMaker] = {}
_subscription_links: dict[str, LinkMaker] = {}


def register_panel(name: str, maker: PanelMaker) -> None:
    """Add a panel to a capability's overview; the same name replaces."""
    _panels[name] = maker


def register_subscription_link(name: str, maker: LinkMaker) -> None:
    """Add a link to the pages of subscriptions; the same name replaces."""
    _subscription_links[name] = maker


def links_of(subscription: Subscription) -> list[Link]:
    """Where else there is something about a subscription."""
    return [maker(subscription) for maker in _subscription_links.values()]


def panels_of(request: HttpRequest, capability: Capability) -> list[Panel]:
    """The panels of all apps."""
    made = [maker(request, capability) for maker in _panels.values()]
    return [panel for panel in made if panel is not None]


@dataclass(frozen=True)
class Signed:
    """One person's signature under the report of a version."""

    name: str
    role: str
    at: datetime


@dataclass(frozen=True)
class SignedReport:
    """The evaluation report that was signed for a version, by whom, and under which content digest."""

    report_id: int
    content_digest: str
    signatures: list[Signed]


SignedVersions = Callable[["Iterable[int]"], "set[int]"]
ReportFinder = Callable[["Version"], "SignedReport | None"]
_signed_versions: SignedVersions | None = None
_report_finder: ReportFinder | None = None


def register_sign_off(versions: SignedVersions, report: ReportFinder) -> None:
    """Tell which of many versions, by their ids, carry a valid signature, and on which report one does."""
    global _signed_versions, _report_finder
    _signed_versions, _report_finder = versions, report


def signed_versions(versions: Iterable[int]) -> set[int]:
    """Those of the versions, by their ids, whose signature is valid now; none where nobody signs."""
    return _signed_versions(versions) if _signed_versions else set()


def signed_report(version: Version) -> SignedReport | None:
    """The report that was signed for a version."""
    return _report_finder(version) if _report_finder else None


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
