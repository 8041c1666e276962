"""A worker that no task reaches any more connects to its broker anew."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import bootsteps
from celery.signals import task_received
from celery.worker import state

log = logging.getLogger(__name__)

SILENT_S = 25.0
"""Beat sends its word every ten: a worker that gets no task for so long, and does none, hears its broker no more."""
LOOKS_S = 5.0


class Listening(bootsteps.StartStopStep):
    """Connects anew when no task comes.

    An acknowledgement that fails since the broker has just died keeps its place in the prefetch window for ever. Where
    the last free one goes like that, nothing is asked of the broker any more, so the loss itself is not seen either:
    the worker would rest beside a growing queue until somebody ends it.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer: Any = None
        self._heard = 0.0

    def start(self, parent: Any) -> None:
        """At each new connection."""
        self._heard = time.monotonic()
        task_received.connect(self._hear, weak=False, dispatch_uid="listening")
        self._timer = parent.timer.call_repeatedly(LOOKS_S, self._look)

    def stop(self, parent: Any) -> None:
        """Before the connection is made anew, and at the end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    terminate = stop

    def _hear(self, **_kwargs: Any) -> None:
        self._heard = time.monotonic()

    def _look(self) -> None:
        silent = time.monotonic() - self._heard
        if silent > SILENT_S and not state.active_requests:
            log.warning("no task came for %d s: connecting to the broker anew", silent)
            raise ConnectionResetError("the broker is not heard")
