"""Ends the workloads of this instance with it; the next start resumes or repeats them."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from apps.compute.engines.base import EngineError
from apps.compute.engines.local import LocalEngine
from portal.environment import ROOT

if TYPE_CHECKING:
    from portal.environment import Environment


def end_workloads(environment: Environment, *, grace_s: float) -> None:
    """Ask every workload on this machine to end, and return when all have or `grace_s` and a little more is over."""
    root = environment.data_dir / "workloads"
    if not root.exists():
        return
    engine = LocalEngine(root, environment.run_dir / "w", ROOT / "sdk")
    running = [observed.id for observed in engine.list() if not observed.ended]
    for workload in running:
        with suppress(EngineError, OSError):
            engine.stop(workload, grace_s)
    deadline = time.monotonic() + grace_s + 2
    while any((seen := engine.observe(workload)) and not seen.ended for workload in running):
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)
