"""The signed header by which a workspace's Jupyter server knows who comes; sdk/atrium/jupyter_auth.py reads it."""

from __future__ import annotations

import time

from apps.core import secrets
from atrium import identity

HEADER = identity.HEADER
_LIVES_S = 60


def key_of(workload_id: str) -> str:
    """The key of one workspace. It lies in a file that only this workspace's sandbox has."""
    return secrets.derived(f"workbench.identity:{workload_id}")


def header_for(workload_id: str, *, user: str, name: str, role: str, by: str = "") -> str:
    """The header's value, good for one minute: it is checked when a request or a socket opens."""
    facts = {"user": user, "name": name, "role": role, "by": by, "exp": int(time.time()) + _LIVES_S}
    return identity.sign(key_of(workload_id).encode(), facts)
