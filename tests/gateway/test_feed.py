"""A change of keys or routes reaches a running gateway within two seconds."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import time
from datetime import timedelta

import pytest
import uvicorn
from django.conf import settings

from apps.catalog.models import Capability, Version
from apps.gateway.dataplane.snapshot import Snapshot, dump
from apps.gateway.models import Grant
from apps.gateway.services import (
    change_limits,
    create_grant,
    resume_grant,
    revoke_grant,
    rotate_grant,
    suspend_grant,
)
from apps.gateway.snapshot import picture
from apps.instances import routes
from apps.instances.models import Deployment, Replica, TrafficWeight
from apps.instances.services import set_weights
from tests.factories import make_capability, make_packaged_version, make_ready_deployment
from tests.gateway.conftest import BODY, free_port, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def live():
    """The live process's long poll, served by uvicorn in a thread on the database of the tests."""
    from apps.gateway import feed

    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(feed.application, port=port, log_level="warning", lifespan="off", loop="asyncio")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    yield f"http://127.0.0.1:{port}"
    server.force_exit = server.should_exit = True
    thread.join(10)


def test_a_new_key_works_and_a_suspended_or_revoked_one_ends_within_two_seconds(live, gateway, radio, ada):
    digits = make_capability(radio, ada, "digits")
    here = gateway(live_url=live, token=settings.ATRIUM.gateway_token)
    until(lambda: here.get("/healthz").json["revision"] >= 0)

    def within_two_seconds(status: int, key: str) -> None:
        began = time.monotonic()
        until(lambda: here.request("GET", "/v2/models/digits/ready", key=key).status == status, 5)
        assert time.monotonic() - began < 2

    grant, secret = create_grant(kind="trial", capability=digits, user=ada, by=ada)
    within_two_seconds(503, secret)  # known, though nothing serves it yet
    suspend_grant(grant, by=ada)
    within_two_seconds(403, secret)
    revoke_grant(grant, by=ada)
    within_two_seconds(401, secret)

    kept = here.state / "snapshot"
    assert until(lambda: kept.exists() and b"digits" in kept.read_bytes())


class Kept:
    """One kept connection to each of the processes that share the port."""

    def __init__(self, here, processes: int) -> None:
        self.found: dict[int, http.client.HTTPConnection] = {}
        while len(self.found) < processes:
            connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=10)
            connection.request("GET", "/healthz")
            self.found.setdefault(json.load(connection.getresponse())["pid"], connection)

    def ask(self, key: str, body: bytes = BODY) -> list[tuple[int, str | None]]:
        """Status and version of a call in each process."""
        seen = []
        for connection in self.found.values():
            connection.request("POST", "/v2/models/digits/infer", body, {"Authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            answer.read()
            seen.append((answer.status, answer.getheader("Atrium-Version")))
        return seen


def test_every_change_acts_in_both_processes_of_a_port_within_two_seconds(
    live, gateway, runner, radio, ada, ole, signed
):
    digits = make_capability(radio, ada, "digits")
    first, second = (make_ready_deployment(make_packaged_version(digits, ada), ole) for _ in range(2))
    for deployment in (first, second):
        version = deployment.version
        Replica.objects.filter(deployment=deployment).update(socket=runner(version.number))
        signed.add(version.digest)
    set_weights(digits, {first.pk: 100}, by=ole)
    grant, key = create_grant(kind="trial", capability=digits, user=ada, by=ada)
    here = gateway(live_url=live, token=settings.ATRIUM.gateway_token, processes=2)
    both = Kept(here, 2)

    def within_two_seconds(*wanted: tuple[int, str | None]) -> None:
        began = time.monotonic()
        until(lambda: set(both.ask(key)) == set(wanted), 5)
        assert time.monotonic() - began < 2

    within_two_seconds((200, first.version.number))
    set_weights(digits, {second.pk: 100}, by=ole)
    within_two_seconds((200, second.version.number))
    suspend_grant(grant, by=ada)
    within_two_seconds((403, None))
    resume_grant(grant, by=ada)
    within_two_seconds((200, second.version.number))
    change_limits(grant.pool, {"rate_per_s": 0.001, "burst": 1}, by=ada)
    within_two_seconds((429, None))
    revoke_grant(grant, by=ada)
    within_two_seconds((401, None))


def test_a_key_that_is_rotated_while_it_is_used_loses_no_call(live, gateway, runner, radio, ada, ole, signed):
    digits = make_capability(radio, ada, "digits")
    serving = make_ready_deployment(make_packaged_version(digits, ada), ole)
    Replica.objects.filter(deployment=serving).update(socket=runner(serving.version.number))
    signed.add(serving.version.digest)
    set_weights(digits, {serving.pk: 100}, by=ole)
    grant, key = create_grant(kind="trial", capability=digits, user=ada, by=ada)
    here = gateway(live_url=live, token=settings.ATRIUM.gateway_token)
    until(lambda: here.infer(key=key).status == 200)
    seen, over = [], threading.Event()

    def call() -> None:
        while not over.is_set():
            seen.append(here.infer(key=key).status)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        successor, fresh = rotate_grant(grant, by=ada)
        until(lambda: here.infer(key=fresh).status == 200)
        since = len(seen)
        until(lambda: len(seen) > since + 5)
    finally:
        over.set()
        caller.join()
    assert set(seen) == {200}

    _last, newest = rotate_grant(successor, by=ada, overlap=timedelta(0))
    until(lambda: here.infer(key=newest).status == 200)
    until(lambda: here.infer(key=fresh).status == 401)


def test_without_the_token_nobody_reads_the_keys(live):
    import urllib.error
    import urllib.request

    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{live}/internal/gateway/snapshot?after=-1", timeout=5)


def test_a_gateway_gets_the_changes_alone_and_ends_where_a_whole_snapshot_would(live, gateway, radio, ada):
    digits, other = make_capability(radio, ada, "digits"), make_capability(radio, ada, "other")
    here = gateway(live_url=live, token=settings.ATRIUM.gateway_token)
    until(lambda: here.get("/healthz").json["revision"] >= 0)
    grant, secret = create_grant(kind="trial", capability=digits, user=ada, by=ada)
    until(lambda: here.request("GET", "/v2/models/digits/ready", key=secret).status == 503)
    kept = here.state / "changes"
    assert until(lambda: [each.read_bytes() for each in kept.glob("*-*")])[-1].count(b"\n") == 2

    deployment = make_ready_deployment(make_packaged_version(other, ada), ada, kind="test")
    routes.changed(other.pk)
    until(lambda: here.get("/healthz").json["deployments"] == 1)
    Deployment.objects.filter(pk=deployment.pk).update(status="stopped")
    revoke_grant(grant, by=ada)
    routes.changed(other.pk)
    until(lambda: (here.get("/healthz").json["deployments"], here.get("/healthz").json["keys"]) == (0, 0))

    here.stop()
    whole = Snapshot.parse(dump(0, picture())).counts()
    found = Snapshot.load(here.state / "snapshot").counts()
    assert {**found, "revision": 0} == whole


@pytest.mark.soak
def test_a_change_reaches_a_gateway_within_two_seconds_among_100_000_keys_and_10_000_routes(
    live, gateway, radio, ada
):
    digits = make_capability(radio, ada, "digits")
    many(radio, ada)
    here = gateway(live_url=live, token=settings.ATRIUM.gateway_token)
    until(lambda: here.get("/healthz").json["keys"] >= 100_000, 120)
    assert here.get("/healthz").json["deployments"] == 10_000
    took = []
    for _ in range(5):
        grant, secret = create_grant(kind="trial", capability=digits, user=ada, by=ada)
        for change, status in ((None, 503), (suspend_grant, 403), (revoke_grant, 401)):
            if change:
                change(grant, by=ada)
            began = time.monotonic()
            until(lambda: here.request("GET", "/v2/models/digits/ready", key=secret).status == status, 20)  # noqa: B023
            took.append(time.monotonic() - began)
    print(
        f"a change took {max(took):.2f} s at most; {here.get('/healthz').json['memory_bytes'] / 1e6:.0f} MB"
    )
    assert max(took) < 2


def many(team, by) -> None:
    """100,000 keys, and 5,000 capabilities with two versions that share their traffic."""
    capabilities = Capability.objects.bulk_create(
        Capability(slug=f"c-{n}", name=f"c {n}", team=team, created_by=by) for n in range(5000)
    )
    versions = Version.objects.bulk_create(
        Version(capability=each, number=f"{n}.0.0", status="packaged", digest="d" * 64, created_by=by)
        for each in capabilities for n in (1, 2)
    )  # fmt: skip
    deployments = Deployment.objects.bulk_create(
        Deployment(capability=each.capability, version=each, kind="production", status="ready", created_by=by)
        for each in versions
    )
    TrafficWeight.objects.bulk_create(
        TrafficWeight(capability=each.capability, deployment=each, weight=50, salt="s")
        for each in deployments
    )
    Replica.objects.bulk_create(
        Replica(
            deployment=each,
            generation=1,
            workload_id=f"w{each.pk}",
            socket=f"/run/{each.pk}.sock",
            status="ready",
        )
        for each in deployments
    )
    limits = {"rate_per_s": 10, "burst": 20, "per_day": 5000, "per_month": 100000, "concurrent": 4}
    Grant.objects.bulk_create(
        (
            Grant(key_hash=hashlib.sha256(str(n).encode()).hexdigest(), prefix="atk_", kind="subscription",
                  capability=capabilities[n % 5000], team=team, pool=f"subscription:{n}", limits=limits)
            for n in range(100_000)
        ),
        batch_size=5000,
    )  # fmt: skip
