"""The engine of this portal."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from apps.compute.engines.local import LocalEngine

if TYPE_CHECKING:
    from apps.compute.engines.base import Engine


@lru_cache(maxsize=1)
def _local(root: Path, run_dir: Path, sdk: Path) -> LocalEngine:
    return LocalEngine(root, run_dir, sdk)


_override: Engine | None = None


def engine() -> Engine:
    """The engine that runs this portal's workloads."""
    if _override is not None:
        return _override
    return _local(workloads_dir(), sockets_dir(), Path(settings.BASE_DIR) / "sdk")


def use(replacement: Engine | None) -> None:
    """Run workloads on another engine; for tests. `None` goes back to the configured one."""
    global _override
    _override = replacement


def workloads_dir() -> Path:
    """The folders of the local engine's workloads."""
    return Path(settings.ATRIUM.data_dir) / "workloads"


def sockets_dir() -> Path:
    """The folders of the local engine's unix sockets; short, as a socket's path has to be."""
    return Path(settings.ATRIUM.run_dir) / "w"
