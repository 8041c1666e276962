"""Requests as a list of tickets: one set of filters for page, REST and download."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.core.errors import Invalid
from apps.core.moments import moment_of
from apps.core.spreadsheets import line
from apps.requests import kinds
from apps.requests.models import Request
from apps.requests.selectors import requests_visible_to, waiting_for

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.accounts.models import User

VIEWS = ("waiting", "mine", "all")
FILTERS = ("kind", "person", "team", "status", "since", "until")
_COLUMNS = (
    *("id", "kind", "title", "status", "asked_by", "team"),
    *("opened", "deadline", "closed", "subject"),
)
_AT_ONCE = 2000


def tickets_of(user: User, view: str, asked: Mapping[str, Any]) -> QuerySet[Request]:
    """What somebody may see, of it what waits for them or what they asked for, and that fits the filters.

    `person` is a part of the name of whoever asked, `since` and `until` say when it was opened: a day, to its end, or
    a moment. Raises Invalid naming the filter that says nothing.
    """
    rows = _SHELVES.get(view, requests_visible_to)(user)
    said = {name: str(asked.get(name) or "").replace("\x00", "").strip()[:200] for name in FILTERS}
    for name, choices in (("kind", dict(kinds.choices())), ("status", dict(Request.Status.choices))):
        if said[name] and said[name] not in choices:
            raise Invalid(
                _("“%(value)s” is none of: %(names)s.")
                % {"value": said[name][:40], "names": ", ".join(choices)},
                fields={name: _("is unknown")},
            )
        rows = rows.filter(**{name: said[name]}) if said[name] else rows
    if said["team"]:
        rows = rows.filter(team__slug=said["team"])
    for word in said["person"].split():
        named = Q(owner__username__icontains=word) | Q(owner__first_name__icontains=word)
        rows = rows.filter(named | Q(owner__last_name__icontains=word))
    if since := moment_of(said, "since", end=False):
        rows = rows.filter(created_at__gte=since)
    if until := moment_of(said, "until", end=True):
        rows = rows.filter(created_at__lt=until)
    return rows.select_related("owner", "team")


def _asked_by(user: User) -> QuerySet[Request]:
    return Request.objects.filter(owner=user)


_SHELVES = {"waiting": waiting_for, "mine": _asked_by, "all": requests_visible_to}


def download(rows: QuerySet[Request]) -> StreamingHttpResponse:
    """All of these tickets as CSV, the oldest first, a few thousand at a time in memory."""
    answer = StreamingHttpResponse(_lines(rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="requests-{timezone.now():%Y%m%d-%H%M}.csv"'
    return answer


def _lines(rows: QuerySet[Request]) -> Iterator[str]:
    yield line(_COLUMNS)
    after = 0
    while part := list(rows.filter(pk__gt=after).order_by("pk")[:_AT_ONCE]):
        after = part[-1].pk
        yield "".join(line(_cells(row)) for row in part)


def _cells(row: Request) -> tuple[object, ...]:
    moments = (row.created_at, row.deadline, row.closed_at)
    return (
        *(row.pk, row.kind, row.title_words, row.status, row.owner.get_username()),
        row.team.slug if row.team else "",
        *(at.isoformat() if at else "" for at in moments),
        row.subject_urn,
    )
