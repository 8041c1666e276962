"""Manifests: what a version of something consists of, as {path: {"sha256", "size"}}, and their one digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TypedDict

from django.utils.translation import gettext as _

from apps.core import objects
from apps.core.errors import Invalid

MOST_FILES = 5_000
LONGEST_PATH = 400


class Entry(TypedDict):
    """One file of a manifest."""

    sha256: str
    size: int


Manifest = dict[str, Entry]


def check_path(path: str) -> str:
    """The path itself when it is a plain relative one. Raises Invalid that names it otherwise."""
    problem = _path_problem(path)
    if problem:
        raise Invalid(
            _("The file “%(path)s” %(problem)s. Use plain relative paths such as model/weights.bin.")
            % {"path": path[:120], "problem": problem},
            fields={"file": problem},
        )
    return path


def _path_problem(path: str) -> str:
    if not path or path.endswith("/"):
        return _("has no name")
    if len(path.encode()) > LONGEST_PATH:
        return _("has a path longer than %(most)d bytes") % {"most": LONGEST_PATH}
    if path.startswith("/") or (len(path) > 1 and path[1] == ":"):
        return _("has an absolute path")
    if "\\" in path:
        return _("has a backslash in its path")
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        return _("has a control character in its path")
    if any(part in ("", ".", "..") for part in path.split("/")):
        return _("has a path that leaves the folder")
    return ""


def build(files: Mapping[str, str]) -> Manifest:
    """The manifest of stored objects given as {path: sha256}. Raises Invalid naming the file that is wrong."""
    if not files:
        raise Invalid(_("There are no files. Choose at least one."), fields={"file": _("is missing")})
    if len(files) > MOST_FILES:
        raise Invalid(
            _("There are %(count)d files; at most %(most)d are accepted. Pack small files together.")
            % {"count": len(files), "most": MOST_FILES}
        )
    manifest: Manifest = {}
    for path in sorted(files):
        check_path(path)
        manifest[path] = {"sha256": files[path], "size": _stored_size(path, files[path])}
    _refuse_files_as_folders(manifest)
    return manifest


def _stored_size(path: str, sha256: str) -> int:
    if not objects.keep(sha256):
        raise Invalid(
            _("The file “%(path)s” with SHA-256 %(sha256)s is not stored here. Upload it first.")
            % {"path": path, "sha256": sha256},
            fields={"file": _("is not stored")},
        )
    return objects.path(sha256).stat().st_size


def _refuse_files_as_folders(manifest: Manifest) -> None:
    for path in manifest:
        for parent in PurePosixPath(path).parents:
            if str(parent) in manifest:
                raise Invalid(
                    _("“%(parent)s” is a file and the folder of “%(path)s” at once. Rename one of them.")
                    % {"parent": parent, "path": path}
                )


def digest(manifest: Mapping[str, Entry]) -> str:
    """SHA-256 over the lines "<path> NUL <sha256> LF" sorted by path; the same as in `atrium.package`."""
    total = hashlib.sha256()
    for path in sorted(manifest):
        total.update(f"{path}\0{manifest[path]['sha256']}\n".encode())
    return total.hexdigest()


def size(manifest: Mapping[str, Entry]) -> int:
    """All bytes of a manifest."""
    return sum(entry["size"] for entry in manifest.values())
