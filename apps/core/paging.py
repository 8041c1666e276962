"""Keyset paging: a page is the rows after a position, so that page 1,000 costs as much as page 1."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

from apps.core.errors import Invalid

M = TypeVar("M", bound=Model)
LARGEST_PAGE = 200


@dataclass(frozen=True)
class Page(Generic[M]):
    """Rows of one page, and the cursors of its neighbours (empty when there are none)."""

    items: list[M]
    next_cursor: str
    previous_cursor: str


def _encode(backwards: bool, values: list[Any]) -> str:
    return (
        base64.urlsafe_b64encode(json.dumps([int(backwards), values], default=str).encode())
        .decode()
        .rstrip("=")
    )


def _decode(cursor: str, length: int) -> tuple[bool, list[Any]]:
    try:
        backwards, values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if len(values) != length:
            raise ValueError
    except (ValueError, TypeError) as error:
        raise Invalid(_("This page address is damaged. Start again from the first page.")) from error
    return bool(backwards), values


def _after(fields: list[str], values: list[Any], backwards: bool) -> Q:
    """Rows strictly beyond the position, in lexicographic order of the fields.

    That the first field is not before it follows, and is said too: an index then starts there.
    """
    condition = Q()
    for index, field in enumerate(fields):
        descending = field.startswith("-") != backwards
        step = Q(**{f"{field.lstrip('-')}__{'lt' if descending else 'gt'}": values[index]})
        for before, value in zip(fields[:index], values[:index], strict=True):
            step &= Q(**{before.lstrip("-"): value})
        condition |= step
    first = fields[0].lstrip("-")
    beyond = "lte" if fields[0].startswith("-") != backwards else "gte"
    return Q(**{f"{first}__{beyond}": values[0]}) & condition if len(fields) > 1 else condition


def _position(item: Model, fields: list[str]) -> list[Any]:
    values = []
    for field in fields:
        value: Any = item
        for part in field.lstrip("-").split("__"):
            value = getattr(value, part)
        values.append(value)
    return values


def _flip(fields: list[str]) -> list[str]:
    return [field[1:] if field.startswith("-") else f"-{field}" for field in fields]


def keyset(
    queryset: QuerySet[M], order: tuple[str, ...], cursor: str = "", size: int = 25, *, wide: bool = False
) -> Page[M]:
    """One page of a queryset in the order of non-null fields, the last of which is unique.

    With `wide` the rows of the page are found by their keys alone, which an index holds, and only those are read
    whole: for tables with long texts that are sorted by something computed. That takes two queries, since a planner
    that is given both in one may well read the table instead.

    `cursor` is one of a former page's cursors. Raises Invalid for a damaged one.
    """
    fields, size = list(order), max(1, min(size, LARGEST_PAGE))
    backwards, rows = False, queryset
    if cursor:
        backwards, values = _decode(cursor, len(fields))
        try:
            rows = rows.filter(_after(fields, values, backwards))
        except (ValueError, TypeError) as error:
            raise Invalid(_("This page address is damaged. Start again from the first page.")) from error
    ordered = rows.order_by(*(_flip(fields) if backwards else fields))
    if wide:
        keys = list(ordered.select_related(None).values_list("pk", flat=True)[: size + 1])
        ordered = queryset.filter(pk__in=keys).order_by(*ordered.query.order_by)
    found = list(ordered[: size + 1])
    more, items = len(found) > size, found[:size]
    if backwards:
        items.reverse()
    has_next, has_previous = (bool(items), more) if backwards else (more, bool(cursor) and bool(items))
    return Page(
        items,
        _encode(False, _position(items[-1], fields)) if has_next and items else "",
        _encode(True, _position(items[0], fields)) if has_previous and items else "",
    )
