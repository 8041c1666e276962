"""A program on one's own computer uses a workspace's kernels and files with a personal token."""

import json

import pytest

from apps.accounts.models import PersonalToken
from apps.accounts.services import create_token
from apps.workbench.live.origins import without_token
from tests.workbench.conftest import Visitor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("workbench")]


@pytest.fixture
def token(ada):
    return create_token(ada, "laptop", by=ada)[1]


@pytest.fixture
def program(live_port):
    """A program that knows only the live process's address, not the workspace's host name."""
    return Visitor(live_port, f"127.0.0.1:{live_port}")


def bearing(secret):
    return {"Authorization": f"token {secret}"}


def test_a_local_editor_runs_code_in_a_kernel_of_the_workspace(workspace, program, token):
    """As Visual Studio Code does: a kernel by REST, then Jupyter's messages over a socket with ?token=."""
    path = f"/workspaces/{workspace.pk}/api/kernels"
    started = program.request("POST", path, body="{}", headers=bearing(token), origin=False)
    assert started.status == 201
    kernel = json.loads(started.text)["id"]
    with program.socket(f"{path}/{kernel}/channels?session_id=laptop&token={token}") as channels:
        channels.send(json.dumps(_execute("import os; print(6 * 7, os.getcwd())")))
        said, over = "", False
        while not over:
            message = json.loads(channels.recv(timeout=60))
            if message["parent_header"].get("msg_id") == "asked":
                said += message["content"].get("text", "")
                over = message["content"].get("execution_state") == "idle"
    assert said.split() == ["42", "/work"]
    assert program.request("DELETE", f"{path}/{kernel}", headers=bearing(token)).status == 204


def _execute(code):
    header = {
        "msg_id": "asked",
        "msg_type": "execute_request",
        "username": "",
        "session": "laptop",
        "version": "5.3",
    }
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }


def test_files_go_up_and_down(workspace, program, token):
    path = f"/workspaces/{workspace.pk}/api/contents/from-my-laptop.py"
    body = json.dumps({"type": "file", "format": "text", "content": "print(1)\n"})
    assert program.request("PUT", path, body=body, headers=bearing(token)).status == 201
    answer = program.get(path, headers=bearing(token))
    assert json.loads(answer.text)["content"] == "print(1)\n"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert program.get(f"{path}?token={token}").status == 200
    assert program.request("DELETE", path, headers=bearing(token)).status == 204


def test_the_workspaces_own_name_takes_a_token_too(visitor, token):
    assert visitor().get("/api/status", headers=bearing(token)).status == 200


def test_without_a_right_or_a_live_token_nothing_opens(workspace, program, token, ada, cy, dan, bo):
    path = f"/workspaces/{workspace.pk}/api/kernels"
    foreign = create_token(cy, "laptop", by=cy)[1]
    of_a_job = create_token(ada, "job", by=ada)
    PersonalToken.objects.filter(pk=of_a_job[0].pk).update(job_id=1)
    refused = [program.get(path, headers=bearing(one)) for one in (foreign, "atr_wrong", of_a_job[1])]
    assert [answer.status for answer in refused] == [401] * 3
    assert program.get(path).status == 401
    assert program.get(f"/workspaces/{workspace.pk}/lab", headers=bearing(token)).status == 401
    reader = create_token(dan, "laptop", by=dan)[1]
    assert program.get(path, headers=bearing(reader)).status == 200
    assert program.request("POST", path, body="{}", headers=bearing(reader)).status == 403
    PersonalToken.objects.filter(user=ada).update(expires_at="2020-01-01T00:00Z")
    assert program.get(path, headers=bearing(token)).status == 401


def test_the_server_in_the_sandbox_never_sees_the_token():
    asked = {"query_string": b"a=1&token=atr_x&b=2", "headers": []}
    assert without_token(asked)["query_string"] == b"a=1&b=2"
