"""Every websocket of the portal: who gets in, who does not, asked as a browser with its cookies and its origin."""

from __future__ import annotations

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import connections
from django.test import Client

from apps.compute import services
from apps.releases.models import Policy, Release
from apps.workbench.models import Environment
from portal.asgi import portal
from portal.routing import websocket_urlpatterns
from tests.access import PEOPLE
from tests.factories import make_capability, make_packaged_version, make_report

pytestmark = pytest.mark.django_db(transaction=True)

IN, NOT_LOGGED_IN, NOT_FOUND = "in", 4401, 4404
TABLE = {
    "ws/notifications/": (NOT_LOGGED_IN, IN, IN, IN, IN, IN),
    "ws/jobs/<int:pk>/": (NOT_LOGGED_IN, IN, IN, IN, NOT_FOUND, IN),
    "ws/releases/<int:pk>/": (NOT_LOGGED_IN, IN, IN, IN, NOT_FOUND, IN),
    "ws/environments/<int:pk>/": (NOT_LOGGED_IN, IN, NOT_FOUND, NOT_FOUND, NOT_FOUND, IN),
}


@pytest.fixture(autouse=True)
async def _close_connections():
    """The thread of the consumers' queries has a connection of its own, which would keep the database open."""
    yield
    await database_sync_to_async(connections.close_all)()


@pytest.fixture
def job(radio, ada, monkeypatch):
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    job = services.submit_job("script", "A job", by=ada, team=radio, argv=["run"])
    Environment.objects.create(pk=job.pk, name="words", team=radio, created_by=ada, job_id=job.pk)
    version = make_packaged_version(make_capability(radio, ada), ada)
    Release.objects.create(
        pk=job.pk, version=version, capability=version.capability, report=make_report(version, ada),
        policy=Policy.objects.create(team=radio, capability=version.capability, number=1), content_digest="0" * 64,
        opened_by=ada,
    )  # fmt: skip
    return job


@pytest.fixture
def cookies(ada, bo, ole, cy, root):
    """Each of PEOPLE with the cookies of their browser."""
    jars = {"visitor": ""}
    for who, person in zip(PEOPLE[1:], (ada, bo, ole, cy, root), strict=True):
        client = Client()
        client.force_login(person)
        jars[who] = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    return jars


async def knock(path: str, cookie: str, origin: str = "") -> object:
    """IN when the socket stays open with something to say, else the code with which it is closed."""
    headers = [(b"origin", (origin or settings.ATRIUM.web_url).encode()), (b"cookie", cookie.encode())]
    scope = {"type": "websocket", "path": path, "query_string": b"", "headers": headers, "subprotocols": []}
    socket = ApplicationCommunicator(portal, scope)
    await socket.send_input({"type": "websocket.connect"})
    answer = await socket.receive_output(5)
    if answer["type"] == "websocket.accept":
        answer = await socket.receive_output(5)
    if answer["type"] == "websocket.close":
        return answer.get("code")
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})
    await socket.wait(5)
    return IN


async def test_each_socket_lets_in_whom_it_should(cookies, job):
    for route, expected in TABLE.items():
        path = "/" + route.replace("<int:pk>", str(job.pk))
        found = {who: await knock(path, cookie) for who, cookie in cookies.items()}
        assert found == dict(zip(PEOPLE, expected, strict=True)), route


async def test_another_sites_page_opens_none_although_the_cookie_comes_along(cookies, job):
    for route in TABLE:
        path = "/" + route.replace("<int:pk>", str(job.pk))
        assert await knock(path, cookies["admin"], origin="https://evil.example.org") is None


def test_the_table_names_every_socket():
    assert {str(each.pattern) for each in websocket_urlpatterns} == set(TABLE)
