"""The one door to Celery: named tasks, and functions that are called again and again.

Services never import tasks: they write desired state or publish an event. Tasks are registered in an app's
`tasks` module, which `ready()` imports, and end in seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from celery import current_app, shared_task
from django.db import close_old_connections
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

log = logging.getLogger(__name__)
F = TypeVar("F", bound=Callable[..., Any])

LOOK_AROUND = "core.look_around"
TICK_S = 1.0
SELDOM_S = 30.0

periodic: dict[str, float] = {LOOK_AROUND: TICK_S}
"""Name of each periodic task with its period in seconds; portal.celery hands it to beat."""


@dataclass
class Look:
    """A function that is called more often than a message for each call would be worth."""

    name: str
    function: Callable[[], object]
    seconds: float
    due_at: float = float("-inf")
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, now: float) -> bool:
        """Whether it is due at `now`; who is told so calls it, and nobody else until it is due again."""
        with self.lock:
            if now < self.due_at:
                return False
            # A tick that comes a little early must not make it wait for the next one.
            self.due_at = now + self.seconds - TICK_S / 2
            return True


looks: dict[str, Look] = {}


def task(name: str) -> Callable[[F], F]:
    """Register a function as a background task; `enqueue(name, …)` runs it in a worker at least once."""

    def register(function: F) -> F:
        shared_task(name=name, ignore_result=True)(function)
        return function

    return register


def every(seconds: float, name: str) -> Callable[[F], F]:
    """Register a function that is called every so many seconds. It must tolerate being called twice at once.

    What is seldom called is a task of its own, of which beat remembers over restarts when it is due. The others
    mostly find nothing to do, and a message for each call would cost several times what the call does: one
    message a second has a worker call all that are due.
    """

    def register(function: F) -> F:
        if seconds < SELDOM_S:
            looks[name] = Look(name, function, seconds)
        else:
            shared_task(name=name, ignore_result=True, expires=max(seconds * 3, 10))(function)
            periodic[name] = seconds
        return function

    return register


def look_around() -> None:
    """Call what is due, what is due most often first. While one call takes long, the next message brings the rest."""
    for look in sorted(looks.values(), key=lambda look: look.seconds):
        if not look.take(time.monotonic()):
            continue
        try:
            look.function()
        except Exception:
            log.exception("%s failed; it is called again in %g s", look.name, look.seconds)
            close_old_connections()


shared_task(name=LOOK_AROUND, ignore_result=True)(look_around)


def enqueue(name: str, *args: object, priority: int = 3) -> bool:
    """Hand a task to the broker. False when the broker is away: the reconcilers then do the work later.

    `priority` is 0 (first) to 9.
    """
    try:
        current_app.send_task(name, args=args, priority=priority, retry=False)
    except (OperationalError, OSError, RedisError):
        log.warning("the broker is away: %s%r is left to the reconciler", name, args)
        return False
    return True
