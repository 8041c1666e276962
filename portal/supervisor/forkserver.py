"""One process that has imported Django and every app once, and forks the others from itself.

They share its memory, which is most of what each of them would hold, and need no second of imports each.
The supervisor asks over a unix socket; who is forked lives in a session of its own and outlives both.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from portal.environment import load
from portal.supervisor.identity import ProcessIdentity

#: What the forked processes use. Nothing that reads static files or translations, which may be made meanwhile,
#: and nothing that opens a connection or starts a thread: neither survives a fork.
PRELOADED = (
    "celery.bin.celery",
    "celery.bin.worker",
    "celery.bin.beat",
    "celery.concurrency.thread",
    "celery.worker.strategy",
    "portal.urls",
    "channels.auth",
    "channels.security.websocket",
    "channels_redis.pubsub",
    "apps.gateway.feed",
    "apps.gateway.digest",
    "apps.gateway.ingest",
    "apps.workbench.live.app",
    "portal.routing",
    "uvloop",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "granian.cli",
    "whitenoise.middleware",
    "django.core.cache.backends.redis",
    "django.db.backends.postgresql.base",
    "django.core.handlers.wsgi",
    "django.template.loader_tags",
    "rest_framework.renderers",
)
LARGEST = 64 << 10


class ForkServerAway(RuntimeError):
    """Nobody answers at the fork server's socket; it is started again in a moment."""


@dataclass(frozen=True)
class Wanted:
    """A process to be forked: it behaves as `python <argv>` would."""

    name: str
    argv: tuple[str, ...]
    log: str
    niceness: int = 0
    variables: dict[str, str] = field(default_factory=dict)


def fork(address: Path, wanted: Wanted) -> ProcessIdentity:
    """Have a process forked and return it. Raises ForkServerAway."""
    answer = _ask(address, asdict(wanted))
    return ProcessIdentity(answer["pid"], answer["start_time"])


def answers(address: Path) -> bool:
    """Whether the fork server has imported everything and listens."""
    try:
        return bool(_ask(address, {}))
    except ForkServerAway:
        return False


def _ask(address: Path, question: dict[str, object]) -> dict[str, int]:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(10)
            connection.connect(str(address))
            connection.send(json.dumps(question).encode())
            answer: dict[str, int] = json.loads(connection.recv(LARGEST))
    except (OSError, ValueError) as problem:
        raise ForkServerAway(f"the fork server at {address} does not answer: {problem}") from problem
    return answer


def preload() -> None:
    """Import everything, with the collector off: what it never looked at stays shared."""
    gc.disable()
    import django

    django.setup()
    for name in PRELOADED:
        importlib.import_module(name)
    if threading.active_count() > 1:
        raise RuntimeError(f"an import started a thread, which forks would lose: {threading.enumerate()}")
    gc.freeze()


def serve(address: Path) -> Wanted:
    """Answer until the end; returns only in a forked process, with what it was forked for."""
    wake, waker = socket.socketpair()
    for end in (wake, waker):
        end.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake us
    address.unlink(missing_ok=True)
    with wake, waker, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(address))
        address.chmod(0o600)
        listener.listen(8)
        while True:
            ready, _, _ = select.select([listener, wake], [], [])
            if listener in ready and (wanted := _answer(listener)):
                return wanted
            with suppress(BlockingIOError):
                wake.recv(4096)
            _bury()


def _answer(listener: socket.socket) -> Wanted | None:
    """Serve one caller; in the forked process, what it is to be."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(5)
        try:
            question = json.loads(connection.recv(LARGEST))
            if not question:
                connection.send(b'{"up": 1}')
                return None
            wanted = Wanted(**{**question, "argv": tuple(question["argv"])})
            pid = os.fork()
            if pid == 0:
                return wanted
            # Its end is not waited for before the answer, so that even then it has a start time.
            connection.send(json.dumps(asdict(ProcessIdentity.of_child(pid))).encode())
        except (OSError, ValueError, TypeError) as problem:
            print(f"a request was not served: {problem}", file=sys.stderr)
    return None


def _bury() -> None:
    """Forget children that have ended; the supervisor watches them by their identity."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def become(wanted: Wanted) -> None:
    """Run in the forked process as if it had been started anew."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    log = os.open(wanted.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.nice(wanted.niceness)
    os.environ.update(wanted.variables)
    with suppress(OSError):
        Path("/proc/self/comm").write_text(f"atrium-{wanted.name}", encoding="utf-8")
    gc.enable()
    first, *rest = wanted.argv
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


def main() -> None:
    """The fork server, and in each forked process that process."""
    preload()
    become(serve(load().fork_socket))


if __name__ == "__main__":
    main()
