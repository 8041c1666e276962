"""Which calls somebody asks for, from a page's or an API's query."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from apps.core.errors import Invalid
from apps.gateway.models import Outcome

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.catalog.models import Capability
    from apps.gateway.models import Call

SPANS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
OUTCOMES = ("answered", "failed", "complained")


def narrowed(
    rows: QuerySet[Call], asked: Mapping[str, str], capabilities: QuerySet[Capability]
) -> QuerySet[Call]:
    """The calls that `capability`, `version`, `outcome`, `since`, `from`, `until` and `score_below` leave.

    `since` is a span back from now; `from` and `until` are moments in ISO 8601. Raises Invalid.
    """
    if slug := asked.get("capability"):
        named = capabilities.filter(slug=slug).values_list("pk", flat=True).first()
        rows = rows.filter(capability_id=named or 0)
    if version := asked.get("version"):
        rows = rows.filter(version=version)
    if span := asked.get("since"):
        if span not in SPANS:
            raise Invalid(_("since is “%(value)s”; use hour, day or week.") % {"value": span})
        rows = rows.filter(at__gte=timezone.now() - SPANS[span])
    for name, lookup in (("from", "at__gte"), ("until", "at__lt")):
        if moment := asked.get(name):
            rows = rows.filter(**{lookup: _moment(name, moment)})
    if below := asked.get("score_below"):
        try:
            rows = rows.filter(score__lt=float(below))
        except ValueError as error:
            raise Invalid(_("score_below is “%(value)s”; it must be a number.") % {"value": below}) from error
    return _with_outcome(rows, asked.get("outcome", ""))


def _moment(name: str, text: str) -> datetime:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise Invalid(
            _("%(name)s is “%(value)s”; it must be a moment like 2026-01-31T12:00:00Z.")
            % {"name": name, "value": text[:50]}
        )
    return moment if moment.tzinfo else timezone.make_aware(moment)


def _with_outcome(rows: QuerySet[Call], outcome: str) -> QuerySet[Call]:
    if not outcome:
        return rows
    if outcome not in OUTCOMES:
        raise Invalid(
            _("outcome is “%(value)s”; use answered, failed or complained.") % {"value": outcome[:50]}
        )
    if outcome == "complained":
        return rows.filter(request_id__in=Outcome.objects.filter(correct=False).values("request_id"))
    return rows.filter(Q(status__lt=400) if outcome == "answered" else Q(status__gte=400))
