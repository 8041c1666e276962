"""Shells end when their person logs out; cells do not."""

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.services import set_active
from apps.workbench import entry, jupyter, tending
from apps.workbench.models import Entry
from tests.workbench.conftest import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def names(workspace, what):
    key = "name" if what == "terminals" else "id"
    return {row[key] for row in jupyter.ask(workspace, f"/api/{what}")}


def test_terminals_end_with_the_last_login_and_kernels_go_on(client, inside, visitor, ada, workspace):
    at_work, at_home = inside(ada), visitor()
    home = Client()
    home.force_login(ada)
    assert (
        at_home.enter(entry.issue_ticket(ada, at_home.host.split(".")[0], home.session.session_key)).status
        == 303
    )
    shell = json.loads(at_work.post("/api/terminals").text)["name"]
    kernel = json.loads(at_work.post("/api/kernels").text)["id"]
    with at_work.socket(f"/terminals/websocket/{shell}") as terminal:
        terminal.send(json.dumps(["stdin", "sleep 600\r"]))

    client.post("/logout/")
    tending.tend(workspace)
    assert at_work.get("/api/status").status == 403
    assert shell in names(workspace, "terminals")

    home.post("/logout/")
    tending.tend(workspace)
    wait_for(lambda: not names(workspace, "terminals"))
    assert kernel in names(workspace, "kernels")
    assert not Entry.objects.exists()


def test_a_server_that_does_not_answer_is_asked_again(client, inside, ada, workspace, monkeypatch):
    inside(ada)
    client.post("/logout/")
    with monkeypatch.context() as away:
        away.setattr(jupyter, "end_terminals", lambda workspace: False)
        tending.tend(workspace)
    assert Entry.objects.count() == 1
    tending.tend(workspace)
    assert not Entry.objects.exists()


def test_another_password_ends_the_other_logins_and_this_one_goes_on(client, inside, visitor, ada, workspace):
    at_work, at_home = inside(ada), visitor()
    home = Client()
    home.force_login(ada)
    at_home.enter(entry.issue_ticket(ada, at_home.host.split(".")[0], home.session.session_key))
    shell = json.loads(at_work.post("/api/terminals").text)["name"]
    assert at_home.get("/api/status").status == 200
    fresh = "long-and-new-9"

    asked = {"old_password": "pw-of-this-test", "new_password": fresh, "repeated": fresh}
    assert client.post("/profile/password/", asked).status_code == 302
    tending.tend(workspace)

    assert at_work.get("/api/status").status == 200
    assert at_home.get("/api/status").status == 403
    assert shell in names(workspace, "terminals")
    assert jupyter.end_terminals(workspace)


def test_who_logs_out_long_after_entering_leaves_no_shell(client, inside, ada, workspace):
    at_work = inside(ada)
    at_work.post("/api/terminals")
    Entry.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    entry.forget_expired_entries()

    client.post("/logout/")
    tending.tend(workspace)

    wait_for(lambda: not names(workspace, "terminals"))
    assert not Entry.objects.exists()


def test_who_never_left_keeps_the_terminals(inside, ada, workspace):
    guest = inside(ada)
    shell = json.loads(guest.post("/api/terminals").text)["name"]
    tending.tend(workspace)
    assert shell in names(workspace, "terminals")
    assert jupyter.end_terminals(workspace)


def test_shells_of_somebody_who_is_shut_out_end(inside, root, ada, workspace):
    inside(ada).post("/api/terminals")
    set_active(ada, False, by=root)
    tending.tend(workspace)

    wait_for(lambda: not names(workspace, "terminals"))
