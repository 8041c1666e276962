"""Finding capabilities in the store: words, facets with counts, order. A constant number of queries at any size."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.postgres.search import SearchQuery, SearchRank
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Count, F, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Cast, Coalesce, Lower
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Team
from apps.accounts.policy import is_platform_admin
from apps.accounts.selectors import teams_of
from apps.catalog.models import Capability, Version
from apps.catalog.selectors import listed_capabilities, matching
from apps.core.search import lexemes
from apps.store.models import Subscription

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import User

FACETS = {"domain": _("Domain"), "framework": _("Framework"), "team": _("Team"), "site": _("Site")}
SORTS = {
    "relevance": _("Best match"),
    "newest": _("Newest"),
    "name": _("Name"),
    "popular": _("Most subscribed"),
}
_MOST_OPTIONS = 12
_FACETS_LIVE_S = 15.0
_MOST_REMEMBERED = 256
_remembered: dict[tuple[Any, ...], tuple[float, dict[str, list[Option]]]] = {}


@dataclass(frozen=True)
class Search:
    """What a person looks for. `chosen` maps a facet to the value that was ticked."""

    words: str = ""
    chosen: Mapping[str, str] | None = None
    sort: str = ""

    @property
    def order(self) -> tuple[str, ...]:
        """The keyset of the chosen sort."""
        return {
            "relevance": ("-relevance", "pk"),
            "newest": ("-published_at", "-pk"),
            "name": ("folded", "pk"),
            "popular": ("-subscribers", "-pk"),
        }[self.sorted_by]

    @property
    def sorted_by(self) -> str:
        """The sort that applies: by match when there are words, else the newest first."""
        words = bool(lexemes(self.words))
        if self.sort in SORTS and (self.sort != "relevance" or words):
            return self.sort
        return "relevance" if words else "newest"


@dataclass(frozen=True)
class Option:
    """One value of a facet, with how many capabilities it would leave."""

    value: str
    label: str
    count: int


def _query(words: str) -> SearchQuery:
    parts = [f"'{lexeme}':*" for lexeme in lexemes(words)]
    return SearchQuery(" & ".join(parts), search_type="raw", config="simple")


def listed_for(user: User | AnonymousUser) -> QuerySet[Capability]:
    """What the store shows a person: published or deprecated, and visible to them."""
    return listed_capabilities(user).filter(published_at__isnull=False)


def find(user: User | AnonymousUser, search: Search) -> QuerySet[Capability]:
    """The capabilities that match, with what `search.order` needs. Not ordered yet: paging does that."""
    found = listed_for(user).select_related("team__site").defer("card", "text")
    for facet, value in (search.chosen or {}).items():
        found = _narrow(found, facet, value)
    found = matching(found, search.words)
    if search.sorted_by == "relevance":
        rank = Cast(SearchRank(F("text"), _query(search.words)) * 1_000_000, IntegerField())
        return found.annotate(relevance=rank)
    if search.sorted_by == "name":
        return found.annotate(folded=Lower("name"))
    if search.sorted_by == "popular":
        return found.annotate(subscribers=_subscribers())
    return found


def _subscribers() -> Coalesce:
    counted = (
        Subscription.objects.filter(capability=OuterRef("pk"), status=Subscription.Status.GRANTED)
        .order_by()
        .values("capability")
        .annotate(n=Count("pk"))
        .values("n")
    )
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def _newest(field: str) -> Subquery:
    versions = Version.objects.filter(capability=OuterRef("pk"), status=Version.Status.PACKAGED)
    return Subquery(versions.order_by("-packaged_at", "-pk").values(field)[:1])


def _narrow(found: QuerySet[Capability], facet: str, value: str) -> QuerySet[Capability]:
    if facet == "domain":
        return found.filter(domain=value)
    if facet == "team":
        return found.filter(team__slug=value)
    if facet == "site":
        return found.filter(team__site__slug=value)
    if facet == "framework":
        return found.annotate(framework=_newest("framework")).filter(framework=value)
    return found


def facets(user: User | AnonymousUser, search: Search) -> dict[str, list[Option]]:
    """For each facet its values with counts, under the words and the other facets' choices. One query.

    Counts are remembered for some seconds: they orient, the list itself is always fresh.
    """
    chosen = dict(search.chosen or {})
    mine = frozenset() if is_platform_admin(user) else frozenset(teams_of(user).values_list("pk", flat=True))
    key = (is_platform_admin(user), mine, tuple(lexemes(search.words)), tuple(sorted(chosen.items())))
    now = time.monotonic()
    known = _remembered.get(key)
    if known is not None and now - known[0] < _FACETS_LIVE_S:
        return known[1]
    counted = _count(user, search.words, chosen)
    if len(_remembered) >= _MOST_REMEMBERED:
        _remembered.clear()
    _remembered[key] = (now, counted)
    return counted


def forget() -> None:
    """Count anew at the next look."""
    _remembered.clear()


_COLUMNS = {"domain": "domain", "framework": "framework", "team": "team", "site": "site"}


def _count(user: User | AnonymousUser, words: str, chosen: Mapping[str, str]) -> dict[str, list[Option]]:
    rows = matching(listed_for(user).select_related(None).order_by(), words)
    values = rows.values_list("domain", "team__slug", "team__site__slug", _newest("framework"))
    try:
        inner, parameters = values.query.sql_with_params()
    except EmptyResultSet:
        return {facet: [] for facet in FACETS}
    parts, arguments = [], list(parameters)
    for facet in FACETS:
        others = {name: value for name, value in chosen.items() if name != facet and name in _COLUMNS}
        where = "".join(f" AND {_COLUMNS[name]} = %s" for name in others)
        column = _COLUMNS[facet]
        parts.append(
            f"SELECT '{facet}', {column}, count(*) FROM base WHERE {column} <> ''{where} GROUP BY 2"  # noqa: S608
        )
        arguments += others.values()
    sql = f"WITH base(domain, team, site, framework) AS MATERIALIZED ({inner}) " + " UNION ALL ".join(parts)
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        return _options(cursor.fetchall(), chosen)


def _options(rows: list[tuple[str, str, int]], chosen: Mapping[str, str]) -> dict[str, list[Option]]:
    names = _names({value for facet, value, _n in rows if facet in {"team", "site"}})
    found: dict[str, list[Option]] = {facet: [] for facet in FACETS}
    for facet, value, count in rows:
        label = names.get((facet, value), value)
        found[facet].append(Option(value, label, count))
    for facet, options in found.items():
        options.sort(key=lambda option: (option.value != chosen.get(facet), -option.count, option.label))
        del options[_MOST_OPTIONS:]
    return found


def _names(slugs: set[str]) -> dict[tuple[str, str], str]:
    names: dict[tuple[str, str], str] = {}
    for team in Team.objects.select_related("site").filter(Q(slug__in=slugs) | Q(site__slug__in=slugs)):
        names["team", team.slug] = team.name
        names["site", team.site.slug] = team.site.name
    return names
