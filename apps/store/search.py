"""Finding capabilities in the store: words, facets with counts, order. A constant number of queries at any size."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.postgres.search import SearchQuery, SearchRank
from django.core.cache import caches
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import F, IntegerField, Q, QuerySet
from django.db.models.functions import Cast, Coalesce, Lower
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Team
from apps.accounts.policy import is_platform_admin, team_ids_of
from apps.catalog.models import Capability
from apps.catalog.selectors import listed_capabilities, matching
from apps.core.search import lexemes
from apps.store.models import Follow
from apps.store.standing import BADGES, DATA_TYPES

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import User

FACETS = {
    "domain": _("Domain"),
    "badge": _("Badge"),
    "data": _("Reads"),
    "framework": _("Framework"),
    "licence": _("Licence"),
    "team": _("Team"),
    "site": _("Site"),
}
SORTS = {
    "relevance": _("Best match"),
    "newest": _("Newest"),
    "rating": _("Best rated"),
    "used": _("Most called"),
    "popular": _("Most subscribed"),
    "name": _("Name"),
}
_MOST_OPTIONS = 60
_LONGEST_QUERY = 200
_FACETS_LIVE_S = 15.0
_MOST_REMEMBERED = 256
_SIMILAR_LIVE_S = 600
_MOST_CLOSE = 40
"""Of which a person may see some."""
_WORDS: dict[str, Mapping[str, Any]] = {"badge": BADGES, "data": DATA_TYPES}
_remembered: dict[tuple[Any, ...], tuple[float, dict[str, list[Option]]]] = {}


@dataclass(frozen=True)
class Search:
    """What a person looks for. `chosen` maps a facet to the value that was ticked."""

    words: str = ""
    chosen: Mapping[str, str] | None = None
    sort: str = ""
    followed: bool = False

    @property
    def order(self) -> tuple[str, ...]:
        """The keyset of the chosen sort."""
        return {
            "relevance": ("-relevance", "pk"),
            "newest": ("-published_at", "-pk"),
            "name": ("folded", "pk"),
            "popular": ("-subscribers", "-pk"),
            "used": ("-calls", "-pk"),
            "rating": ("-rating", "-reviewers", "-pk"),
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
    """One value of a facet, with how many capabilities it would leave. A word of ours is translated when shown."""

    value: str
    label: Any
    count: int


def search_of(asked: Mapping[str, Any]) -> Search:
    """What a query string looks for; unknown words are left out."""
    values = {name: str(value).replace("\x00", "").strip() for name, value in asked.items()}
    chosen = {name: values[name][:100] for name in FACETS if values.get(name)}
    return Search(
        values.get("q", "")[:_LONGEST_QUERY],
        chosen,
        values.get("sort", ""),
        values.get("followed") in {"1", "true"},
    )


def _query(words: str) -> SearchQuery:
    parts = [f"'{lexeme}':*" for lexeme in lexemes(words)]
    return SearchQuery(" & ".join(parts), search_type="raw", config="simple")


def listed_for(user: User | AnonymousUser) -> QuerySet[Capability]:
    """What the store shows a person: published or deprecated, and visible to them."""
    return listed_capabilities(user).filter(published_at__isnull=False)


def find(user: User | AnonymousUser, search: Search) -> QuerySet[Capability]:
    """The capabilities that match, with what `search.order` needs. Not ordered yet: paging does that.

    A match counts by where the words stand in the name, tags, summary and signature; one in the card alone comes last.
    """
    found = listed_for(user).select_related("team__site", "standing").defer("card", "text", "headline")
    for facet, value in (search.chosen or {}).items():
        found = _narrow(found, facet, value)
    found = matching(found, search.words)
    if search.followed:
        mine = Follow.objects.filter(user=user.pk)
        found = found.filter(Q(pk__in=mine.values("capability")) | Q(team__in=mine.values("team")))
    if search.sorted_by == "relevance":
        rank = Cast(SearchRank(F("headline"), _query(search.words)) * 1_000_000, IntegerField())
        return found.annotate(relevance=rank)
    if search.sorted_by == "name":
        return found.annotate(folded=Lower("name"))
    if search.sorted_by == "popular":
        return found.annotate(subscribers=_standing("subscribers"))
    if search.sorted_by == "used":
        return found.annotate(calls=_standing("calls"))
    if search.sorted_by == "rating":
        return found.annotate(rating=_standing("rating", 0.0), reviewers=_standing("reviews"))
    return found


def _standing(field: str, nothing: float = 0) -> Coalesce:
    return Coalesce(f"standing__{field}", nothing)


def similar_to(capability: Capability, user: User, most: int = 4) -> list[Capability]:
    """Other capabilities that share words of the name, tags, domain and summary, the closest first.

    Which are close is remembered for some minutes, whoever asked; what a person may see is always fresh.
    """
    key = f"similar:{capability.pk}:{capability.changed_at.timestamp()}"
    close: list[int] = caches["process"].get_or_set(key, lambda: _closest(capability), _SIMILAR_LIVE_S) or []
    visible = set(listed_for(user).filter(pk__in=close).order_by().values_list("pk", flat=True))
    nearest = [pk for pk in close if pk in visible][:most]
    found = Capability.objects.filter(pk__in=nearest).select_related("team__site", "standing")
    return sorted(found.defer("card", "text", "headline"), key=lambda each: nearest.index(each.pk))


def _closest(capability: Capability) -> list[int]:
    about = f"{capability.name} {' '.join(capability.tags)} {capability.domain} {capability.summary}"
    words = [word for word in dict.fromkeys(lexemes(about)) if len(word) > 3 or not word.isascii()][:24]
    if not words:
        return []
    query = SearchQuery(" | ".join(f"'{word}'" for word in words), search_type="raw", config="simple")
    found = Capability.objects.filter(published_at__isnull=False, headline=query).exclude(pk=capability.pk)
    ranked = found.annotate(closeness=SearchRank(F("headline"), query)).order_by("-closeness", "-pk")
    return list(ranked.values_list("pk", flat=True)[:_MOST_CLOSE])


_LOOKUPS = {
    "domain": "domain",
    "team": "team__slug",
    "site": "team__site__slug",
    "framework": "standing__framework",
    "licence": "standing__licence",
    "badge": "standing__badges__contains",
    "data": "standing__data_types__contains",
}
_SEVERAL = frozenset({"badge", "data"})
"""Facets of which a capability has several values at once."""
_BASE = {
    "domain": "domain",
    "team": "team_id",
    "framework": "standing__framework",
    "licence": "standing__licence",
    "badge": "standing__badges",
    "data": "standing__data_types",
}
"""What is counted: {column: field}. Teams by their key, which says the site as well; both are named afterwards."""
_TOGETHER = (("domain",), ("team", "site"), ("framework", "licence", "badge", "data"))
"""Facets that are counted in one set: for those of the last one there are few combinations."""
_CHOICES = {
    "team": "team IN (SELECT id FROM accounts_team WHERE slug = %s)",
    "site": "team IN (SELECT t.id FROM accounts_team t JOIN accounts_site s ON s.id = t.site_id WHERE s.slug = %s)",
    "badge": "%s = ANY(badge)",
    "data": "%s = ANY(data)",
}


def _narrow(found: QuerySet[Capability], facet: str, value: str) -> QuerySet[Capability]:
    return found.filter(**{_LOOKUPS[facet]: [value] if facet in _SEVERAL else value})


def facets(user: User | AnonymousUser, search: Search) -> dict[str, list[Option]]:
    """For each facet its values with counts, under the words and the other facets' choices. One query.

    Counts are remembered for some seconds: they orient, the list itself is always fresh.
    """
    chosen = dict(search.chosen or {})
    mine = frozenset() if is_platform_admin(user) else frozenset(team_ids_of(user))
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


def _count(user: User | AnonymousUser, words: str, chosen: Mapping[str, str]) -> dict[str, list[Option]]:
    rows = matching(listed_for(user).select_related(None).order_by(), words)
    try:
        inner, parameters = rows.values_list(*_BASE.values()).query.sql_with_params()
    except EmptyResultSet:
        return {facet: [] for facet in FACETS}
    parts, arguments = [], list(parameters)
    # A facet's own choice does not narrow it, so that one can choose again; all others are counted in one pass.
    for counted in ([f for f in FACETS if f not in chosen], *([f] for f in chosen)):
        if counted:
            others = {name: value for name, value in chosen.items() if name not in counted}
            parts.append(_counting(counted, list(others)))
            arguments += others.values()
    sql = f"WITH base({', '.join(_BASE)}) AS ({inner}) " + " UNION ALL ".join(parts)
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        return _options(_by_value(cursor.fetchall()), chosen)


def _counting(facets: list[str], others: list[str]) -> str:
    """SQL for rows of a value (or NULL) for each facet and their count, under a choice of each of the `others`."""
    columns = [_column(facet) if facet in facets else f"NULL::{_type(facet)}" for facet in FACETS]
    counted = [[_column(facet) for facet in each if facet in facets] for each in _TOGETHER]
    sets = ", ".join(f"({', '.join(dict.fromkeys(each))})" for each in counted if each)
    where = " AND ".join(_CHOICES.get(name, f"{name} = %s") for name in others)
    return (
        f"SELECT {', '.join(columns)}, count(*) FROM base"  # noqa: S608
        f"{f' WHERE {where}' if where else ''} GROUP BY GROUPING SETS ({sets})"
    )


def _column(facet: str) -> str:
    return "team" if facet == "site" else facet


def _type(facet: str) -> str:
    return "bigint" if _column(facet) == "team" else "text[]" if facet in _SEVERAL else "text"


def _by_value(rows: list[tuple[Any, ...]]) -> Counter[tuple[str, Any]]:
    """{(facet, value): count}, each of several values on its own; teams and sites by the team's key."""
    counts: Counter[tuple[str, Any]] = Counter()
    for *values, count in rows:
        for facet, found in zip(FACETS, values, strict=True):
            for value in (found or ()) if facet in _SEVERAL else (found,):
                if value:
                    counts[facet, value] += count
    return counts


def _options(counts: Counter[tuple[str, Any]], chosen: Mapping[str, str]) -> dict[str, list[Option]]:
    labels: dict[tuple[str, str], Any] = {
        (facet, word): label for facet, words in _WORDS.items() for word, label in words.items()
    }
    found: dict[str, list[Option]] = {facet: [] for facet in FACETS}
    for (facet, value), count in _named(counts, labels).items():
        found[facet].append(Option(value, labels.get((facet, value), value), count))
    for facet, options in found.items():
        options.sort(key=lambda option: (option.value != chosen.get(facet), -option.count, str(option.label)))
        del options[_MOST_OPTIONS:]
    return found


def _named(counts: Counter[tuple[str, Any]], labels: dict[tuple[str, str], Any]) -> Counter[tuple[str, str]]:
    """The counts with teams and sites by their short names, whose `labels` it adds."""
    keys = {value for facet, value in counts if _column(facet) == "team"}
    teams = {team.pk: team for team in Team.objects.select_related("site").filter(pk__in=keys)}
    named: Counter[tuple[str, str]] = Counter()
    for (facet, value), count in counts.items():
        if _column(facet) != "team":
            named[facet, value] += count
        elif value in teams:
            place = teams[value] if facet == "team" else teams[value].site
            named[facet, place.slug] += count
            labels[facet, place.slug] = place.name
    return named
