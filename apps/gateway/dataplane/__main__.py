"""`python -m apps.gateway.dataplane [CONFIG.json]`: the gateway alone, one process per core.

Without an argument the configuration is the JSON in the variable ATRIUM_GATEWAY. The first process only
watches over the others: one that dies is replaced, and none outlives it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

from apps.gateway.dataplane.config import BadConfig, Config

log = logging.getLogger("atrium.gateway")

PR_SET_PDEATHSIG = 1
RESTART_SECONDS = 0.5


def main(arguments: list[str]) -> int:
    """Read the configuration, then serve in this process or watch over several."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        text = Path(arguments[0]).read_bytes() if arguments else os.environ["ATRIUM_GATEWAY"].encode()
        config = Config.from_json(text)
        config.prepare()
    except (BadConfig, OSError, KeyError) as problem:
        log.error("the gateway does not start: %s", problem)  # noqa: TRY400 - one line for a person
        return 2
    os.environ.pop("ATRIUM_GATEWAY", None)
    unix = listen_unix(config.unix_socket) if config.unix_socket else None
    if config.processes == 1:
        serve(config, 0, unix)
        return 0
    return Watch(config, unix).run()


def listen_unix(path: str) -> socket.socket:
    """The one socket that all processes accept from; a leftover of an earlier life is replaced."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(path)
    Path(path).chmod(0o600)
    listening.listen(1024)
    listening.setblocking(False)
    return listening


def serve(config: Config, index: int, unix: socket.socket | None) -> None:
    """Imported late: the watching process needs none of it in memory."""
    from apps.gateway.dataplane.process import run

    run(config, index, unix)


class Watch:
    """The parent of the serving processes."""

    def __init__(self, config: Config, unix: socket.socket | None) -> None:
        self._config = config
        self._unix = unix
        self._children: dict[int, int] = {}
        self._ending = False

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        for index in range(self._config.processes):
            self._start(index)
        while self._children:
            try:
                pid, status = os.wait()
            except InterruptedError:
                continue
            if pid not in self._children:
                continue
            index = self._children.pop(pid)
            if not self._ending:
                log.warning("gateway process %s ended with status %s; starting it anew", index, status)
                time.sleep(RESTART_SECONDS if os.waitstatus_to_exitcode(status) > 0 else 0)
                self._start(index)
        return 0

    def _end(self, number: int, frame: object) -> None:
        self._ending = True
        for pid in self._children:
            os.kill(pid, signal.SIGTERM)

    def _start(self, index: int) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._children[pid] = index
            return
        status = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            die_with(parent)
            serve(self._config, index, self._unix)
            status = 0
        except Exception:
            log.exception("gateway process %s failed", index)
        finally:
            os._exit(status)


def die_with(parent: int) -> None:
    """Have the kernel end this process when its parent is gone, even by kill -9."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
