"""The Jupyter server is killed while a cell runs: it comes back by itself, and what was there is there."""

import json
import os
import signal
from pathlib import Path

import pytest

from apps.compute.adapters import engine
from apps.workbench.launch import home_of
from apps.workbench.reconcile import answers
from tests.workbench.conftest import wait_for

CELL = "import time; print('before', flush=True); time.sleep(600)"
pytestmark = pytest.mark.django_db(transaction=True)


def server_of(workspace):
    """The process of the Jupyter server, as it is seen from outside of the sandbox."""
    below = {engine().observe(workspace.workload_id).pid}
    for number in sorted(int(process.name) for process in Path("/proc").glob("[0-9]*")):
        process = Path("/proc", str(number))
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if number in below or parent in below:
            below.add(number)
            if words[1:3] == [b"-m", b"jupyterlab"] and b"python" in words[0]:
                return number
    return None


def put(guest, path, body):
    as_json = {"X-XSRFToken": guest.cookies["_xsrf"], "Content-Type": "application/json"}
    answer = guest.request("PUT", path, body=json.dumps(body), headers=as_json)
    assert answer.status in (200, 201), answer.text
    return json.loads(answer.text)


def printed(workspace, name):
    """What the file on the disk holds of the cell's output."""
    try:
        [cell] = json.loads((home_of(workspace) / name).read_text())["cells"]
    except ValueError:  # it is being written just now
        return ""
    return "".join("".join(one.get("text", [])) for one in cell["outputs"])


def begin_cell(guest, kernel, name):
    """What the Lab does: share the notebook, and ask the server to run its cell."""
    cell = {"cell_type": "code", "id": "c1", "metadata": {}, "outputs": [], "execution_count": None}
    notebook = {"cells": [{**cell, "source": CELL}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    put(guest, f"/api/contents/{name}", {"type": "notebook", "format": "json", "content": notebook})
    shared = put(guest, f"/api/collaboration/session/{name}", {"format": "json", "type": "notebook"})
    room = f"json:notebook:{shared['fileId']}"
    with guest.socket(f"/api/collaboration/room/{room}?sessionId={shared['sessionId']}") as document:
        document.send(bytes([0, 0, 1, 0]))  # "what do you have?", see the Yjs sync protocol
        document.recv(timeout=20)
        asked = {"code": CELL, "metadata": {"document_id": room, "cell_id": "c1"}}
        assert guest.post(f"/api/kernels/{kernel}/execute", json.dumps(asked)).status == 202


def test_files_and_outputs_outlive_a_killed_server_and_the_page_tells_of_it(client, inside, ada, workspace):
    guest = inside(ada)
    kernel = json.loads(guest.post("/api/kernels").text)["id"]
    begin_cell(guest, kernel, "killed.ipynb")
    wait_for(lambda: printed(workspace, "killed.ipynb") == "before\n", 30)
    often = engine().observe(workspace.workload_id).restarts
    client.force_login(ada)
    facts = f"/workspaces/{workspace.pk}/facts/"
    if not often:
        assert "was started again" not in client.get(facts).content.decode()

    os.kill(server_of(workspace), signal.SIGKILL)

    wait_for(lambda: engine().observe(workspace.workload_id).restarts == often + 1, 20)
    wait_for(lambda: answers(workspace), 90)
    # The same way in goes on, the notebook has what was printed, and nothing pretends that the cell still runs.
    again = json.loads(guest.get("/api/contents/killed.ipynb").text)["content"]["cells"][0]
    assert "".join(again["source"]) == CELL
    assert "".join(again["outputs"][0]["text"]) == "before\n"
    assert json.loads(guest.get("/api/kernels").text) == []
    fresh = json.loads(guest.post("/api/kernels").text)["id"]
    assert (
        guest.request(
            "DELETE", f"/api/kernels/{fresh}", headers={"X-XSRFToken": guest.cookies["_xsrf"]}
        ).status
        == 204
    )
    workspace.refresh_from_db()
    assert workspace.status == "running"
    told = client.get(facts).content.decode()
    assert "Its server ended unexpectedly and was started again" in told
