"""A request whose server is killed meanwhile: what only reads waits for the next one, what writes is told.

An answer whose head cannot be read, or is too long, is told about in words.
"""

import asyncio
import json
import socket
import threading
from contextlib import suppress
from types import SimpleNamespace

import pytest

from apps.workbench.entry import Access
from apps.workbench.live import experiments, origins
from apps.workbench.live.upstream import Upstreams
from atrium.identity import EDITOR

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Ends with a request half read, as by a kill, which resets the connection; answers the third."""
    path = tmp_path / "s"
    monkeypatch.setattr(origins, "workload_socket", lambda _workload: path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    listener.settimeout(5)

    def serve():
        with suppress(OSError):  # nobody asks again
            for _ in range(2):  # the client itself asks twice where nothing is written
                with listener.accept()[0] as line:
                    line.recv(1)
            with listener.accept()[0] as line:
                line.recv(1 << 16)
                line.sendall(ANSWER)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield
    listener.close()


HEADS = [b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 17) + b"\r\n\r\n"]


@pytest.fixture(params=HEADS, ids=["unreadable", "too long"])
def babbling(request, tmp_path, monkeypatch):
    """Answers every request with a head that nobody can read."""
    path = tmp_path / "s"
    monkeypatch.setattr(origins, "workload_socket", lambda _workload: path)
    monkeypatch.setattr(experiments.tracking, "tracker_socket", lambda: path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve():
        with suppress(OSError):
            while True:
                with listener.accept()[0] as line, suppress(OSError):
                    line.recv(1 << 16)
                    line.sendall(request.param)

    threading.Thread(target=serve, daemon=True).start()
    yield
    listener.close()


def scope_of(method, path="/api/x"):
    return {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}


async def never():
    await asyncio.Event().wait()


async def messages_of(method):
    messages, upstreams = [], Upstreams()
    access = Access("w5", 1, "ada", "Ada", EDITOR, workload_id="w-5")

    async def access_of(_scope, _origin):
        return access

    async def send(message):
        messages.append(message)

    there = origins.Workspaces(upstreams, SimpleNamespace(access_of=access_of))
    await there(scope_of(method), never, send, "w5")
    await upstreams.close()
    return messages


async def ask(method):
    messages = await messages_of(method)
    return messages[0]["status"] if messages else None


async def test_what_only_reads_waits_for_the_next_server(server):
    assert await ask("GET") == 200


async def test_what_writes_is_told_that_nothing_runs(server):
    assert await ask("POST") == 503


async def test_a_head_that_cannot_be_read_is_told_about(babbling):
    start, body = await messages_of("GET")
    assert start["status"] == 502
    assert b"gave an answer that cannot be read" in body["body"]


async def test_the_trackers_clients_are_told_of_one_too(babbling):
    messages, upstreams = [], Upstreams()

    async def send(message):
        messages.append(message)

    there = experiments.Experiments(upstreams, SimpleNamespace())
    bearer = SimpleNamespace(team="radio", tags={})
    await there._forward(scope_of("GET", "/mlflow/api/2.0/mlflow/experiments/search"), never, send, bearer)
    await upstreams.close()
    start, body = messages
    assert start["status"] == 502
    assert "gave an answer that cannot be read" in json.loads(body["body"])["message"]
