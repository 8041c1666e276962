"""Code runs through the proxy's websockets."""

import json
import time
import uuid

import pytest

from tests.workbench.conftest import wait_for

CELL = "import time; time.sleep(2); print('alone')"
BINARY = "v1.kernel.websocket.jupyter.org"
pytestmark = pytest.mark.django_db(transaction=True)


def _request(number, code):
    header = {
        "msg_id": number,
        "msg_type": "execute_request",
        "session": "s1",
        "username": "",
        "version": "5.3",
    }
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}}
    content |= {"allow_stdin": False, "stop_on_error": True}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    return {**message, "channel": "shell", "buffers": []}


def execute(guest, kernel, code, seconds=30):
    """Run code in a kernel over the plain JSON protocol; gives the outputs' texts."""
    with guest.socket(f"/api/kernels/{kernel}/channels?session_id=s1") as channel:
        number = uuid.uuid4().hex
        channel.send(json.dumps(_request(number, code)))
        texts, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            message = json.loads(channel.recv(timeout=seconds))
            if message["parent_header"].get("msg_id") != number:
                continue
            kind, body = message["msg_type"], message["content"]
            if kind == "stream":
                texts.append(body["text"])
            elif kind in ("execute_result", "display_data"):
                texts.append(body["data"]["text/plain"])
            elif kind == "error":
                texts.append("\n".join(body["traceback"]))
            elif kind == "status" and body["execution_state"] == "idle":
                return "".join(texts)
    raise AssertionError("the kernel did not answer")


@pytest.fixture
def guest(inside, ada):
    return inside(ada)


@pytest.fixture
def kernel(guest):
    number = json.loads(guest.post("/api/kernels").text)["id"]
    yield number
    guest.request("DELETE", f"/api/kernels/{number}", headers={"X-XSRFToken": guest.cookies["_xsrf"]})


def test_a_kernel_counts(guest, kernel):
    assert execute(guest, kernel, "1+1") == "2"


def test_the_kernel_sees_the_portals_library_and_its_own_files(guest, kernel):
    assert execute(guest, kernel, "import atrium, os; print(os.getcwd())") == "/work\n"


def test_a_large_output_comes_whole(guest, kernel):
    assert len(execute(guest, kernel, "print('x' * 20_000_000)")) == 20_000_001


def test_the_kernels_binary_protocol_is_chosen_when_asked_for(guest, kernel):
    with guest.socket(
        f"/api/kernels/{kernel}/channels?session_id=s2", subprotocols=["v1.kernel.websocket.jupyter.org"]
    ) as channel:
        assert channel.subprotocol == BINARY
        assert isinstance(channel.recv(timeout=20), bytes)


def test_a_terminal_echoes(guest):
    name = json.loads(guest.post("/api/terminals").text)["name"]
    with guest.socket(f"/terminals/websocket/{name}") as terminal:
        terminal.send(json.dumps(["stdin", "echo $((40+2))\r"]))
        seen = ""
        while "42" not in seen:
            kind, *rest = json.loads(terminal.recv(timeout=20))
            seen += rest[0] if kind == "stdout" else ""


def test_a_cell_runs_with_nobody_there_and_its_output_is_in_the_file(guest, kernel, workspace):
    """What the Lab does, without a browser: share the notebook, ask the server to run the cell, and leave."""
    cell = {"cell_type": "code", "id": "c1", "metadata": {}, "outputs": [], "execution_count": None}
    notebook = {"cells": [{**cell, "source": CELL}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    as_json = {"X-XSRFToken": guest.cookies["_xsrf"], "Content-Type": "application/json"}

    def put(path, body):
        answer = guest.request("PUT", path, body=json.dumps(body), headers=as_json)
        assert answer.status in (200, 201), answer.text
        return json.loads(answer.text)

    put("/api/contents/alone.ipynb", {"type": "notebook", "format": "json", "content": notebook})
    shared = put("/api/collaboration/session/alone.ipynb", {"format": "json", "type": "notebook"})
    room = f"json:notebook:{shared['fileId']}"
    with guest.socket(f"/api/collaboration/room/{room}?sessionId={shared['sessionId']}") as document:
        document.send(bytes([0, 0, 1, 0]))  # "what do you have?", see the Yjs sync protocol
        document.recv(timeout=20)
        asked = {"code": CELL, "metadata": {"document_id": room, "cell_id": "c1"}}
        assert guest.post(f"/api/kernels/{kernel}/execute", json.dumps(asked)).status == 202

    from apps.workbench.launch import home_of

    def on_disk():
        try:
            [cell] = json.loads((home_of(workspace) / "alone.ipynb").read_text())["cells"]
        except ValueError:  # it is being written just now
            return []
        return ["".join(one.get("text", [])) for one in cell["outputs"] if one["output_type"] == "stream"]

    wait_for(lambda: on_disk() == ["alone\n"], 30)


def test_the_workspace_is_a_repository_in_which_the_lab_commits(guest, workspace):
    as_json = {"X-XSRFToken": guest.cookies["_xsrf"], "Content-Type": "application/json"}
    body = json.dumps({"type": "file", "format": "text", "content": "x = 1\n"})
    assert guest.request("PUT", "/api/contents/kept.py", body=body, headers=as_json).status in (200, 201)
    status = json.loads(guest.post("/git/status").text)
    assert {"kept.py", ".gitignore"} <= {one["to"] for one in status["files"]}
    assert not any(one["to"].startswith((".jupyter", ".local")) for one in status["files"])
    assert guest.post("/git/add", json.dumps({"add_all": False, "filename": "kept.py"})).status == 200


def test_files_travel_both_ways_and_stay_outside(guest, workspace):
    from apps.workbench.launch import home_of

    text = "ü" * 2_000_000
    body = json.dumps({"type": "file", "format": "text", "content": text})
    answer = guest.request(
        "PUT",
        "/api/contents/long.txt",
        body=body,
        headers={"X-XSRFToken": guest.cookies["_xsrf"], "Content-Type": "application/json"},
    )
    assert answer.status in (200, 201)
    assert (home_of(workspace) / "long.txt").read_text() == text
    assert guest.get("/files/long.txt", headers={"Referer": f"http://{guest.host}/lab"}).text == text
