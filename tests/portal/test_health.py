"""The health page: who only runs and does not work is not called up."""

import json
import os
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.core import heartbeats
from apps.core.models import Heartbeat
from portal.supervisor.identity import ProcessIdentity

pytestmark = pytest.mark.django_db


@pytest.fixture
def record(settings):
    """Write the supervisor's record, in which this very process plays every part."""
    me = ProcessIdentity.of(os.getpid())
    path = settings.ATRIUM.run_dir / "processes.json"
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(name="worker", *, pid=me.pid, state="up"):
        process = {"pid": pid, "start_time": me.start_time, "state": state}
        path.write_text(json.dumps({"processes": {name: process}}))

    yield write
    path.unlink(missing_ok=True)


def parts(client):
    return client.get("/healthz").json()["parts"]


def heard(part, *, ago):
    Heartbeat.objects.update_or_create(part=part, defaults={"at": timezone.now() - ago})


def test_a_worker_that_was_heard_of_is_up(client, record):
    record()
    heartbeats.beat("worker")

    assert parts(client)["worker"] == "up"


def test_a_worker_that_runs_and_says_nothing_is_silent(client, record, monkeypatch):
    record()
    heard("worker", ago=timedelta(minutes=2))
    monkeypatch.setattr(ProcessIdentity, "started_at", lambda _self: timezone.now().timestamp() - 600)

    answer = client.get("/healthz")

    assert answer.status_code == 503
    assert answer.json()["parts"]["worker"] == "silent"


def test_what_a_former_worker_said_does_not_count(client, record, monkeypatch):
    heard("worker", ago=timedelta(seconds=8))
    record()
    monkeypatch.setattr(ProcessIdentity, "started_at", lambda _self: timezone.now().timestamp() - 4)

    assert parts(client)["worker"] == "starting"


def test_a_dead_worker_is_down_whatever_it_said(client, record):
    record(pid=2**22 - 1)
    heartbeats.beat("worker")

    assert parts(client)["worker"] == "down"


def test_where_another_machine_runs_them_their_word_alone_counts(client):
    heartbeats.beat("ingest")

    found = parts(client)

    assert (found["ingest"], found["worker"]) == ("up", "silent")


def test_a_process_knows_when_it_was_started():
    began = ProcessIdentity.of(os.getpid()).started_at()

    assert 0 <= timezone.now().timestamp() - began < 24 * 3600
