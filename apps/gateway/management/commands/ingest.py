"""`manage.py ingest`: brings the data plane's log into the database for as long as it runs."""

import logging
import signal
import threading
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import Error as DatabaseError
from django.db import connection

from apps.core import heartbeats
from apps.gateway import feedback
from apps.gateway.digest import Digester
from apps.gateway.ingest import ingest_once, state_of

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.3
LOOKS_ANYWAY_SECONDS = 2.0
BEAT_SECONDS = 10.0
AWAY_SECONDS = 1.0
HEAR_SECONDS = 1.0


class Command(BaseCommand):
    help = "Load the call log into the database, each record exactly once, and digest it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="read what is there, digest it, and end")

    def handle(self, *args: Any, **options: Any) -> None:
        ingester = Ingester(settings.ATRIUM.data_dir / "calllog")
        if options["once"]:
            while ingester.step():
                pass
            return
        ending = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ending.set())
        while not ending.is_set():
            try:
                ending.wait(0 if ingester.step() else PAUSE_SECONDS)
            except DatabaseError as problem:
                log.warning("the database is away, the log waits on the disk: %s", problem)
                connection.close()
                ending.wait(AWAY_SECONDS)


class Ingester:
    """One round after another, with the chores in between."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digester = Digester()
        self._beat = 0.0
        self._heard = 0.0
        self._total = 0
        self._done: dict[Path, tuple[int, bool]] | None = None
        self._looked = 0.0

    def step(self) -> int:
        """Read what is new and digest a batch; returns how much there was to do.

        The database is not asked while the log stands as it did when there was nothing to do, but for a look now and
        then at what others may have left undigested.
        """
        state = state_of(self._folder)
        if state == self._done and time.monotonic() - self._looked < LOOKS_ANYWAY_SECONDS:
            return 0
        read = ingest_once(self._folder)
        digested = self._digester.digest_some()
        self._total += read
        now = time.monotonic()
        if now - self._heard > HEAR_SECONDS or not self._heard:
            self._heard = now
            feedback.hear_waiting()
        if now - self._beat > BEAT_SECONDS or not self._beat:
            self._beat = now
            heartbeats.beat("ingest", records=self._total)
        self._done, self._looked = (None if read or digested else state), now
        return read + digested
