"""Two at once, a change meanwhile, a kill half-way: always a defined state, traffic always on a signed version."""

import threading

import pytest
from django.db import connection, transaction

from apps.accounts.models import Membership, Role
from apps.catalog.models import Version
from apps.core.errors import Conflict, NotAllowed, PortalError
from apps.evaluation.models import Suite
from apps.instances.guard import may_take_production_traffic
from apps.instances.models import Deployment
from apps.instances.selectors import weights_of
from apps.releases import rollout, signing
from apps.releases.models import Release, Stage
from apps.releases.rollout import proceed, promote, roll_back, start_rollout
from apps.releases.signing import open_release, sign_release, void_changed
from tests.factories import make_calls, make_packaged_version, make_ready_deployment, make_report
from tests.releases.conftest import PASSWORD, sign
from tests.releases.test_rollout import weights

KILLED = RuntimeError("killed")


def at_once(*acts):
    """Run each in a thread with a connection of its own; what each returned or raised."""
    barrier, found = threading.Barrier(len(acts)), [None] * len(acts)

    def run(number, act):
        barrier.wait()
        try:
            found[number] = act()
        except PortalError as error:
            found[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.django_db(transaction=True)
def test_two_reviewers_at_once_are_two_signatures_and_one_move(version, ada, bo, bea):
    release = sign(version, ada)

    found = at_once(*(lambda who=who: sign_release(release, by=who, password=PASSWORD) for who in (bo, bea)))

    release.refresh_from_db()
    assert not [one for one in found if isinstance(one, Exception)]
    assert (release.status, release.signatures.count()) == (Release.Status.SIGNED, 2)


@pytest.mark.django_db(transaction=True)
def test_one_reviewer_in_two_tabs_signs_once(version, ada, bo, bea):
    release = sign(version, ada)

    found = at_once(*(lambda: sign_release(release, by=bo, password=PASSWORD) for _ in range(2)))

    assert sum(isinstance(one, PortalError) for one in found) == 1
    assert release.signatures.count() == 1


@pytest.mark.django_db(transaction=True)
def test_promote_and_roll_back_at_once_end_in_one_of_the_two(rolling, ole):
    make_calls(rolling.deployment, good=4000, bad=0)
    make_calls(rolling.baseline, good=4000, bad=0)
    proceed(rolling)

    at_once(lambda: promote(rolling, by=ole), lambda: roll_back(rolling, by=ole))

    rolling.refresh_from_db()
    assert rolling.status == Release.Status.ROLLED_BACK  # it is legal after a promotion too
    assert weights(rolling) == (0, 100)


@pytest.mark.django_db
def test_an_approver_who_lost_the_role_signs_nothing(version, ada, bo, bea, radio):
    release = sign(version, ada)
    Membership.objects.filter(user=bo, team=radio, role=Role.QA).delete()

    with pytest.raises((NotAllowed, Conflict)):
        sign_release(release, by=bo, password=PASSWORD)
    assert not may_take_production_traffic(version)


@pytest.mark.django_db
def test_a_version_that_is_withdrawn_meanwhile_gets_no_traffic(signed, ole):
    Version.objects.filter(pk=signed.version_id).update(status="retired")

    with pytest.raises(NotAllowed):
        start_rollout(signed, by=ole)


@pytest.mark.django_db
def test_a_suite_that_is_changed_meanwhile_voids_what_is_being_signed(version, ada, bo, bea):
    make_report(version, ada)
    release = sign_release(open_release(version, by=ada), by=bo, password=PASSWORD)
    Suite.objects.filter(pk=release.report.run.suite_id).update(gates=[])

    with pytest.raises(Conflict, match="changed since"):
        sign_release(release, by=bea, password=PASSWORD)
    void_changed()
    release.refresh_from_db()
    assert release.status == Release.Status.VOIDED


@pytest.mark.django_db
@pytest.mark.parametrize("place", ["set_weights", "stop_deployment", "_call_operators"])
def test_a_worker_killed_in_a_rollback_leaves_all_or_nothing(rolling, monkeypatch, place):
    make_calls(rolling.deployment, good=20, bad=20)
    make_calls(rolling.baseline, good=4000, bad=1)

    def kill(*_args, **_facts):
        raise KILLED

    with monkeypatch.context() as patched:
        patched.setattr(rollout, place, kill)
        with pytest.raises(RuntimeError, match="killed"), transaction.atomic():
            proceed(rolling)
    rolling.refresh_from_db()
    assert (rolling.status, weights(rolling)) == (Release.Status.ROLLING, (1, 99))

    proceed(rolling)  # the next worker
    rolling.refresh_from_db()
    assert (rolling.status, weights(rolling)) == (Release.Status.ROLLED_BACK, (0, 100))


@pytest.mark.django_db
@pytest.mark.parametrize("place", ["_divide", "_enter_next"])
def test_a_worker_killed_in_a_promotion_leaves_all_or_nothing(rolling, ole, monkeypatch, place):
    make_calls(rolling.deployment, good=4000, bad=0)
    make_calls(rolling.baseline, good=4000, bad=0)
    proceed(rolling)

    def kill(*_args, **_facts):
        raise KILLED

    with monkeypatch.context() as patched:
        patched.setattr(rollout, place, kill)
        with pytest.raises(RuntimeError, match="killed"), transaction.atomic():
            promote(rolling, by=ole)
    states = list(rolling.stages.values_list("status", flat=True)[:2])
    assert (states, weights(rolling)) == ([Stage.Status.ACTIVE, Stage.Status.PENDING], (1, 99))

    promote(rolling, by=ole)
    assert weights(rolling) == (5, 95)


@pytest.fixture
def next_up(signed, digits, ada, bo, bea, ole):
    """1.0.0 runs; 1.1.0 is signed and could start."""
    make_ready_deployment(signed.version, ole)
    proceed(start_rollout(signed, by=ole))
    second = sign(make_packaged_version(digits, ada, "1.1.0"), ada, bo, bea)
    make_ready_deployment(second.version, ole)
    return second


@pytest.mark.django_db
@pytest.mark.parametrize("place", ["planned_stages", "deploy_version", "events.publish"])
def test_a_worker_killed_at_the_start_leaves_a_signed_release(next_up, ole, monkeypatch, place):
    def kill(*_args, **_facts):
        raise KILLED

    if place == "deploy_version":
        Deployment.objects.filter(version=next_up.version).update(desired="stopped")
    with monkeypatch.context() as patched:
        patched.setattr(f"apps.releases.rollout.{place}", kill)
        with pytest.raises(RuntimeError, match="killed"), transaction.atomic():
            start_rollout(next_up, by=ole)
    next_up.refresh_from_db()
    assert (next_up.status, next_up.stages.count()) == (Release.Status.SIGNED, 0)

    assert start_rollout(next_up, by=ole).status == Release.Status.ROLLING


@pytest.mark.django_db
def test_a_worker_killed_before_the_first_stage_begins_it_later(next_up, ole, monkeypatch):
    release = start_rollout(next_up, by=ole)

    def kill(*_args, **_facts):
        raise KILLED

    with monkeypatch.context() as patched:
        patched.setattr(rollout, "set_weights", kill)
        with pytest.raises(RuntimeError, match="killed"), transaction.atomic():
            proceed(release)
    assert set(release.stages.values_list("status", flat=True)) == {Stage.Status.PENDING}
    assert weights(release) == (0, 100)

    proceed(release)
    assert release.stages.filter(status="active").count() == 1
    assert weights(release) == (1, 99)


@pytest.mark.django_db
@pytest.mark.parametrize("place", ["set_weights", "events.publish"])
def test_a_worker_killed_at_the_end_leaves_the_last_stage_or_a_release(rolling, ole, monkeypatch, place):
    rolling.stages.exclude(status="active").update(status="skipped")
    rolling.stages.filter(status="active").update(outcome="success")

    def kill(*_args, **_facts):
        raise KILLED

    with monkeypatch.context() as patched:
        patched.setattr(f"apps.releases.rollout.{place}", kill)
        with pytest.raises(RuntimeError, match="killed"), transaction.atomic():
            promote(rolling, by=ole)
    rolling.refresh_from_db()
    assert (rolling.status, weights(rolling)) == (Release.Status.ROLLING, (1, 99))
    assert rolling.stages.filter(status="active").exists()

    assert promote(rolling, by=ole)
    rolling.refresh_from_db()
    assert (rolling.status, weights(rolling)) == (Release.Status.RELEASED, (100, 0))


@pytest.mark.django_db
def test_a_signature_that_is_voided_in_gray_takes_the_traffic_back(rolling):
    Version.objects.filter(pk=rolling.version_id).update(digest="f" * 64)
    void_changed()
    rollout.on_voided(str(rolling.pk), {})

    assert weights(rolling) == (0, 100)


@pytest.mark.django_db
def test_a_void_signature_ends_the_traffic_also_where_nothing_can_take_it_over(rolling):
    Deployment.objects.filter(pk=rolling.baseline_id).update(desired=Deployment.Desired.STOPPED)
    Version.objects.filter(pk=rolling.version_id).update(digest="f" * 64)
    void_changed()
    rollout.on_voided(str(rolling.pk), {})

    assert weights_of(rolling.capability) == {}


@pytest.mark.django_db
def test_a_stage_of_a_clock_that_runs_ahead_finds_no_calls_and_passes_nothing(rolling, ole):
    from datetime import timedelta

    from django.utils import timezone

    rolling.stages.filter(status="active").update(started_at=timezone.now() + timedelta(hours=1))
    make_calls(rolling.deployment, good=4000, bad=0)
    make_calls(rolling.baseline, good=4000, bad=0)
    proceed(rolling)

    with pytest.raises(NotAllowed, match="more calls"):
        promote(rolling, by=ole)


@pytest.mark.django_db
def test_the_guard_fails_closed_whatever_breaks_in_it(signed, monkeypatch):
    def broken(_release):
        raise KILLED

    monkeypatch.setattr(signing, "present_digest", broken)

    with pytest.raises(RuntimeError):
        may_take_production_traffic(signed.version)


@pytest.mark.django_db
def test_the_candidate_that_dies_in_gray_gives_its_traffic_back(rolling):
    Deployment.objects.filter(pk=rolling.deployment_id).update(status="failed", status_reason="crash")
    proceed(rolling)

    rolling.refresh_from_db()
    assert (rolling.status, weights(rolling)) == (Release.Status.ROLLED_BACK, (0, 100))


@pytest.mark.django_db
def test_first_version_has_nothing_to_roll_back_to(signed, ole):
    make_ready_deployment(signed.version, ole)
    proceed(start_rollout(signed, by=ole))

    with pytest.raises(Conflict, match="Nothing ran before"):
        roll_back(signed, by=ole)
