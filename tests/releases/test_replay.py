"""Before everybody gets a version, each subscriber sees what it answers to their own calls, and may object."""

from datetime import timedelta
from uuid import uuid4

import orjson
import pytest
from django.conf import settings
from django.utils import timezone, translation

from apps.accounts.models import Role
from apps.core.errors import Conflict, NotAllowed
from apps.gateway import partitions
from apps.gateway.models import Call, Grant, Usage
from apps.gateway.services import create_grant
from apps.gateway.snapshot import picture
from apps.instances.models import Pin
from apps.instances.pins import end_expired, pin_caller
from apps.instances.services import stop_deployment
from apps.releases import again, replays
from apps.releases.blockers import blockers_of
from apps.releases.models import Policy, Release, Replay, ReplayedCall
from apps.releases.rollout import proceed, promote, roll_back, start_rollout
from apps.requests.models import Notification
from apps.store.models import Subscription
from tests.factories import make_calls, make_packaged_version, make_plan, make_ready_deployment, make_user
from tests.releases.conftest import sign
from tests.releases.test_rollout import weights

pytest_plugins = ["tests.releases.test_stages"]
pytestmark = pytest.mark.django_db
INPUTS = [{"name": "image", "datatype": "FP32", "shape": [1], "data": [0.5]}]


def answer(label):
    return {"outputs": [{"name": "class", "datatype": "INT64", "shape": [1], "data": [label]}]}


@pytest.fixture
def dana(transport):
    return make_user("dana", team=transport, role=Role.DEVELOPER)


@pytest.fixture
def subscription(digits, ada, transport, dana):
    plan = make_plan(digits, ada)
    found = Subscription.objects.create(
        plan=plan, capability=digits, team=transport, requested_by=dana, status=Subscription.Status.GRANTED
    )
    create_grant(kind="subscription", capability=digits, team=transport, pool=found.pool, by=dana)
    return found


@pytest.fixture
def logged(subscription):
    """Write down calls of the subscriber that 1.0.0 answered with these classes."""

    def go(*labels, deployment, inputs=INPUTS, alike=False):
        grant = Grant.objects.get(pool=subscription.pool)
        now = timezone.now()
        partitions.make(now.date())
        for age, label in enumerate(labels):
            Call.objects.create(
                request_id=uuid4(), at=now - timedelta(seconds=age), grant_id=grant.pk,
                capability_id=grant.capability_id, deployment_id=deployment.pk,
                version=deployment.version.number, subject=grant.pool, status=200, error_kind="",
                latency_ms=2.0, stage_weight=100, shadow=False, digested=True,
                request=orjson.dumps({"id": "" if alike else str(age), "inputs": inputs}),
                response=orjson.dumps(answer(label)),
            )  # fmt: skip
        Usage.objects.create(
            grant_id=grant.pk, capability_id=grant.capability_id, deployment_id=deployment.pk, version="1.0.0",
            hour=now.replace(minute=0, second=0, microsecond=0), outcome="", count=len(labels), ms=1,
            histogram=[0] * 64,
        )  # fmt: skip

    return go


@pytest.fixture
def candidate(signed, digits, ada, bo, bea, ole, gateway, logged):
    """1.0.0 answered 3, 3 and 8; 1.1.0, which says 3 to everything, is at its only stage."""
    first = make_ready_deployment(signed.version, ole)
    proceed(start_rollout(signed, by=ole))
    logged(3, 3, 8, deployment=first)
    Policy.objects.create(
        team=digits.team, capability=digits, number=2, signers=[{"role": "qa", "count": 2}],
        stages=[{"weight": 50, "worse_by": 0.05}], replay_calls=20, consent_hours=48, pin_days=10,
    )  # fmt: skip
    release = sign(make_packaged_version(digits, ada, "1.1.0"), ada, bo, bea)
    make_ready_deployment(release.version, ole)
    proceed(start_rollout(release, by=ole))
    make_calls(first, good=400, bad=0)
    release.refresh_from_db()
    make_calls(release.deployment, good=400, bad=0)
    proceed(release)
    return release


@pytest.fixture
def asked(candidate):
    replays.work()
    return Replay.objects.get()


def test_a_subscriber_sees_what_is_different(asked, dana, client):
    assert (asked.status, replays.counted([asked])[asked.pk]) == ("asked", {"same": 2, "different": 1})
    assert Notification.objects.filter(user=dana, url=f"/releases/replays/{asked.pk}/").exists()
    client.force_login(dana)

    page = client.get(f"/releases/replays/{asked.pk}/?outcome=different").content.decode()

    assert "class: 8" in page
    assert "class: 3" not in page


def test_equal_questions_are_asked_once_the_newest_of_them(candidate, logged):
    Call.objects.all().delete()
    Usage.objects.all().delete()
    logged(8, *[3] * 30, deployment=candidate.baseline, alike=True)
    replays.work()

    assert replays.counted(Replay.objects.all())[Replay.objects.get().pk] == {"different": 1}


def test_replayed_calls_are_on_nobodys_quota(asked, subscription):
    grant = Grant.objects.get(label=f"replay {asked.release_id}")

    assert (grant.kind, grant.status, grant.scope) == (
        "evaluation", "revoked", f"deployment:{asked.release.deployment_id}",
    )  # fmt: skip
    assert (grant.pool != subscription.pool, grant.limits) == (True, {})


def test_everybody_waits_for_the_subscribers(candidate, asked, ole, dana):
    with pytest.raises(NotAllowed, match="differences: 1"):
        promote(candidate, by=ole)

    replays.consent(asked, by=dana)
    promote(candidate, by=ole)

    assert weights(candidate) == (100, 0)


def test_a_policy_that_promotes_by_itself_waits_too(candidate, asked, dana):
    Policy.objects.filter(pk=candidate.policy_id).update(promote_by_gate=True)
    Release.objects.filter(pk=candidate.pk).update(content_digest=replay_digest(candidate))
    proceed(candidate)
    assert weights(candidate) == (50, 50)

    replays.consent(asked, by=dana)
    candidate.signatures.update(content_digest=replay_digest(candidate))
    proceed(candidate)

    assert weights(candidate) == (100, 0)


def replay_digest(release):
    from apps.releases.content import present_digest

    return present_digest(Release.objects.get(pk=release.pk))


def test_silence_counts_as_consent_after_the_deadline(candidate, asked, ole):
    Replay.objects.update(deadline=timezone.now() - timedelta(seconds=1))
    replays.work()

    promote(candidate, by=ole)

    assert Replay.objects.get().status == "lapsed"


def test_who_objects_keeps_the_old_version_for_a_while(candidate, asked, dana, ole, subscription):
    replays.object_to(asked, by=dana, comment="8 is right")
    promote(candidate, by=ole)

    pin = Pin.objects.get()
    told = picture()["capabilities"]["digits"]
    assert told["pins"] == {subscription.pool: [str(candidate.baseline_id), int(pin.until.timestamp())]}
    assert [route["version"] for route in told["routes"]] == ["1.1.0"]
    assert timedelta(days=9) < pin.until - timezone.now() <= timedelta(days=10)
    with pytest.raises(Conflict, match="pinned"):
        stop_deployment(candidate.baseline, by=ole)

    end_expired(pin.until)
    assert "pins" not in picture()["capabilities"]["digits"]


def test_consent_after_an_objection_ends_the_pin(asked, dana):
    replays.object_to(asked, by=dana)
    replays.consent(asked, by=dana)

    assert (Pin.objects.count(), Replay.objects.get().status) == (0, "consented")


def test_a_stage_that_waits_says_that_calls_of_who_objects_do_not_count(candidate, asked, dana, client):
    candidate.stages.update(outcome="more_data", evidence={"missing": 40})
    assert "objections" not in [each.code for each in blockers_of(candidate.version)]

    replays.object_to(asked, by=dana)

    assert "do not count here: 1" in blockers_of(candidate.version)[-1].words
    client.force_login(dana)
    until = f"stay with 1.0.0 until {Pin.objects.get().until:%Y-%m-%d}"
    assert until in client.get(f"/releases/replays/{asked.pk}/").text


def test_a_rollback_ends_questions_and_pins(candidate, asked, dana, ole):
    replays.object_to(asked, by=dana)
    roll_back(candidate, by=ole)

    assert (Pin.objects.count(), Replay.objects.get().status) == (0, "ended")
    with pytest.raises(NotAllowed):
        replays.consent(asked, by=dana)


def test_only_the_subscriber_answers(asked, ada, ole, bo):
    for person in (ada, ole, bo):
        with pytest.raises(NotAllowed):
            replays.consent(asked, by=person)


def test_with_the_gateway_away_the_replay_waits(candidate, monkeypatch, compiled_messages):
    monkeypatch.setattr(type(settings.ATRIUM), "gateway_url", "http://127.0.0.1:9")
    monkeypatch.setattr("atrium.http.FIRST_PAUSE_S", 0)
    replays.work()

    waiting = Replay.objects.get()
    assert (waiting.status, "gateway" in waiting.waits_for, waiting.claimed_until) == ("running", True, None)
    with translation.override("zh-hans"):
        assert "网关没有应答" in waiting.why


def test_a_claim_that_a_kill_left_behind_ends_by_itself(candidate):
    Replay.objects.update(claimed_until=timezone.now() + timedelta(seconds=30))
    replays.work()
    assert Replay.objects.get().status == "running"

    Replay.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    replays.work()
    assert Replay.objects.get().status == "asked"


def test_a_call_whose_fields_are_not_kept_is_not_replayed(candidate, logged, gateway, compiled_messages):
    Call.objects.update(request=orjson.dumps({"inputs": [{**INPUTS[0], "data": [None]}]}))
    replays.work()

    assert Replay.objects.get().status == "skipped"
    assert gateway == []
    with translation.override("zh-hans"):
        assert {called.why[:2] for called in ReplayedCall.objects.all()} == {"日志"}


def test_encrypted_fields_need_a_version_that_protects_them(signed):
    hidden = {"inputs": [{"name": "image", "shape": [-1], "sensitive": True}]}
    old, new = signed.version, type(signed.version)(signature={"inputs": []})
    old.signature = hidden
    assert not again.protects(new, old)
    new.signature = hidden
    assert again.protects(new, old)


@pytest.fixture
def pinned(candidate, asked, dana, digits, ada, bo, bea, ole):
    """The subscriber objected to 1.1.0, which went on, and keeps 1.0.0; 1.2.0 has begun with its first stage of two."""
    replays.object_to(asked, by=dana)
    promote(candidate, by=ole)
    Policy.objects.create(
        team=digits.team, capability=digits, number=3, signers=[{"role": "qa", "count": 2}], replay_calls=20,
        stages=[{"weight": 5, "worse_by": 0.05}, {"weight": 50, "worse_by": 0.05}], created_by=bo,
    )  # fmt: skip
    release = sign(make_packaged_version(digits, ada, "1.2.0"), ada, bo, bea)
    make_ready_deployment(release.version, ole)
    proceed(start_rollout(release, by=ole))
    replays.work()
    return Replay.objects.get(release=release)


def test_who_keeps_an_older_version_is_asked_at_the_first_stage_and_follows_the_shares_once_they_consent(
    pinned, dana, client
):
    assert (pinned.status, Pin.objects.get().deployment.version.number) == ("asked", "1.0.0")
    client.force_login(dana)
    asked = client.get(f"/releases/replays/{pinned.pk}/").content.decode()
    assert "Your calls no longer stay with 1.0.0: 1.1.0 answers part of them, at first most" in asked
    assert "Your calls stay with 1.0.0 for 30 days" in asked

    replays.consent(pinned, by=dana)

    assert not Pin.objects.exists()


def test_who_objects_again_keeps_what_answers_them_and_keeps_it_when_the_release_goes_back(
    pinned, dana, ole, client
):
    replays.object_to(pinned, by=dana)
    assert Pin.objects.get().deployment.version.number == "1.0.0"
    client.force_login(dana)
    assert "stay with 1.0.0 until" in client.get(f"/releases/replays/{pinned.pk}/").content.decode()

    roll_back(pinned.release, by=ole)

    assert Pin.objects.get().deployment.version.number == "1.0.0"


def test_the_page_of_an_objection_names_what_it_kept_and_says_when_that_is_over(pinned, dana, client):
    first = Replay.objects.exclude(pk=pinned.pk).get()
    client.force_login(dana)
    assert (
        "objected: the calls of this subscription stay with 1.0.0"
        in client.get(f"/releases/replays/{first.pk}/").content.decode()
    )

    replays.consent(pinned, by=dana)
    over = client.get(f"/releases/replays/{first.pk}/").content.decode()
    assert "stayed with 1.0.0, which is over" in over

    pin_caller(
        pinned.release.capability, pinned.subscription.pool, pinned.release.baseline,
        until=timezone.now() + timedelta(days=1), by=None,
    )  # fmt: skip
    page = client.get(f"/releases/replays/{first.pk}/").content.decode()
    assert "stayed with 1.0.0, which is over" in page
    assert "stay with 1.1.0" not in page
