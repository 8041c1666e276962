"""Sweeps: what is tried, so many at once, compared, cancelled, and who may."""

import math

import pytest

from apps.compute.models import Job
from apps.compute.services import attempts, retry_job, submit_script
from apps.core.charts import table_of
from apps.core.errors import Conflict, Invalid
from apps.workbench import sweeps
from apps.workbench.models import Sweep
from apps.workbench.spaces import points_of
from tests.factories import rows_of


@pytest.fixture
def quiet(monkeypatch, db):
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)


@pytest.fixture
def sweep(quiet, radio, ada):
    space = {"depth": [2, 4], "kind": ["a", "b"]}
    code = sweeps.of_code("print(1)")
    facts = {"space": space, "metric": "f1", "fixed": {"seed": 7}, "at_once": 3}
    return sweeps.create_sweep("Depths", code, team=radio, by=ada, **facts)


def finish(sweep, **values):
    """End the trials of these numbers with these values of the metric; None is a failure."""
    for number, value in values.items():
        job = sweep.trials.get(number=int(number[1:])).job
        status = "failed" if value is None else "succeeded"
        Job.objects.filter(pk=job.pk).update(status=status, result={"f1": value})
        sweeps.when_finished(str(job.pk), {"kind": "trial"})


def test_a_grid_has_every_combination_and_ranges_have_steps():
    space = {"a": [1, 2], "b": {"min": 0.01, "max": 1, "scale": "log", "steps": 3}}
    assert [point["b"] for point in points_of(space, "grid")] == [0.01, 0.1, 1.0] * 2


def test_random_draws_are_different_stay_in_range_and_follow_from_the_seed():
    space = {"rate": {"min": 1e-4, "max": 1, "scale": "log"}, "n": {"min": 1, "max": 9, "type": "int"}}
    found = points_of(space, "random", count=400, seed=3)
    assert (
        found
        == points_of(space, "random", count=400, seed=3)
        != points_of(space, "random", count=400, seed=4)
    )
    assert all(1e-4 <= point["rate"] <= 1 and point["n"] in range(1, 10) for point in found)
    middle = sum(point["rate"] < 1e-2 for point in found) / len(found)
    assert abs(middle - 0.5) < 4 * math.sqrt(
        0.25 / 400
    )  # half of the draws below the middle of the logarithm


@pytest.mark.parametrize(
    ("space", "method", "words"),
    [
        ({}, "grid", "Say what to try"),
        ({"a": []}, "grid", "parameter a"),
        ({"a": {"min": 2, "max": 1}}, "random", "the first below the second"),
        ({"a": {"min": 0, "max": 1, "scale": "log"}}, "random", "above 0"),
        ({"a": {"min": 0, "max": 1}}, "grid", "steps"),
        ({"a": list(range(40)), "b": list(range(40))}, "grid", "1600 combinations"),
    ],
)
def test_a_space_that_cannot_be_is_named(space, method, words):
    with pytest.raises(Invalid, match=words):
        points_of(space, method, count=5)


def test_so_many_at_once_until_all_have_run(sweep):
    assert sweeps.advance_sweep(sweep.pk) == 3
    assert sweeps.advance_sweep(sweep.pk) == 0
    finish(sweep, t2=0.5)
    assert sweep.trials.count() == 4
    finish(sweep, t1=0.9, t3=None, t4=0.7)
    assert sweeps.advance_sweep(sweep.pk) == 0
    job = sweep.trials.get(number=1).job
    assert job.params == {"seed": 7, "depth": 2, "kind": "a"}
    assert list(job.files) == ["main.py"]


def test_trials_are_compared_best_first_with_a_table_behind_the_chart(sweep):
    sweeps.advance_sweep(sweep.pk)
    finish(sweep, t1=0.5, t2=0.9, t3=None)
    rows = sweeps.compared(sweep)
    assert [row.trial.number for row in rows[:2]] == [2, 1]
    table = table_of(sweeps.figure_of(sweep, rows))
    assert table.header == ["", "depth", "kind", "f1"]
    assert table.rows == [[1, 2, "b", 0.9], [2, 2, "a", 0.5]]
    Sweep.objects.update(goal="minimise")
    sweep.refresh_from_db()
    assert [row.trial.number for row in sweeps.compared(sweep)[:2]] == [1, 2]


def test_where_no_trial_is_ended_early_nothing_is_said_of_it(client, sweep, ada):
    sweeps.advance_sweep(sweep.pk)
    finish(sweep, t1=0.5, t2=0.9)
    Job.objects.update(reports=[{"step": 1, "f1": 0.4}, {"step": 2, "f1": 0.5}])
    assert table_of(sweeps.figure_of(sweep, sweeps.compared(sweep))).header == ["", "depth", "kind", "f1"]
    client.force_login(ada)
    page = client.get(f"/sweeps/{sweep.pk}/").content.decode()
    assert "The metric of each trial, step by step" in page
    assert "Dotted" not in page


def test_cancelling_ends_what_waits_and_starts_no_more(client, sweep, ada):
    sweeps.advance_sweep(sweep.pk)
    finish(sweep, t1=0.5)
    client.force_login(ada)
    assert "Trial 1 is the best so far: f1 0.5000." in client.get(f"/sweeps/{sweep.pk}/").text
    sweeps.cancel_sweep(sweep, by=ada)
    assert "Trial 1 is the best: f1 0.5000." in client.get(f"/sweeps/{sweep.pk}/").text
    assert sweeps.advance_sweep(sweep.pk) == 0
    assert set(Job.objects.values_list("status", flat=True)) == {"succeeded", "cancelled"}
    with pytest.raises(Conflict):
        sweeps.cancel_sweep(sweep, by=ada)
    one = sweep.trials.get(number=2).job
    assert retry_job(one, by=ada).status == "queued"


def test_a_job_is_swept_from_its_page(client, quiet, radio, ada):
    job = submit_script("Fit", "print(1)", by=ada, team=radio, params={"depth": 3, "rate": 0.1})
    client.force_login(ada)
    assert "depth" in client.get(f"/sweeps/from-job/{job.pk}/").content.decode()
    asked = {"title": "Fit", "method": "grid", "metric": "f1", "goal": "maximise", "count": 1, "at_once": 1}
    assert client.post(f"/sweeps/from-job/{job.pk}/", asked | rows_of("space")).status_code == 422
    both = {"name": "depth", "values": "1, 2", "min": "1"}
    refused = client.post(f"/sweeps/from-job/{job.pk}/", asked | rows_of("space", both, both))
    assert "Row 1: Give values or a range, not both." in refused.content.decode()
    depth = {"name": "depth", "values": "1, 2"}
    twice = client.post(f"/sweeps/from-job/{job.pk}/", asked | rows_of("space", depth, depth))
    assert "“depth” stands there twice." in twice.content.decode()
    rate = {"name": "rate", "min": "0.01", "max": "1", "steps": "3", "scale": "log"}
    assert (
        client.post(f"/sweeps/from-job/{job.pk}/", asked | rows_of("space", depth, rate)).status_code == 302
    )
    made = Sweep.objects.get()
    assert (made.fixed, len(made.points)) == ({}, 6)
    assert sorted({point["rate"] for point in made.points}) == pytest.approx([0.01, 0.1, 1])
    assert client.get(f"/sweeps/{made.pk}/").status_code == 200
    assert "Fit" in client.get("/sweeps/").content.decode()


def test_trials_go_where_the_sweep_says_else_where_the_job_went(client, quiet, radio, ada):
    job = submit_script("Fit", "print(1)", by=ada, team=radio, params={"depth": 3}, labels=["zone=gpu"])
    client.force_login(ada)
    assert "zone=gpu" in client.get(f"/sweeps/from-job/{job.pk}/").content.decode()
    asked = {"team": radio.slug, "job": job.pk, "space": {"depth": [1]}, "metric": "f1"}
    made = client.post("/api/v1/sweeps/", asked, "application/json").json()
    other = client.post("/api/v1/sweeps/", {**asked, "labels": ["rack 3"]}, "application/json").json()
    for row in (made, other):
        sweeps.advance_sweep(row["id"])
    trials = Job.objects.filter(kind="trial").order_by("pk")
    assert (
        [trial.labels for trial in trials] == [made["labels"], other["labels"]] == [["zone=gpu"], ["rack 3"]]
    )

    attempts.start_job(trials[0].pk)
    page = client.get(f"/sweeps/{made['id']}/").content.decode()
    assert "Waits: no node has the label “zone=gpu”" in page


def test_the_page_of_a_sweep_is_loaded_anew_at_its_end_as_its_button_goes(client, sweep, ada):
    client.force_login(ada)
    page = f"/sweeps/{sweep.pk}/"
    assert "Cancel the rest" in client.get(page).text
    assert "HX-Refresh" not in client.get(page, headers={"HX-Request": "true"})
    sweeps.cancel_sweep(sweep, by=ada)
    assert client.get(page, headers={"HX-Request": "true"})["HX-Refresh"] == "true"
    assert "Cancel the rest" not in client.get(page).text


def test_rest_and_who_may(client, sweep, ada, bo, cy, radio):
    sweeps.advance_sweep(sweep.pk)
    finish(sweep, t1=0.5)
    asked = {"team": radio.slug, "script": "print(1)", "space": {"a": [1, 2]}, "metric": "f1"}
    ways = ["/sweeps/", f"/sweeps/{sweep.pk}/", f"/api/v1/sweeps/{sweep.pk}/"]
    found = {}
    for person in (ada, bo, cy):
        client.force_login(person)
        made = client.post("/api/v1/sweeps/", asked, "application/json").status_code
        found[person.username] = [*(client.get(way).status_code for way in ways), made]
    assert found == {"ada": [200, 200, 200, 201], "bo": [403, 404, 404, 403], "cy": [403, 404, 404, 403]}
    client.force_login(ada)
    trials = client.get(f"/api/v1/sweeps/{sweep.pk}/trials/").json()
    assert (trials[0]["number"], trials[0]["value"], len(trials)) == (1, 0.5, 4)
    assert client.post(f"/api/v1/sweeps/{sweep.pk}/cancel/").json()["cancelled_at"]
