import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from apps.accounts.models import Team, User
from apps.compute import adapters, environments
from apps.compute.engines.base import Engine, Observed
from apps.compute.engines.fake import FakeEngine
from apps.compute.engines.local import LocalEngine
from apps.compute.models import Job
from apps.compute.services import attempts, submit_job

T = TypeVar("T")
ROOT = Path(__file__).parents[2]


def wait_for(find: Callable[[], T], seconds: float = 15.0) -> T:
    """The first true answer of `find`, asked again and again."""
    until = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
    return found


def wait_ended(engine: Engine, workload_id: str, seconds: float = 20.0) -> Observed:
    def ended() -> Observed | None:
        observed = engine.observe(workload_id)
        return observed if observed and observed.ended else None

    found = wait_for(ended, seconds)
    assert found
    return found


@pytest.fixture
def local_engine() -> Iterator[LocalEngine]:
    folder = Path(tempfile.mkdtemp(prefix="atrium-"))
    folder.chmod(0o711)
    engine = LocalEngine(folder / "workloads", folder / "w", ROOT / "sdk")
    yield engine
    for observed in engine.list():
        engine.remove(observed.id)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def outside(monkeypatch):
    """Every environment counts as built; nothing goes to a broker."""
    monkeypatch.setattr(environments, "is_ready", lambda name: True)
    monkeypatch.setattr(environments, "path", lambda name: None)
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)


@pytest.fixture
def engine(local_engine, outside):
    adapters.use(local_engine)
    yield local_engine
    adapters.use(None)


@pytest.fixture
def fake(outside):
    engine = FakeEngine()
    adapters.use(engine)
    yield engine
    adapters.use(None)


def submit(team: Team, by: User | None, *argv: str, **facts: object) -> Job:
    return submit_job("script", "A job", by=by, team=team, argv=argv, **facts)


def run(job: Job, seconds: float = 20.0) -> Job:
    """Let the reconciler work until the job has ended."""
    until = time.monotonic() + seconds
    while not job.ended and time.monotonic() < until:
        attempts.reconcile()
        job.refresh_from_db()
        if job.status in Job.ACTIVE:
            attempts.conclude_job(job.pk)
            job.refresh_from_db()
        time.sleep(0.02)
    assert job.ended, (job.status, job.reason)
    return job
