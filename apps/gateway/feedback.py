"""What callers say about answers with their keys: it counts for their own calls, and of each the last word does.

Feedback may be read before the call that it is about, from another gateway's log: it waits, and is looked at again
after ever longer pauses. Words about calls of others, and those that the same caller took back, are kept apart in
`UncountedFeedback`: whatever counts feedback reads `Outcome` and finds each caller's last word alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.utils import timezone

from apps.gateway.models import Call, Grant, Outcome, UncountedFeedback
from apps.gateway.selectors import moment_of

if TYPE_CHECKING:
    from uuid import UUID

AROUND = timedelta(minutes=5)
"""A call is logged within this of the moment that its id tells."""
BATCH = 500
FIRST_PAUSE = timedelta(seconds=1)
GIVEN_UP = timedelta(days=14)
KEPT = timedelta(days=90)

Why = UncountedFeedback.Why
SAID: dict[str, Any] = {"correct": None, "expected": None, "comment": ""}
"""What a word may say, and how it looks where it does not."""


def from_log(items: Iterable[Mapping[str, Any]]) -> list[Outcome]:
    """Records of feedback as the data plane logged them; those of keys that are not known are left out."""
    items = list(items)
    known = set(Grant.objects.filter(pk__in={item["grant"] for item in items}).values_list("pk", flat=True))
    return [
        Outcome(
            request_id=Outcome._meta.get_field("request_id").to_python(item["request_id"]),
            kind=Outcome.Kind.FEEDBACK,
            grant_id=item["grant"],
            at=datetime.fromtimestamp(item["at"], UTC),
            **{name: item[name] for name in SAID},
        )
        for item in items
        if item["grant"] in known
    ]


@transaction.atomic
def hear(words: Sequence[Outcome]) -> None:
    """Count what callers say of their own calls, and keep the rest apart with the reason."""
    if not words:
        return
    _one_at_a_time()
    callers = _callers({word.request_id for word in words})
    grants = Grant.objects.in_bulk({*(word.grant_id for word in words), *callers.values()} - {None})
    standing = {word.request_id: word for word in _standing(callers)}
    apart: list[UncountedFeedback] = []
    for word in sorted(words, key=lambda each: each.at):
        before = standing.get(word.request_id)
        if word.request_id not in callers:
            apart.append(_apart(word, Why.WAITING))
        elif not _one_caller(grants[word.grant_id or 0], grants.get(callers[word.request_id] or 0)):
            apart.append(_apart(word, Why.FOREIGN))
        elif before is None:
            standing[word.request_id] = word
        elif _says(before) != _says(word):
            earlier, later = sorted((before, word), key=lambda each: each.at)
            standing[word.request_id] = _together(earlier, later)
            apart.append(_apart(earlier, Why.REPLACED))
    fresh = {pk: word for pk, word in standing.items() if word.pk is None}
    _standing(fresh).delete()
    Outcome.objects.bulk_create(fresh.values())
    UncountedFeedback.objects.bulk_create(apart)


@transaction.atomic
def hear_waiting(now: datetime | None = None) -> int:
    """Hear the words that are due and whose calls have come meanwhile; returns how many."""
    now = now or timezone.now()
    due = UncountedFeedback.objects.filter(next_at__lte=now).order_by("next_at")
    rows = list(due.select_for_update(skip_locked=True)[:BATCH])
    if not rows:
        return 0
    callers = _callers({row.request_id for row in rows})
    come = [row for row in rows if row.request_id in callers]
    rest = [row for row in rows if row.request_id not in callers]
    for row in rest:
        waited = now - row.received_at
        row.next_at = now + max(FIRST_PAUSE, waited / 4)
        if waited > GIVEN_UP:
            row.why, row.next_at = Why.UNKNOWN, None
    UncountedFeedback.objects.bulk_update(rest, ["why", "next_at"])
    UncountedFeedback.objects.filter(pk__in=[row.pk for row in come]).delete()
    hear([_counted(row) for row in come])
    return len(come)


def forget(now: datetime) -> int:
    """Delete what was kept apart for long enough; returns how many."""
    return UncountedFeedback.objects.filter(received_at__lt=now - KEPT).delete()[0]


def _one_at_a_time() -> None:
    """Two ingesters that hear words about one call at the same time would let both count."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('gateway feedback'), 0)")


def _callers(request_ids: set[UUID]) -> dict[UUID, int | None]:
    """{call: the key that it was made with} of those that are in the log."""
    moments = [moment_of(pk) for pk in request_ids]
    if not moments:
        return {}
    around = (min(moments) - AROUND, max(moments) + AROUND)
    rows = Call.objects.filter(request_id__in=request_ids, at__range=around)
    return dict(rows.values_list("request_id", "grant_id"))


def _standing(request_ids: Iterable[UUID]) -> Any:
    rows = Outcome.objects.filter(request_id__in=list(request_ids), kind=Outcome.Kind.FEEDBACK)
    return rows.filter(grant__isnull=False).order_by("at", "pk")


def _one_caller(said: Grant, called: Grant | None) -> bool:
    """Whether who says something is who called: the same key, subscription, team or person."""
    if called is None:
        return False
    pairs = ((said.pool, called.pool), (said.team_id, called.team_id), (said.user_id, called.user_id))
    return said.pk == called.pk or any(one and one == other for one, other in pairs)


def _says(word: Outcome | UncountedFeedback) -> dict[str, Any]:
    return {name: getattr(word, name) for name in SAID}


def _together(earlier: Outcome, later: Outcome) -> Outcome:
    """One word of two: the later counts, and what it says nothing of stays."""
    said = {
        name: before if now == SAID[name] else now
        for name, before, now in ((name, getattr(earlier, name), getattr(later, name)) for name in SAID)
    }
    return Outcome(request_id=later.request_id, kind=later.kind, grant_id=later.grant_id, at=later.at, **said)


def _apart(word: Outcome, why: str) -> UncountedFeedback:
    assert word.grant_id is not None
    return UncountedFeedback(
        request_id=word.request_id,
        grant_id=word.grant_id,
        at=word.at,
        why=why,
        next_at=timezone.now() + FIRST_PAUSE if why == Why.WAITING else None,
        **_says(word),
    )


def _counted(row: UncountedFeedback) -> Outcome:
    return Outcome(
        request_id=row.request_id, kind=Outcome.Kind.FEEDBACK, grant_id=row.grant_id, at=row.at, **_says(row)
    )
