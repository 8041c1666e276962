"""What compute does in the background; every task ends in seconds, none of them runs a job."""

from __future__ import annotations

import logging
import threading
import time
import zlib

from django.conf import settings
from django.db import connection

from apps.compute import environments
from apps.compute.selectors import node_name
from apps.compute.services import attempts, egress, nodes
from apps.core import background

log = logging.getLogger(__name__)

RECONCILE_LOCK = 0x41544A52
LEARNS_EVERY_S = 3600.0
LEARNS_AGAIN_S = 30.0
_learning = threading.Lock()
_learns_at = float("-inf")
_learns_again_s = LEARNS_AGAIN_S


@background.task("compute.start_job")
def start_job(job_id: int) -> None:
    """Start a job right after its commit."""
    attempts.start_job(job_id)


@background.task("compute.watch_job")
def watch_job(job_id: int) -> None:
    """Look at one job now."""
    attempts.watch_job(job_id)


@background.task("compute.conclude_job")
def conclude_job(job_id: int) -> None:
    """Collect what an ended job left."""
    attempts.conclude_job(job_id)


@background.every(1, "compute.reconcile")
def reconcile() -> None:
    """The safety net under all of the above, one round at a time; and this machine's heartbeat."""
    nodes.beat()  # also while another thread is in a long round
    if not attempts.anything_to_do():
        return
    with connection.cursor() as cursor:
        key = [RECONCILE_LOCK, zlib.crc32(node_name().encode()) >> 1]  # each node has its own round
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        if not cursor.fetchone()[0]:
            return
        try:
            attempts.reconcile()
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)


@background.every(30, "compute.build_environments")
def build_environments() -> None:
    """Build what queued jobs wait for; `make up` has normally built it before."""
    for name in attempts.missing_environments():
        try:
            environments.build(name)
        except environments.BuildError:  # what waits for it says why; the next one may well succeed
            log.exception("environment %s: not built", name)


@background.task("compute.build_environment")
def build_environment(name: str) -> None:
    """Build one that a version is about to need."""
    environments.build(name)


@background.every(60, "compute.reap")
def reap() -> None:
    """Clear away workloads that nothing stands for any more."""
    attempts.reap()


@background.every(3, "compute.learn_hosts")
def learn_hosts() -> None:
    """Ask this machine's package clients soon after the worker's start, and again each hour; sooner where it failed."""
    global _learns_at, _learns_again_s
    if time.monotonic() < _learns_at or not _learning.acquire(blocking=False):
        return
    try:
        _learns_again_s = min(2 * _learns_again_s, LEARNS_EVERY_S)
        _learns_at = time.monotonic() + _learns_again_s
        if egress.learn_hosts(settings.ATRIUM.package_hosts):
            _learns_at, _learns_again_s = time.monotonic() + LEARNS_EVERY_S, LEARNS_AGAIN_S
    finally:
        _learning.release()


@background.every(3600, "compute.forget_egress")
def forget_egress() -> None:
    """Old records of what the sandboxes asked for."""
    egress.forget_egress()
