"""What a URN is called, and where its page is, for a reader. Apps register how their rows are named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.core import lineage

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser
    from django.db.models import QuerySet
    from django.utils.functional import Promise

    from apps.accounts.models import User

    Resolver = Callable[[Collection[int], User | AnonymousUser], Mapping[int, tuple[str, str]]]

MOST_EDGES = 50
_KINDS = {
    "chose": gettext_lazy("chose calls for"),
    "decided": gettext_lazy("decided labels of"),
    "evaluated": gettext_lazy("evaluated in"),
    "evaluated on": gettext_lazy("evaluated on"),
    "evidence": gettext_lazy("evidence for"),
    "labelled": gettext_lazy("labelled for"),
    "labels": gettext_lazy("labelled into"),
    "made": gettext_lazy("made"),
    "member of": gettext_lazy("member of"),
    "next version": gettext_lazy("next version"),
    "packaged": gettext_lazy("packaged"),
    "quantised": gettext_lazy("quantised to"),
    "released by": gettext_lazy("released by"),
    "reported": gettext_lazy("reported in"),
    "trained on": gettext_lazy("taught"),
    "went into": gettext_lazy("went into"),
}
_resolvers: dict[str, tuple[str | Promise, Resolver]] = {}


@dataclass(frozen=True, slots=True)
class Named:
    """A thing as a person reads it. `url` is empty where the person may not open it, or it has no page."""

    urn: str
    kind: str
    label: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """An edge of the lineage, both ends named."""

    source: Named
    target: Named
    kind: str


def register(model: str, kind: str | Promise, resolve: Resolver) -> None:
    """Let `resolve(pks, user)` name rows of a model such as `datasets.datasetversion`: {pk: (label, url)} of those
    that the person may see. Called in `ready()`."""
    _resolvers[model] = (kind, resolve)


def register_rows(
    model: str, kind: str | Promise, visible_to: Callable[[Any], QuerySet[Any]], page: str
) -> None:
    """The same for rows that are called by `str` and whose page `page` takes their key."""

    def resolve(pks: Collection[int], user: User | AnonymousUser) -> dict[int, tuple[str, str]]:
        rows = visible_to(user).filter(pk__in=pks) if user.is_authenticated else ()
        return {row.pk: (str(row), reverse(page, args=[row.pk])) for row in rows}

    register(model, kind, resolve)


def names_of(urns: Iterable[str], user: User | AnonymousUser) -> dict[str, Named]:
    """Each URN's name, with one question per kind of thing."""
    wanted: dict[str, dict[int, str]] = defaultdict(dict)
    found: dict[str, Named] = {}
    for urn in urns:
        _scheme, _colon, rest = urn.partition(":")
        model, _colon, key = rest.rpartition(":")
        if model in _resolvers and key.isdecimal():
            wanted[model][int(key)] = urn
        else:
            found[urn] = Named(urn, "", urn)
    for model, rows in wanted.items():
        kind, resolve = _resolvers[model]
        named = resolve(rows.keys(), user)
        for pk, urn in rows.items():
            label, url = named.get(pk, (_("number %(pk)s, which you may not see") % {"pk": pk}, ""))
            found[urn] = Named(urn, str(kind), label, url)
    return found


def lineage_of(obj: Any, user: User | AnonymousUser) -> dict[str, list[Link]]:
    """The edges that lead into a row and out of it, nearest first, for the fragment `core/_lineage.html`."""
    edges = {
        "upstream": lineage.upstream(obj)[:MOST_EDGES],
        "downstream": lineage.downstream(obj)[:MOST_EDGES],
    }
    ends = {end for found in edges.values() for edge in found for end in (edge.source, edge.target)}
    named = names_of(ends, user)
    return {
        way: [
            Link(named[edge.source], named[edge.target], str(_KINDS.get(edge.kind, edge.kind)))
            for edge in found
        ]
        for way, found in edges.items()
    }
