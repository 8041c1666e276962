"""What beat calls: data keys change every day, and calls end when their days are over."""

from __future__ import annotations

import logging

from django.utils import timezone

from apps.core import background
from apps.gateway import exporting, retention, sealed
from apps.gateway.services import announce

log = logging.getLogger(__name__)


@background.every(600, "gateway.renew_keys")
def renew_keys() -> None:
    """Make today's data keys where they are due, and tell the gateways."""
    if sealed.renew_keys():
        announce()


@background.every(3600, "gateway.enforce_retention")
def enforce_retention() -> None:
    """Delete calls, bodies and keys whose days are over."""
    done = retention.enforce(timezone.now())
    if any(done.values()):
        log.info("retention ended %s", done)


@background.task("gateway.export")
def export(pk: int) -> None:
    """Put the calls of one export into its data set."""
    exporting.run(pk)


@background.every(10, "gateway.run_exports")
def run_exports() -> None:
    """Take up exports that a killed worker left, or whose task was lost."""
    exporting.run_waiting()
