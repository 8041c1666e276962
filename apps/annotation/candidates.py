"""Which logged calls a rule looks at, as far as the database can tell: in pages, oldest first.

Whether a call is taken is a hash of rule and request id against the share, computed by the database, so that a rule
for a thousandth of a million calls reads a thousand bodies, and a repeated pull takes the same calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import BooleanField, Exists, Max, OuterRef, Q
from django.db.models.expressions import RawSQL
from django.utils import timezone

from apps.annotation.models import Draw, Merged, PullRule, Task
from apps.gateway import late
from apps.gateway.models import Call, Outcome
from apps.gateway.selectors import calls, calls_of_people
from apps.instances.models import Deployment

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

PAGE = 2000
ASKED_AT_ONCE = 50
"""A candidate is asked so many calls before a rule looks at the clock."""
CONTROLS = (PullRule.Kind.RANDOM, PullRule.Kind.STRATIFIED)
OF_COMPLAINTS = (PullRule.Kind.COMPLAINED, PullRule.Kind.CONFIDENT)
_BACK = timedelta(days=7)
OVERLAPPING = timedelta(minutes=2)
_HOUR = timedelta(hours=1)
A_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Candidate:
    """A call, the probability with which it is taken, and the short name of the site that answered."""

    call: Call
    probability: float
    site: str


def pages(rule: PullRule, *, drawn: bool = True, before: datetime | None = None) -> Iterator[list[Candidate]]:
    """The calls since the last pull that may become tasks; all that fit with `drawn=False`, whatever the share.

    With `before` only what was made, or came late, before that moment. A rule for candidates gets what came late
    minute by minute (`late_minutes`), not from here.
    """
    sites = _sites(rule)
    if rule.kind == PullRule.Kind.STRATIFIED:
        found = _of_each_site(rule)
        for at in range(0, len(found), PAGE):
            chances = {pk: chance for pk, _at, chance in found[at : at + PAGE]}
            moments = [moment for _pk, moment, _chance in found[at : at + PAGE]]
            rows = Call.objects.filter(request_id__in=list(chances), at__range=(min(moments), max(moments)))
            yield [
                Candidate(row, chances[row.request_id], sites.get(row.deployment_id or 0) or "")
                for row in rows.order_by("at", "request_id")
            ]
        return
    yield from _paged(rule, _rows(rule, before), sites, drawn=drawn)


def late_minutes(rule: PullRule, before: datetime) -> Iterator[tuple[datetime, Iterator[list[Candidate]]]]:
    """What came late to minutes that a rule for candidates has been through: when that was noted, and the calls.

    In the order of the notes, so that whoever stops goes on from there (`heard_at`, and `heard_to` in the minute noted
    then); a note from `before` on, and one of a minute that is still ahead, is left for later.
    """
    since, sites = since_of(rule), _sites(rule)
    capability, heard, stopped = (
        rule.project.capability,
        rule.heard_at or since,
        (rule.heard_at, rule.heard_to),
    )
    while notes := late.minutes(capability.pk, heard, _earliest(rule), before, until=since):
        for begin, end, noted in notes:
            at, to = stopped
            start = max(begin, to) if to is not None and noted == at else begin
            rows = calls_of_people(capability=capability, failed=False).filter(digested=True)
            yield noted, _paged(rule, _unseen(rule, rows.filter(at__gte=start, at__lt=end)), sites)
            heard = noted + A_MOMENT


def _sites(rule: PullRule) -> dict[int, str | None]:
    rows = Deployment.objects.filter(capability=rule.project.capability)
    return dict(rows.values_list("pk", "site__slug"))


def _paged(
    rule: PullRule, rows: QuerySet[Call], sites: dict[int, str | None], *, drawn: bool = True
) -> Iterator[list[Candidate]]:
    if drawn and rule.share < 1:
        rows = rows.filter(_drawn(rule))
    last: Call | None = None
    size = ASKED_AT_ONCE if rule.kind == PullRule.Kind.CANDIDATE else PAGE
    while True:
        after = rows if last is None else rows.filter(
            Q(at__gt=last.at) | Q(at=last.at, request_id__gt=last.request_id), at__gte=last.at
        )  # fmt: skip
        page = list(after.order_by("at", "request_id")[:size])
        if page:
            yield [Candidate(row, rule.share, sites.get(row.deployment_id or 0) or "") for row in page]
        if len(page) < size:
            return
        last = page[-1]


def _rows(rule: PullRule, before: datetime | None) -> QuerySet[Call]:
    since, capability = since_of(rule), rule.project.capability
    # What the portal asks by itself says nothing of the calls that people make.
    looked_at = calls if rule.kind in OF_COMPLAINTS else calls_of_people
    rows = looked_at(capability=capability, failed=False)
    if before is not None:
        rows = rows.filter(at__lt=before)
    again = Q()
    if rule.kind != PullRule.Kind.CANDIDATE:
        for begin, end in late.spans(capability.pk, since, _earliest(rule)):
            again |= Q(at__gte=begin, at__lt=end)
    elif before is not None:
        # What was noted since then comes with its whole minute the next time: nothing of it is asked now.
        rows = rows.exclude(late.noted(capability.pk, before, since))
    if rule.kind in OF_COMPLAINTS:
        # A complaint may come days after its call: what counts is when it came.
        wrong = Outcome.objects.filter(kind=Outcome.Kind.FEEDBACK, correct=False)
        come = Q(request_id__in=wrong.filter(arrived_at__gte=since).values("request_id"))
        rows = rows.filter(come | again & Q(request_id__in=wrong.values("request_id")) if again else come)
    else:
        rows = rows.filter(Q(at__gte=since) | again, digested=True)
    limit = rule.below if rule.below is not None else 0.6
    if rule.kind == PullRule.Kind.UNCERTAIN and rule.measure == PullRule.Measure.CONFIDENCE:
        rows = rows.filter(score__lt=limit)
    elif rule.kind == PullRule.Kind.CONFIDENT:
        rows = rows.filter(score__gte=limit)
    return _unseen(rule, rows)


def _unseen(rule: PullRule, rows: QuerySet[Call]) -> QuerySet[Call]:
    """Those that are no task of the project yet, or no draw."""
    for model in (Draw,) if rule.kind in CONTROLS else (Task, Merged):
        seen = model._default_manager.filter(project=rule.project, request_id=OuterRef("request_id"))
        rows = rows.filter(~Exists(seen))
    return rows.defer(None)


def _drawn(rule: PullRule) -> RawSQL:
    """Whether the hash of rule and request id lies below the share."""
    return RawSQL(
        "('x' || encode(substr(sha256(convert_to(%s || gateway_call.request_id::text, 'UTF8')), 1, 7), 'hex'))"
        "::bit(56)::bigint < %s",
        [f"{rule.pk}:", int(rule.share * 2**56)],
        BooleanField(),
    )


_ONCE = frozenset({PullRule.Kind.STRATIFIED, PullRule.Kind.CANDIDATE})
"""No call is looked at twice: a draw would be another one, and a candidate would be asked again."""


def since_of(rule: PullRule) -> datetime:
    """From when on a rule looks. A control begins where the one before it ended: no call is drawn twice."""
    if rule.pulled_at is not None:
        return rule.pulled_at if rule.kind in _ONCE else rule.pulled_at - OVERLAPPING
    return _earliest(rule)


def _earliest(rule: PullRule) -> datetime:
    """Calls from before this are no concern of a rule, however late they come."""
    since = rule.project.created_at - _BACK
    if rule.kind in CONTROLS:
        before = rule.project.rules.filter(kind__in=CONTROLS, pk__lt=rule.pk or 1 << 62)
        since = max(since, before.aggregate(last=Max("pulled_at"))["last"] or since)
    return since


def settled() -> datetime:
    """Calls of before this have all arrived, or are noted as late: how far a rule looks that asks each call once.

    A whole minute, as notes are of whole minutes: else one that came late to a half would bring the other half again.
    """
    return (timezone.now() - OVERLAPPING).replace(second=0, microsecond=0)


def whole_hour() -> datetime:
    """The end of the last hour whose calls have all arrived: how far a rule by site and hour looks."""
    return _hour(settled())


def _of_each_site(rule: PullRule) -> list[tuple[UUID, datetime, float]]:
    """`quota` calls of each site and whole hour, drawn without replacement: each with quota over their number.

    An hour that has got late calls is drawn again: by the order of their hashes those of before are taken as before.
    """
    since, earliest = _first_whole_hour(since_of(rule)), _first_whole_hour(_earliest(rule))
    spans = late.spans(rule.project.capability_id, since - OVERLAPPING, earliest)
    told: dict[str, Any] = {
        "capability": rule.project.capability_id,
        "since": since,
        "until": whole_hour(),
        "begins": [_hour(begin) for begin, _end in spans],
        "ends": [_hour(end - A_MOMENT) + _HOUR for _begin, end in spans],
        "quota": rule.quota or 1,
        "rule": rule.pk or 0,
        "project": rule.project.pk,
    }
    with connection.cursor() as cursor:
        cursor.execute(_EACH_SITE, told)
        return list(cursor.fetchall())


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _first_whole_hour(moment: datetime) -> datetime:
    start = _hour(moment)
    return start if start == moment else start + _HOUR


_EACH_SITE = """
SELECT request_id, at, chance FROM (
    SELECT c.request_id, c.at, least(1.0, %(quota)s::float8 / count(*) OVER stratum) AS chance,
           row_number() OVER (PARTITION BY d.site_id, date_trunc('hour', c.at)
                              ORDER BY hashtextextended(c.request_id::text, %(rule)s), c.request_id) AS place
    FROM gateway_call c LEFT JOIN instances_deployment d ON d.id = c.deployment_id
    WHERE c.capability_id = %(capability)s AND NOT c.shadow AND c.status < 400
      AND (c.grant_id IS NULL OR c.grant_id NOT IN (
          SELECT id FROM gateway_grant WHERE capability_id = %(capability)s AND kind = 'evaluation'))
      AND c.at < %(until)s AND (c.at >= %(since)s OR EXISTS (
          SELECT FROM unnest(%(begins)s::timestamptz[], %(ends)s::timestamptz[]) AS late (begin, stop)
          WHERE c.at >= late.begin AND c.at < late.stop))
      AND c.at >= least(%(since)s, (SELECT min(begin) FROM unnest(%(begins)s::timestamptz[]) AS late (begin)))
    WINDOW stratum AS (PARTITION BY d.site_id, date_trunc('hour', c.at))
) drawn
WHERE place <= %(quota)s
  AND NOT EXISTS (SELECT 1 FROM annotation_draw r WHERE r.project_id = %(project)s AND r.request_id = drawn.request_id)
ORDER BY at, request_id
"""
