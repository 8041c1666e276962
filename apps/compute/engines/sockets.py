"""Connecting to the unix socket of a workload without being led elsewhere.

The workload makes /run/atrium/port.sock itself, so it could put a link there that leads whoever connects to
the database or to somebody else's server. Connect to the name that `real_socket` gives, never to the path.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def real_socket(path: Path) -> Iterator[str]:
    """A name to connect to the socket at `path` by, good within the block; OSError when it is no socket."""
    handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(handle).st_mode):
            raise OSError(errno.ENOTSOCK, "no socket", str(path))
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
