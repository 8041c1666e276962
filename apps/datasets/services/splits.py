"""The split of a version into parts: made once, then as immutable as the version."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.core import audit, objects
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.datasets import splitting
from apps.datasets.comparing import cell
from apps.datasets.images import class_of
from apps.datasets.models import DatasetVersion, Split
from apps.datasets.policy import may_split
from apps.datasets.selectors import iterate_rows
from apps.datasets.tables import table_files

if TYPE_CHECKING:
    from apps.accounts.models import User

DEFAULT = {"train": 0.8, "val": 0.1, "test": 0.1}
COLUMN = "split"
"""A column of this name says of each row to which part it belongs, where all of its values are names of parts."""
FOLDER = "folder"
"""Stands for a column where the items are files: the folder that each lies in, which is its class."""
MOST_ITEMS = 10_000_000
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,19}")


def split_version(
    version: DatasetVersion,
    *,
    by: User,
    shares: Mapping[str, float] | None = None,
    stratify_by: str = "",
    group_by: str = "",
    seed: int = 0,
) -> Split:
    """Divide a version into parts, once: rows where it has tables, else files.

    `stratify_by` keeps each value of a column in proportion, `group_by` keeps rows of one value in one part. The same
    version, shares, column and seed give the same split anywhere. Raises Invalid, Conflict, NotAllowed.
    """
    require(may_split(by, version.dataset))
    wanted = _checked(dict(shares or DEFAULT), stratify_by, group_by, seed)
    if Split.objects.filter(version=version).exists():
        raise _has_one(version)
    unit = Split.Unit.ROWS if table_files(version.manifest) else Split.Unit.FILES
    column = stratify_by or group_by
    values = _values(version, unit, column)
    if len(values) < len(wanted):
        message = _("%(version)s has %(count)d items, which is too few for %(parts)d parts.")
        raise Invalid(message % {"version": version, "count": len(values), "parts": len(wanted)})
    divide = splitting.grouped if group_by else splitting.stratified
    parts = divide(values, list(wanted.values()), seed)
    method = (
        Split.Method.GROUPED if group_by else Split.Method.STRATIFIED if stratify_by else Split.Method.RANDOM
    )
    return _keep(version, unit, method, column, seed, list(wanted), parts, values if column else None, by)


def keep_named(version: DatasetVersion, rows_of: Mapping[str, int], *, by: User) -> Split | None:
    """The split that a new version says itself: by its files' names (train/…, val.csv), or in a column called split.

    Nothing where it does not.

    `rows_of` is how many rows each table has.
    """
    tables = table_files(version.manifest)
    told = splitting.named_parts(tables or version.manifest)
    if not told:
        return _keep_column(version, by)
    names = [name for name in DEFAULT if name in told.values()]
    if not tables:
        paths = sorted(version.manifest)
        parts = [names.index(told[path]) for path in paths]
        classes = [class_of(path) for path in paths]
        column, values = (FOLDER, classes) if all(classes) else ("", None)
        return _keep(version, Split.Unit.FILES, Split.Method.FOLDERS, column, 0, names, parts, values, by)
    if (version.rows or 0) > MOST_ITEMS:
        return None
    rows = [names.index(told[path]) for path in tables for _row in range(rows_of[path])]
    return _keep(version, Split.Unit.ROWS, Split.Method.FOLDERS, "", 0, names, rows, None, by)


def _keep_column(version: DatasetVersion, by: User) -> Split | None:
    """The split that stands in the rows, where each row has the name of a part in the column."""
    facts = version.statistics.get("columns", {}).get(COLUMN, {})
    values = facts.get("values") or {}
    parts = {value: splitting.part_called(value) for value in values}
    if len(set(parts.values())) < 2 or None in parts.values() or sum(values.values()) != version.rows:
        return None
    if (version.rows or 0) > MOST_ITEMS:
        return None
    names = [name for name in DEFAULT if name in parts.values()]
    rows = [names.index(str(splitting.part_called(cell(row[COLUMN])))) for row in iterate_rows(version)]
    return _keep(version, Split.Unit.ROWS, Split.Method.FOLDERS, COLUMN, 0, names, rows, None, by)


def _keep(
    version: DatasetVersion,
    unit: str,
    method: str,
    column: str,
    seed: int,
    names: Sequence[str],
    parts: Sequence[int],
    values: Sequence[str] | None,
    by: User,
) -> Split:
    files = dict.fromkeys(version.manifest, 0) if unit == Split.Unit.FILES else None
    sha256, _size = objects.put([splitting.document(parts, names, unit, files)])
    try:
        with transaction.atomic():
            split = Split.objects.create(
                version=version,
                unit=unit,
                method=method,
                column=column,
                seed=seed,
                parts=list(splitting.counted(parts, names).items()),
                by_value=splitting.counted_by(parts, values, names) if values is not None else {},
                assignment=sha256,
                created_by=by,
            )
            audit.record("datasets.version.split", version, by=by, parts=split.counts, assignment=sha256)
    except IntegrityError as error:
        raise _has_one(version) from error
    return split


def _has_one(version: DatasetVersion) -> Conflict:
    message = _(
        "%(version)s is split already, and a split never changes. Make a version to split it another way."
    )
    return Conflict(message % {"version": version})


def _values(version: DatasetVersion, unit: str, column: str) -> list[str]:
    """What is divided by, item by item; the same text for all without a column."""
    if unit == Split.Unit.FILES:
        if column not in ("", FOLDER):
            message = _("This version holds files, no rows. Divide it by “%(folder)s”, or by chance.")
            raise Invalid(message % {"folder": FOLDER}, fields={"column": _("must be “folder”")})
        return [class_of(path) if column else "" for path in sorted(version.manifest)]
    known = [one["name"] for one in version.schema.get("columns", [])]
    if column and column not in known:
        message = _("There is no column “%(name)s”. There are: %(names)s.")
        told = {"name": column[:80], "names": ", ".join(known[:20])}
        raise Invalid(message % told, fields={"column": _("is no column")})
    if (version.rows or 0) > MOST_ITEMS:
        message = _("%(version)s has more than %(most)d rows. Split it while you make it.")
        raise Invalid(message % {"version": version, "most": MOST_ITEMS})
    return [cell(row.get(column)) if column else "" for row in iterate_rows(version)]


def _checked(shares: dict[str, float], stratify_by: str, group_by: str, seed: int) -> dict[str, float]:
    wrong = ""
    if not 2 <= len(shares) <= len(splitting.SYMBOLS):
        wrong = _("name 2 to 10 parts")
    elif bad := [name for name in shares if not _NAME.fullmatch(name)]:
        wrong = _("“%(name)s” is no name of a part: a to z, digits, at most 20") % {"name": bad[0][:40]}
    elif any(not _is_share(share) for share in shares.values()):
        wrong = _("each part needs a share above 0")
    elif stratify_by and group_by:
        wrong = _("keep values in proportion, or groups together, not both")
    elif not 0 <= seed < 1 << 63:
        wrong = _("the seed must be a whole number from 0")
    if wrong:
        raise Invalid(
            _("The version cannot be split so: %(why)s.") % {"why": wrong}, fields={"shares": wrong}
        )
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}


def _is_share(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    )
