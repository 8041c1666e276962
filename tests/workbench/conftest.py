"""A real Jupyter server in the sandbox and a real live process, once per test worker."""

import asyncio
import http.client
import json
import os
import shutil
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest
import uvicorn
from django.conf import settings as django_settings
from django.db import connection
from websockets.sync.client import connect

from apps.accounts.models import Role
from apps.accounts.services import create_token
from apps.compute import environments
from apps.compute.adapters import engine
from apps.core.errors import NotFound, Unavailable
from apps.workbench import entry, tracking
from apps.workbench.adapters import Tracker
from apps.workbench.launch import lay_out, workload_of
from apps.workbench.live.app import LiveApplication
from apps.workbench.models import Workspace
from apps.workbench.reconcile import answers
from tests.factories import make_user

LIVE = "portal.localhost:8001"
RECHECK_S = 0.4


def wait_for(find, seconds=20.0):
    """The first true answer of `find`, asked again and again."""
    until = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="session")
def lab_pk():
    return 7001 + int("".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", "0"))) or 0)


@pytest.fixture(scope="session")
def lab(lab_pk, servers):  # torn down before the folder that it runs in is removed
    """A workspace's Jupyter server that runs for the whole session; its row is made by `workspace`."""
    environments.build("base", say=lambda words: None)
    workspace = Workspace(pk=lab_pk, name="lab")
    engine().remove(workspace.workload_id)
    lay_out(workspace)
    engine().start(workload_of(workspace, "no-token"))
    wait_for(lambda: answers(workspace), 60)
    yield workspace
    engine().remove(workspace.workload_id)


@pytest.fixture
def workspace(lab, transactional_db, ada, radio):
    """Ada's running workspace."""
    return Workspace.objects.create(pk=lab.pk, name="lab", owner=ada, team=radio, status="running")


@pytest.fixture
def dan(radio):
    return make_user("dan", team=radio, role=Role.DEVELOPER)


async def portal_stub(scope, receive, send):
    """What is no origin of its own ends up here; it has no sockets."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4404})
        return
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"the portal"})


@contextmanager
def serving(application):
    """An ASGI application on a port of its own, in a thread; gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application,
        lifespan="on",
        log_level="warning",
        ws="websockets-sansio",
        ws_max_size=1 << 27,
        timeout_graceful_shutdown=1,  # what tests left open is cut off: it would be waited for without an end
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    wait_for(lambda: server.started)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="session")
def live_process(servers, django_db_setup, django_db_blocker):
    """The live process, with doors for the sandboxes; gives its port."""
    with serving(LiveApplication(portal_stub, fresh_s=0, recheck_s=RECHECK_S)) as port:
        yield port
    with django_db_blocker.unblock(), connection.cursor() as cursor:  # the server's threads' connections
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")


@pytest.fixture
def live_port(live_process):
    return live_process


@dataclass
class Visitor:
    """A browser at one origin of the live process."""

    port: int
    host: str
    cookies: dict = field(default_factory=dict)

    def request(self, method, path, *, body=None, headers=None, origin=True):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {"Host": self.host, **self._headers(origin), **(headers or {})}
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        response.text = response.read().decode("utf-8", "replace")
        for line in response.headers.get_all("Set-Cookie") or []:
            name, _equals, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        connection.close()
        return response

    def get(self, path, **kwargs):
        return self.request("GET", path, origin=False, **kwargs)

    def post(self, path, body="{}", headers=None, **kwargs):
        xsrf = {"X-XSRFToken": self.cookies.get("_xsrf", "")}
        return self.request(
            "POST",
            path,
            body=body,
            headers={"Content-Type": "application/json", **xsrf, **(headers or {})},
            **kwargs,
        )

    def enter(self, ticket, **more):
        return self.get(f"/atrium/enter?{urlencode({'ticket': ticket, **more})}")

    def socket(self, path, *, headers=None, **kwargs):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        sent = {**self._headers(True), **(headers or {})}
        origin = sent.pop("Origin")
        return connect(
            f"ws://{self.host}{path}",
            sock=plain,
            additional_headers=sent,
            origin=origin,
            max_size=None,
            **kwargs,
        )

    def _headers(self, origin):
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {
            **({"Cookie": cookie} if cookie else {}),
            **({"Origin": f"http://{self.host}"} if origin else {}),
        }


@pytest.fixture
def visitor(live_port, workspace):
    """Makes a browser at the workspace's origin, without a way in."""
    return lambda origin=f"w{workspace.pk}": Visitor(live_port, f"{origin}.{LIVE}")


@pytest.fixture
def ticket_for(client, workspace):
    """A fresh ticket for a person who has logged in at the portal."""

    def make(user, origin=f"w{workspace.pk}"):
        client.force_login(user)
        return entry.issue_ticket(user, origin, client.session.session_key)

    return make


@pytest.fixture
def inside(visitor, ticket_for):
    """A browser of this person that has entered the workspace and loaded a page of it."""

    def make(user):
        guest = visitor()
        assert guest.enter(ticket_for(user)).status == 303
        assert guest.get("/lab").status == 200
        return guest

    return make


@pytest.fixture(scope="session")
def tracker_home(servers):
    """The tracker's folder, empty at first."""
    environments.build("mlflow", say=lambda words: None)
    engine().remove(tracking.WORKLOAD)
    shutil.rmtree(django_settings.ATRIUM.data_dir / "mlflow", ignore_errors=True)
    yield
    engine().remove(tracking.WORKLOAD)


@pytest.fixture
def tracker(tracker_home, transactional_db):
    """The real tracker; it starts once, which takes a while, and again where a test has ended it."""
    tracking.keep_tracker()
    wait_for(_answers, 120)


def _answers():
    try:
        return Tracker("default").experiments()
    except (Unavailable, NotFound):
        return False


@pytest.fixture
def token_of(db):
    return lambda user, **more: create_token(user, "test", by=user, **more)[1]


@pytest.fixture
def put(tracker, live_process):
    """Send a file with a token; gives the status."""

    def send(token, path, content):
        connection = http.client.HTTPConnection("127.0.0.1", live_process, timeout=30)
        connection.request("PUT", path, content, {"Host": LIVE, "Authorization": f"Bearer {token}"})
        return connection.getresponse().status

    return send


@pytest.fixture
def api(tracker, live_process):
    """A REST call with a token; gives status and JSON."""

    def call(token, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", live_process, timeout=30)
        sent = {
            "Host": LIVE,
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            **headers,
        }
        method, data = ("GET", None) if body is None else ("POST", json.dumps(body))
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data[:1] in b"{[" else data.decode("utf-8", "replace")

    return call
