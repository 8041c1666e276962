"""The Celery application of worker and beat."""

import logging
import os
import sys
import threading
from typing import Any

from celery import Celery
from celery.signals import setup_logging, task_postrun, task_prerun, worker_ready, worker_shutting_down

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
app = Celery("portal")
app.steps["consumer"].add("portal.listening:Listening")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Celery's own rule closes the database connection around every task: a login for each of them.
app.conf.CELERY_DB_REUSE_MAX = sys.maxsize


@setup_logging.connect
def keep_djangos_logging(**_kwargs: Any) -> None:
    """Django configured logging already."""


@task_prerun.connect
@task_postrun.connect
def close_old_connections(**_kwargs: Any) -> None:
    """A task finds its thread's connection as a request does: kept for CONN_MAX_AGE, tried before its first use."""
    from django import db

    db.close_old_connections()


@app.on_after_finalize.connect
def schedule_periodic_tasks(sender: Celery, **_kwargs: Any) -> None:
    """Hand the periods that apps declared through `core.background` to beat."""
    import django

    django.setup()
    from apps.core.background import periodic

    for name, seconds in periodic.items():
        sender.add_periodic_task(seconds, sender.signature(name), name=name, expires=max(seconds * 3, 10))


_ending = threading.Event()


@worker_ready.connect
def look_around(**_kwargs: Any) -> None:
    """Call what is called every few seconds, beside the tasks."""
    from apps.core.background import keep_looking

    threading.Thread(target=keep_looking, args=[_ending], name="looks", daemon=True).start()


@worker_shutting_down.connect
def look_no_more(**_kwargs: Any) -> None:
    """What is under way is finished; nothing new begins."""
    _ending.set()


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
