"""A program on one's own computer uses a workspace's kernels and files with a personal token."""

import json
import os
import shlex
import socket
import subprocess
from contextlib import suppress

import pytest
from django.conf import settings

from apps.accounts.models import PersonalToken
from apps.accounts.services import create_token
from apps.compute import environments
from apps.core.package import for_programs
from apps.workbench.live.origins import without_token
from tests.gateway.conftest import free_port
from tests.workbench.conftest import Visitor, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


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
        said = _run(channels)
    assert said.split() == ["42", "/work"]
    assert program.request("DELETE", f"{path}/{kernel}", headers=bearing(token)).status == 204


@pytest.fixture
def local_lab(workspace, token, live_port, client, ada, tmp_path):
    """JupyterLab outside of the portal, started with the line that the settings page shows; gives its port."""
    client.force_login(ada)
    line = client.get(f"/workspaces/{workspace.pk}/settings/").context["lab_command"]
    line = line.replace("atr_…", token).replace(
        for_programs(settings.ATRIUM.live_url), f"http://127.0.0.1:{live_port}"
    )
    port = free_port()
    python = str(environments.path("base") / "bin" / "python")
    own = [f"--ServerApp.port={port}", "--ServerApp.token=local", "--no-browser", "--allow-root"]
    command = [python, "-m", "jupyterlab", *shlex.split(line)[2:], *own, f"--ServerApp.root_dir={tmp_path}"]
    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "JUPYTER_PLATFORM_DIRS": "1"}
    with (tmp_path / "lab.log").open("w") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
    try:
        wait_for(lambda: _listens(port), 60)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _listens(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True


def test_a_local_jupyterlab_runs_its_notebooks_in_kernels_of_the_workspace(local_lab):
    mine = Visitor(local_lab, f"127.0.0.1:{local_lab}")
    started = mine.request("POST", "/api/kernels", body="{}", headers=bearing("local"), origin=False)
    assert started.status == 201, started.text
    kernel = json.loads(started.text)["id"]
    with mine.socket(f"/api/kernels/{kernel}/channels?session_id=laptop&token=local") as channels:
        assert _run(channels).split() == ["42", "/work"]
    assert mine.request("DELETE", f"/api/kernels/{kernel}", headers=bearing("local")).status == 204


def _run(channels):
    """What the kernel prints."""
    channels.send(json.dumps(_execute("import os; print(6 * 7, os.getcwd())")))
    said, over = "", False
    while not over:
        message = json.loads(channels.recv(timeout=60))
        if message["parent_header"].get("msg_id") == "asked":
            said += message["content"].get("text", "")
            over = message["content"].get("execution_state") == "idle"
    return said


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
