"""A request whose server is killed meanwhile: what only reads waits for the next one, what writes is told."""

import asyncio
import socket
import threading
from contextlib import suppress
from types import SimpleNamespace

import pytest

from apps.workbench.entry import Access
from apps.workbench.live import origins
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


async def ask(method):
    messages, upstreams = [], Upstreams()
    access = Access("w5", 1, "ada", "Ada", EDITOR, workload_id="w-5")

    async def access_of(_scope, _origin):
        return access

    async def send(message):
        messages.append(message)

    async def receive():
        await asyncio.Event().wait()

    scope = {"type": "http", "method": method, "path": "/api/x", "query_string": b"", "headers": []}
    there = origins.Workspaces(upstreams, SimpleNamespace(access_of=access_of))
    await there(scope, receive, send, "w5")
    await upstreams.close()
    return messages[0]["status"] if messages else None


async def test_what_only_reads_waits_for_the_next_server(server):
    assert await ask("GET") == 200


async def test_what_writes_is_told_that_nothing_runs(server):
    assert await ask("POST") == 503
