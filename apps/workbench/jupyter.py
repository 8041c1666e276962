"""What the portal itself asks a workspace's Jupyter server, as a reader, and what it ends there."""

from __future__ import annotations

import http.client
import json
import socket
import stat
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from apps.compute.engines.sockets import real_socket
from apps.compute.services import workload_socket
from apps.workbench import identity
from atrium.identity import EDITOR, VIEWER
from atrium.keeper import COUNT

if TYPE_CHECKING:
    from apps.workbench.models import Workspace

_ANSWERS_WITHIN_S = 2.0
_LARGEST_ANSWER = 4 << 20
_ENDS_WITHIN_S = 5.0
_MOST_RESTARTS = 999
_OK, _ENDED, _GONE = 200, 204, 404


def ask(workspace: Workspace, path: str) -> Any:
    """The JSON at `path`; None when the server does not give it in time. User code may have written it."""
    status, text = _request(workspace, "GET", path, role=VIEWER)
    with suppress(ValueError):
        return json.loads(text) if status == _OK else None
    return None


def restarts_under_kernels(workspace: Workspace) -> int:
    """How often the server was killed and started again while its kernels went on; its keeper counts in bytes."""
    try:
        facts = workload_socket(workspace.workload_id).with_name(COUNT).lstat()
    except OSError:
        return 0
    return min(facts.st_size, _MOST_RESTARTS) if stat.S_ISREG(facts.st_mode) else 0


def end_terminals(workspace: Workspace) -> bool:
    """End all shells, and what runs in them; False when the server does not say that it did, or not in time."""
    rows = ask(workspace, "/api/terminals")
    if not isinstance(rows, list):
        return False
    until = (
        time.monotonic() + _ENDS_WITHIN_S
    )  # of user code, which must not keep the portal from other workspaces
    for name in [str(row.get("name")) for row in rows if isinstance(row, dict)]:
        if time.monotonic() > until:
            return False
        path = f"/api/terminals/{quote(name, safe='')}"
        if _request(workspace, "DELETE", path, role=EDITOR)[0] not in (_GONE, _ENDED):
            return False
    return True


def _request(workspace: Workspace, method: str, path: str, *, role: str) -> tuple[int, bytes]:
    """Status and content; status 0 when there is no answer in time.

    The time is for all of it: whoever sends a byte each second must not keep the portal from the other workspaces.
    """
    wid = workspace.workload_id
    connection = http.client.HTTPConnection("localhost", timeout=_ANSWERS_WITHIN_S)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    end = threading.Timer(_ANSWERS_WITHIN_S, _hang_up, [connection.sock])
    end.start()
    try:
        connection.sock.settimeout(_ANSWERS_WITHIN_S)
        with real_socket(workload_socket(wid)) as name:
            connection.sock.connect(name)
        header = identity.header_for(wid, user="portal", name="portal", role=role, by="token")
        connection.request(method, path, headers={identity.HEADER: header})
        response = connection.getresponse()
        return response.status, response.read(_LARGEST_ANSWER)
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        end.cancel()
        connection.close()


def _hang_up(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
