"""The Celery application of worker and beat."""

import logging
import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")


@setup_logging.connect
def keep_djangos_logging(**_kwargs: Any) -> None:
    """Django configured logging already."""


@app.on_after_finalize.connect
def schedule_periodic_tasks(sender: Celery, **_kwargs: Any) -> None:
    """Hand the periods that apps declared through `core.background` to beat."""
    import django

    django.setup()
    from apps.core.background import periodic

    for name, seconds in periodic.items():
        sender.add_periodic_task(seconds, sender.signature(name), name=name, expires=max(seconds * 3, 10))


@worker_ready.connect
def say_that_it_works(**_kwargs: Any) -> None:
    """The health page need not wait for beat's first task."""
    from django.db import Error, connection

    from apps.core import heartbeats

    try:
        heartbeats.beat("worker")
    except Error:
        logging.getLogger(__name__).warning("the database is away; the next beat says that the worker works")
    finally:
        connection.close()
