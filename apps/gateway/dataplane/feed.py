"""Follows the centre: asks for the next snapshot and is answered when there is one."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from apps.gateway.dataplane.snapshot import (
    CHANGES,
    BadSnapshot,
    Snapshot,
    forget_changes,
    keep,
    keep_changes,
    revision_of,
)
from apps.gateway.dataplane.upstream import Answer, Died, Link, TooSlow, open_link

if TYPE_CHECKING:
    from collections.abc import Callable

    from apps.gateway.dataplane.config import Config

log = logging.getLogger("atrium.gateway")

PATH = "/internal/gateway/snapshot"
POLL_SECONDS = 60.0
RETRY_SECONDS = 1.0


class Feed:
    """One long poll after another; each new snapshot is swapped in and kept on disk."""

    def __init__(self, config: Config, swap: Callable[[Snapshot], None]) -> None:
        self._config = config
        self._swap = swap
        self._file = Path(config.state_dir) / "snapshot"
        self._link: Link | None = None
        self._snapshot: Snapshot | None = None
        self.revision = -1
        self.seen = 0.0
        """When the centre last answered, monotonic; 0 before it ever did."""

    def load(self) -> None:
        """Start with what was kept. A damaged file is as good as none."""
        try:
            self._take(Snapshot.load(self._file))
        except BadSnapshot as problem:
            log.warning("the kept snapshot is not usable: %s", problem)

    def _take(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.revision = snapshot.revision
        self._swap(snapshot)

    async def follow(self) -> None:
        """Runs beside the calls, for as long as the process lives."""
        while True:
            try:
                await self._poll()
            except (Died, TooSlow, BadSnapshot) as problem:
                log.info("the centre gave no snapshot: %s", problem)
                self._link = None
                await asyncio.sleep(RETRY_SECONDS)

    async def _poll(self) -> None:
        link = self._link
        if link is None or link.transport is None or link.transport.is_closing():
            link = self._link = await open_link(urlsplit(self._config.live_url).netloc)
        question = (
            f"GET {PATH}?after={self.revision}&changes=1 HTTP/1.1\r\nhost: {urlsplit(self._config.live_url).netloc}\r\n"
            f"authorization: Bearer {self._config.token}\r\naccept: text/plain\r\n\r\n"
        )
        # Link calls have their deadline ended by the pool; this one is its own.
        try:
            async with asyncio.timeout(POLL_SECONDS):
                answer = await link.call(question.encode(), b"", float("inf"))
        except TimeoutError as problem:
            link.close()
            raise TooSlow("it did not answer in time") from problem
        await self._accept(answer)

    async def _accept(self, answer: Answer) -> None:
        if answer.status == 204:
            self.seen = time.monotonic()
            return
        if answer.status != 200:
            raise BadSnapshot(f"it answered {answer.status}")
        try:
            if answer.body.startswith(CHANGES):
                await self._change(answer.body)
            else:
                await self._replace(answer.body)
        except OSError as problem:
            log.warning("the snapshot could not be kept: %s", problem)

    async def _replace(self, text: bytes) -> None:
        snapshot = await asyncio.to_thread(Snapshot.parse, text)
        self.seen = time.monotonic()
        self._take(snapshot)
        await asyncio.to_thread(_keep, self._file, text)

    async def _change(self, text: bytes) -> None:
        """Apply changes, and make the text anew when they have become many."""
        assert self._snapshot is not None
        try:
            snapshot = self._snapshot.after(text)
        except BadSnapshot:
            self.revision = -1  # ask for all of it
            raise
        self.seen = time.monotonic()
        self._take(snapshot)
        await asyncio.to_thread(keep_changes, self._file, text)
        if snapshot.is_loose:
            await self._replace(await asyncio.to_thread(snapshot.text))


def _keep(file: Path, text: bytes) -> None:
    """Keep a snapshot unless a sibling has kept it; changes that it holds are not needed any more."""
    revision = int(text[: text.index(b"\n")].split()[1])
    if revision_of(file) != revision:
        keep(file, text)
    forget_changes(file, revision)
