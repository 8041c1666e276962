"""The store's front page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import User
from apps.accounts.services import remember_look
from apps.catalog.models import Capability
from apps.core import fragments
from apps.core.paging import keyset
from apps.store import panels, selectors
from apps.store.glyphs import glyph_of
from apps.store.models import Standing
from apps.store.search import FACETS, SORTS, Option, facets, find, search_of
from apps.store.standing import badges_shown

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

_PAGE = 24
_SHOWN_OPTIONS = 8
_ON_CARDS = ("signed",)
_LIST = "store"
LOOKS = {"grid": ("layout-grid", _("As cards")), "table": ("list-details", _("As a table"))}


@dataclass(frozen=True)
class Face:
    """All that a card of the grid shows."""

    slug: str
    name: str
    summary: str
    domain: str
    glyph: str
    deprecated: bool
    answering: bool
    badges: tuple[panels.Badge, ...]
    team: str
    site: str
    number: str
    rating: float
    reviews: int
    subscribers: int


@dataclass(frozen=True)
class Card:
    """One capability in the grid, or a row of the table."""

    capability: Capability
    version: selectors.Shown | None
    answering: bool
    standing: Standing | None
    badges: list[panels.Badge]

    @property
    def drawn(self) -> SafeString:
        """The card of the grid."""
        capability, standing = self.capability, self.standing or Standing()
        face = Face(
            slug=capability.slug,
            name=capability.name,
            summary=capability.summary,
            domain=capability.domain,
            glyph=glyph_of(capability),
            deprecated=capability.status == Capability.Status.DEPRECATED,
            answering=self.answering,
            badges=tuple(self.badges),
            team=capability.team.name,
            site=capability.team.site.name,
            number=self.version.number if self.version else "",
            rating=standing.rating,
            reviews=standing.reviews,
            subscribers=standing.subscribers,
        )
        return fragments.render("store/_card.html", card=face)


@dataclass(frozen=True)
class Facet:
    """One group of filters; beyond the first few values wait to be opened."""

    name: str
    title: str
    options: tuple[Option, ...]
    chosen: str

    @property
    def more(self) -> int:
        """How many values are behind “more”."""
        return max(0, len(self.options) - _SHOWN_OPTIONS)


@dataclass(frozen=True)
class Column:
    """A heading of the table; one that the list can be sorted by names that order."""

    title: StrPromise
    sort: str = ""
    numeric: bool = False

    @property
    def arrow(self) -> str:
        """The icon that tells the direction."""
        return "arrow-up" if self.sort == "name" else "arrow-down"


COLUMNS = (
    Column(_("Name"), "name"),
    Column(_("Domain")),
    Column(_("Team")),
    Column(_("Version")),
    Column(_("Rating"), "rating", numeric=True),
    Column(_("Calls"), "used", numeric=True),
    Column(_("Answered"), numeric=True),
    Column(_("Teams"), "popular", numeric=True),
    Column(_("Published"), "newest"),
)


@require_safe
@login_required
def list_capabilities(request: HttpRequest) -> HttpResponse:
    """Find a capability: words, facets, order, as cards or as a table. htmx swaps the results alone."""
    user = cast("User", request.user)
    search = search_of(request.GET)
    page = keyset(find(user, search), search.order, request.GET.get("cursor", ""), _PAGE, wide=True)
    counted = facets(user, search)
    chosen = dict(search.chosen or {})
    context = {
        "search": search,
        "page": page,
        "cards": _cards(page.items),
        "facets": fragments.render("store/_facets.html", facets=_facets(counted, chosen)),
        "chosen": [
            (FACETS[name], _label(counted[name], value), _without(request, name))
            for name, value in chosen.items()
        ],
        "sorts": [(name, title) for name, title in SORTS.items() if name != "relevance" or search.words],
        "look": look_of(user),
        "columns": COLUMNS,
        "looks": [(name, icon, title) for name, (icon, title) in LOOKS.items()],
        "preparation": panels.preparation(user),
    }
    fragment = request.headers.get("HX-Target") == "results"
    return render(request, "store/_results.html" if fragment else "store/list.html", context)


def _facets(counted: dict[str, list[Option]], chosen: dict[str, str]) -> tuple[Facet, ...]:
    named = ((name, str(title), tuple(counted[name])) for name, title in FACETS.items())
    return tuple(
        Facet(name, title, options, chosen.get(name, "")) for name, title, options in named if options
    )


def look_of(user: User) -> str:
    """How a person looks at the store: `grid` or `table`."""
    look = user.looks.get(_LIST)
    return look if look in LOOKS else "grid"


@require_POST
@login_required
def look(request: HttpRequest) -> HttpResponse:
    """Look at the store as cards or as a table from now on, and go on where one was."""
    if request.POST.get("look") in LOOKS:
        remember_look(cast("User", request.user), _LIST, request.POST["look"])
    query = QueryDict(request.POST.get("query", "")).urlencode()
    response = redirect(reverse("store:list") + (f"?{query}" if query else ""))
    response.status_code = 303
    return response


def _label(options: list[Option], value: str) -> str:
    return next((option.label for option in options if option.value == value), value)


def _without(request: HttpRequest, name: str) -> str:
    """The address of this search without one of its filters."""
    query = request.GET.copy()
    query.pop(name, None)
    query.pop("cursor", None)
    return f"?{query.urlencode()}"


def _cards(capabilities: list[Capability]) -> list[Card]:
    answering = selectors.answering_on_cards(capabilities)
    newest = selectors.newest_on_cards(capabilities)
    return [_card(each, answering, newest) for each in capabilities]


def _card(
    capability: Capability, answering: dict[int, selectors.Shown], newest: dict[int, selectors.Shown]
) -> Card:
    version = answering.get(capability.pk) or newest.get(capability.pk)
    standing = getattr(capability, "standing", None)
    return Card(capability, version, capability.pk in answering, standing, badges_shown(standing, _ON_CARDS))


@require_safe
@login_required
def preparation(request: HttpRequest) -> HttpResponse:
    """The card about sample content that is being made; empty, with a reload, when all of it is there."""
    prepared = panels.preparation(cast("User", request.user))
    if prepared is None:
        response = HttpResponse("")
        response["HX-Refresh"] = "true"
        return response
    return render(request, "store/_preparation.html", {"preparation": prepared})
