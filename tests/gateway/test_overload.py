"""A deployment that turns calls away is told of once, and the calls that it takes stay quick."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from apps.core import events
from apps.core.models import Event
from apps.gateway.dataplane import segments
from apps.gateway.ingest import ingest_once
from apps.gateway.models import Overload
from apps.requests.models import Notification
from tests.gateway.conftest import picture
from tests.gateway.test_ingest import ANSWER, REQUEST, facts, log, served  # noqa: F401 - fixtures


@pytest.mark.django_db
def test_operators_are_alerted_once_for_each_time_of_overload(
    log, served, ole, ada, client, monkeypatch,  # noqa: F811
):  # fmt: skip
    monkeypatch.setitem(events._handlers, "gateway.overloaded", [lambda key, told: None])
    now = time.time()
    busy = [facts(served, at=now - 300 + n, status=503, error="overloaded") for n in range(3)]
    log(*(segments.pack(each) for each in busy), segments.pack(facts(served), REQUEST, ANSWER))
    ingest_once(log.folder)
    log.folder.joinpath("0-abc").mkdir(exist_ok=True)
    log(segments.pack(facts(served, at=now - 260, status=503, error="overloaded")), name="000002.seg")
    ingest_once(log.folder)

    (seen,) = Overload.objects.all()
    assert (seen.refused, seen.deployment_id) == (4, served[1].pk)
    assert Event.objects.filter(name="gateway.overloaded").count() == 1
    assert [(row.user, "turns calls away" in row.title) for row in Notification.objects.all()] == [
        (ole, True)
    ]

    log.folder.joinpath("0-abc").mkdir(exist_ok=True)
    log(segments.pack(facts(served, at=now, status=503, error="overloaded")), name="000003.seg")
    ingest_once(log.folder)
    assert Overload.objects.count() == 2
    client.force_login(ada)
    assert "turned 4 calls away" in client.get("/calls/").content.decode()
    assert [row["refused"] for row in client.get("/api/v1/overloads/").json()["results"]] == [1, 4]


@pytest.mark.parametrize("processes", [1, 2])
def test_above_the_queues_bound_calls_are_refused_at_once_and_say_when_to_come_again(
    gateway, runner, processes
):
    sockets = {"1.0.0": [runner()]}
    serving = gateway(picture(sockets=sockets), in_flight_per_replica=4, processes=processes)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: serving.infer(b"SLEEP1"), range(12)))

    refused = [answer for answer in answers if answer.status == 503]
    assert 12 - 4 * processes <= len(refused) <= 8
    assert {answer.json["type"] for answer in refused} == {"urn:atrium:problem:temporary-reduced-capacity"}
    assert all(int(answer.getheader("Retry-After")) >= 1 for answer in refused)
    assert sum(record.facts["error"] == "overloaded" for record in serving.records()) == len(refused)
