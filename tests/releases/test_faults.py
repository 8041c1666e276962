"""The gateway away, clocks that differ, a worker killed at any write: a defined state, told, and gone on from."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.accounts.models import Membership, User
from apps.catalog.models import Version
from apps.catalog.services import retire_version
from apps.core.errors import Conflict
from apps.gateway import reach
from apps.gateway.models import Grant
from apps.instances.guard import may_take_production_traffic
from apps.instances.selectors import weights_of
from apps.releases import bypass, rollout, tasks
from apps.releases.models import Release, Stage
from apps.releases.rollout import active_stage, proceed, promote, roll_back, start_rollout
from apps.releases.signing import void_changed
from tests.factories import make_calls, make_capability, make_packaged_version, make_ready_deployment
from tests.releases.conftest import sign
from tests.releases.test_rollout import weights
from tests.releases.test_stages import case

pytest_plugins = ["tests.releases.test_stages"]
pytestmark = pytest.mark.django_db
WRITES = ("INSERT", "UPDATE", "DELETE")


@pytest.fixture(autouse=True)
def answers(monkeypatch):
    """Whether the gateway answers the portal; these tests say when it does not."""
    state = {"now": True}
    monkeypatch.setattr(reach, "answers", lambda: state["now"])
    return state


class Killed(BaseException):
    """The process is gone; nothing catches it."""


@contextmanager
def killed_at(write):
    """A worker that is killed at its n-th write: neither that one nor any later one reaches the database."""
    sent = 0

    def count(execute, sql, parameters, many, context):
        nonlocal sent
        if sql.lstrip().startswith(WRITES):
            sent += 1
            if sent >= write:
                raise Killed
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(count):
        yield


def state(release):
    release.refresh_from_db()
    return release.status, tuple(release.stages.values_list("status", flat=True)), weights(release)


def die_everywhere(act, release):
    """Kill the act at its first write, the second, …, until it gets through; the state after each kill is as before."""
    before = state(release)
    for write in range(1, 500):
        try:
            with killed_at(write), transaction.atomic():
                act()
        except Killed:
            assert state(release) == before, write
        else:
            assert write > 3
            return
    pytest.fail("it never gets through")


def enough_calls(release):
    share = active_stage(release).weight
    make_calls(release.deployment, good=4000, bad=0, share=share)
    make_calls(release.baseline, good=4000, bad=0, share=100 - share)


def test_killed_between_any_two_writes_of_a_start_and_of_the_first_stage(signed, digits, ada, bo, bea, ole):
    make_ready_deployment(signed.version, ole)
    proceed(start_rollout(signed, by=ole))
    release = sign(make_packaged_version(digits, ada, "1.1.0"), ada, bo, bea)
    make_ready_deployment(release.version, ole)

    die_everywhere(lambda: start_rollout(release, by=ole), release)
    assert (release.status, may_take_production_traffic(release.version).allowed) == ("signed", True)
    release.refresh_from_db()
    Release.objects.filter(pk=release.pk).update(cases=[])
    die_everywhere(lambda: proceed(release), release)

    assert state(release) == ("rolling", ("active", "pending", "pending", "pending"), (1, 99))


def test_killed_between_any_two_writes_of_a_promotion(rolling, ole):
    rolling.stages.filter(status="active").update(outcome="success")
    die_everywhere(lambda: promote(rolling, by=ole), rolling)

    assert state(rolling) == ("rolling", ("passed", "active", "pending", "pending"), (5, 95))


def test_killed_between_any_two_writes_of_a_rollback_by_itself(rolling):
    make_calls(rolling.deployment, good=20, bad=20, share=1)
    make_calls(rolling.baseline, good=400, bad=0, share=99)
    die_everywhere(lambda: proceed(rolling), rolling)

    assert state(rolling) == ("rolled_back", ("failed", "skipped", "skipped", "skipped"), (0, 100))


def test_killed_between_any_two_writes_of_the_end(rolling, ole):
    rolling.stages.exclude(status="active").update(status="skipped")
    rolling.stages.filter(status="active").update(outcome="success")
    die_everywhere(lambda: promote(rolling, by=ole), rolling)

    assert state(rolling) == ("released", ("passed", "skipped", "skipped", "skipped"), (100, 0))


def test_killed_between_any_two_writes_of_taking_a_void_version_out(rolling):
    Version.objects.filter(pk=rolling.version_id).update(digest="f" * 64)
    die_everywhere(void_changed, rolling)
    assert not may_take_production_traffic(rolling.version)
    die_everywhere(lambda: rollout.on_voided(str(rolling.pk), {}), rolling)

    assert (rolling.status, weights(rolling)) == ("voided", (0, 100))


def test_with_the_gateway_away_no_key_is_made_and_the_reason_is_read_in_every_language(
    start, answers, ole, client, compiled_messages
):
    answers["now"] = False
    release = start(cases=[case(3)])
    proceed(release)

    assert state(release) == ("rolling", ("pending",), (0, 100))
    assert not Grant.objects.filter(label__startswith="shipped").exists()
    for language, words in (("en", "The gateway does not answer"), ("zh-hans", "网关没有应答门户")):
        User.objects.filter(pk=ole.pk).update(language=language)
        client.force_login(ole)
        assert words in client.get(f"/releases/{release.pk}/").content.decode()
    assert client.get(f"/api/v1/releases/{release.pk}/").json()["why"]["code"] == "gateway_away"


def test_what_held_a_release_back_is_over_once_it_is_released(start, answers, gateway):
    answers["now"] = False
    release = start(cases=[case(3)], stages=[])
    assert release.why["code"] == "gateway_away"

    answers["now"] = True
    proceed(release)
    release.refresh_from_db()
    assert (release.status, release.why, release.reason_words) == ("released", {}, "")


def test_a_stage_that_the_gateway_has_not_taken_over_is_told_so_and_judged_on_its_own_calls(
    rolling, answers, ole, client
):
    enough_calls(rolling)
    proceed(rolling)
    answers["now"] = False
    promote(rolling, by=ole)
    proceed(rolling)
    assert state(rolling) == ("rolling", ("passed", "active", "pending", "pending"), (5, 95))
    assert rolling.why["code"] == "gateway_away"

    answers["now"] = True  # it is back, and has not heard of the stage yet
    later = timezone.now() + timedelta(seconds=30)
    make_calls(rolling.deployment, good=4000, bad=0, share=1, at=later)
    make_calls(rolling.baseline, good=4000, bad=0, share=99, at=later)
    proceed(rolling)
    stage = active_stage(rolling)
    assert (stage.evidence["candidate"]["calls"], stage.outcome, stage.evidence["behind"]) == (
        0,
        "undecided",
        True,
    )
    client.force_login(ole)
    assert (
        "still answers by the shares from before" in client.get(f"/releases/{rolling.pk}/").content.decode()
    )

    enough_calls(rolling)
    proceed(rolling)
    rolling.refresh_from_db()
    stage = active_stage(rolling)
    assert (stage.evidence["candidate"]["calls"], stage.outcome, rolling.why) == (4000, "success", {})


def test_a_gateway_whose_clock_differs_gives_each_stage_its_own_calls(rolling, ole):
    enough_calls(rolling)
    proceed(rolling)
    promote(rolling, by=ole)
    began = active_stage(rolling).started_at
    Release.objects.filter(deployment=rolling.baseline).update(ended_at=began - timedelta(hours=1))
    for clock in (timedelta(minutes=-5), timedelta(minutes=5)):
        make_calls(rolling.deployment, good=0, bad=50, share=1, at=began + clock)  # of the stage before
        make_calls(rolling.baseline, good=70, bad=0, share=99, at=began + clock)
        make_calls(rolling.deployment, good=10, bad=0, share=5, at=began + clock)
        make_calls(rolling.baseline, good=20, bad=0, share=95, at=began + clock)
    proceed(rolling)

    seen = active_stage(rolling).evidence
    assert (seen["candidate"]["calls"], seen["candidate"]["errors"], seen["baseline"]["calls"]) == (20, 0, 40)


def test_calls_of_an_earlier_release_at_the_same_share_are_nobodys_evidence(rolling):
    stage = active_stage(rolling)
    Stage.objects.filter(pk=stage.pk).update(started_at=timezone.now() + timedelta(minutes=10))
    Release.objects.filter(deployment=rolling.baseline).update(ended_at=timezone.now())
    make_calls(rolling.baseline, good=9, bad=0, share=99, at=timezone.now() - timedelta(seconds=30))
    make_calls(rolling.baseline, good=5, bad=0, share=99)
    proceed(rolling)

    assert active_stage(rolling).evidence["baseline"]["calls"] == 5


def test_a_version_that_is_withdrawn_in_gray_goes_back(rolling, ada, ole):
    enough_calls(rolling)
    proceed(rolling)
    with pytest.raises(Conflict, match="of the production traffic"):
        retire_version(rolling.version, by=ada)
    # Somebody was faster: it was retired while it was not in traffic yet.
    Version.lifecycle.move(rolling.version, "retired", by=ada)

    with pytest.raises(Conflict, match="taken out of use"):
        promote(rolling, by=ole)
    proceed(rolling)
    rolling.refresh_from_db()
    assert (state(rolling)[0], weights(rolling)) == ("rolled_back", (0, 100))
    assert "taken out of use" in rolling.reason_words


def test_a_signer_who_loses_the_role_later_has_signed_all_the_same(rolling, bo, radio):
    Membership.objects.filter(user=bo, team=radio).delete()
    void_changed()

    assert may_take_production_traffic(rolling.version)
    assert state(rolling)[0] == "rolling"


def test_a_release_whose_former_version_is_void_can_be_ended(rolling, ole):
    """Its traffic is taken away, so there is nothing to go back to, and the next release must not be blocked."""
    Version.objects.filter(pk=rolling.baseline.version_id).update(digest="f" * 64)
    void_changed()
    former = Release.objects.get(deployment=rolling.baseline)
    rollout.on_voided(str(former.pk), {})
    assert weights_of(rolling.capability) == {}

    roll_back(rolling, by=ole)
    assert state(rolling)[0] == "rolled_back"
    assert weights_of(rolling.capability) == {}


def test_a_release_on_which_a_look_fails_keeps_no_other_one_waiting(rolling, ada, monkeypatch, caplog):
    other = Release.objects.exclude(pk=rolling.pk).get()
    elsewhere = make_capability(rolling.capability.team, ada)
    Release.objects.filter(pk=other.pk).update(status=Release.Status.ROLLING, capability=elsewhere)
    looked_at = []

    def fail(release):
        looked_at.append(release.pk)
        raise ZeroDivisionError

    monkeypatch.setattr(rollout, "_step", fail)
    monkeypatch.setattr(bypass, "proceed_all", lambda: looked_at.append("bypasses"))
    tasks.proceed_all()

    assert looked_at == [other.pk, rolling.pk, "bypasses"]
    assert f"release {rolling.pk}: this look failed" in caplog.text


def test_what_holds_a_release_is_told_and_forgotten(rolling, monkeypatch):
    def refuse(*_args):
        raise Conflict("the baseline is stopped")

    with monkeypatch.context() as patched:
        patched.setattr(rollout, "_judge", refuse)
        proceed(rolling)
    rolling.refresh_from_db()
    assert "the baseline is stopped" in rolling.reason_words

    proceed(rolling)
    rolling.refresh_from_db()
    assert rolling.reason_words == ""
