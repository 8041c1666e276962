"""The locked environments that workloads run in: `base` for people's code, `mlflow` for the tracker."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from . import builder
from .builder import BuildError, digest, names

__all__ = ["BuildError", "build", "digest", "is_ready", "names", "path", "root"]


def root() -> Path:
    """The folder that holds the built environments of this checkout."""
    return Path(settings.ATRIUM.environments_dir)


def path(name: str) -> Path:
    """Where environment `name` lies, built or not."""
    return builder.folder(name, root())


def is_ready(name: str) -> bool:
    """Whether environment `name` is built; a job that needs it waits until then."""
    return builder.is_built(name, root())


def build(name: str, say: builder.Say = print) -> Path:
    """Build environment `name` unless it is there. Raises BuildError."""
    return builder.build(name, root(), say)
