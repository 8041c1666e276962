"""Asynchronous successive halving: which trials end early, what that saves, and that the good ones stay."""

import random

import pytest

from apps.compute.models import Job
from apps.core.charts import table_of
from apps.core.errors import Invalid
from apps.workbench import sweeps
from apps.workbench.halving import Halving

STEPS, TRIALS = 27, 30


def learning(source):
    """A trial's curve: it nears its own end value, with noise."""
    end, pace = source.gauss(0.7, 0.1), source.uniform(2, 6)
    return [
        (step, end * (1 - 2.718 ** (-step / pace)) + source.gauss(0, 0.01)) for step in range(1, STEPS + 1)
    ]


def swept(source):
    """How many steps a sweep took of all, and the place of the trial that it found among all, by the last value."""
    curves = [learning(source) for _ in range(TRIALS)]
    rule, steps, ended = Halving(first=1, factor=3, best_is_high=True), 0, {}
    for trial, curve in enumerate(curves):
        for at in range(1, STEPS + 1):
            steps += 1
            if rule.stops(trial, curve[:at]):
                break
        else:
            ended[trial] = curve[-1][1]
    order = sorted(range(TRIALS), key=lambda trial: -curves[trial][-1][1])
    return steps / (TRIALS * STEPS), order.index(max(ended, key=ended.get))


def test_it_takes_a_part_of_the_steps_and_finds_one_of_the_best():
    source = random.Random(11)
    found = [swept(source) for _ in range(200)]

    assert sum(share for share, _place in found) / len(found) < 0.4
    assert sum(place < 3 for _share, place in found) / len(found) > 0.6
    assert sum(place < TRIALS // 3 for _share, place in found) / len(found) > 0.95


def test_at_a_rung_the_best_share_goes_on_whoever_came_first():
    rule = Halving(first=2, factor=2, best_is_high=True)

    ends = {trial: rule.stops(trial, [(2, value)]) for trial, value in enumerate([5.0, 4.0, 6.0, 1.0, 7.0])}

    assert ends == {0: None, 1: 2, 2: None, 3: 2, 4: None}
    assert rule.stops(4, [(2, 7.0), (3, 0.0)]) is None  # between rungs nothing is judged, and no rung twice


def test_the_lower_the_better_and_what_is_no_number_ends():
    rule = Halving(first=1, factor=2, best_is_high=False)

    assert [rule.stops(n, [(1, value)]) for n, value in enumerate([1.0, 2.0, 0.5, float("nan")])] == [
        None,
        1,
        None,
        1,
    ]


@pytest.fixture
def sweep(monkeypatch, db, radio, ada):
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    facts = {"space": {"depth": [1, 2, 3]}, "metric": "f1", "at_once": 3}
    halving = {"early_stop": "halving", "first_step": 1, "factor": 2}
    made = sweeps.create_sweep("Depths", sweeps.of_code("print(1)"), team=radio, by=ada, **facts, **halving)
    sweeps.advance_sweep(made.pk)
    return made


def report(sweep, **values):
    for number, value in values.items():
        job = sweep.trials.get(number=int(number[1:])).job
        Job.objects.filter(pk=job.pk).update(status="running", reports=[{"step": 1, "f1": value}])


def test_a_trial_that_falls_behind_is_ended_with_the_reason_and_stays_in_the_comparison(client, sweep, ada):
    report(sweep, t1=0.9, t2=0.2)
    sweeps.judge_sweeps()

    second = sweep.trials.get(number=2)
    assert (second.stopped_at, second.job.cancel_requested_at is not None) == (1, True)
    assert "step 1" in second.job.reason
    first = sweep.trials.get(number=1)
    assert (first.stopped_at, first.job.cancel_requested_at) == (None, None)
    Job.objects.filter(pk=second.job_id).update(status="cancelled")
    Job.objects.filter(pk=first.job_id).update(status="succeeded", result={"f1": 0.95})
    rows = sweeps.compared(sweep)
    assert [(row.value, row.steps) for row in rows[:2]] == [(0.95, 1), (0.2, 1)]
    assert table_of(sweeps.figure_of(sweep, rows)).header == ["", "depth", "steps", "f1"]
    client.force_login(ada)
    assert "Dotted: ended early." in client.get(f"/sweeps/{sweep.pk}/").content.decode()


def test_rungs_that_cannot_be_are_refused(radio, ada, sweep):
    code = sweeps.of_code("print(1)")
    for wrong in ({"early_stop": "guess"}, {"factor": 1}, {"first_step": 0}):
        asked = {"early_stop": "halving"} | wrong
        with pytest.raises(Invalid):
            sweeps.create_sweep("x", code, team=radio, by=ada, space={"a": [1]}, metric="f1", **asked)
