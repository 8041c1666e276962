"""Bodies above a plan's limit: files named by their SHA-256, kept by capability and day so that they end together.

They lie in the storage of objects under `calls/<capability>/<day>/<sha256>`; nothing but calls refers to them.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils.translation import gettext as _

from apps.core.errors import NotFound

if TYPE_CHECKING:
    from apps.gateway.models import Call

ROOT = "calls"
NAMES = {"request": "request", "response": "answer"}


def _place(capability_id: int | None, at: datetime, sha256: str) -> str:
    return f"{ROOT}/{capability_id or 0}/{at.astimezone(UTC):%Y%m%d}/{sha256}"


def keep(capability_id: int | None, at: datetime, body: bytes) -> str:
    """Store a body; returns its SHA-256. Storing it again is harmless."""
    storage = storages["objects"]
    sha256 = hashlib.sha256(body).hexdigest()
    name = _place(capability_id, at, sha256)
    if not (storage.exists(name) and storage.size(name) == len(body)):
        storage.delete(name)
        storage.save(name, ContentFile(body))
    return sha256


def size_of(call: Call, which: str) -> int:
    """The size of a body that lies in a file, else 0. `which` is request or response."""
    return int((call.sizes or {}).get(f"{NAMES[which]}_bytes", 0)) if _digest(call, which) else 0


def read(call: Call, which: str) -> bytes:
    """The body that a row keeps the digest of. Raises NotFound when it has none, or when its days are over."""
    sha256 = _digest(call, which)
    storage = storages["objects"]
    name = _place(call.capability_id, call.at, sha256)
    if not sha256 or not storage.exists(name):
        raise NotFound(_("This body is not kept any more, or it never was."))
    with storage.open(name, "rb") as file:
        return bytes(file.read())


def _digest(call: Call, which: str) -> str:
    return str((call.sizes or {}).get(f"{NAMES[which]}_sha256", ""))


def forget(capability_id: int, before: date) -> int:
    """Delete a capability's bodies of the days before one; returns how many."""
    storage = storages["objects"]
    count = 0
    for day in _folders(f"{ROOT}/{capability_id}"):
        if day >= f"{before:%Y%m%d}":
            continue
        folder = f"{ROOT}/{capability_id}/{day}"
        for name in storage.listdir(folder)[1]:
            storage.delete(f"{folder}/{name}")
            count += 1
        storage.delete(folder)
    return count


def capabilities() -> list[int]:
    """Those that have bodies in files."""
    return [int(name) for name in _folders(ROOT) if name.isdigit()]


def _folders(name: str) -> list[str]:
    try:
        return sorted(storages["objects"].listdir(name)[0])
    except FileNotFoundError:
        return []
