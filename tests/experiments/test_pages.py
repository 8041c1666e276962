"""The pages of experiments, and REST beside them: what people read and do there."""

import json

import pytest
from django.core.exceptions import ValidationError

from apps.experiments.forms import ParametersField
from apps.experiments.models import Experiment
from apps.experiments.plans import create_experiment
from apps.experiments.services import end_experiment, look
from tests.experiments.conftest import asked, threshold
from tests.factories import make_packaged_version, rows_of


def posted(**changes):
    """What a browser sends of a plan that compares versions: the rows of parameters are hidden, and go along."""
    versions = changes.pop("versions", [{"version": "1.1.0", "share": 50, "name": ""}])
    values = changes.pop("values", [{"parameters": "", "share": 50, "name": ""}])
    told = {
        "name": "Newer",
        "hypothesis": "Less errors.",
        "kind": "versions",
        "layer": "",
        "control": "as now",
    }
    told |= {"size": 20, "begins": "", "measure": "errors", "effect": "1.5"}
    return {**told, **rows_of("versions", *versions), **rows_of("values", *values), **changes}


def test_a_developer_plans_and_an_operator_starts(client, ada, ole, digits, production, challenger):
    client.force_login(ada)
    answer = client.post("/ab-experiments/new/digits/", posted(), follow=True)

    experiment = Experiment.objects.get()
    assert (experiment.effect, experiment.size, experiment.begins) == (0.015, 20, 0)
    assert experiment.arms.last().version == challenger.version
    assert "Nothing moves yet" in answer.text
    client.force_login(ole)
    answer = client.post(f"/ab-experiments/{experiment.pk}/start/", follow=True)
    assert "No call of its callers was logged so far" in answer.text
    experiment.refresh_from_db()
    assert experiment.status == "running"


def test_what_cannot_be_planned_is_said_at_its_field(client, ada, digits, challenger):
    def refused(**changes):
        answer = client.post("/ab-experiments/new/digits/", posted(**changes))
        assert answer.status_code == 422
        return answer.text

    client.force_login(ada)
    assert "leave at least 1 % to the control" in refused(
        versions=[{"version": "1.1.0", "share": 50}, {"version": "1.1.0", "share": 50}]
    )
    assert "Choose the version" in refused(versions=[{"version": "", "share": 50}])
    wrong = [{"parameters": "[1]", "share": 50}]
    assert "Write values by their names" in refused(kind="parameters", layer="threshold", values=wrong)
    assert "Name the layer" in refused(kind="parameters", values=[{"parameters": '{"a": 1}', "share": 50}])
    assert "each arm needs a name of its own" in refused(control="1.1.0")
    assert not Experiment.objects.exists()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("pause = 0.003", {"pause": 0.003}),
        (
            'mode=fast, limit = 3 , who = "a, b", on = true',
            {"mode": "fast", "limit": 3, "who": "a, b", "on": True},
        ),
        ('{"deep": {"a": [1]}}', {"deep": {"a": [1]}}),
        ("pause 0.003", None),
        ("= 3", None),
        ('who = "open', None),
    ],
)
def test_parameters_are_written_as_pages_show_them_or_as_json(written, read):
    field = ParametersField()
    if read is not None:
        assert field.clean(written) == read
        return
    with pytest.raises(ValidationError, match=r"such as threshold = 0\.4"):
        field.clean(written)


def test_values_of_parameters_need_no_version_and_no_name(client, ada, digits):
    client.force_login(ada)
    values = [{"parameters": '{"threshold": 0.4}', "share": 30, "name": ""}]
    client.post("/ab-experiments/new/digits/", posted(kind="parameters", layer="threshold", values=values))

    told = [(arm.name, arm.share, arm.parameters) for arm in Experiment.objects.get().arms.all()]
    assert told == [("as now", 70, {}), ("threshold = 0.4", 30, {"threshold": 0.4})]


def test_the_form_says_what_is_taken_while_one_writes(client, ada, running):
    client.force_login(ada)

    clash = client.post("/ab-experiments/new/digits/check/", posted(begins=40)).text
    assert "“Newer is better” has 0–50 % of this layer" in clash
    assert 'class="is-clash"' in clash
    free = client.post("/ab-experiments/new/digits/check/", posted()).text
    assert "50–70 % of the layer are free" in free
    assert "Nothing was logged" in free
    assert "25 % of all callers" in client.post("/ab-experiments/new/digits/check/", posted(size=50)).text
    none = client.post("/ab-experiments/new/digits/check/", posted(size=60)).text
    assert "no free place" in none


def test_the_form_says_which_version_is_not_signed_yet(client, ada, digits, signed):
    make_packaged_version(digits, ada, "1.1.0")
    client.force_login(ada)

    assert "nobody has signed these bytes" in client.post("/ab-experiments/new/digits/check/", posted()).text


def test_a_draft_is_written_anew_with_what_it_has(client, ada, digits, challenger):
    draft = create_experiment(digits, asked(), by=ada)
    client.force_login(ada)

    shown = client.get(f"/ab-experiments/{draft.pk}/edit/").text
    assert 'value="2.0"' in shown
    client.post(f"/ab-experiments/{draft.pk}/edit/", posted(name="Renamed"))
    draft.refresh_from_db()
    assert (draft.name, draft.effect) == ("Renamed", 0.015)


def test_the_list_shows_the_layers_of_a_capability(client, ada, running):
    create_experiment(running.capability, threshold(), by=ada)
    client.force_login(ada)

    text = client.get("/ab-experiments/?capability=digits").text
    assert "Newer is better · 50 %" in text
    assert "Lower threshold" in text
    assert client.get("/ab-experiments/?status=running").text.count("Newer is better") == 1


def test_the_lists_cost_no_query_for_each_row(client, ada, digits, running, django_assert_max_num_queries):
    for number in range(8):
        create_experiment(digits, threshold(name=f"N{number}"), by=ada)
    client.force_login(ada)
    client.get("/ab-experiments/")

    with django_assert_max_num_queries(14):
        client.get("/ab-experiments/")


def test_a_pause_by_the_portal_says_why_and_in_the_readers_language(client, bo, running, compiled_messages):
    Experiment.objects.filter(pk=running.pk).update(status="paused", why="unsigned")
    client.force_login(bo)
    assert (
        "A version may not take production traffic any more"
        in client.get(f"/ab-experiments/{running.pk}/").text
    )

    bo.language = "zh-hans"
    bo.save()
    assert "某个版本不再允许承接生产流量" in client.get(f"/ab-experiments/{running.pk}/").text


@pytest.fixture
def seen(running):
    """A result as a look leaves it."""
    look(running)
    control, new = running.arms.all()
    effect = {"difference": -0.02, "low": -0.03, "high": -0.01, "once_low": -0.025, "once_high": -0.015}
    effect |= {"more": 0.5, "verdict": "better"}
    told = {"units": 100, "calls": 1000, "errors": 0.05, "ms": 3.0, "correct": None, "mean": 0.05}
    running.evidence |= {
        "arms": [
            {"arm": control.pk, "name": "as now", **told, "effect": None},
            {"arm": new.pk, "name": "new", **told, "effect": effect},
        ],
        "missing": 2300,
        "hours_left": 6.0,
    }
    running.looks = [["2026-11-29T10:00:00+00:00", {str(new.pk): [-0.02, -0.03, -0.01]}]]
    running.save()
    return running


def test_the_effect_stands_there_with_its_interval_and_what_is_missing(client, ada, seen):
    client.force_login(ada)

    for headers in ({}, {"HX-Request": "true"}):
        text = client.get(f"/ab-experiments/{seen.pk}/", headers=headers).text
        assert "-2.00" in text
        assert "-3.00 … -1.00" in text
        assert "2,300" in text
        assert "more calls, about 6.0 h" in text
        assert "Better" in text
        assert "data-chart" in text


def test_rest_plans_starts_and_reads(client, ole, digits, production, challenger):
    client.force_login(ole)
    plan = {
        "capability": "digits", "name": "Newer", "hypothesis": "Less.", "size": 20, "measure": "latency", "effect": 2.0,
        "arms": [{"name": "as now", "share": 60}, {"name": "new", "share": 40, "version": "1.1.0"}],
    }  # fmt: skip

    needed = client.post("/api/v1/ab-experiments/needed/", json.dumps(plan), "application/json")
    assert needed.json() == {"calls": None, "hours": None, "mean": None}
    made = client.post("/api/v1/ab-experiments/", json.dumps(plan), "application/json")
    assert made.status_code == 201
    started = client.post(f"/api/v1/ab-experiments/{made.json()['id']}/start/").json()
    assert (started["status"], started["begins"], started["waits_for"]) == ("running", 0, None)
    assert started["arms"][1]["deployment"] == challenger.pk
    wrong = client.post(
        "/api/v1/ab-experiments/", json.dumps(plan | {"effect": 0, "name": " x"}), "application/json"
    )
    assert wrong.status_code == 422
    assert "above 0" in wrong.json()["detail"]


def test_a_result_says_what_follows_and_where_it_is_done(client, ada, ole, seen):
    client.force_login(ada)
    text = client.get(f"/ab-experiments/{seen.pk}/").text
    assert "“new” is better: Errors -2.00 points (between -3.00 and -1.00)." in text
    assert "it may be ended now" in text

    end_experiment(seen, by=ole)
    text = client.get(f"/ab-experiments/{seen.pk}/").text
    assert 'href="/catalog/digits/versions/1.1.0/"' in text
    again = client.get(f"/ab-experiments/new/digits/?like={seen.pk}").text
    assert "1.1.0 fails less." in again


def test_few_callers_are_told_how_callers_are_counted(client, ada, seen):
    for arm in seen.evidence["arms"]:
        arm["units"] = 1
    seen.save()
    client.force_login(ada)

    assert "Atrium-Caller" in client.get(f"/ab-experiments/{seen.pk}/", headers={"HX-Request": "true"}).text


def test_a_metric_that_waits_for_feedback_says_how_long(client, ada, seen):
    for arm in seen.evidence["arms"]:
        arm |= {"mean": None, "effect": None}
    seen.measure, seen.metric = (
        "business",
        {"name": "Right answers", "expression": "correct", "wait_minutes": 30},
    )
    seen.save()
    client.force_login(ada)

    assert "32 minutes after the call" in client.get(f"/ab-experiments/{seen.pk}/").text
