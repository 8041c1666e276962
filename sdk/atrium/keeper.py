"""Starts a workspace's Jupyter server again when it was killed, under the kernels that it had started.

Run as `python -I -S keeper.py MODULE`. Kernels are processes of their own (`atrium.lasting`), but everything in the
sandbox ends with its first process, so that must not be the server. Standard library only, and little of it: one of
these stands above every server. Every other end of the server is the end of the workload, as without a keeper.
"""

from __future__ import annotations

import os
import signal
import sys
import time

COUNT = "server-restarts"
"""Below `ATRIUM_RUN`: how often the server was started again since the sandbox began; the portal reads it."""
FAILS_WITHIN_S = 10.0
"""A server killed sooner than this would be again: the sandbox's supervisor takes over, which waits ever longer."""
AGAIN_AFTER_S = 0.2
PASSED_ON = (signal.SIGTERM, signal.SIGINT)


class Keeper:
    """One server after the other."""

    def __init__(self, argv: list[str], run: str) -> None:
        self.argv, self.count = argv, os.path.join(run, COUNT)  # noqa: PTH118 - pathlib costs 2 MB
        self.server = 0
        self.ending = 0

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
        while True:
            began = time.monotonic()
            self.server = os.posix_spawnp(self.argv[0], self.argv, os.environ)
            if self.ending:  # the signal came before there was a number to pass it on to
                self.end(self.ending, None)
            code = os.waitstatus_to_exitcode(os.waitpid(self.server, 0)[1])
            self.server = 0
            if code >= 0 or self.ending or time.monotonic() - began < FAILS_WITHIN_S:
                return code if code >= 0 else 128 - code
            name = signal.Signals(-code).name
            print(f"atrium.keeper: the server was killed ({name}) and is started again", flush=True)
            self._note()
            time.sleep(AGAIN_AFTER_S)
            if self.ending:
                return 128 - code

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
