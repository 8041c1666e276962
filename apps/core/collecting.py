"""Removes stored objects that nothing names any more, two days after they were stored or last asked for.

Conservative, as Boehm's collector is with memory: every 64 hexadecimal digits anywhere in the database name an object,
and so do those inside small JSON objects that are named. A new table or field needs no entry here, and what is not a
reference only keeps a file for longer. Left out are tables that tell of the past, such as the audit log.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.core.files.storage import storages
from django.db import connection, models

from apps.core import audit

GRACE_S = 2 * 86400
_HISTORY = frozenset(
    {
        "core.AuditEntry",
        "core.Event",
        "core.LineageEdge",
        "core.IdempotentRequest",
        "core.Mail",
        "sessions.Session",
    }
)
_TEXTS = (models.CharField, models.TextField, models.JSONField, ArrayField)
_NAME = re.compile(rb"[0-9a-f]{64}")
_LARGEST_READ = 8 << 20


@dataclass(frozen=True)
class Collected:
    """What a round found: objects and their bytes, kept and removed."""

    kept: int
    kept_bytes: int
    removed: int
    removed_bytes: int


def collect(*, grace_s: float = GRACE_S, dry_run: bool = False) -> Collected:
    """One round. With `dry_run` it only tells. Remote storage is left alone: nothing is found there."""
    root = _root()
    kept = kept_bytes = removed = removed_bytes = 0
    if root is None:
        return Collected(0, 0, 0, 0)
    _put_back(root)
    stored = dict(_stored(root))  # before the names are read: what is stored later is young anyway
    named = _reachable(_named(), stored)
    before = time.time() - grace_s
    for sha256, path in stored.items():
        try:
            facts = path.stat()
        except FileNotFoundError:
            continue
        unused = sha256 not in named and facts.st_mtime < before
        if unused and (dry_run or _remove(path, before)):
            removed, removed_bytes = removed + 1, removed_bytes + facts.st_size
        else:
            kept, kept_bytes = kept + 1, kept_bytes + facts.st_size
    found = Collected(kept, kept_bytes, removed, removed_bytes)
    if removed and not dry_run:
        audit.record("core.objects.collected", "atrium:core.objects:all", by=None, **vars(found))
    return found


def _root() -> Path | None:
    try:
        return Path(storages["objects"].path(""))
    except NotImplementedError:
        return None


def _stored(root: Path) -> Iterator[tuple[str, Path]]:
    for folder in root.glob("[0-9a-f][0-9a-f]"):
        for path in folder.iterdir():
            if _NAME.fullmatch((folder.name + path.name).encode()):
                yield folder.name + path.name, path


def _remove(path: Path, before: float) -> bool:
    """Take the file out of sight, and look again: who asked for it meanwhile has touched it and gets it back.

    `objects.keep` touches a file by its name: either before the rename, which is seen here, or it finds none.
    """
    aside = path.with_name(f"{path.name}.going")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    if aside.stat().st_mtime >= before:
        aside.rename(path)
        return False
    aside.unlink()
    return True


def _put_back(root: Path) -> None:
    """What a killed round left aside is an object again."""
    for aside in root.glob("[0-9a-f][0-9a-f]/*.going"):
        aside.rename(aside.with_name(aside.name.removesuffix(".going")))


def _named() -> set[str]:
    """Every name in the database, one pass over each table that has texts."""
    found: set[str] = set()
    for model in apps.get_models():
        if model._meta.label in _HISTORY or model._meta.proxy or not model._meta.managed:
            continue
        columns = [str(field.column) for field in model._meta.local_concrete_fields if _may_name(field)]
        if columns:
            found |= _names_in(model._meta.db_table, columns)
    return found


def _may_name(field: models.Field) -> bool:  # type: ignore[type-arg]
    if not isinstance(field, _TEXTS):
        return False
    return field.max_length is None or field.max_length >= 64


def _names_in(table: str, columns: list[str]) -> set[str]:
    quote = connection.ops.quote_name
    texts = " || ' ' || ".join(f"coalesce({quote(column)}::text, '')" for column in columns)
    sql = f"SELECT DISTINCT m[1] FROM {quote(table)}, regexp_matches({texts}, '[0-9a-f]{{64}}', 'g') m"  # noqa: S608 - our own tables
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return {row[0] for row in cursor}


def _reachable(named: set[str], stored: dict[str, Path]) -> set[str]:
    """The names, and what the JSON objects among them name in turn: a report names the file of its rows."""
    seen, ahead = set(named), [name for name in named if name in stored]
    while ahead:
        for name in _names_inside(stored[ahead.pop()]) - seen:
            seen.add(name)
            if name in stored:
                ahead.append(name)
    return seen


def _names_inside(path: Path) -> set[str]:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > _LARGEST_READ or file.read(1) not in (b"{", b"["):
                return set()
            return {match.decode() for match in _NAME.findall(file.read())}
    except FileNotFoundError:
        return set()
