"""The locked environments of workloads: `base` for people's code, `mlflow`, `own-<digest>` for a model's packages."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.utils.translation import gettext_noop
from redis.exceptions import RedisError

from apps.core.telling import Told, spoken, told

from . import builder
from .builder import BuildError, names, uv_program

__all__ = [
    "BuildError",
    "build",
    "digest",
    "exists",
    "in_words",
    "is_ready",
    "keep_lock",
    "lock_text",
    "names",
    "path",
    "root",
    "uv_program",
    "why_not_ready",
]


def root() -> Path:
    """The folder that holds the built environments of this checkout."""
    return Path(settings.ATRIUM.environments_dir)


def path(name: str) -> Path:
    """Where environment `name` lies, built or not."""
    return builder.folder(name, root())


def digest(name: str) -> str:
    """What the folder of environment `name` is called after."""
    return builder.digest(name, root())


def keep_lock(lock: str) -> str:
    """Keep a lock of a model's own packages; returns the environment's name. Nothing is built yet."""
    return builder.keep_lock(lock, root())


def named(name: str) -> Told:
    """What people call environment `name`; one made for some packages has no name that would say anything."""
    if name.startswith(builder.OWN_PREFIX):
        return told(gettext_noop("with its own packages"))
    return told("“%(name)s”", name=name)


def in_words(name: str) -> str:
    """The same in the active language."""
    return spoken(named(name))


def lock_text(name: str) -> str:
    """The lock of environment `name`. Raises BuildError when there is none."""
    return builder.lock_of(name, root()).read_text(encoding="utf-8")


def exists(name: str) -> bool:
    """Whether there is a lock of that name, shipped or kept."""
    try:
        builder.lock_of(name, root())
    except BuildError:
        return False
    return True


def is_ready(name: str) -> bool:
    """Whether environment `name` is built; a job that needs it waits until then."""
    return builder.is_built(name, root())


def build(name: str, say: builder.Say = print, watch: builder.Watch = builder.unheard) -> Path:
    """Build environment `name` unless it is there; `watch` hears step and output. Raises BuildError."""

    def heard(step: str, text: str) -> None:
        _note(name, step, text)
        watch(step, text)

    try:
        return builder.build(name, root(), say, heard)
    except BuildError as error:
        _note(name, _FAILED, str(error))
        raise


def why_not_ready(name: str) -> Told:
    """Why what needs environment `name` waits, with what its installer said last."""
    step, line = _last_note(name)
    if step not in _DOING:
        return told(gettext_noop("waits until the environment %(name)s is built"), name=named(name))
    doing = told(_DOING[step], line=line)
    return told(
        gettext_noop("waits until the environment %(name)s is built; %(doing)s"),
        name=named(name),
        doing=doing,
    )


_FAILED = "failed"
_DOING = {
    builder.DOWNLOAD: gettext_noop("it is downloaded: %(line)s"),
    builder.INSTALL: gettext_noop("it is installed: %(line)s"),
    builder.CHECK: gettext_noop("it is checked: %(line)s"),
    _FAILED: gettext_noop("that failed and is tried again: %(line)s"),
}
_NOTE_LASTS_S = 900
_LONGEST_LINE = 200


def _note(name: str, step: str, text: str) -> None:
    """Keep the last line for whoever waits; without Valkey nobody hears it and the installation goes on."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines:
        with suppress(RedisError, OSError):
            cache.set(_key(name), [step, lines[-1][:_LONGEST_LINE]], _NOTE_LASTS_S)


def _last_note(name: str) -> tuple[str, str]:
    with suppress(RedisError, OSError):
        step, line = cache.get(_key(name)) or ("", "")
        return step, line
    return "", ""


def _key(name: str) -> str:
    return f"environment:{name}"
