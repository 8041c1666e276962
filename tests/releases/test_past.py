"""Which version answered whom in the past, and a logged call run again on exactly that version."""

import re
from datetime import timedelta
from uuid import UUID

import orjson
import pytest
from django.utils import timezone, translation

from apps.core.errors import Conflict, NotAllowed
from apps.core.models import AuditEntry
from apps.gateway import partitions
from apps.gateway.dataplane.call import new_id
from apps.gateway.dataplane.routing import by_weight, point_of
from apps.gateway.dataplane.snapshot import Capability
from apps.gateway.models import Call, Grant, Retention
from apps.gateway.retention import kept_until
from apps.gateway.services import give_feedback
from apps.gateway.snapshot import picture
from apps.instances.models import Deployment
from apps.instances.pins import end_pins, pin_caller
from apps.releases.history import at_moment
from apps.releases.models import Rerun
from apps.releases.proofs import of_version
from apps.releases.reruns import proceed_all, run_again
from tests.factories import make_capability, make_packaged_version

pytest_plugins = ["tests.releases.test_stages"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def call(rolling):
    """A call that 1.0.0 answered with class 3."""
    now = timezone.now()
    partitions.make(now.date())
    inputs = [{"name": "image", "datatype": "FP32", "shape": [1], "data": [0.5]}]
    outputs = [{"name": "class", "datatype": "INT64", "shape": [1], "data": [3]}]
    return Call.objects.create(
        request_id=UUID(new_id()), at=now, capability_id=rolling.capability_id, deployment_id=rolling.baseline_id,
        version="1.0.0", subject="x", status=200, error_kind="", latency_ms=2.0, stage_weight=99, shadow=False,
        digested=True, request=orjson.dumps({"inputs": inputs}), response=orjson.dumps({"outputs": outputs}),
    )  # fmt: skip


def test_the_shares_of_any_moment_are_known(rolling, digits):
    now = at_moment(digits, timezone.now())

    assert [(share.version, share.percent) for share in now.shares] == [("1.0.0", 99), ("1.1.0", 1)]
    assert [
        (s.version, s.percent) for s in at_moment(digits, now.changed_at - timedelta(microseconds=1)).shares
    ] == [("1.0.0", 100)]
    assert at_moment(digits, timezone.now() - timedelta(days=9)).shares == []


def test_the_page_of_a_release_names_the_versions_that_had_the_traffic(rolling, ada, client):
    client.force_login(ada)

    page = client.get(f"/releases/{rolling.pk}/").content.decode()

    assert '<span class="tag">1.0.0 · 99 %</span> <span class="tag">1.1.0 · 1 %</span>' in page


def test_history_names_the_version_that_the_gateway_chose(rolling, digits):
    told = Capability.parse("digits", picture()["capabilities"]["digits"])
    now = timezone.now()
    callers = [f"subscription:{number}" for number in range(400)]

    chosen = {caller: by_weight(told.routes, point_of(caller, told.salt)).version for caller in callers}

    assert {caller: at_moment(digits, now, caller=caller).version for caller in callers[:60]} == {
        caller: chosen[caller] for caller in callers[:60]
    }


def test_history_knows_who_was_pinned(rolling, digits, ole):
    until = timezone.now() + timedelta(days=3)
    pin_caller(digits, "subscription:7", rolling.baseline, until=until, by=ole)

    assert at_moment(digits, timezone.now(), caller="subscription:7").pinned
    assert not at_moment(digits, until, caller="subscription:7").pinned
    assert not at_moment(digits, timezone.now(), caller="subscription:8").pinned
    end_pins(digits, by=ole, caller="subscription:7")
    assert not at_moment(digits, timezone.now(), caller="subscription:7").pinned


def test_a_call_is_run_again_on_the_version_that_answered(call, ada, gateway):
    run_again(call, by=ada)
    proceed_all()

    rerun = Rerun.objects.get()
    assert (rerun.status, rerun.outcome, rerun.deployment_id) == ("answered", "same", call.deployment_id)
    assert gateway[0][0] == "/v2/models/digits/versions/1.0.0/infer"
    assert Deployment.objects.get(pk=call.deployment_id).desired == "running"


def test_a_version_that_does_not_run_any_more_is_brought_up_and_ended(call, ada, gateway):
    Deployment.objects.filter(version__number="1.0.0").update(status="stopped", desired="stopped")
    rerun = run_again(call, by=ada)
    proceed_all()
    assert (rerun.own_deployment, rerun.deployment.kind, gateway) == (True, "test", [])

    Deployment.objects.filter(pk=rerun.deployment_id).update(status="ready")
    proceed_all()

    rerun.refresh_from_db()
    assert (rerun.status, rerun.deployment.desired) == ("answered", "stopped")


def test_a_call_is_run_again_on_another_version(call, rolling, ada, gateway, client):
    rerun = run_again(call, on="1.1.0", by=ada)
    proceed_all()

    rerun.refresh_from_db()
    assert (rerun.status, rerun.outcome, rerun.deployment_id) == ("answered", "same", rolling.deployment_id)
    assert (rerun.version.number, rerun.then.number) == ("1.1.0", "1.0.0")
    assert [path for path, _body in gateway] == ["/v2/models/digits/versions/1.1.0/infer"]
    assert Grant.objects.get(kind="evaluation").scope == f"deployment:{rolling.deployment_id}"
    entry = AuditEntry.objects.get(action="releases.call.run_again")
    assert entry.facts == {"call": str(call.request_id), "answered_by": "1.0.0"}
    # that another version says the same does not prove that this one can be debugged
    assert "infra.debuggable" not in dict(of_version(rerun.version))

    client.force_login(ada)
    page = client.get(f"/releases/reruns/{rerun.pk}/").content.decode()
    assert "Version 1.1.0 gives the same answer as 1.0.0 did." in page
    assert "Then: 1.0.0" in page
    assert "Now: 1.1.0" in page


def test_both_answers_stand_side_by_side(call, ada, gateway, client):
    rerun = run_again(call, on="1.1.0", by=ada)
    proceed_all()
    outputs = [{"name": "class", "datatype": "INT64", "shape": [1], "data": [8]}]
    now = orjson.dumps({"outputs": outputs})
    answer = UUID(new_id())
    Rerun.objects.filter(pk=rerun.pk).update(answer_id=answer, outcome="other")
    call.request_id, call.response = answer, now
    call.save(force_insert=True)
    client.force_login(ada)

    page = client.get(f"/releases/reruns/{rerun.pk}/").content.decode()

    assert "Version 1.1.0 answers otherwise than 1.0.0 did." in page
    row = re.sub(r"<[^>]*>", " ", page[page.index('<th scope="row">class') :])
    assert row.split()[:4] == ["class", "differs", "3", "8"]


def test_the_page_of_a_call_offers_the_other_versions(call, ada, client, digits, radio):
    make_packaged_version(make_capability(radio, ada, "other"), ada, "9.9.9")
    client.force_login(ada)
    page = client.get(f"/calls/{call.request_id}/").content.decode()
    assert '<select class="form-select w-auto" name="version" aria-label="Another version">' in page
    assert "<option>1.1.0</option></select>" in page

    client.post(f"/releases/again/{call.request_id}/", {"version": "1.1.0"})
    told = client.post("/api/v1/reruns/", {"request_id": str(call.request_id), "version": "1.1.0"}).json()
    unknown = client.post("/api/v1/reruns/", {"request_id": str(call.request_id), "version": "9.9.9"})

    assert [rerun.version.number for rerun in Rerun.objects.all()] == ["1.1.0", "1.1.0"]
    assert (told["version"], told["answered_by"], unknown.status_code) == ("1.1.0", "1.0.0", 404)


def test_what_the_log_does_not_keep_is_said(call, ada, gateway, compiled_messages):
    run_again(call, by=ada)
    Call.objects.update(request=None)
    proceed_all()

    rerun = Rerun.objects.get()
    assert (rerun.status, "does not hold" in rerun.message) == ("failed", True)
    with translation.override("zh-hans"):
        assert rerun.why.startswith("日志")


def test_few_at_once_and_only_the_team(call, ada, cy):
    with pytest.raises(NotAllowed):
        run_again(call, by=cy)
    for _time in range(5):
        run_again(call, by=ada)
    with pytest.raises(Conflict, match="5 calls"):
        run_again(call, by=ada)


def test_a_call_says_until_when_it_is_kept(call, digits, ada, client):
    Retention.objects.create(capability=digits, days=7)
    client.force_login(ada)

    assert kept_until(call) == call.at + timedelta(days=7)
    page = client.get(f"/calls/{call.request_id}/").content.decode()
    assert f"Kept until {timezone.localtime(kept_until(call)):%Y-%m-%d %H:%M}" in page
    assert "Run again on 1.0.0" in page


def test_what_is_right_stands_on_its_page_as_json(call, ada, client):
    give_feedback(call, correct=False, expected={"class": "9"}, by=ada)
    client.force_login(ada)

    page = client.get(f"/calls/{call.request_id}/").content.decode()

    assert "{&quot;class&quot;: &quot;9&quot;}" in page


def test_the_page_of_a_moment_shows_version_and_calls(call, ada, client):
    client.force_login(ada)

    page = client.get("/releases/history/digits/?at=").content.decode()

    assert "1.0.0 · 99 %" in page
    assert f"/calls/{call.request_id}/" in page
