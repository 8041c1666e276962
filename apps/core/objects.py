"""Content-addressed storage: a file is named by the SHA-256 of its bytes and never changes."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.core.files import File
from django.core.files.storage import storages
from django.utils.translation import gettext as _

from apps.core.errors import Invalid, NotFound

_CHUNK = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _name(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise Invalid(_("“%(value)s” is no SHA-256 digest: 64 hexadecimal digits.") % {"value": sha256[:80]})
    return f"{sha256[:2]}/{sha256[2:]}"


def put(stream: BinaryIO | Iterable[bytes], *, expected: str | None = None) -> tuple[str, int]:
    """Store a stream of bytes; returns its SHA-256 in hex and its size in bytes. Storing it again is harmless.

    Raises Invalid when `expected` is given and the bytes have another digest; nothing is kept then.
    """
    chunks = iter(lambda: stream.read(_CHUNK), b"") if hasattr(stream, "read") else iter(stream)
    storage = storages["objects"]
    digest, size = hashlib.sha256(), 0
    folder = settings.ATRIUM.data_dir / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder) as scratch:
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            scratch.write(chunk)
        sha256 = digest.hexdigest()
        if expected is not None and sha256 != expected:
            raise Invalid(
                _("The file's SHA-256 is %(actual)s, not %(expected)s as announced. Send it again.")
                % {"actual": sha256, "expected": expected}
            )
        if not keep(sha256):
            scratch.flush()
            scratch.seek(0)
            storage.save(_name(sha256), File(scratch))
    return sha256, size


def keep(sha256: str) -> bool:
    """Whether an object is stored; it then stays long enough to write a row that names it."""
    if not exists(sha256):
        return False
    try:
        os.utime(storages["objects"].path(_name(sha256)))
    except NotImplementedError:
        pass  # remote storage: nothing is collected there
    except FileNotFoundError:
        return False  # collected this very moment
    return True


def exists(sha256: str) -> bool:
    """Whether an object is stored."""
    return storages["objects"].exists(_name(sha256))


def open_object(sha256: str) -> BinaryIO:
    """Open an object for reading. Raises NotFound."""
    if not exists(sha256):
        raise NotFound(_("The file %(sha256)s is not stored here.") % {"sha256": sha256})
    return storages["objects"].open(_name(sha256), "rb")  # type: ignore[return-value]


def path(sha256: str) -> Path:
    """The object's local file, to mount or copy; fetched into the cache first when storage is remote."""
    storage = storages["objects"]
    try:
        return Path(storage.path(_name(sha256)))
    except NotImplementedError:
        cached: Path = settings.ATRIUM.data_dir / "cache" / "objects" / _name(sha256)
        if not cached.exists():
            cached.parent.mkdir(parents=True, exist_ok=True)
            with (
                open_object(sha256) as source,
                tempfile.NamedTemporaryFile(dir=cached.parent, delete=False) as target,
            ):
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
            Path(target.name).rename(cached)
        return cached
