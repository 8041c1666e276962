"""Uploads: zip and tar archives, or plain files, unpacked into a scratch folder under strict limits.

Nothing is opened but the archive itself. Whatever is refused leaves nothing behind.
"""

from __future__ import annotations

import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from django.conf import settings
from django.utils.translation import gettext as _

from apps.core import objects
from apps.core.errors import Invalid
from apps.core.manifests import MOST_FILES, check_path

_CHUNK = 1 << 20
_SKIPPED = ("__MACOSX/", ".DS_Store")
_RATIO_FROM = 8 << 20


@dataclass(frozen=True)
class Limits:
    """What an upload may hold: bytes unpacked, files, and how much smaller than its content it may be."""

    size: int = 4 << 30
    files: int = MOST_FILES
    ratio: int = 200


@dataclass(frozen=True)
class Upload:
    """One file that somebody sent: its name (with folders, where a folder was sent) and its bytes."""

    name: str
    stream: BinaryIO
    size: int


def store(uploads: Iterable[Upload], limits: Limits | None = None) -> dict[str, str]:
    """Check and store what was sent; returns {path: sha256}.

    One zip or tar archive is unpacked; anything else is taken as it is. A single folder around everything is
    taken off. Raises Invalid that names the file and what to do; nothing is stored then.
    """
    limits = limits or Limits()
    sent = list(uploads)
    if not sent:
        raise Invalid(_("No file was sent. Choose a file or a folder."), fields={"file": _("is missing")})
    with _scratch() as folder:
        unpacker = _Unpacker(folder, limits)
        if len(sent) == 1 and _kind(sent[0]):
            unpacker.unpack(sent[0], _kind(sent[0]))
        else:
            for upload in sent:
                unpacker.write(upload.name, iter(lambda u=upload: u.stream.read(_CHUNK), b""))  # type: ignore[misc]
        return {path: _store_file(file) for path, file in _without_common_folder(unpacker.files).items()}


def _store_file(file: Path) -> str:
    with file.open("rb") as stream:
        return objects.put(stream)[0]


@contextmanager
def _scratch() -> Iterator[Path]:
    parent = settings.ATRIUM.data_dir / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix="upload-") as folder:
        yield Path(folder)


def _kind(upload: Upload) -> str:
    name = upload.name.lower()
    if name.endswith(".zip"):
        return "zip"
    if name.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")):
        return "tar"
    return ""


class _Unpacker:
    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self.limits = limits
        self.files: dict[str, Path] = {}
        self._folded: dict[str, str] = {}
        self._written = 0
        self._allowed = limits.size

    def unpack(self, upload: Upload, kind: str) -> None:
        """Unpack an archive. Its bytes may grow by `ratio` at most, once they are more than 8 MB."""
        self._allowed = min(self.limits.size, max(_RATIO_FROM, upload.size * self.limits.ratio))
        try:
            if kind == "zip":
                self._unzip(upload)
            else:
                self._untar(upload)
        except (
            zipfile.BadZipFile,
            tarfile.TarError,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
        ) as error:
            raise Invalid(
                _("“%(name)s” cannot be unpacked: %(error)s. Make the archive again and send it once more.")
                % {"name": upload.name[:120], "error": str(error)[:200] or type(error).__name__},
                fields={"file": _("cannot be unpacked")},
            ) from error
        except RuntimeError as error:  # zipfile: encrypted
            raise Invalid(
                _("“%(name)s” is encrypted. Send it without a password.") % {"name": upload.name[:120]},
                fields={"file": _("is encrypted")},
            ) from error

    def _unzip(self, upload: Upload) -> None:
        with zipfile.ZipFile(cast("IO[bytes]", upload.stream)) as archive:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                mode = member.external_attr >> 16
                if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                    raise _refused(member.filename, _("is a link or a device"))
                if _skipped(member.filename):
                    continue
                with archive.open(member) as stream:
                    self.write(member.filename, iter(lambda s=stream: s.read(_CHUNK), b""))  # type: ignore[misc]

    def _untar(self, upload: Upload) -> None:
        with tarfile.open(fileobj=upload.stream, mode="r|*") as archive:
            for member in archive:
                if member.isdir():
                    continue
                if not member.isreg():
                    raise _refused(member.name, _("is a link or a device"))
                name = member.name.removeprefix("./")
                if _skipped(name):
                    continue
                stream = archive.extractfile(member)
                assert stream is not None
                self.write(name, iter(lambda s=stream: s.read(_CHUNK), b""))  # type: ignore[misc]

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write one file into the scratch folder under a number; its name is only kept, never used as a path."""
        check_path(name)
        folded = name.casefold()
        if folded in self._folded:
            raise _refused(name, _("is there twice (as “%(other)s”)") % {"other": self._folded[folded]})
        self._folded[folded] = name
        if len(self.files) >= self.limits.files:
            raise Invalid(
                _("There are more than %(most)d files. Pack small files together and send it again.")
                % {"most": self.limits.files},
                fields={"file": _("holds too many files")},
            )
        target = self.folder / str(len(self.files))
        with target.open("wb") as file:
            for chunk in chunks:
                self._written += len(chunk)
                if self._written > self._allowed:
                    raise Invalid(
                        _("Unpacked, this is more than %(most)d MB (stopped at “%(name)s”). Send less.")
                        % {"most": self._allowed >> 20, "name": name[:120]},
                        fields={"file": _("is too large when unpacked")},
                    )
                file.write(chunk)
        self.files[name] = target


def _skipped(name: str) -> bool:
    return name.startswith(_SKIPPED[0]) or name.rsplit("/", 1)[-1] == _SKIPPED[1]


def _refused(name: str, problem: str) -> Invalid:
    return Invalid(
        _("“%(name)s” %(problem)s. Only plain files with plain relative paths are accepted; leave it out.")
        % {"name": name[:120], "problem": problem},
        fields={"file": problem},
    )


def _without_common_folder(files: dict[str, Path]) -> dict[str, Path]:
    tops = {path.split("/", 1)[0] for path in files}
    if len(tops) == 1 and all("/" in path for path in files):
        return {path.split("/", 1)[1]: file for path, file in files.items()}
    return files
