"""The one door to Celery: named tasks, and functions that are called again and again.

Services never import tasks: they write desired state or publish an event. Tasks are registered in an app's
`tasks` module, which `ready()` imports, and end in seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

from celery import current_app, shared_task
from django.conf import settings
from django.db import close_old_connections
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

log = logging.getLogger(__name__)
F = TypeVar("F", bound=Callable[..., Any])

JOBS_ONLY = ("compute.", "core.beat")
"""What a machine that takes jobs alone does (ATRIUM_JOBS_ONLY); the rest is found by the portal that does it."""
TICK_S = 1.0
SELDOM_S = 30.0
MOST_ROUNDS = 4
"""At the same time in one worker."""
MOST_CALLS = 2
"""Of one function at the same time, so that one that hangs leaves rounds for the others."""

periodic: dict[str, float] = {}
"""Name of each periodic task with its period in seconds; portal.celery hands it to beat."""


@dataclass
class Look:
    """A function that a worker calls by its own clock."""

    name: str
    function: Callable[[], object]
    seconds: float
    due_at: float = float("-inf")
    under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def call_if_due(self, now: float) -> None:
        """Call it, unless it is not due at `now` or others are long at it. What it raises is logged."""
        with self.lock:
            if now < self.due_at or self.under_way == MOST_CALLS:
                return
            # A round that comes a little early must not make it wait for the next one.
            self.due_at = now + self.seconds - TICK_S / 2
            self.under_way += 1
        try:
            self.function()
        except Exception:
            log.exception("%s failed; it is called again in %g s", self.name, self.seconds)
            close_old_connections()
        finally:
            with self.lock:
                self.under_way -= 1


looks: dict[str, Look] = {}


def task(name: str) -> Callable[[F], F]:
    """Register a function as a background task; `enqueue(name, …)` runs it in a worker at least once."""

    def register(function: F) -> F:
        shared_task(name=name, ignore_result=True)(_unless_left(name, function))
        return function

    return register


def _unless_left(name: str, function: Callable[..., object]) -> Callable[..., object]:
    """The function, which does nothing where its work is left to another portal."""

    @wraps(function)
    def called(*args: object) -> object:
        if settings.ATRIUM.jobs_only and not name.startswith(JOBS_ONLY):
            return None
        return function(*args)

    return called


def every(seconds: float, name: str, *, by_message: bool = False) -> Callable[[F], F]:
    """Register a function that is called every so many seconds. It must tolerate being called twice at once.

    What is seldom called is a task, of which beat remembers over restarts when it is due; so is what asks for it. The
    others mostly find nothing to do, and a message would cost several times what the call does: each worker calls
    them by its own clock.
    """

    def register(function: F) -> F:
        if seconds < SELDOM_S and not by_message:
            looks[name] = Look(name, _unless_left(name, function), seconds)
        else:
            as_task = shared_task(name=name, ignore_result=True, expires=max(seconds * 3, 10))
            as_task(_unless_left(name, function))
            periodic[name] = seconds
        return function

    return register


def look_around() -> None:
    """Call what is due, what is due most often first. While one call takes long, the next round brings the rest."""
    for look in sorted(looks.values(), key=lambda look: look.seconds):
        look.call_if_due(time.monotonic())


def keep_looking(ending: threading.Event) -> None:
    """Look around each second until `ending`; mostly one thread does it, with one connection to the database."""
    places = threading.Semaphore(MOST_ROUNDS)

    def one_round() -> None:
        try:
            close_old_connections()
            look_around()
        finally:
            places.release()

    # Where the process ends without a word, its pools take nothing more.
    with suppress(RuntimeError), ThreadPoolExecutor(MOST_ROUNDS, thread_name_prefix="look") as pool:
        while not ending.wait(TICK_S):
            if places.acquire(blocking=False):
                pool.submit(one_round)


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
