"""The Jupyter server is killed while cells run: it comes back by itself, and they have gone on."""

import json
import os
import signal
from pathlib import Path

import pytest

from apps.compute.adapters import engine
from apps.compute.engines.shim import tree
from apps.workbench import jupyter
from apps.workbench.launch import home_of
from apps.workbench.reconcile import answers
from tests.workbench.conftest import wait_for

CELL = """import pathlib, time
def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.02)
known = 41
print("before", flush=True)
wait_for("killed")
print("while no server ran", flush=True)
wait_for("back")
print("after", flush=True)
known + 1"""
NEXT = "print('next', known)"
pytestmark = pytest.mark.django_db(transaction=True)


def server_of(workspace):
    """The process of the Jupyter server, as it is seen from outside of the sandbox."""
    for number in tree(engine().observe(workspace.workload_id).pid):
        try:
            words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[1:3] == [b"-m", b"jupyterlab"] and b"python" in words[0]:
            return number
    return None


def kill_server(workspace):
    """kill -9 for the server, however old it is; gives its number."""
    server = server_of(workspace)
    os.kill(server, signal.SIGKILL)
    return server


def send(guest, method, path, body=None):
    as_json = {"X-XSRFToken": guest.cookies["_xsrf"], "Content-Type": "application/json"}
    answer = guest.request(method, path, body=body and json.dumps(body), headers=as_json)
    assert answer.status in (200, 201, 202, 204), answer.text
    return json.loads(answer.text) if answer.text else None


def ended(guest, request):
    """What came of a cell that the server was asked to run; None while it runs."""
    row = send(guest, "GET", request["request_url"])
    return None if row["pending"] else row


def outputs(workspace, name):
    """What the file on the disk holds of the cells' outputs: what was printed, and values."""
    try:
        cells = json.loads((home_of(workspace) / name).read_text())["cells"]
    except ValueError:  # it is being written just now
        return None
    each = [output for cell in cells for output in cell["outputs"]]
    return "".join("".join(one.get("text", [])) for one in each), [
        "".join(one["data"]["text/plain"]) for one in each if one["output_type"] == "execute_result"
    ]


def forget_first_try(guest, home, notebook, *files):
    """A first try that failed left its kernel in a cell: what is asked of it now would wait behind that."""
    for row in send(guest, "GET", "/api/sessions"):
        if row["path"] == notebook:
            send(guest, "DELETE", f"/api/sessions/{row['id']}")
    for name in files:
        (home / name).unlink(missing_ok=True)


def begin_cells(guest, name, *cells):
    """What the Lab does: a kernel for the notebook, the notebook shared, and the server asked to run its cells."""
    rows = [
        {"cell_type": "code", "id": f"c{number}", "metadata": {}, "outputs": [], "execution_count": None}
        | {"source": source}
        for number, source in enumerate(cells)
    ]
    notebook = {"cells": rows, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    send(guest, "PUT", f"/api/contents/{name}", {"type": "notebook", "format": "json", "content": notebook})
    session = {"path": name, "name": name, "type": "notebook", "kernel": {"name": "python3"}}
    session = send(guest, "POST", "/api/sessions", session)
    shared = send(guest, "PUT", f"/api/collaboration/session/{name}", {"format": "json", "type": "notebook"})
    room = f"json:notebook:{shared['fileId']}"
    with guest.socket(f"/api/collaboration/room/{room}?sessionId={shared['sessionId']}") as document:
        document.send(bytes([0, 0, 1, 0]))  # "what do you have?", see the Yjs sync protocol
        document.recv(timeout=20)
        for number, source in enumerate(cells):
            asked = {"code": source, "metadata": {"document_id": room, "cell_id": f"c{number}"}}
            row = send(guest, "POST", f"/api/kernels/{session['kernel']['id']}/execute", asked)
    return session, row["request_url"]


def test_cells_and_kernels_outlive_a_killed_server_and_the_page_tells_of_it(client, inside, ada, workspace):
    guest, home = inside(ada), home_of(workspace)
    forget_first_try(guest, home, "killed.ipynb", "killed", "back")
    session, last_request = begin_cells(guest, "killed.ipynb", CELL, NEXT)
    wait_for(lambda: outputs(workspace, "killed.ipynb") == ("before\n", []), 30)
    client.force_login(ada)
    facts = f"/workspaces/{workspace.pk}/facts/"
    often = jupyter.restarts_under_kernels(workspace)
    assert ("was started again" in client.get(facts).content.decode()) == bool(often)
    began = engine().observe(workspace.workload_id).started_at

    server = kill_server(workspace)
    (home / "killed").touch()

    wait_for(lambda: server_of(workspace) not in (None, server), 20)
    wait_for(lambda: answers(workspace), 60)
    # The same way in goes on, and so does the kernel, under its name and as the notebook's.
    kernel = f"/api/kernels/{session['kernel']['id']}"
    assert send(guest, "GET", kernel)["execution_state"] == "busy"
    still = send(guest, "GET", f"/api/sessions/{session['id']}")
    assert (still["path"], still["kernel"]["id"]) == ("killed.ipynb", session["kernel"]["id"])
    printed = "before\nwhile no server ran\n"
    wait_for(lambda: outputs(workspace, "killed.ipynb") == (printed, []), 30)
    assert send(guest, "GET", last_request)["pending"]  # the page that waits for it may go on asking

    (home / "back").touch()

    printed += "after\nnext 41\n"
    wait_for(lambda: outputs(workspace, "killed.ipynb") == (printed, ["42"]), 30)
    wait_for(lambda: send(guest, "GET", kernel)["execution_state"] == "idle")
    workspace.refresh_from_db()
    assert workspace.status == "running"
    assert engine().observe(workspace.workload_id).started_at == began
    assert jupyter.restarts_under_kernels(workspace) == often + 1
    told = client.get(facts).content.decode()
    assert "Its server ended unexpectedly and was started again" in told
    assert "Kernels, cells and terminals went on meanwhile" in told
    send(guest, "DELETE", f"/api/sessions/{session['id']}")
    assert session["kernel"]["id"] not in [row["id"] for row in send(guest, "GET", "/api/kernels")]


QUESTION = """import pathlib, time
first = input("first? ")
second = input("second? ")
print(first, second, flush=True)
while not pathlib.Path("alone").exists():
    time.sleep(0.02)
print(input("third? "))"""
SHELL = "PS1='> '; secret=re''membered; (until [ -e go ]; do sleep .1; done; echo la''ter) & echo be''fore\r"


def reading(terminal, words):
    """What a terminal shows until it has shown these words."""
    shown = ""
    while words not in shown:
        kind, *rest = json.loads(terminal.recv(timeout=20))
        shown += rest[0] if kind == "stdout" else ""
    return shown


def asked(guest, request):
    """What the cell asks; None while it asks nothing."""
    row = json.loads(guest.get(request).text)
    return row["input_request"]["prompt"] if "input_request" in row else None


def terminals_of(guest):
    return [row["name"] for row in send(guest, "GET", "/api/terminals")]


def kill_and_wait(workspace, lets_go_on):
    server = kill_server(workspace)
    (home_of(workspace) / lets_go_on).touch()
    wait_for(lambda: server_of(workspace) not in (None, server), 20)
    wait_for(lambda: answers(workspace), 60)


def test_shells_and_questions_outlive_a_server_that_is_killed_twice_in_its_first_seconds(
    inside, ada, workspace
):
    guest = inside(ada)
    forget_first_try(guest, home_of(workspace), "asks.ipynb", "go", "alone")
    name = json.loads(guest.post("/api/terminals", "{}").text)["name"]
    with guest.socket(f"/terminals/websocket/{name}") as terminal:
        terminal.send(json.dumps(["set_size", 24, 101]))
        terminal.send(json.dumps(["stdin", SHELL]))
        reading(terminal, "before")
    session, request = begin_cells(guest, "asks.ipynb", QUESTION)
    wait_for(lambda: asked(guest, request) == "first? ")
    kernel = f"/api/kernels/{session['kernel']['id']}"

    kill_and_wait(workspace, "go")

    with guest.socket(f"/terminals/websocket/{name}") as terminal:
        assert "before" in reading(terminal, "later")  # the screen is drawn again, and goes on
        terminal.send(json.dumps(["stdin", 'echo "<$secret>"; stty size\r']))
        assert "24 101" in reading(terminal, "24 101")
        assert name in terminals_of(guest)
    wait_for(lambda: asked(guest, request) == "first? ", 30)
    send(guest, "POST", f"{kernel}/input", {"input": "one"})
    wait_for(lambda: asked(guest, request) == "second? ")  # asked of a server that had not asked for the cell
    send(guest, "POST", f"{kernel}/input", {"input": "two"})
    wait_for(lambda: outputs(workspace, "asks.ipynb") == ("one two\n", []), 30)

    kill_and_wait(workspace, "alone")

    with guest.socket(f"/terminals/websocket/{name}") as terminal:
        assert "<remembered>" in reading(terminal, "24 101")
    wait_for(lambda: asked(guest, request) == "third? ", 30)  # asked while no server ran
    send(guest, "POST", f"{kernel}/input", {"input": "three"})
    wait_for(lambda: outputs(workspace, "asks.ipynb") == ("one two\nthree\n", []), 30)
    send(guest, "DELETE", f"/api/terminals/{name}")
    assert name not in terminals_of(guest)
    send(guest, "DELETE", f"/api/sessions/{session['id']}")


def test_a_cell_ends_with_its_process_and_the_next_ones_run(inside, ada):
    guest = inside(ada)
    kernel = f"/api/kernels/{send(guest, 'POST', '/api/kernels', {'name': 'python3'})['id']}"

    def ask(code):
        return send(guest, "POST", f"{kernel}/execute", {"code": code, "metadata": {}})

    def come_of(request):
        row = wait_for(lambda: ended(guest, request), 60)
        return [output.get("text", output.get("ename")) for output in json.loads(row["outputs"])]

    sleeps = ask("import time; print('runs', flush=True); time.sleep(1000)")
    wait_for(lambda: "runs" in json.loads(guest.get(sleeps["request_url"]).text)["outputs"], 60)
    send(guest, "POST", f"{kernel}/restart")
    printed = ask("print('after it was restarted')")
    assert come_of(sleeps) == ["runs\n", "KernelGone"]
    assert come_of(printed) == ["after it was restarted\n"]

    assert come_of(ask("import os; os._exit(1)")) == ["KernelGone"]
    assert come_of(ask("print('after it has died')")) == ["after it has died\n"]
    send(guest, "DELETE", kernel)


FREEZE = """import os, resource
usual = resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE)
print(resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, (0, usual[1])) == usual)"""
THAW = "print(resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, usual) == (0, usual[1]))"


def test_cells_run_where_the_server_can_write_nothing(inside, ada):
    guest = inside(ada)
    kernel = send(guest, "POST", "/api/kernels", {"name": "python3"})["id"]

    asked = [
        send(guest, "POST", f"/api/kernels/{kernel}/execute", {"code": code, "metadata": {}})
        for code in (FREEZE, "print(41 + 1)", THAW)
    ]
    done = [wait_for(lambda row=row: ended(guest, row)) for row in asked]

    printed = [[output["text"] for output in json.loads(row["outputs"])] for row in done]
    assert printed == [["True\n"], ["42\n"], ["True\n"]]
    send(guest, "DELETE", f"/api/kernels/{kernel}")
