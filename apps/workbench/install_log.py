"""What is told of an environment while it is made: the moment of each step, and the installer's output as it comes.

Rows rather than a file, so that every machine's page and socket can read what one machine's worker writes.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from django.db.models import Sum
from django.db.models.functions import Length
from django.utils import timezone

from apps.compute.environments.builder import STEPS
from apps.compute.models import Job
from apps.compute.selectors import job_log, log_parts
from apps.workbench.models import Environment, InstallOutput

if TYPE_CHECKING:
    from collections.abc import Iterator

RESOLVE = "resolve"
ALL_STEPS = (RESOLVE, *STEPS)
MOST_CHARACTERS = 1_000_000
MOST_PIECES = 50

Place = tuple[int | None, int]
"""Bytes of the locking job's log that were read (None: all of it), and the last piece of the installer's."""


class InstallLog:
    """Writes down what the installer of one environment says; one per try."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._left = MOST_CHARACTERS - characters_of(environment)

    def begin(self) -> None:
        """Begin again with the first step, after what a killed worker had written, if any."""
        steps = self._environment.steps
        self._environment.steps = {name: at for name, at in steps.items() if name == RESOLVE}
        again = InstallOutput.objects.filter(environment=self._environment).exists()
        self(STEPS[0], "\nThe installation was interrupted and begins again.\n" if again else "")

    def __call__(self, step: str, text: str) -> None:
        """Add output of that step."""
        if step not in self._environment.steps:
            self._environment.steps[step] = timezone.now().isoformat()
            Environment.objects.filter(pk=self._environment.pk).update(steps=self._environment.steps)
        if text and self._left > 0:
            kept = text.replace("\0", "")[: self._left]
            self._left -= len(kept)
            InstallOutput.objects.create(environment=self._environment, text=kept)


def characters_of(environment: Environment) -> int:
    """How much of the installer's output is kept."""
    pieces = InstallOutput.objects.filter(environment=environment)
    return int(pieces.aggregate(all=Sum(Length("text")))["all"] or 0)


def read(environment: Environment, job: Job | None, place: Place | None) -> tuple[bytes, Place]:
    """What follows a place: first of the job that locks, then of the installer."""
    offset, last = place or (0, 0)
    if offset is not None and job is not None:
        data, offset = job_log(job, offset, attempt=job.attempt or None)
        if data or not job.ended:
            return data, (offset, last)
    pieces = InstallOutput.objects.filter(environment=environment, pk__gt=last).order_by("pk")[:MOST_PIECES]
    found = list(pieces)
    return "".join(piece.text for piece in found).encode(), (None, found[-1].pk if found else last)


def whole(environment: Environment) -> Iterator[bytes]:
    """The whole log, piece by piece, for a download."""
    job = Job.objects.filter(pk=environment.job_id or 0).first()
    if job is not None:
        yield from log_parts(job, job.attempt or None)
    for text in (
        InstallOutput.objects.filter(environment=environment).order_by("pk").values_list("text", flat=True)
    ):
        yield text.encode()


def steps_of(environment: Environment) -> list[dict[str, Any]]:
    """Each step with `name`, `status` (waiting, running, done, failed) and `seconds`, None before it began."""
    began = {name: datetime.fromisoformat(at) for name, at in environment.steps.items()}
    end = environment.ended_at or timezone.now()
    names = [name for name in ALL_STEPS if name in began]
    after = dict(pairwise(names))
    found = []
    for name in ALL_STEPS:
        until = began[after[name]] if name in after else end
        found.append(
            {
                "name": name,
                "status": _status(
                    environment, name, newest=bool(names) and name == names[-1], began=name in began
                ),
                "seconds": (until - began[name]).total_seconds() if name in began else None,
                "began": began.get(name),
                "since": began[name] if name in began and name not in after else None,
            }
        )
    return found


def _status(environment: Environment, name: str, *, newest: bool, began: bool) -> str:
    if environment.status == Environment.Status.READY:
        return "done"
    if not began:
        return "skipped" if environment.status == Environment.Status.FAILED else "waiting"
    if not newest:
        return "done"
    return "failed" if environment.status == Environment.Status.FAILED else "running"
