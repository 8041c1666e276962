"""Unix sockets that the portal listens on in folders that user code can write: never through a link that it laid."""

from __future__ import annotations

import socket
from pathlib import Path

from apps.compute.engines.sockets import real_socket

_ANYBODY_IN_THE_FOLDER = 0o666


def listen(path: Path, backlog: int = 128) -> socket.socket:
    """Listen at `path`, which replaces what lay there, for whoever can reach the folder."""
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.bind(str(path))
        with real_socket(path) as name:
            Path(name).chmod(_ANYBODY_IN_THE_FOLDER)
        server.listen(backlog)
        server.setblocking(False)
    except OSError:
        server.close()
        raise
    return server
