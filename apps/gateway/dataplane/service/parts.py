"""What all answers are made with."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from apps.gateway.dataplane.call import new_id
from apps.gateway.dataplane.http import Response, lines_of
from apps.gateway.dataplane.sealing import Sealers

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from apps.gateway.dataplane.calllog import CallLog
    from apps.gateway.dataplane.config import Config
    from apps.gateway.dataplane.limits import Limiter
    from apps.gateway.dataplane.metrics import Metrics
    from apps.gateway.dataplane.problems import Refused
    from apps.gateway.dataplane.snapshot import Snapshot
    from apps.gateway.dataplane.upstream import Pool


class Parts:
    """The present snapshot, and what is kept between calls."""

    def __init__(
        self,
        config: Config,
        snapshot: Snapshot,
        pool: Pool,
        limiter: Limiter,
        calls: CallLog,
        metrics: Metrics,
    ) -> None:
        self.config = config
        self.snapshot = snapshot
        self.epoch = 0
        """Of the snapshot: what was worked out by an earlier one holds no more."""
        self.pool = pool
        self.limiter = limiter
        self.calls = calls
        self.metrics = metrics
        self.sealers = Sealers()
        self.health: Callable[[], dict[str, Any]] = dict
        self._tasks: set[asyncio.Task[None]] = set()

    def swap(self, snapshot: Snapshot) -> None:
        """Act on a new snapshot from the next call on."""
        self.snapshot = snapshot
        self.epoch += 1

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside the calls."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def refuse(self, refusal: Refused, request_id: str = "") -> Response:
        """A problem document, with what the caller should do about it."""
        request_id = request_id or new_id()
        headers = [(b"x-request-id", request_id.encode())]
        if refusal.retry_after is not None:
            headers.append((b"retry-after", b"%d" % max(1, round(refusal.retry_after + 0.499))))
        if refusal.status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="atrium"'))
        self.metrics.add(f'atrium_gateway_refused_total{{kind="{refusal.kind}"}}')
        body = refusal.body(request_id)
        return Response(refusal.status, body, lines_of(headers) + refusal.lines, b"application/problem+json")
