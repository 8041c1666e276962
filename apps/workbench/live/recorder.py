"""Records a terminal's socket as it passes: what the server shows and the browser's size, nothing that is typed."""

from __future__ import annotations

import json
import logging
from typing import Any

from channels.db import database_sync_to_async
from django.utils import translation
from django.utils.translation import gettext as _

from apps.workbench import recordings
from apps.workbench.cast import CastWriter
from apps.workbench.entry import Access
from apps.workbench.models import Recording

log = logging.getLogger(__name__)
NOTE = "recorded"
"""The first word of the message that makes our page show its note; other clients pass over it."""


class Recorder:
    """One socket of one terminal."""

    def __init__(self, access: Access, terminal: str) -> None:
        self._access, self._terminal = access, terminal
        self._recording: Recording | None = None
        self._writer: CastWriter | None = None

    async def begin(self) -> list[str]:
        """Begin the file; gives the messages that the browser gets first. Raises OSError, DatabaseError."""
        access = self._access
        begin = database_sync_to_async(recordings.begin_recording, thread_sensitive=False)
        self._recording = await begin(access.workspace_id, access.user_id, self._terminal)
        if self._recording is None:
            return []
        title = f"{access.username} {access.origin} {self._terminal}"
        self._writer = CastWriter(recordings.path_of(self._recording), title)
        with translation.override(access.language):
            words = _("This session is recorded: what the terminal shows, not what you type.")
        return [json.dumps([NOTE]), json.dumps(["stdout", f"\x1b[7m {words} \x1b[0m\r\n"])]

    def from_server(self, text: str) -> None:
        """Keep what is shown. Raises OSError, which ends the session: it must not go on unrecorded."""
        if self._writer is None:
            return
        message = _message(text)
        if message[:1] == ["stdout"] and isinstance(message[-1], str):
            self._writer.output(message[-1])

    def from_browser(self, text: str) -> None:
        """Keep a new size; everything else that comes from there is typed, and passed over."""
        if self._writer is None:
            return
        match _message(text):
            case ["set_size", int(rows), int(columns), *_rest]:
                self._writer.resize(columns, rows)

    async def end(self) -> None:
        """Write down the end."""
        if self._writer is None or self._recording is None:
            return
        writer, self._writer = self._writer, None
        writer.close()
        end = database_sync_to_async(recordings.end_recording, thread_sensitive=False)
        await end(self._recording, seconds=writer.seconds, size=writer.size, full=writer.full)


def _message(text: str) -> list[Any]:
    try:
        message = json.loads(text)
    except ValueError:
        return []
    return message if isinstance(message, list) else []
