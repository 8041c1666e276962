"""The sandbox's door: bytes both ways, the child's exit code, signals handed on."""

import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.sdk.conftest import ROOT
from tests.sdk.test_client import free_port

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "sdk")}


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.read().upper())


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def door():
    path = Path(f"/tmp/atrium-door-{os.getpid()}-{time.monotonic_ns()}")
    server = Server(str(path), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield path
    server.shutdown()
    server.server_close()
    path.unlink()


def forwarder(port, path, *argv):
    command = [
        sys.executable,
        "-m",
        "atrium.forwarder",
        "--port",
        str(port),
        "--socket",
        str(path),
        "--",
        *argv,
    ]
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


SPEAK = """
import socket, sys
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
link.sendall(b"hello" * 100_000)
link.shutdown(socket.SHUT_WR)
got = b""
while data := link.recv(65536):
    got += data
print(got == b"HELLO" * 100_000)
sys.exit(7)
"""


def test_the_child_speaks_through_the_door_and_its_exit_code_is_kept(door):
    port = free_port()
    process = forwarder(port, door, sys.executable, "-c", SPEAK, str(port))
    out, problems = process.communicate(timeout=20)
    assert (out, process.returncode) == ("True\n", 7), problems


LISTEN = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
print("up", flush=True)
time.sleep(20)
"""


def test_a_signal_reaches_the_child():
    process = forwarder(free_port(), "/nowhere", sys.executable, "-c", LISTEN)
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 5


def test_a_child_that_is_killed_ends_like_in_a_shell():
    process = forwarder(free_port(), "/nowhere", sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")
    assert process.wait(timeout=10) == 137


def test_a_command_that_is_not_there_is_named():
    process = forwarder(free_port(), "/nowhere", "no-such-command")
    assert "no-such-command" in process.communicate(timeout=10)[1]
    assert process.returncode == 127


def test_a_closed_door_is_said_in_words():
    port = free_port()
    process = forwarder(
        port, "/nowhere", sys.executable, "-c", "import time; print('up', flush=True); time.sleep(30)"
    )
    process.stdout.readline()
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b"502 Bad Gateway" in link.recv(4096)
    process.terminate()
    process.wait(timeout=10)
