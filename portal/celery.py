"""The Celery application of worker and beat."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

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
