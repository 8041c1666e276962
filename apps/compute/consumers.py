"""Live logs: of a job, and of whatever an upper app follows the same way."""

from __future__ import annotations

import asyncio
import codecs
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from channels.db import database_sync_to_async

from apps.accounts.models import User
from apps.compute.models import Job
from apps.compute.selectors import job_log, jobs_visible_to
from apps.core.following import FollowingConsumer

LOG_EVERY_S = 0.1
STATE_EVERY_S = 0.5
WAITING_EVERY_S = 0.15
IDLE_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Followed:
    """Something with a log, as a viewer sees it now."""

    series: Any
    """Another one begins the log anew: the number of an attempt."""
    ended: bool
    look_again_s: float
    state: dict[str, Any]
    read: Callable[[Any], tuple[bytes, Any]]
    """What follows a place in the log (None: its beginning), and the place after it."""


class LogConsumer(FollowingConsumer):
    """A live log from its first line, and a word when the state changes; a subclass says what is followed.

    Sends `{"attempt": n}` before a series' output, also at each connection, `{"log": text}`, and
    `{"state": {…}, "ended": …}`.
    """

    def followed(self, viewer: User, pk: int) -> Followed | None:
        """What `viewer` may follow under that key; None when nothing."""
        raise NotImplementedError

    async def follow(self, seen: Followed) -> None:
        """See FollowingConsumer.follow."""
        series, place, told = None, None, None
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        looked = time.monotonic()
        while True:
            if time.monotonic() - looked >= seen.look_again_s:
                seen, looked = await self.look(), time.monotonic()
            if seen.series != series:
                series, place = seen.series, None
                decoder.reset()
                await self.send_json({"attempt": series})
            data, place = await database_sync_to_async(seen.read)(place)
            if data:
                await self.send_json({"log": decoder.decode(data)})
                continue
            if seen.state != told:
                told = seen.state
                await self.send_json({"state": told, "ended": seen.ended})
            await asyncio.sleep(STATE_EVERY_S if seen.ended else LOG_EVERY_S)


class JobConsumer(LogConsumer):
    """`/ws/jobs/<pk>/`: the newest attempt's output."""

    def followed(self, viewer: User, pk: int) -> Followed | None:
        job = jobs_visible_to(viewer).filter(pk=pk).first()
        if job is None:
            return None
        return Followed(job.attempt or None, job.ended, _pause(job), _state(job), partial(_read, job))


def _read(job: Job, offset: int | None) -> tuple[bytes, int]:
    return job_log(job, offset or 0, attempt=job.attempt or None)


def _pause(job: Job) -> float:
    """Seconds between two looks at the row."""
    if job.ended:
        return IDLE_EVERY_S
    return STATE_EVERY_S if job.status == Job.Status.RUNNING else WAITING_EVERY_S


def _state(job: Job) -> dict[str, Any]:
    return {
        "status": job.status,
        "reason": job.reason_words,
        "progress": job.progress,
        "message": job.progress_message,
        "memory_mb": round(job.memory_mb),
        "attempt": job.attempt,
        "cancelling": job.cancel_requested_at is not None and not job.ended,
    }
