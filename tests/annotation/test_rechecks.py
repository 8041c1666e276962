"""What was called wrong is asked again of the version in production, and the receipt says whether it is right now."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import uuid4

import orjson
import pytest
from django.utils import timezone, translation

from apps.annotation import pulling, rechecks
from apps.annotation.labelled import export_labels
from apps.annotation.models import Draw, Project, Recheck, Task
from apps.annotation.receipts import receipts
from apps.annotation.services import add_rule, review
from apps.catalog.models import Version
from apps.core import events
from apps.core.errors import Conflict, Unavailable
from apps.core.models import Event
from apps.core.telling import say as _
from apps.core.urns import urn
from apps.datasets.models import DatasetVersion
from apps.datasets.services import create_version
from apps.gateway.models import Call, Grant, Outcome
from apps.gateway.services import create_grant
from apps.instances.models import Deployment, TrafficWeight
from apps.releases.again import Answered
from apps.releases.models import Policy, Release
from apps.store.models import Plan, Subscription
from tests.annotation.conftest import make_task
from tests.annotation.test_label import say
from tests.annotation.test_pull import SIGNATURE, complain, logged  # noqa: F401 - a fixture
from tests.factories import make_packaged_version, make_ready_deployment, make_report
from tests.releases.test_stages import gateway  # noqa: F401 - a fixture; whatever it is asked, it answers 3

pytestmark = pytest.mark.django_db


@pytest.fixture
def production(project, ada, ole):
    """1.1.0 answers every call."""
    version = make_packaged_version(project.capability, ada, "1.1.0")
    Version.objects.filter(pk=version.pk).update(signature=SIGNATURE)
    deployment = make_ready_deployment(version, ole)
    TrafficWeight.objects.create(
        capability=project.capability, deployment=deployment, weight=100, salt="s", set_by=ole
    )
    return version


@pytest.fixture
def complaint(project, logged, ada, ann, abe, bo):  # noqa: F811
    """A call that was answered with 8 and called wrong; people say what it is, and the label is in a data set."""

    def make(label, *, times=1):
        calls = [logged([1.0, 2.0], answer=8) for _number in range(times)]
        for call in calls:
            complain(call)
        pulling.pull(add_rule(project, by=ada, kind="complained"))
        for person in (ann, abe):
            say(project, person, label)
        review(Task.objects.get(), by=bo, label=label)
        return export_labels(project, by=bo)

    return make


def release(version, by):
    return Release.objects.create(
        version=version, capability=version.capability, report=make_report(version, by), opened_by=by,
        policy=Policy.objects.create(team=version.capability.team, capability=version.capability, number=1),
        content_digest="0" * 64,
    )  # fmt: skip


def now_told():
    return receipts(list(Outcome.objects.filter(kind="feedback").order_by("pk")))


def test_a_release_asks_by_itself_each_call_once(complaint, logged, production, gateway, ada):  # noqa: F811
    complaint("3", times=2)
    done = release(production, ada)
    for _delivered in range(2):
        events.publish("releases.released", done.pk)
        assert events.deliver(Event.objects.get(name="releases.released").pk)
    assert [(entry.asking, entry.may_ask) for entry in now_told()] == [(True, False)] * 2
    rechecks.proceed_all()
    rechecks.proceed_all()

    first, second = now_told()
    assert first.state == second.state == "right_now"
    assert first.steps[-1] == "asked the same again, 1.1.0 says “3”: right now"
    assert [path for path, _body in gateway] == ["/v2/models/digits/versions/1.1.0/infer"] * 2
    assert b"[1.0,2.0]" in gateway[0][1].replace(b" ", b"")
    assert not Grant.objects.filter(label="inputs asked again", status="active").exists()


def test_what_is_still_wrong_is_told_in_the_readers_language(
    complaint, production, gateway, ada, client, compiled_messages  # noqa: F811
):  # fmt: skip
    complaint("8")
    outcome = Outcome.objects.get(kind="feedback")
    client.force_login(ada)
    assert "Ask the model again" in client.get("/feedback/").content.decode()

    client.post(f"/feedback/{outcome.pk}/ask/")
    rechecks.proceed_all()

    told = client.get("/api/v1/feedback-receipts/").json()["results"][0]
    assert (told["state"], told["may_ask"], told["asking"]) == ("wrong_now", False, False)
    assert told["steps"][-1] == "asked the same again, 1.1.0 says “3”: not right yet"
    with translation.override("zh-hans"):
        assert now_told()[0].steps[-1] == "用同样的输入再次询问，1.1.0 的回答是“3”：仍不正确"


def test_the_same_question_is_not_asked_of_a_version_twice(complaint, production, gateway, ada, client):  # noqa: F811
    complaint("3")
    client.force_login(ada)
    address = f"/api/v1/feedback-receipts/{Outcome.objects.get(kind='feedback').pk}/ask/"

    assert client.post(address).json()["asking"]
    rechecks.proceed_all()
    assert client.post(address).json()["state"] == "right_now"
    rechecks.proceed_all()

    assert len(gateway) == 1


def test_a_failure_has_its_reason_and_can_be_asked_anew(complaint, production, gateway, ada):  # noqa: F811
    complaint("3")
    kept = Call.objects.get()
    bodies = (kept.request, kept.response)
    Call.objects.update(request=None, response=None)
    task, call = Task.objects.get(), kept.request_id
    rechecks.ask(task, call, by=ada)
    rechecks.proceed_all()

    entry = now_told()[0]
    assert (entry.state, entry.may_ask) == ("in_data", True)
    assert "does not hold all that was asked" in entry.steps[-1]

    Call.objects.update(request=bodies[0], response=bodies[1])
    rechecks.ask(task, call, by=ada)
    rechecks.proceed_all()
    assert now_told()[0].state == "right_now"


def test_a_version_that_is_gone_is_waited_for_no_longer_than_an_hour(complaint, production, gateway, ada):  # noqa: F811
    complaint("3")
    row = rechecks.ask(Task.objects.get(), Call.objects.get().request_id, by=ada)
    Deployment.objects.update(status=Deployment.Status.STOPPED)
    rechecks.proceed_all()
    row.refresh_from_db()
    assert row.status == Recheck.Status.WAITING

    Recheck.objects.update(asked_at=timezone.now() - timedelta(hours=2))
    rechecks.proceed_all()

    row.refresh_from_db()
    assert (row.status, row.why) == ("failed", "The version does not run any more.")
    assert not gateway


def test_an_input_that_takes_too_long_holds_up_no_other_and_is_given_up_after_an_hour(
    complaint, production, gateway, ada, monkeypatch, compiled_messages  # noqa: F811
):  # fmt: skip
    complaint("3", times=4)
    task = Task.objects.get()
    rows = [rechecks.ask(task, call.request_id, by=ada) for call in Call.objects.order_by("pk")]
    hangs = {rows[0].request_id, rows[1].request_id}
    answers = rechecks.ask_again

    def hanging(http, call, asked_of, answered_by):
        if call.request_id in hangs:
            raise Unavailable(_("The gateway does not answer: %(why)s") % {"why": "it took too long"})
        return answers(http, call, asked_of, answered_by)

    monkeypatch.setattr(rechecks, "ask_again", hanging)

    def states():
        return list(Recheck.objects.order_by("pk").values_list("status", flat=True))

    rechecks.proceed_all()
    assert states() == ["waiting"] * 4  # two in a row: the gateway may be away
    rechecks.proceed_all()
    assert states() == ["waiting", "waiting", "right", "right"]

    Recheck.objects.update(asked_at=timezone.now() - timedelta(hours=2))
    with translation.override("zh-hans"):  # whatever the language of the process
        rechecks.proceed_all()
    assert states() == ["failed", "failed", "right", "right"]
    assert sum("answer: it took too long" in entry.steps[-1] for entry in now_told()) == 2
    with translation.override("zh-hans"):
        told = [entry.steps[-1] for entry in now_told()]
    assert sum("it took too long" in step for step in told) == 2
    assert not any("does not answer" in step for step in told)


def test_a_version_that_does_not_run_holds_up_no_other(
    complaint, production, gateway, project, ada, monkeypatch  # noqa: F811
):  # fmt: skip
    monkeypatch.setattr(rechecks, "_AT_ONCE", 2)
    complaint("3", times=4)
    gone = make_packaged_version(project.capability, ada, "1.2.0")
    calls = list(Call.objects.order_by("pk"))
    task, now = Task.objects.get(), timezone.now()
    for version, some in ((gone, calls[:3]), (production, calls[3:])):
        for call in some:
            Recheck.objects.create(
                task=task, request_id=call.request_id, version=version, expected="3", asked_at=now
            )

    for _round in range(2):
        rechecks.proceed_all()

    assert Recheck.objects.get(version=production).status == "right"
    assert set(Recheck.objects.filter(version=gone).values_list("status", flat=True)) == {"waiting"}


def test_without_a_label_or_a_version_in_production_there_is_nothing_to_ask(project, ada):
    task = make_task(project, 1)
    with pytest.raises(Conflict, match="No label has been accepted"):
        rechecks.ask(task, task.request_id, by=ada)
    Task.objects.update(status="accepted", label="3")
    with pytest.raises(Conflict, match="in production"):
        rechecks.ask(task, task.request_id, by=ada)


CELL = {"start": 5, "end": 9, "label": "cell"}


@pytest.mark.parametrize(
    ("said", "state", "words"),
    [
        (json.dumps([CELL]), "right_now", "says “1 × cell”: right now"),
        (json.dumps([{**CELL, "end": 10}]), "right_now", "says “1 × cell”: right now"),
        (json.dumps([{**CELL, "start": 0}]), "wrong_now", "says “1 × cell”: not right yet"),
        ("[]", "wrong_now", "says “–”: not right yet"),
        ("no places", "accepted", "none that could be held against the label"),
    ],
)
def test_places_in_a_text_are_held_against_the_label(
    project, production, logged, gateway, ada, ann, abe, bo, monkeypatch, said, state, words  # noqa: F811
):  # fmt: skip
    signature = {
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1], "kind": "text"}],
        "outputs": [{"name": "spans", "datatype": "BYTES", "shape": [-1], "kind": "spans"}],
    }
    Version.objects.update(signature=signature)
    Project.objects.update(
        kind="spans", show="text", labels=[{"value": "cell", "title": "cell", "hotkey": "1"}]
    )
    project.refresh_from_db()
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["Cell 4711 lost power"]}
    old = {"name": "spans", "shape": [1], "datatype": "BYTES", "data": ["[]"]}
    call = logged([], request=orjson.dumps({"inputs": [text]}), response=orjson.dumps({"outputs": [old]}))
    complain(call)
    pulling.pull(add_rule(project, by=ada, kind="complained"))
    for person in (ann, abe):
        say(project, person, [CELL])
    review(Task.objects.get(), by=bo, value=[CELL])
    new = {**old, "data": [said]}
    monkeypatch.setattr(rechecks, "ask_again", lambda *_asked: Answered(None, uuid4(), outputs=[new]))

    rechecks.ask(Task.objects.get(), call.request_id, by=ada)
    rechecks.proceed_all()

    entry = now_told()[0]
    assert entry.state == state
    assert words in entry.steps[-1]


def test_places_that_are_decided_anew_with_the_same_words_are_asked_again(
    complaint, production, gateway, ada  # noqa: F811
):  # fmt: skip
    complaint("3")
    task, call = Task.objects.get(), Call.objects.get().request_id
    row = rechecks.ask(task, call, by=ada)
    Recheck.objects.update(status="wrong", expected="1 × cell", expected_value=[CELL])
    Task.objects.update(label="1 × cell", value=[CELL])
    row = Recheck.objects.select_related("task").get(pk=row.pk)
    assert not row.outdated

    Task.objects.update(value=[{**CELL, "end": 12}])

    assert Recheck.objects.get(pk=row.pk).outdated


def test_a_version_trained_on_later_data_has_learnt_the_label(complaint, production, project, ada):
    data = complaint("3")
    files = {path: entry["sha256"] for path, entry in data.manifest.items()}
    later = create_version(project.dataset, files=files, by=ada, parent=data)
    stranger = DatasetVersion.objects.get(dataset=project.dataset, number=1)
    Version.objects.filter(pk=production.pk).update(dataset_version_urn=urn(stranger))
    assert now_told()[0].state == "in_data"

    Version.objects.filter(pk=production.pk).update(dataset_version_urn=urn(later))

    entry = now_told()[0]
    assert entry.steps[-2:] == ["in model 1.1.0", "which answers in production"]


def test_receipts_cost_the_same_for_one_and_for_many(complaint, production, django_assert_num_queries, ada):
    complaint("3", times=5)
    outcomes = list(Outcome.objects.filter(kind="feedback"))
    for number in (1, 5):
        with django_assert_num_queries(5):
            receipts(outcomes[:number])


def test_a_subscription_leads_to_its_feedback_alone(logged, project, ada, cy, client):  # noqa: F811
    team = cy.memberships.get().team
    plan = Plan.objects.create(capability=project.capability, name="Free", created_by=ada)
    subscription = Subscription.objects.create(
        plan=plan, capability=project.capability, team=team, requested_by=cy, status="granted"
    )
    grant, _key = create_grant(
        kind="subscription", capability=project.capability, team=team, pool=subscription.pool, by=cy
    )
    mine, other = logged([1.0, 2.0], grant_id=grant.pk), logged([3.0, 2.0])
    complain(mine)
    complain(other)
    client.force_login(cy)

    assert (
        f"/feedback/?subscription={subscription.pk}"
        in client.get(f"/subscriptions/{subscription.pk}/").content.decode()
    )
    page = client.get(f"/feedback/?subscription={subscription.pk}").content.decode()
    assert str(mine.request_id) in page
    assert str(other.request_id) not in page
    client.force_login(ada)
    assert str(other.request_id) in client.get("/feedback/").content.decode()
    assert client.get("/feedback/?subscription=999999").status_code == 404
    assert client.get("/feedback/?subscription=x").status_code == 422


@pytest.mark.parametrize("kind", ["random", "stratified"])
def test_what_the_portal_asks_is_drawn_by_no_control(project, logged, ada, kind):  # noqa: F811
    grant, _key = create_grant(kind="evaluation", capability=project.capability, by=ada)
    before = timezone.now() - timedelta(hours=2)
    own = logged([1.0, 2.0], grant_id=grant.pk, at=before)
    theirs = logged([3.0, 2.0], at=before)
    complain(own)

    pulling.pull(add_rule(project, by=ada, kind=kind, quota=9))
    assert [draw.request_id for draw in Draw.objects.all()] == [theirs.request_id]
    pulling.pull(add_rule(project, by=ada, kind="complained"))

    assert Task.objects.filter(request_id=own.request_id).exists()
