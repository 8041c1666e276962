"""What the workbench does in the background."""

from __future__ import annotations

from apps.core import background
from apps.workbench import (
    packages,
    recipes,
    reconcile,
    recordings,
    registering,
    snapshots,
    spares,
    sweeps,
    tending,
    tracking,
)
from apps.workbench.entry import forget_expired_entries
from apps.workbench.services import COPY_FILES, RECONCILE


@background.task(RECONCILE)
def reconcile_workspace(pk: int) -> None:
    """Look at one workspace right after its commit."""
    reconcile.reconcile_workspace(pk)


@background.every(1, "workbench.reconcile")
def reconcile_workspaces() -> None:
    """Follow the engine."""
    reconcile.reconcile_workspaces()


@background.task(COPY_FILES)
def copy_files(pk: int) -> None:
    """Fill the copy of a workspace."""
    reconcile.copy_files(pk)


@background.task(packages.INSTALL)
def install_environment(pk: int) -> None:
    """Install what has just been locked."""
    packages.install_environment(pk)


@background.every(30, "workbench.install_environments")
def install_environments() -> None:
    """Install what a restart left."""
    packages.install_environments()


@background.task(registering.ADOPT)
def adopt_model(pk: int) -> None:
    """Make a version of a registered model."""
    registering.adopt_model(pk)


@background.every(20, "workbench.adopt_waiting")
def adopt_waiting() -> None:
    """Registered models whose turn was missed."""
    registering.adopt_waiting()


@background.every(20, "workbench.settle_recipe_runs")
def settle_recipe_runs() -> None:
    """Runs of recipes whose end was missed."""
    recipes.settle_runs()


@background.task(sweeps.ADVANCE)
def advance_sweep(pk: int) -> None:
    """Start the first trials of a sweep."""
    sweeps.advance_sweep(pk)


@background.every(5, "workbench.advance_sweeps")
def advance_sweeps() -> None:
    """Sweeps whose next trial is due."""
    sweeps.advance_sweeps()


@background.every(10, "workbench.take_snapshots")
def take_snapshots() -> None:
    """Notebooks that were saved."""
    snapshots.take_snapshots()


@background.every(2, "workbench.judge_sweeps")
def judge_sweeps() -> None:
    """Trials that fall behind."""
    sweeps.judge_sweeps()


@background.every(10, "workbench.tend")
def tend_workspaces() -> None:
    """Leases, idleness, what is at work."""
    tending.tend_workspaces()


@background.every(5, "workbench.keep_spares")
def keep_spares() -> None:
    """A warm server for the next workspace that starts."""
    spares.keep_spares()


@background.every(3, "workbench.keep_tracker")
def keep_tracker() -> None:
    """MLflow starts beside the portal; nobody waits for it."""
    tracking.keep_tracker()


@background.every(3600, "workbench.forget_entries")
def forget_entries() -> None:
    """Tickets and cookies that open nothing any more."""
    forget_expired_entries()


@background.every(60, "workbench.tidy_recordings")
def tidy_recordings() -> None:
    """Recordings that a kill left, and those whose time is over."""
    recordings.tidy_recordings()
