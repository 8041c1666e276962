"""Which calls somebody asks for, from a page's or an API's query."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from apps.core.errors import Invalid
from apps.gateway.models import Grant, Outcome
from apps.instances.models import Deployment

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.catalog.models import Capability
    from apps.gateway.models import Call

SPANS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
OUTCOMES = ("answered", "failed", "complained")
FEEDBACK = ("right", "wrong", "none")
FILTERS = ("version", "outcome", "since", "site", "subscriber", "feedback", "score_from", "score_below")
"""What a list and an export can be narrowed by, beside the capability and a condition."""
LONGEST = 200
"""Of what a filter names, in characters."""


def narrowed(
    rows: QuerySet[Call], asked: Mapping[str, str], capabilities: QuerySet[Capability]
) -> QuerySet[Call]:
    """The calls that `capability`, `from`, `until` and the FILTERS leave.

    `since` is a span back from now; `from` and `until` are moments in ISO 8601; `site` and `subscriber` are short
    names: of the place that answered, and of the team (or the person) whose key asked. Raises Invalid.
    """
    _require_short(asked)
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
    for name, lookup in (("score_from", "score__gte"), ("score_below", "score__lt")):
        if bound := asked.get(name):
            rows = rows.filter(**{lookup: _number(name, bound)})
    if site := asked.get("site"):
        rows = rows.filter(deployment_id__in=Deployment.objects.filter(site__slug=site).values("pk"))
    if caller := asked.get("subscriber"):
        whose = Q(team__slug=caller) | Q(team=None, user__username=caller)
        keys = Grant.objects.filter(whose).exclude(kind=Grant.Kind.EVALUATION)  # those are the portal's own
        rows = rows.filter(grant_id__in=keys.values("pk"))
    return _with_feedback(_with_outcome(rows, asked.get("outcome", "")), asked.get("feedback", ""))


def _require_short(asked: Mapping[str, str]) -> None:
    for name in ("capability", "from", "until", *FILTERS):
        if len(asked.get(name, "")) > LONGEST:
            words = _("%(name)s is longer than %(most)d characters, so nothing can be called so.")
            raise Invalid(words % {"name": name, "most": LONGEST})


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Invalid(_("%(name)s is “%(value)s”; it must be a number.") % {"name": name, "value": text[:50]})
    return number


def _with_feedback(rows: QuerySet[Call], said: str) -> QuerySet[Call]:
    """Those of which somebody said that they are right, or wrong, or nothing at all."""
    if not said:
        return rows
    if said not in FEEDBACK:
        raise Invalid(_("feedback is “%(value)s”; use right, wrong or none.") % {"value": said[:50]})
    known = Outcome.objects.filter(request_id=OuterRef("request_id"))
    if said == "none":
        return rows.filter(~Exists(known))
    return rows.filter(request_id__in=Outcome.objects.filter(correct=said == "right").values("request_id"))


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
