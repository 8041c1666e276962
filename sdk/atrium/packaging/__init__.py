"""The packaging job: from what an author handed in to a directory that a runner serves."""

from atrium.packaging.job import StepFailed, package

__all__ = ["StepFailed", "package"]
