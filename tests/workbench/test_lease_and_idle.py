"""A running workspace is stopped when its lease ends or when nothing in it is at work."""

import html
import json
from datetime import timedelta

import pytest
from django.utils import timezone
from django.utils.html import strip_tags

from apps.core.errors import Conflict, NotAllowed
from apps.requests.models import Notification
from apps.workbench import services, tending
from apps.workbench.models import Workspace
from tests.workbench.conftest import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def leased(workspace):
    """Ada's workspace with a fresh lease, in which nothing has been at work for two hours."""
    long_ago = timezone.now() - timedelta(hours=2)
    later = timezone.now() + timedelta(hours=5)
    Workspace.objects.update(lease_until=later, active_at=long_ago, status_at=long_ago)
    workspace.refresh_from_db()
    return workspace


@pytest.fixture
def nobody_was_heard(monkeypatch):
    """The server has heard of nobody lately, whatever other tests asked it."""
    monkeypatch.setattr(tending, "_moment", lambda text: None)
    monkeypatch.setattr(tending, "_edited", lambda workspace: None)


def tended(workspace):
    workspace.refresh_from_db()
    tending.tend(workspace)
    workspace.refresh_from_db()
    return workspace


def test_an_idle_workspace_is_stopped_and_its_owner_told(leased, nobody_was_heard, ada):
    assert tended(leased).status == "stopping"
    assert "idle for 60 minutes" in leased.status_reason
    assert Notification.objects.get(user=ada).title == "Workspace “lab” was stopped"


def test_what_the_server_has_just_heard_keeps_it(leased, inside, ada):
    assert inside(ada).get("/api/contents").status == 200
    assert tended(leased).status == "running"
    assert timezone.now() - leased.active_at < timedelta(minutes=1)


def test_a_running_cell_is_work(leased, nobody_was_heard, inside, ada):
    guest = inside(ada)
    kernel = json.loads(guest.post("/api/kernels").text)["id"]
    message = {
        "msg_type": "execute_request",
        "msg_id": "m1",
        "session": "s",
        "username": "",
        "version": "5.3",
    }
    content = {"code": "import time; time.sleep(60)", "silent": False, "store_history": False}
    content |= {"user_expressions": {}, "allow_stdin": False, "stop_on_error": True}
    whole = {"header": message, "parent_header": {}, "metadata": {}, "content": content}
    try:
        with guest.socket(f"/api/kernels/{kernel}/channels?session_id=s") as channel:
            channel.send(json.dumps({**whole, "channel": "shell", "buffers": []}))
            wait_for(
                lambda: json.loads(guest.get(f"/api/kernels/{kernel}").text)["execution_state"] == "busy"
            )
            assert tended(leased).status == "running"
            assert leased.activity["busy"] == 1
    finally:
        xsrf = {"X-XSRFToken": guest.cookies["_xsrf"]}
        guest.request("DELETE", f"/api/kernels/{kernel}", headers=xsrf)


def test_a_command_in_a_terminal_is_work_and_a_waiting_shell_is_none(leased, nobody_was_heard, inside, ada):
    guest = inside(ada)
    name = json.loads(guest.post("/api/terminals").text)["name"]
    with guest.socket(f"/terminals/websocket/{name}") as terminal:
        terminal.send(json.dumps(["stdin", "echo rea''dy\r"]))
        seen = ""
        while "ready" not in seen:
            kind, *rest = json.loads(terminal.recv(timeout=30))
            seen += rest[0] if kind == "stdout" else ""
        terminal.send(json.dumps(["stdin", "sleep 60\r"]))
        wait_for(lambda: tended(leased).activity["commands"] == 1)
        assert leased.status == "running"
        terminal.send(json.dumps(["stdin", "\x03"]))
        Workspace.objects.update(active_at=timezone.now())  # a look between the two may have been early
        wait_for(lambda: tended(leased).activity["commands"] == 0)
    assert leased.activity["terminals"] >= 1


def test_the_end_of_the_lease_is_told_before_and_then_stops_it(leased, ada):
    Workspace.objects.update(lease_until=timezone.now() + timedelta(minutes=20), active_at=timezone.now())
    assert tended(leased).status == "running"
    tended(leased)
    assert Notification.objects.get(user=ada).title == "The lease of “lab” ends in 30 minutes"

    Workspace.objects.update(lease_until=timezone.now() - timedelta(minutes=1))
    assert tended(leased).status == "stopping"
    assert leased.status_reason == "The lease ended."


def test_a_renewed_lease_lasts_as_long_as_a_new_one(leased, ada, bo):
    with pytest.raises(NotAllowed):
        services.renew_lease(leased, by=bo)
    renewed = services.renew_lease(leased, by=ada)
    assert renewed.lease_until - timezone.now() > Workspace.LEASE - timedelta(minutes=1)

    Workspace.objects.update(status="stopped")
    with pytest.raises(Conflict):
        services.renew_lease(leased, by=ada)


def test_the_page_shows_what_it_uses_and_renews(client, leased, ada, dan):
    def facts():
        page = html.unescape(strip_tags(client.get(f"/workspaces/{leased.pk}/facts/").content.decode()))
        return " ".join(page.split())

    client.force_login(ada)
    assert "Lease4 h 59 min Renew" in facts()
    assert client.post(f"/workspaces/{leased.pk}/renew/").status_code == 302
    assert "Lease11 h 59 min" in facts()

    client.force_login(dan)
    assert "Renew" not in facts()
