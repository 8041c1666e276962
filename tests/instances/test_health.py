"""Health checks over unix sockets, against real servers."""

import socket
import tempfile
import threading
from pathlib import Path

import pytest

from apps.instances import health


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="atrium-") as name:
        yield Path(name)


def serve(path: Path, answer: bytes) -> str:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def one_call() -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        if answer:
            connection.sendall(answer)
            connection.close()
        else:
            threading.Event().wait(1)

    threading.Thread(target=one_call, daemon=True).start()
    return str(path)


def test_only_a_200_in_time_is_ready(folder):
    ready = serve(folder / "a", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    loading = serve(folder / "b", b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    noise = serve(folder / "c", b"what?\r\n\r\n")
    silent = serve(folder / "d", b"")

    assert health.check([ready, loading, noise, str(folder / "none"), ""]) == {
        ready: True,
        loading: False,
        noise: False,
        str(folder / "none"): False,
    }
    assert not health.is_ready(silent, timeout=0.1)
