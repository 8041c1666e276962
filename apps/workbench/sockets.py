"""Unix sockets in folders that user code can write: never through a link that it laid.

A sandbox could put a link to another socket of the machine where its own should be, and the portal, which may
open everything, would follow it. So the name is opened without following, checked to be a socket, and the
connection goes to what was checked.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ANYBODY_IN_THE_FOLDER = 0o666


@contextmanager
def pinned(path: Path) -> Iterator[str]:
    """A name that leads to the very socket that `path` is now. Raises OSError when it is none, or a link."""
    handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(handle).st_mode):
            raise ConnectionRefusedError(f"{path} is no socket")
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def listen(path: Path, backlog: int = 128) -> socket.socket:
    """Listen at `path`, which replaces what lay there, for whoever can reach the folder."""
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.bind(str(path))
        with pinned(path) as name:
            Path(name).chmod(_ANYBODY_IN_THE_FOLDER)
        server.listen(backlog)
        server.setblocking(False)
    except OSError:
        server.close()
        raise
    return server
