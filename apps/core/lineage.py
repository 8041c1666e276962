"""Where things came from: edges between URNs."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from django.db import models

from apps.core.models import LineageEdge
from apps.core.urns import urn

__all__ = ["downstream", "link", "link_all", "upstream", "urn"]

_DEPTH = 12
_AT_ONCE = 1000


def link(source: models.Model | str, target: models.Model | str, kind: str) -> None:
    """Note that `source` went into `target`, once."""
    LineageEdge.objects.get_or_create(source=urn(source), target=urn(target), kind=kind)


def link_all(sources: Iterable[models.Model | str], target: models.Model | str, kind: str) -> None:
    """Note of many that they went into `target`, each once."""
    edges = (LineageEdge(source=urn(source), target=urn(target), kind=kind) for source in sources)
    while some := list(islice(edges, _AT_ONCE)):
        LineageEdge.objects.bulk_create(some, ignore_conflicts=True)


def upstream(obj: models.Model | str, *, depth: int = _DEPTH) -> list[LineageEdge]:
    """The edges that lead into an object, nearest first."""
    return _walk(urn(obj), "target", "source", depth)


def downstream(obj: models.Model | str, *, depth: int = _DEPTH) -> list[LineageEdge]:
    """The edges that lead out of an object, nearest first."""
    return _walk(urn(obj), "source", "target", depth)


def _walk(start: str, near: str, far: str, depth: int) -> list[LineageEdge]:
    found: list[LineageEdge] = []
    seen, frontier = {start}, {start}
    for _ in range(depth):
        edges = list(LineageEdge.objects.filter(**{f"{near}__in": frontier}).order_by("pk")[:1000])
        found += edges
        frontier = {getattr(edge, far) for edge in edges} - seen
        seen |= frontier
        if not frontier:
            break
    return found
