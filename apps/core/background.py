"""The one door to Celery: named tasks, and functions that beat calls again and again.

Services never import tasks: they write desired state or publish an event. Tasks are registered in an app's
`tasks` module, which `ready()` imports, and end in seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from celery import current_app, shared_task
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

log = logging.getLogger(__name__)
F = TypeVar("F", bound=Callable[..., Any])

periodic: dict[str, float] = {}
"""Name of each periodic task with its period in seconds; portal.celery hands it to beat."""


def task(name: str) -> Callable[[F], F]:
    """Register a function as a background task; `enqueue(name, …)` runs it in a worker at least once."""

    def register(function: F) -> F:
        shared_task(name=name, ignore_result=True)(function)
        return function

    return register


def every(seconds: float, name: str) -> Callable[[F], F]:
    """Register a function that beat calls every so many seconds. It must tolerate being called twice at once."""

    def register(function: F) -> F:
        shared_task(name=name, ignore_result=True, expires=max(seconds * 3, 10))(function)
        periodic[name] = seconds
        return function

    return register


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
