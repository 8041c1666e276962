"""Whose words about an answer count: those of who called, and of each caller the last one."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.gateway import feedback, retention
from apps.gateway.dataplane import segments
from apps.gateway.dataplane.feedback import parse
from apps.gateway.dataplane.problems import Refused
from apps.gateway.ingest import ingest_once
from apps.gateway.management.commands.ingest import Ingester
from apps.gateway.models import Outcome, UncountedFeedback
from apps.gateway.selectors import calls, complaints_by_deployment
from apps.gateway.services import create_grant, give_feedback, set_retention
from tests.factories import make_team, make_user
from tests.gateway.test_ingest import ANSWER, REQUEST, facts, log, served  # noqa: F401

pytestmark = pytest.mark.django_db
Why = UncountedFeedback.Why


def said(called, grant, **changes):
    """A record of feedback with a key about a call."""
    return segments.pack(
        {
            "kind": "feedback", "at": time.time(), "grant": grant.pk, "request_id": called["id"],
            "correct": False, "expected": None, "comment": "", **changes,
        }
    )  # fmt: skip


def key_of(served, **whose):  # noqa: F811
    return create_grant(kind="subscription", capability=served[0], by=served[0].created_by, **whose)[0]


def wrong(served):  # noqa: F811
    """How many answers of the deployment callers called wrong."""
    rows = complaints_by_deployment(served[0], timezone.now() - timedelta(hours=1))
    return sum(n for *_, n in rows)


def test_a_word_about_a_call_of_others_is_kept_apart_and_counts_nowhere(log, served, radio):  # noqa: F811
    called = facts(served)
    other = key_of(served, team=make_team("west"))
    log(segments.pack(called, REQUEST, ANSWER), said(called, other))

    ingest_once(log.folder)

    assert (Outcome.objects.count(), wrong(served), calls(complained=True).count()) == (0, 0, 0)
    assert (UncountedFeedback.objects.get().why, UncountedFeedback.objects.get().grant) == (
        Why.FOREIGN,
        other,
    )


def test_every_key_of_the_callers_team_subscription_or_own_may_speak(log, served, radio, cy):  # noqa: F811
    mine = key_of(served, user=cy, pool="trial:one")
    pairs = [
        (served[2], key_of(served, team=radio)),
        (key_of(served, team=make_team("west"), pool="shared"), key_of(served, user=cy, pool="shared")),
        (mine, key_of(served, user=cy, pool="trial:two")),
    ]
    made = [(facts(served, grant=called.pk), speaks) for called, speaks in pairs]
    for called, speaks in made:
        log(segments.pack(called, REQUEST, ANSWER), said(called, speaks))

    ingest_once(log.folder)

    assert (wrong(served), UncountedFeedback.objects.count()) == (3, 0)


def test_the_last_word_of_a_caller_counts_and_keeps_what_it_says_nothing_of(log, served):  # noqa: F811
    called, now = facts(served), time.time()
    log(
        segments.pack(called, REQUEST, ANSWER),
        said(called, served[2], at=now - 9, expected=7),
        said(called, served[2], at=now - 5, correct=True),
        said(called, served[2], at=now - 7, comment="comes late from another gateway"),
    )
    ingest_once(log.folder)
    assert wrong(served) == 0

    log(said(called, served[2], at=now, correct=None, comment="thank you"), name="000002.seg")
    ingest_once(log.folder)

    outcome = Outcome.objects.get()
    assert (outcome.correct, outcome.expected, outcome.comment) == (True, 7, "thank you")
    assert set(UncountedFeedback.objects.values_list("why", flat=True)) == {Why.REPLACED}


def test_a_word_said_again_leaves_no_trace(log, served):  # noqa: F811
    called = facts(served)
    log(segments.pack(called, REQUEST, ANSWER), *[said(called, served[2]) for _ in range(3)])
    ingest_once(log.folder)

    assert (Outcome.objects.count(), UncountedFeedback.objects.count()) == (1, 0)


def test_what_is_read_before_its_call_waits_for_it(log, served):  # noqa: F811
    called = facts(served)
    log(said(called, served[2]))
    ingest_once(log.folder)
    assert (Outcome.objects.count(), UncountedFeedback.objects.get().why) == (0, Why.WAITING)

    log(segments.pack(called, REQUEST, ANSWER), name="000002.seg")
    UncountedFeedback.objects.update(next_at=timezone.now())
    Ingester(log.folder).step()

    assert (wrong(served), UncountedFeedback.objects.count()) == (1, 0)


def test_a_word_about_no_call_is_looked_at_less_and_less_and_given_up(log, served):  # noqa: F811
    log(said(facts(served), served[2]))
    ingest_once(log.folder)
    now = timezone.now()

    feedback.hear_waiting(now + timedelta(hours=4))
    assert UncountedFeedback.objects.get().next_at > now + timedelta(hours=4, minutes=59)
    feedback.hear_waiting(now + feedback.GIVEN_UP + timedelta(hours=1))

    row = UncountedFeedback.objects.get()
    assert (row.why, row.next_at) == (Why.UNKNOWN, None)
    assert feedback.forget(now + feedback.KEPT + timedelta(days=1)) == 1


def test_a_person_in_the_portal_and_the_caller_both_count(log, served, ada):  # noqa: F811
    called = facts(served)
    log(segments.pack(called, REQUEST, ANSWER), said(called, served[2], correct=True))
    ingest_once(log.folder)
    give_feedback(calls().get(), correct=False, by=ada)

    log(said(called, served[2], correct=True, comment="fine"), name="000002.seg")
    ingest_once(log.folder)

    assert sorted(Outcome.objects.values_list("correct", "by")) == [(False, ada.pk), (True, None)]
    assert wrong(served) == 1


def test_words_that_do_not_count_end_with_their_call(log, served):  # noqa: F811
    called = facts(served)
    log(segments.pack(called, REQUEST, ANSWER), said(called, key_of(served, team=make_team("west"))))
    ingest_once(log.folder)
    set_retention(served[0], 1, by=make_user("ole_admin", is_superuser=True))

    retention.enforce(timezone.now() + timedelta(days=2))

    assert not UncountedFeedback.objects.exists()


def test_a_moment_of_ones_own_is_refused_rather_than_dropped():
    with pytest.raises(Refused, match="unknown field 'at'"):
        parse(b'{"request_id": "0198c0de-0000-7000-8000-000000000000", "correct": true, "at": 1}')
