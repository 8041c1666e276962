"""Starts a workspace's Jupyter server again when it was killed, under the kernels and shells that it had started.

Run as `python -I -S keeper.py MODULE`. Kernels are processes of their own (`atrium.lasting`), but everything in the
sandbox ends with its first process, so that must not be the server. A shell ends when nobody holds the other side of
its terminal, so the server gives a second handle of each to the keeper, which hands them to the next server
(`atrium.terminals`). Standard library only, and little of it: one of these stands above every server. Every other end
of the server is the end of the workload, as without a keeper.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time

COUNT = "server-restarts"
"""Below `ATRIUM_RUN`: how often the server was started again since the sandbox began; the portal reads it."""
FAILS_WITHIN_S = 10.0
AGAIN_AFTER_S = (0.2, 1.0, 3.0)
"""A server killed sooner than `FAILS_WITHIN_S` may be again: each next one in a row waits longer, and after the last
the sandbox's supervisor takes over."""
LINE = "ATRIUM_KEEPER"
"""The variable that tells a server its line to the keeper, and the handles that earlier servers have left there."""
_LARGEST_MESSAGE = 4096
_MOST_HANDLES = 256
PASSED_ON = (signal.SIGTERM, signal.SIGINT)


class Keeper:
    """One server after the other."""

    def __init__(self, argv: list[str], run: str) -> None:
        self.argv, self.count = argv, os.path.join(run, COUNT)  # noqa: PTH118 - pathlib costs 2 MB
        self.server = 0
        self.ending = 0
        self.left: dict[str, int] = {}
        """Handles by what the server has said of them."""

    def end(self, number: int, _frame: object) -> None:
        """The workspace is stopped: the server is told, and nothing is started any more."""
        self.ending = number
        try:
            if self.server:
                os.kill(self.server, number)
        except ProcessLookupError:
            return  # it has just ended by itself

    def keep(self) -> int:
        """Run the server until it ends otherwise than by a kill; gives its exit code as a shell does."""
        self._begin_count()
        soon = 0
        while True:
            began = time.monotonic()
            code = self._serve()
            soon = soon + 1 if time.monotonic() - began < FAILS_WITHIN_S else 0
            if code >= 0 or self.ending or soon > len(AGAIN_AFTER_S):
                return code if code >= 0 else 128 - code
            name = signal.Signals(-code).name
            print(f"atrium.keeper: the server was killed ({name}) and is started again", flush=True)
            self._note()
            time.sleep(AGAIN_AFTER_S[max(soon - 1, 0)])
            if self.ending:
                return 128 - code

    def _serve(self) -> int:
        """Run one server; gives its exit code, below zero for a signal."""
        line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with line:
            with theirs:
                told = {"line": theirs.fileno(), "left": self.left}
                for handle in (theirs.fileno(), *self.left.values()):
                    os.set_inheritable(handle, True)
                self.server = os.posix_spawnp(self.argv[0], self.argv, {**os.environ, LINE: json.dumps(told)})
            if self.ending:  # the signal came before there was a number to pass it on to
                self.end(self.ending, None)
            self._hear(line)
            code = os.waitstatus_to_exitcode(os.waitpid(self.server, 0)[1])
            self.server = 0
        return code

    def _hear(self, line: socket.socket) -> None:
        """Take what the server leaves here, until it ends."""
        process = os.pidfd_open(self.server)
        waiting = select.poll()
        waiting.register(process, select.POLLIN)
        waiting.register(line, select.POLLIN)
        try:
            while True:
                ready = [handle for handle, _event in waiting.poll()]
                if line.fileno() in ready:
                    if not self._take(line):
                        waiting.unregister(line)
                elif ready:
                    return
        finally:
            os.close(process)

    def _take(self, line: socket.socket) -> bool:
        """Take one message: with a handle it is to be kept, without it is to be forgotten. False when none comes."""
        try:
            words, handles, _flags, _address = socket.recv_fds(
                line, _LARGEST_MESSAGE, 1, socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return False
        facts = words.decode("utf-8", "replace")
        if facts in self.left:
            os.close(self.left.pop(facts))
        for handle in handles:
            if len(self.left) < _MOST_HANDLES:
                self.left[facts] = handle
            else:
                os.close(handle)
        return bool(words)

    def _begin_count(self) -> None:
        try:
            os.unlink(self.count)  # noqa: PTH108
        except OSError:
            return  # there is none

    def _note(self) -> None:
        try:
            with open(self.count, "a+", encoding="ascii") as file:  # noqa: PTH123
                file.write(".")
        except OSError:
            return  # it is only told


def main(module: str) -> int:
    """Keep `python -m module` running."""
    keeper = Keeper(["python", "-m", module], os.environ.get("ATRIUM_RUN", "."))
    for number in PASSED_ON:
        signal.signal(number, keeper.end)
    return keeper.keep()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
