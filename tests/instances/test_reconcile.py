"""The reconciler makes what runs equal to what was asked for, whatever dies meanwhile."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone, translation

from apps.compute import adapters, environments
from apps.compute.engines.fake import FakeEngine
from apps.compute.services import workload_socket
from apps.core.models import AuditEntry, Event
from apps.instances import reconcile, routes
from apps.instances.models import Deployment, Replica
from apps.instances.selectors import ready_replicas
from apps.instances.services import (
    deploy_version,
    place_deployment,
    restart_deployment,
    scale_deployment,
    start_deployment,
    stop_deployment,
)
from tests.factories import make_capability, make_packaged_version

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _outside(monkeypatch):
    monkeypatch.setattr(environments, "is_ready", lambda name: True)
    monkeypatch.setattr(environments, "path", lambda name: None)
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    monkeypatch.setattr("apps.compute.services.workloads.require", lambda verdict: None)
    monkeypatch.setattr(reconcile, "DRAIN", timedelta(0))


@pytest.fixture
def engine():
    fake = FakeEngine()
    adapters.use(fake)
    yield fake
    adapters.use(None)


@pytest.fixture
def version(radio, ada):
    return make_packaged_version(make_capability(radio, ada, "digits"), ada)


class Everything(dict):
    """Every socket answers."""

    def get(self, key, default=None):
        return True


def rounds(deployment: Deployment, count: int = 3, *, answers: bool = True) -> Deployment:
    for _ in range(count):
        reconcile.reconcile_deployment(deployment.pk, Everything() if answers else {})
    deployment.refresh_from_db()
    return deployment


def test_a_deployment_becomes_ready_when_its_runner_answers(version, ada, engine):
    deployment = deploy_version(version, kind="test", by=ada)

    assert rounds(deployment, answers=False).status == "starting"
    assert rounds(deployment).status == "ready"

    replica = ready_replicas().get()
    assert replica.socket == str(workload_socket(replica.workload_id))
    workload = engine.lives[replica.workload_id].workload
    assert list(workload.argv)[:3] == ["python", "-m", "atrium.runner"]
    assert (workload.network, workload.port, workload.restart) == ("none", True, "on-failure")
    assert workload.mounts[0].readonly


def test_a_runner_that_ended_is_replaced_and_its_last_words_are_shown(version, ada, engine):
    deployment = deploy_version(version, kind="test", by=ada)
    rounds(deployment)
    first = Replica.objects.get()
    engine.say(first.workload_id, "Traceback\nValueError: bad weights\n")
    engine.finish(first.workload_id, 1)

    rounds(deployment, 1, answers=False)

    assert deployment.status == "failed"
    assert "ValueError: bad weights" in deployment.status_reason
    Replica.objects.update(retry_at=timezone.now() - timedelta(seconds=1))
    assert rounds(deployment).status == "ready"
    second = Replica.objects.get()
    assert "ValueError: bad weights" in second.last_failure
    assert second.workload_id != first.workload_id
    assert (second.restarts, list(engine.lives)) == (1, [second.workload_id])


def test_what_crashed_may_load_as_long_as_at_first_and_its_crash_stays_told(
    version, ada, engine, monkeypatch
):
    monkeypatch.setattr(reconcile, "REPLACE_AFTER", 4)
    deployment = deploy_version(version, kind="test", by=ada)
    rounds(deployment)
    first = Replica.objects.get().workload_id
    life = engine.lives[first]
    life.observed = replace(life.observed, state="restarting", reason="killed by signal 6", restarts=1)
    rounds(deployment, 1, answers=False)
    life.observed = replace(life.observed, state="running", reason="")

    rounds(deployment, 10, answers=False)

    assert list(engine.lives) == [first]
    assert rounds(deployment).status == "ready"
    assert "killed by signal 6" in Replica.objects.get().failure


def test_what_the_portal_ended_with_itself_has_not_failed(version, ada, engine):
    deployment = deploy_version(version, kind="test", by=ada)
    rounds(deployment)
    first = Replica.objects.get()
    Event.objects.all().delete()
    engine.stop(first.workload_id)

    assert rounds(deployment, 1, answers=False).status == "starting"
    assert rounds(deployment).status == "ready"
    second = Replica.objects.get()
    assert (second.replaced, second.last_failure, list(engine.lives)) == (0, "", [second.workload_id])
    assert second.workload_id != first.workload_id
    assert not Event.objects.filter(name="instances.deployment_failed").exists()


def test_what_was_ended_because_it_failed_is_replaced_after_a_pause(version, ada, engine):
    deployment = deploy_version(version, kind="test", by=ada)
    rounds(deployment)

    rounds(deployment, reconcile.REPLACE_AFTER + 1, answers=False)

    failed = Replica.objects.get()
    assert (deployment.status, failed.status) == ("failed", "failed")
    assert failed.retry_at > timezone.now()


def test_pauses_grow_between_replacements(version, ada, engine):
    deployment = deploy_version(version, kind="test", by=ada)
    rounds(deployment)
    Replica.objects.update(replaced=4)
    engine.finish(Replica.objects.get().workload_id, 1)

    rounds(deployment, 1, answers=False)

    assert Replica.objects.get().retry_at - timezone.now() > timedelta(seconds=14)


def test_a_workload_that_vanished_is_started_again(version, ada, engine):
    deployment = deploy_version(version, kind="test", by=ada)
    rounds(deployment)
    engine.lives.clear()

    rounds(deployment)

    assert len(engine.lives) == 1
    assert deployment.status == "ready"


def test_one_missed_check_is_forgiven_three_are_not(version, ada, engine):
    deployment = deploy_version(version, kind="test", by=ada)
    rounds(deployment)

    assert rounds(deployment, 2, answers=False).status == "ready"
    assert rounds(deployment, 1, answers=False).status == "starting"
    assert "health checks" in deployment.status_reason


def test_a_round_over_what_is_as_wanted_only_looks(
    version, ada, engine, monkeypatch, django_assert_num_queries
):
    deployment = deploy_version(version, kind="test", by=ada, replicas=2)
    rounds(deployment)
    monkeypatch.setattr(reconcile.health, "check", lambda paths: dict.fromkeys(paths, True))

    with django_assert_num_queries(4):  # the lock, deployments, replicas, the lock
        reconcile.reconcile()

    Replica.objects.update(observed_at=timezone.now() - timedelta(minutes=1), memory_mb=0)
    for life in engine.lives.values():
        life.observed = replace(life.observed, memory_mb=77.0)
    with django_assert_num_queries(6):  # and one for what was measured of each replica
        reconcile.reconcile()
    assert set(Replica.objects.values_list("status", "memory_mb")) == {("ready", 77.0)}


def test_a_runner_that_ended_a_moment_after_its_check_is_seen(version, ada, engine, monkeypatch):
    deployment = deploy_version(version, kind="test", by=ada)
    rounds(deployment)
    monkeypatch.setattr(reconcile.health, "check", lambda paths: dict.fromkeys(paths, True))
    Replica.objects.update(observed_at=timezone.now() - timedelta(minutes=1))
    engine.finish(Replica.objects.get().workload_id, 1)

    reconcile.reconcile()

    assert Replica.objects.get().status == "failed"


def test_stopping_ends_the_runner_and_frees_its_place(version, ada, engine):
    deployment = deploy_version(version, kind="test", by=ada)
    rounds(deployment)

    stop_deployment(deployment, by=ada)

    assert rounds(deployment, 4).status == "stopped"
    assert not engine.lives
    assert not Replica.objects.exists()
    start_deployment(deployment, by=ada)
    assert rounds(deployment).status == "ready"


def test_a_deployment_that_never_started_can_be_stopped(version, ada, engine):
    deployment = deploy_version(version, kind="test", by=ada)
    stop_deployment(deployment, by=ada)

    assert rounds(deployment, 1).status == "stopped"


def test_replicas_are_added_and_taken_away(version, ada, engine):
    deployment = deploy_version(version, kind="test", by=ada)
    scale_deployment(deployment, 3, by=ada)
    rounds(deployment)
    assert ready_replicas().count() == 3

    scale_deployment(deployment, 1, by=ada)
    rounds(deployment, 4)

    assert ready_replicas().count() == len(engine.lives) == 1


def test_a_restart_ends_the_old_runner_only_when_the_new_one_answers(version, ada, engine):
    deployment = deploy_version(version, kind="test", by=ada)
    rounds(deployment)
    old = Replica.objects.get()

    restart_deployment(deployment, by=ada)
    reconcile.reconcile_deployment(deployment.pk, {old.socket: True})
    reconcile.reconcile_deployment(deployment.pk, {old.socket: True})
    assert list(ready_replicas()) == [old]

    rounds(deployment, 4)
    assert ready_replicas().get().generation == 2
    assert len(engine.lives) == 1


def test_the_data_plane_hears_when_a_replica_comes_and_goes(version, ada, engine, monkeypatch):
    deployment = deploy_version(version, kind="test", by=ada)
    rounds(deployment, 1, answers=False)
    heard = []
    monkeypatch.setattr(routes, "_callbacks", [lambda _capability: heard.append(ready_replicas().count())])

    rounds(deployment, 1)
    assert heard[0] == 1
    heard.clear()
    engine.finish(Replica.objects.get().workload_id, 9)
    rounds(deployment, 1)
    assert heard[0] == 0


def test_it_waits_for_a_node_with_its_labels_and_a_later_version_asks_for_them_too(version, ada, engine):
    deployment = deploy_version(version, kind="test", by=ada, labels=["zone=gpu"])
    assert rounds(deployment).status_reason == "waits: no node has the label “zone=gpu”"
    assert not engine.lives
    assert deploy_version(version, kind="test", by=ada).labels == ["zone=gpu"]

    place_deployment(deployment, [], by=ada)

    assert rounds(deployment).status == "ready"
    assert AuditEntry.objects.filter(action="instances.deployment.placed").count() == 1


def test_without_room_it_waits_and_says_so_in_the_readers_language(version, ada, engine, compiled_messages):
    deployment = deploy_version(version, kind="test", by=ada, resources={"memory_mb": 900_000})

    rounds(deployment)

    assert deployment.status == "starting"
    assert "MB of memory" in deployment.status_reason
    with translation.override("zh-hans"):
        assert "内存" in deployment.why
        assert "内存" in Replica.objects.get().why
