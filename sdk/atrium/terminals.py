"""Terminals that outlive the Jupyter server which started them.

A shell lives as long as somebody holds the other side of its terminal. The keeper above the server holds it too
(`atrium.keeper`) and hands it to the next server after a kill, with what the terminal showed last in a file beside.
What a program prints meanwhile waits in the terminal, and the program with it once a few kilobytes do.
"""

from __future__ import annotations

import codecs
import json
import os
import signal
import socket
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_server._tz import utcnow
from jupyter_server_terminals.terminalmanager import TerminalManager
from ptyprocess import PtyProcessUnicode
from terminado.management import PtyWithClients

from atrium.keeper import LINE
from atrium.lasting import Found, began_at, runtime_folder

_CHUNKS = 1000
_SHOWN = 256 << 10


class Screen(deque[str]):
    """What a terminal showed last, in the server and in a file; without the file where none can be written."""

    def __init__(self, path: Path) -> None:
        super().__init__(maxlen=_CHUNKS)
        self.path = path
        self.written = 0
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if path.exists():
                kept = path.read_bytes().decode("utf-8", "replace")  # as text it would lose carriage returns
                super().append(kept[-_SHOWN:])
                self.written = path.stat().st_size

    def copy(self) -> deque[str]:  # type: ignore[override]
        """What a page that comes is shown."""
        return deque(self)

    def append(self, text: str) -> None:
        """Show more."""
        super().append(text)
        with suppress(OSError):
            if self.written > 2 * _SHOWN:
                part = self.path.with_suffix(".part")  # where the disk is full, the file stays as it is
                self.written = part.write_text("".join(self)[-_SHOWN:], encoding="utf-8")
                part.replace(self.path)
            else:
                with self.path.open("a", encoding="utf-8") as file:
                    self.written += file.write(text)


def _screen_of(pid: int) -> Path:
    return runtime_folder() / f"{pid}.screen"


class FoundShell(PtyProcessUnicode):
    """A shell that another process has started, at the terminal's other side."""

    def __init__(self, pid: int, began: str, handle: int) -> None:
        super().__init__(pid, handle)
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.found = Found(pid, began)

    def isalive(self) -> bool:
        """See PtyProcess.isalive, which asks the parent."""
        return self.found.poll() is None


class FoundTerminal(PtyWithClients):
    """A terminal that an earlier server has started."""

    def __init__(self, name: str, shell: FoundShell) -> None:  # its base would start one
        self.term_name, self.ptyproc = name, shell
        self.clients: list[Any] = []
        self.last_activity = utcnow()

    def killpg(self, sig: int = signal.SIGTERM) -> Any:
        """See PtyWithClients.killpg."""
        return super().killpg(sig) if self.ptyproc.isalive() else None


class Keeper:
    """The line to the keeper, as far as there is one."""

    def __init__(self) -> None:
        told = json.loads(os.environ.pop(LINE, "null")) or {"line": -1, "left": {}}
        self.left: dict[str, int] = told["left"]
        for handle in (told["line"], *self.left.values()):
            if handle >= 0:
                os.set_inheritable(handle, False)
        self.line = socket.socket(fileno=told["line"]) if told["line"] >= 0 else None

    def leave(self, facts: str, handle: int) -> None:
        """Give a second handle to the keeper."""
        if self.line is not None:
            with suppress(OSError):
                socket.send_fds(self.line, [facts.encode()], [handle])

    def forget(self, facts: str) -> None:
        """The keeper is to close its handle."""
        if self.line is not None:
            with suppress(OSError):
                self.line.send(facts.encode())


class LastingTerminals(TerminalManager):
    """Terminals as the server has them; those of an earlier server are there from the beginning."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keeper = Keeper()
        for facts, handle in self.keeper.left.items():
            try:
                known = json.loads(facts)
                shell = FoundShell(known["pid"], known["began"], handle)
                terminal = FoundTerminal(known["name"], shell)
            except (OSError, ValueError, KeyError, TypeError) as error:
                self.log.warning("a terminal cannot be taken over, and its shell ends: %s", error)
                os.close(handle)
                self.keeper.forget(facts)
                continue
            self.terminals[terminal.term_name] = terminal
            self._read(terminal, facts)

    def start_reading(self, terminal: Any) -> None:
        """See TermManagerBase.start_reading: a terminal has just been started."""
        pid = terminal.ptyproc.pid
        facts = json.dumps({"name": terminal.term_name, "pid": pid, "began": began_at(pid)})
        self.keeper.leave(facts, terminal.ptyproc.fd)
        _screen_of(pid).unlink(missing_ok=True)
        self._read(terminal, facts)

    def _read(self, terminal: Any, facts: str) -> None:
        terminal.facts = facts
        terminal.read_buffer = Screen(_screen_of(terminal.ptyproc.pid))
        super().start_reading(terminal)

    def on_eof(self, terminal: Any) -> None:
        """See TermManagerBase.on_eof."""
        self.keeper.forget(terminal.facts)
        terminal.read_buffer.path.unlink(missing_ok=True)
        super().on_eof(terminal)
