"""The long forms: everything dies again and again under load, or is away for half a minute.

A database, a Valkey, the live process's feed, two gateway processes, two runners and an ingester of the test's own.
What must hold: a call that was not in flight on what died is answered, each acknowledged call stands in the log
exactly once, usage equals the log, and each row beyond that belongs to a connection that was cut.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from portal.supervisor.postgres import Postgres
from portal.supervisor.valkey import Valkey
from tests.gateway.conftest import ROOT, Gateway, Started, free_port, until
from tests.gateway.test_faults import Callers

pytestmark = pytest.mark.soak

MAKE = """
import sys
from apps.accounts.models import Role
from apps.gateway.services import create_grant
from apps.instances.models import Deployment, Replica, TrafficWeight
from tests.factories import make_capability, make_packaged_version, make_ready_deployment, make_team, make_user
team = make_team("Radio")
ada = make_user("ada", team=team, role=Role.DEVELOPER)
digits = make_capability(team, ada, "digits")
deployment = make_ready_deployment(make_packaged_version(digits, ada), ada, kind="test")
Replica.objects.all().delete()
for number, socket in enumerate({sockets!r}):
    facts = {{"workload_id": f"r{{number}}", "socket": socket, "status": "ready"}}
    Replica.objects.create(deployment=deployment, generation=1, **facts)
TrafficWeight.objects.create(capability=digits, deployment=deployment, weight=100, salt="s")
limits = {{"rate_per_s": 100000, "burst": 100000, "per_day": 50000000, "concurrent": 1000}}
create_grant(kind="trial", capability=digits, user=ada, limits=limits, by=ada, secret={key!r})
"""
MORE = """
from apps.accounts.models import User
from apps.catalog.models import Capability
from apps.gateway.services import create_grant
create_grant(kind="trial", capability=Capability.objects.get(), user=User.objects.get(), by=None, secret={key!r})
"""
FEED = "import django; django.setup(); import uvicorn; from apps.gateway import feed; "
KEY = "atk_of-the-tests"
LATER = "atk_made-afterwards"


class World:
    """All processes, and how each is killed and comes back."""

    def __init__(self, folder: Path, runner) -> None:
        self.folder, self.runner = folder, runner
        self.postgres = Postgres(folder / "pg", folder / "s", folder / "pg.log", "of-the-tests")
        self.valkey = Valkey(folder / "valkey", folder / "v.sock", folder / "valkey.log", "of-the-tests")
        self.started: list[Gateway | Started | Postgres | Valkey] = [self.postgres, self.valkey]
        self.own = 0
        self.variables = {
            "ATRIUM_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "portal.settings", "PYTHONPATH": "sdk",
            "DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url, "ATRIUM_SAMPLES": "0",
        }  # fmt: skip

    def begin(self) -> None:
        """Start everything; `end` ends what was started, however far this came."""
        folder, runner = self.folder, self.runner
        self.postgres.start()
        self.valkey.start()
        self.sockets = [runner(name="a"), runner(name="b")]
        self.manage("migrate", "-v0")
        self.make(MAKE.format(sockets=self.sockets, key=KEY))
        self.live = free_port()
        serve = f"uvicorn.run(feed.application, port={self.live}, lifespan='off', log_level='warning')"
        self.feed = Started("-c", FEED + serve, log=folder / "feed.log", **self.variables)
        self.started.append(self.feed)
        self.ingester = self.start_ingester()
        self.gateway = Gateway(
            folder / "gw", processes=2, live_url=f"http://127.0.0.1:{self.live}", token=self.token(),
            valkey_url=self.redis_url, calllog_dir=str(folder / "calllog"),
        )  # fmt: skip
        self.gateway.calllog = folder / "calllog"
        self.started.append(self.gateway)
        self.gateway.start()
        until(lambda: self.asked(KEY) == 200, 60)

    def asked(self, key: str) -> int:
        """The status of a call of the test itself; calls with a key that is not known are not logged."""
        status = self.gateway.infer(key=key).status
        self.own += status != 401
        return status

    @property
    def database_url(self) -> str:
        return f"postgresql://atrium:{self.postgres.password}@/atrium?host={self.postgres.socket_dir}"

    @property
    def redis_url(self) -> str:
        return f"unix://:{self.valkey.password}@{self.valkey.socket}?db=0"

    def manage(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, **self.variables},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def make(self, text: str) -> None:
        self.manage("shell", "-v0", "--no-imports", "-c", text)

    def token(self) -> str:
        told = "from django.conf import settings; print(settings.ATRIUM.gateway_token)"
        return self.manage("shell", "-v0", "--no-imports", "-c", told).strip().splitlines()[-1]

    def start_ingester(self) -> Started:
        started = Started("manage.py", "ingest", log=self.folder / "ingest.log", **self.variables)
        self.started.append(started)
        return started

    # --- who dies

    def kill_gateway(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.gateway.get("/healthz").json["pid"], signal.SIGKILL)

    def kill_runner(self) -> None:
        path = self.sockets[0]
        self.runner.running[path].kill()
        time.sleep(1)
        self.runner(name="a")

    def kill_ingester(self) -> None:
        self.ingester.kill()
        self.ingester = self.start_ingester()

    def kill_postgres(self) -> None:
        _kill(self.postgres)

    def kill_valkey(self) -> None:
        _kill(self.valkey)

    def end(self) -> None:
        for each in reversed(self.started):
            each.stop()

    # --- what must hold

    def drained(self) -> bool:
        return not list((self.folder / "calllog").glob("*/*.seg"))

    def check(self, callers: Callers, allowed: int) -> None:
        """`allowed` calls may have failed: those that were in flight on a runner that died."""
        self.gateway.stop()
        until(self.drained, 120)
        with psycopg.connect(self.database_url) as connection:
            rows = connection.execute("SELECT request_id, grant_id FROM gateway_call").fetchall()
            (used,) = connection.execute("SELECT sum(count) FROM gateway_usage").fetchone() or (0,)
        logged = [row[0] for row in rows]
        known = {UUID(each) for each in callers.acknowledged if each}
        failed = [status for status in callers.statuses if status != 200]
        print(
            f"{len(callers.statuses)} answers, {len(failed)} of them no 200 ({sorted(set(failed))}), "
            f"{callers.cut} cut connections, {len(logged)} rows, usage {used}"
        )
        assert len(callers.statuses) > 1000
        assert len(failed) <= allowed
        assert len(logged) == len(set(logged)) == used
        assert known <= set(logged)
        assert 0 <= len(logged) - len(known) - self.own <= callers.cut


def _kill(server: Postgres | Valkey) -> None:
    """As the machine would: the server is gone without a word, and somebody starts it again."""
    running = server.running()
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    until(lambda: server.running() is None)
    server.start()


@pytest.fixture
def world(folder, runner):
    found = World(folder, runner)
    try:
        found.begin()
        yield found
    finally:
        found.end()


def test_everything_is_killed_in_turn_and_nothing_acknowledged_is_lost(world):
    kills = [
        world.kill_gateway,
        world.kill_runner,
        world.kill_ingester,
        world.kill_postgres,
        world.kill_valkey,
    ]
    rounds = int(os.environ.get("ATRIUM_SOAK_ROUNDS", "6"))
    with Callers(world.gateway, 4) as callers:
        for _ in range(rounds):
            for kill in kills:
                time.sleep(0.7)
                kill()
        time.sleep(2)
    world.check(callers, allowed=rounds * len(callers.threads))


@pytest.mark.parametrize("part", ["postgres", "valkey"])
def test_half_a_minute_without_the_database_or_the_counters_costs_no_call(world, part):
    server = getattr(world, part)
    with Callers(world.gateway, 4) as callers:
        time.sleep(2)
        server.stop()
        time.sleep(30)
        assert world.asked(KEY) == 200
        server.start()
        time.sleep(2)
        world.make(MORE.format(key=LATER))
        until(lambda: world.asked(LATER) == 200, 30)
    world.check(callers, allowed=0)
