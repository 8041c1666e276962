"""A change of keys or routes reaches a running gateway within two seconds."""

from __future__ import annotations

import time

import pytest
import uvicorn
from django.conf import settings

from apps.gateway.services import create_grant, revoke_grant, suspend_grant
from tests.factories import make_capability
from tests.gateway.conftest import free_port, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def live():
    """The live process's long poll, served by uvicorn in a thread on the database of the tests."""
    import threading

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


def test_without_the_token_nobody_reads_the_keys(live):
    import urllib.error
    import urllib.request

    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{live}/internal/gateway/snapshot?after=-1", timeout=5)
