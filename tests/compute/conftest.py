import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from apps.compute.engines.base import Engine, Observed
from apps.compute.engines.local import LocalEngine

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
