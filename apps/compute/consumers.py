"""The live log of a job."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import time
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from apps.accounts.models import User
from apps.compute.models import Job
from apps.compute.selectors import job_log, jobs_visible_to

NOT_LOGGED_IN, NOT_FOUND = 4401, 4404
LOG_EVERY_S = 0.1
STATE_EVERY_S = 0.5
WAITING_EVERY_S = 0.15
IDLE_EVERY_S = 2.0


class JobConsumer(AsyncJsonWebsocketConsumer):
    """`/ws/jobs/<pk>/`: the newest attempt's output from its first line, and a word when the state changes.

    Sends `{"attempt": n}` before an attempt's output, also at each connection, `{"log": text}`, `{"state": {…}}`.
    Who may see the job is asked anew at every look at the row.
    """

    async def connect(self) -> None:
        self.user_id = self.scope["user"].pk if self.scope["user"].is_authenticated else None
        self.job_id = self.scope["url_route"]["kwargs"]["pk"]
        self.follower: asyncio.Task[None] | None = None
        await self.accept()
        if self.user_id is None:
            await self.close(code=NOT_LOGGED_IN)
        elif await self._look() is None:
            await self.close(code=NOT_FOUND)
        else:
            self.follower = asyncio.create_task(self._send_everything())

    async def disconnect(self, code: int) -> None:
        if self.follower is not None:
            self.follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.follower

    @database_sync_to_async
    def _look(self) -> Job | None:
        viewer = User.objects.filter(pk=self.user_id or 0, is_active=True).first()
        return jobs_visible_to(viewer).filter(pk=self.job_id).first() if viewer else None

    async def _send_everything(self) -> None:
        attempt, offset = 0, 0
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        looked, job, told = 0.0, None, None
        while True:
            if time.monotonic() - looked >= _pause(job):
                job, looked = await self._look(), time.monotonic()
                if job is None:
                    await self.close(code=NOT_FOUND)
                    return
            assert job is not None
            if job.attempt != attempt:
                attempt, offset = job.attempt, 0
                decoder.reset()
                await self.send_json({"attempt": attempt})
            data, offset = await database_sync_to_async(job_log)(job, offset, attempt=attempt or None)
            if data:
                await self.send_json({"log": decoder.decode(data)})
                continue
            state = _state(job)
            if state != told:
                told = state
                await self.send_json({"state": state})
            await asyncio.sleep(STATE_EVERY_S if job.ended else LOG_EVERY_S)


def _pause(job: Job | None) -> float:
    """Seconds between two looks at the row."""
    if job is None:
        return 0.0
    if job.ended:
        return IDLE_EVERY_S
    return STATE_EVERY_S if job.status == Job.Status.RUNNING else WAITING_EVERY_S


def _state(job: Job) -> dict[str, Any]:
    return {
        "status": job.status,
        "reason": job.reason,
        "progress": job.progress,
        "message": job.progress_message,
        "memory_mb": round(job.memory_mb),
        "attempt": job.attempt,
        "cancelling": job.cancel_requested_at is not None and not job.ended,
    }
