"""Packages as directories, for runners to mount."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Container
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from apps.catalog.models import Version
from apps.core import manifests, objects
from apps.core.errors import Conflict

_FOLDER_MODE = 0o755
_FILE_MODE = 0o444


def materialise(version: Version) -> Path:
    """The package of a version as a read-only directory named by its digest; made at the first call.

    Files are hard links to the stored objects where the file system can, else copies. A directory appears
    complete or not at all. Raises Conflict for a version that is not packaged.
    """
    if not version.digest or not version.manifest:
        raise Conflict(_("%(version)s has no package yet. Package it first.") % {"version": version})
    root = settings.ATRIUM.data_dir / "packages"
    target: Path = root / version.digest
    with suppress(FileNotFoundError):
        os.utime(target)  # what was asked for lately is not collected
        return target
    root.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=root, prefix=".making-"))
    try:
        _fill(scratch, version.manifest)
        _publish(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def collect_packages(in_use: Container[str], unused_since: datetime) -> list[str]:
    """Remove the directories that nobody uses or has asked for since; returns their digests.

    Nothing is lost: `materialise` makes them again from the stored objects. One that is asked for meanwhile is
    put back, or made anew by whoever asked.
    """
    root: Path = settings.ATRIUM.data_dir / "packages"
    removed = []
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.name in in_use or not _older(folder, unused_since):
            continue
        gone = root / f".gone-{folder.name.lstrip('.')}"
        with suppress(OSError):
            folder.rename(gone)
            if not _older(gone, unused_since):
                gone.rename(folder)
                continue
            shutil.rmtree(gone)
            removed.append(folder.name)
    return [name for name in removed if not name.startswith(".")]


def _older(folder: Path, moment: datetime) -> bool:
    try:
        return folder.stat().st_mtime < moment.timestamp()
    except OSError:
        return False


def _fill(folder: Path, manifest: manifests.Manifest) -> None:
    for path, entry in manifest.items():
        manifests.check_path(path)
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        _place(objects.path(entry["sha256"]), file)
    for each in (folder, *(child for child in folder.rglob("*") if child.is_dir())):
        each.chmod(_FOLDER_MODE)


def _place(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    target.chmod(_FILE_MODE)


def _publish(scratch: Path, target: Path) -> None:
    try:
        scratch.rename(target)
    except OSError:
        if not target.is_dir():  # else somebody else made the same directory meanwhile
            raise
