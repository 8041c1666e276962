"""The processes of one instance, declared: what runs, when it may start, how to see that it answers."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from portal.supervisor import forkserver, preparation
from portal.supervisor.answers import listens, responds
from portal.supervisor.postgres import Postgres, without_root
from portal.supervisor.valkey import Valkey

if TYPE_CHECKING:
    from portal.environment import Environment
    from portal.supervisor.identity import ProcessIdentity

#: What has to be done once before the processes that use the database's tables may start.
PREPARED = "prepare"
FORK_SERVER = "forkserver"
#: The niceness of what works in the background: pages and calls go first, most of all while everything starts.
BEHIND = 5


@dataclass(frozen=True)
class Process:
    """One supervised process."""

    name: str
    argv: tuple[str, ...]
    answers: Callable[[], bool] | None = None
    """None for a process without a port: it is up when it has lived for a moment."""

    needs: frozenset[str] = frozenset()
    """Names of what must answer, or be done, before this one is started."""

    essential: bool = True
    """The portal is not up without it."""

    stop_signal: int = signal.SIGTERM
    last: bool = False
    """Ended after all others: they need it to finish their work."""

    once: bool = False
    """Not a server but a step that goes on while the portal already works; it ends by itself."""

    keeps_code: bool = False
    """Runs no code of ours, so that a new version of it is no reason for a restart."""

    running: Callable[[], ProcessIdentity | None] | None = None
    """Finds the process by its own records when ours are lost."""

    before: Callable[[], None] | None = None
    """Called before each start."""

    forked: bool = False
    """`argv` is what would follow `python`: the fork server makes the process, sharing its memory with it."""

    niceness: int = 0
    early: bool = False
    """Started at once, whatever has to be prepared."""

    variables: dict[str, str] = field(default_factory=dict)


def declare(environment: Environment) -> list[Process]:
    """All processes of this instance, in the order in which they are shown."""
    servers = frozenset({"postgres", "valkey"})
    needs = frozenset(_embedded(environment)) & servers
    prepared = needs | {PREPARED}
    forked = frozenset({FORK_SERVER})
    prepared |= forked
    celery = ("-m", "celery", "--app", "portal", "--quiet")
    processes = [
        Process(
            FORK_SERVER,
            (sys.executable, "-m", "portal.supervisor.forkserver"),
            answers=lambda: forkserver.answers(environment.fork_socket),
            early=True,
            essential=False,
        ),
        Process(
            "web",
            (
                *("-m", "granian", "--interface", "wsgi", "--no-ws", "--http", "1"),
                *("--host", environment.bind, "--port", str(environment.web_port)),
                *("--workers", "1", "--blocking-threads", str(environment.web_threads)),
                *("--respawn-failed-workers", "--workers-kill-timeout", "5", "--log-level", "warning"),
                "portal.wsgi:application",
            ),
            answers=lambda: responds(environment.bind, environment.web_port, "/healthz?part=web"),
            needs=forked,
            forked=True,
        ),
        Process(
            "live",
            (
                *("-m", "uvicorn", "--host", environment.bind, "--port", str(environment.live_port)),
                *("--ws", "websockets-sansio", "--ws-max-size", str(64 << 20), "--loop", "uvloop"),
                *("--timeout-graceful-shutdown", "3", "--log-level", "warning", "--no-access-log"),
                *("--lifespan", "auto", "portal.asgi:application"),
            ),
            answers=lambda: listens(environment.bind, environment.live_port),
            needs=forked,
            forked=True,
        ),
        Process(
            "worker",
            (
                *(*celery, "worker", "--pool", "threads", "--concurrency", str(environment.worker_threads)),
                *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"),
            ),
            needs=prepared,
            forked=True,
            niceness=BEHIND,
        ),
        Process(
            "beat",
            (
                *(*celery, "beat", "--schedule", str(environment.data_dir / "beat-schedule")),
                *("--pidfile", "", "--loglevel", "WARNING"),
            ),
            needs=prepared,
            forked=True,
            niceness=BEHIND,
        ),
    ]
    processes += [
        Process(
            "gateway",
            ("manage.py", "gateway"),
            answers=lambda: responds(environment.bind, environment.gateway_port, "/v2/health/live"),
            needs=prepared,
            forked=True,
        ),
        Process(
            "ingest",
            ("manage.py", "ingest", "--skip-checks"),
            needs=prepared,
            forked=True,
            niceness=BEHIND,
        ),
    ]
    if outstanding := preparation.environments_outstanding(environment):
        build = ("nice", "-n", "10", sys.executable, "manage.py", "environments", *outstanding)
        later = prepared | {process.name for process in processes}
        processes.append(Process("environments", build, needs=later, essential=False, once=True))
    return [*_embedded(environment).values(), *processes]


def _embedded(environment: Environment) -> dict[str, Process]:
    servers: dict[str, Process] = {}
    if environment.embedded_database:
        postgres = Postgres.of(environment)
        servers["postgres"] = Process(
            "postgres",
            (*without_root(), *postgres.command()),
            answers=postgres.answers,
            stop_signal=signal.SIGINT,
            last=True,
            keeps_code=True,
            running=postgres.running,
            before=postgres.prepare,
        )
    if environment.embedded_redis:
        valkey = Valkey.of(environment)
        servers["valkey"] = Process(
            "valkey",
            tuple(valkey.command()),
            answers=valkey.answers,
            last=True,
            keeps_code=True,
            running=valkey.running,
            before=valkey.initialise,
        )
    return servers
