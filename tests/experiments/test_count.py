"""From the call log to what an experiment says: callers are counted, each once, however late the log comes."""

import itertools
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.experiments import analysis, planning
from apps.experiments.marks import arms_of_call
from apps.experiments.models import Experiment, UnitHour
from apps.experiments.plans import create_experiment
from apps.experiments.services import end_experiment, look
from apps.gateway.dataplane import segments
from apps.gateway.dataplane.call import new_id
from apps.gateway.ingest import ingest_once
from apps.gateway.models import Call, Outcome
from apps.gateway.services import create_grant
from apps.releases.models import Policy
from tests.experiments.conftest import asked

ANSWER = b'{"model_name":"m","outputs":[{"name":"p","shape":[1],"datatype":"FP32","data":[0.2]}]}'


@pytest.fixture
def log(tmp_path, running, radio, ada, production):
    """Brings calls into the database as the gateway logs them: `log(arm, unit, status=500, ms=4.0)`."""
    folder = tmp_path / "calllog" / "0-abc"
    numbers = itertools.count(1)
    grant, _secret = create_grant(kind="subscription", capability=running.capability, team=radio, by=ada)
    written = []

    def write(arm, unit, *, status=200, ms=3.0, at=None, **facts):
        written.append(
            segments.pack(
                {
                    "kind": "call", "id": new_id(), "at": at or time.time(), "grant": grant.pk,
                    "subject": grant.pool, "capability": running.capability_id, "deployment": str(production.pk),
                    "version": "1.0.0", "status": status, "error": "" if status < 400 else "model", "ms": ms,
                    "stage": 100.0, "arms": [unit, arm.pk], **facts,
                },
                b'{"inputs":[]}',
                ANSWER,
            )
        )  # fmt: skip

    def read():
        folder.mkdir(parents=True, exist_ok=True)  # what was read to its end is removed
        (folder / f"{next(numbers):06d}.seg").write_bytes(b"".join(written))
        written.clear()
        ingest_once(folder.parent)

    write.read = read
    return write


def test_the_log_keeps_arms_and_the_digest_of_the_caller(log, running):
    control, new = running.arms.all()
    log(new, -77)
    log(control, 5, arms=None)
    log.read()

    found = sorted(Call.objects.values_list("unit", "arms"), key=str)
    assert found == [(-77, [new.pk]), (None, None)]


def test_callers_are_counted_with_their_errors_and_times(log, running):
    control, new = running.arms.all()
    for unit in range(4):
        log(control, unit)
        log(new, 100 + unit, status=500 if unit == 0 else 200, ms=5.0)
    log(new, 100, ms=7.0)
    log(new, 101, status=422)  # refused: the caller's own fault
    log.read()
    look(running)

    first, second = running.evidence["arms"]
    assert (first["units"], first["calls"], first["errors"], first["ms"]) == (4, 4, 0.0, 3.0)
    assert (second["units"], second["calls"], second["errors"], second["ms"]) == (4, 5, 0.2, 5.5)
    assert first["effect"] is None
    assert second["effect"]["difference"] == pytest.approx(0.2)
    assert second["effect"]["verdict"] == "undecided"
    assert UnitHour.objects.get(arm=new, unit=100).calls == 2


def test_looking_twice_counts_once_and_what_comes_late_is_added(log, running):
    control, new = running.arms.all()
    log(control, 1)
    log(new, 2)
    log.read()
    look(running)
    look(running)
    log(new, 2)
    log.read()
    look(running)

    assert [arm["calls"] for arm in running.evidence["arms"]] == [1, 2]
    assert len(running.looks) <= 2


def test_an_unused_arm_and_no_calls_at_all_are_no_problem(running):
    look(running)

    assert [arm["calls"] for arm in running.evidence["arms"]] == [0, 0]
    assert (running.evidence["missing"], running.evidence["hours_left"]) == (None, None)
    assert analysis.verdict_of(running.evidence) == "undecided"
    assert running.looks == []


def test_the_last_word_of_feedback_counts_for_quality(log, running):
    Experiment.objects.filter(pk=running.pk).update(measure="quality")
    running.refresh_from_db()
    control, new = running.arms.all()
    for unit in range(3):
        log(control, unit)
        log(new, 100 + unit)
    log.read()
    for call in Call.objects.all():
        right = new.pk in call.arms
        Outcome.objects.create(
            request_id=call.request_id, kind="feedback", correct=not right, at=timezone.now()
        )
        Outcome.objects.create(
            request_id=call.request_id,
            kind="feedback",
            correct=right,
            at=timezone.now() + timedelta(seconds=1),
        )
    look(running)

    assert [arm["correct"] for arm in running.evidence["arms"]] == [0.0, 1.0]
    assert running.evidence["arms"][1]["effect"]["difference"] == 1.0


def test_the_business_metric_is_asked_once_of_each_call(log, running):
    metric = {"name": "fast", "expression": "latency_ms", "low": 0, "high": 10, "higher_is_better": False}
    Experiment.objects.filter(pk=running.pk).update(
        measure="business", metric=metric | {"worse_by": 1}, started_at=timezone.now() - timedelta(minutes=20)
    )
    running.refresh_from_db()
    control, new = running.arms.all()
    before = time.time() - 600
    for unit in range(3):
        log(control, unit, ms=4.0, at=before)
        log(new, 100 + unit, ms=2.0, at=before)
    log.read()
    look(running)
    look(running)

    control_said, said = running.evidence["arms"]
    assert (control_said["mean"], said["mean"]) == (pytest.approx(4.0), pytest.approx(2.0))
    assert set(UnitHour.objects.values_list("metric_n", flat=True)) == {1}


def test_feedback_is_heard_after_the_end(log, running, ole):
    control, new = running.arms.all()
    log(control, 1)
    log(new, 2)
    end_experiment(running, by=ole)
    log.read()
    look(Experiment.objects.get(pk=running.pk))

    running.refresh_from_db()
    assert [arm["calls"] for arm in running.evidence["arms"]] == [1, 1]


def test_callers_who_get_lost_are_noticed(log, running):
    control, new = running.arms.all()
    for unit in range(120):
        log(control, unit)
        if unit % 2:
            log(new, 1000 + unit)
    log.read()
    look(running)

    assert analysis.is_uneven(running.evidence)


def test_enough_calls_decide_and_say_how_many_are_missing_before(log, running):
    Experiment.objects.filter(pk=running.pk).update(measure="latency", effect=1.0)
    running.refresh_from_db()
    control, new = running.arms.all()
    for unit in range(40):
        log(control, unit, ms=10 + unit % 5)
        log(new, 100 + unit, ms=9 + unit % 5)
    log.read()
    look(running)
    missing = running.evidence["missing"]
    assert missing > 0
    assert running.evidence["hours_left"] >= 0

    for unit in range(40, 400):
        log(control, unit, ms=10 + unit % 5)
        log(new, 1000 + unit, ms=9 + unit % 5)
    log.read()
    look(running)
    assert analysis.verdict_of(running.evidence) == "better"
    assert running.evidence["missing"] < missing


def test_a_plan_says_how_many_calls_it_needs_by_what_was_logged(log, running, digits):
    asked_for = {"metric": None, "shares": [50, 50], "size": 50}
    assert planning.plan(digits, measure="errors", effect=0.02, **asked_for).calls is None
    control = running.arms.first()
    for unit in range(100):
        log(control, unit, status=500 if unit < 10 else 200, ms=10 + unit % 5)
    log.read()

    found = planning.plan(digits, measure="errors", effect=0.02, **asked_for)
    assert found.mean == pytest.approx(0.1)
    assert found.calls == pytest.approx(((3.03 + 0.84) / 0.02) ** 2 * 0.09 * 4, rel=0.02)
    assert found.hours > 0
    assert planning.plan(digits, measure="latency", effect=1.0, **asked_for).calls < found.calls
    assert planning.plan(digits, measure="quality", effect=0.1, **asked_for).calls is None


def test_the_business_metric_is_the_one_of_the_policy_when_it_was_written(digits, ada, radio, challenger):
    metric = {"name": "handled", "expression": "correct", "worse_by": 0.05}
    Policy.objects.create(team=radio, capability=digits, number=1, metric=metric)

    assert create_experiment(digits, asked(measure="business"), by=ada).metric == metric


def test_a_calls_page_names_its_arms_to_those_who_may_see_experiments(log, running, client, ada, cy):
    log(running.arms.last(), 5)
    log.read()
    call = Call.objects.get()

    client.force_login(ada)
    text = client.get(f"/calls/{call.request_id}/").text
    assert "Newer is better: new" in text
    assert f'href="/ab-experiments/{running.pk}/"' in text
    assert arms_of_call(cy, call) == []
