"""The portal asks servers that user code runs, and waits for none of them for long."""

import socket
import threading
import time
from types import SimpleNamespace

import pytest

from apps.workbench import jupyter


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Answers every question by what `send` writes."""

    def start(send):
        path = tmp_path / "jupyter.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen()
        monkeypatch.setattr(jupyter, "workload_socket", lambda _wid: path)
        monkeypatch.setattr(jupyter.identity, "header_for", lambda *_args, **_kwargs: "somebody")

        def serve():
            line, _ = listener.accept()
            with line, listener:
                line.recv(65536)
                send(line)

        threading.Thread(target=serve, daemon=True).start()
        return SimpleNamespace(workload_id="w1")

    return start


def test_an_answer_is_read(server):
    workspace = server(lambda line: line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"))
    assert jupyter.ask(workspace, "/api/kernels") == []


def test_a_server_that_sends_a_byte_at_a_time_costs_the_portal_no_more_than_the_limit(server, monkeypatch):
    monkeypatch.setattr(jupyter, "_ANSWERS_WITHIN_S", 0.5)

    def drip(line):
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _byte in range(100):
            try:
                line.sendall(b" ")
            except OSError:
                return
            time.sleep(0.1)

    workspace = server(drip)
    began = time.monotonic()
    assert jupyter.ask(workspace, "/api/kernels") is None
    assert time.monotonic() - began < 2
