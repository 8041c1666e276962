"""Snapshots of notebooks: what was saved is kept outside of the workspace, to be read and put back without a server.

The portal looks at the files from outside, so that it does not matter which editor saved them. JupyterLab saves while
one types; a notebook is kept once it has come to rest, and every two minutes while it has not.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Count, Max, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.core import audit, objects
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.policy import require
from apps.workbench import files, notebooks
from apps.workbench.launch import fill_home, home_of
from apps.workbench.models import NotebookSnapshot, Workspace
from apps.workbench.policy import may_edit_workspace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

    from django.db.models import QuerySet

    from apps.accounts.models import User

log = logging.getLogger(__name__)

RESTS_AFTER = timedelta(seconds=10)
EVERY = timedelta(minutes=2)
LOOKED_AT_AFTER_STOP = timedelta(minutes=10)
NEWEST_KEPT = 20
HOURLY_FOR, DAILY_FOR = timedelta(days=1), timedelta(days=90)
MOST_BYTES = 1 << 30
"""Of one workspace; the oldest go first."""


def take_snapshots() -> None:
    """Look at the notebooks of every workspace that runs or ended a moment ago."""
    ended = Q(status__in=["stopped", "failed"], status_at__gt=timezone.now() - LOOKED_AT_AFTER_STOP)
    for workspace in Workspace.objects.filter(Q(status__in=["running", "stopping"]) | ended):
        try:
            snapshot_workspace(workspace)
        except OSError:
            log.exception("workspace %s: its notebooks are looked at again at the next round", workspace.pk)


def snapshot_workspace(workspace: Workspace, *, now: datetime | None = None) -> int:
    """Keep those notebooks of a workspace that changed; returns how many."""
    now, kept = now or timezone.now(), 0
    known = {row.path: row for row in _newest_of(workspace)}
    for file, handle in files.notebooks_with_handles(home_of(workspace)):
        saved_at = datetime.fromtimestamp(os.fstat(handle.fileno()).st_mtime, UTC)
        last = known.get(file.path)
        if last is not None and last.saved_at == saved_at:
            continue
        if last is not None and now - saved_at < RESTS_AFTER and now - last.taken_at < EVERY:
            continue
        kept += _keep(workspace, file.path, handle, saved_at, last)
    if kept:
        forget_old(workspace, now=now)
    return kept


def _newest_of(workspace: Workspace) -> QuerySet[NotebookSnapshot]:
    rows = NotebookSnapshot.objects.filter(workspace=workspace)
    newest = rows.values("path").annotate(newest=Max("pk")).values("newest")
    return rows.filter(pk__in=newest)


def _keep(
    workspace: Workspace, path: str, handle: BinaryIO, saved_at: datetime, last: NotebookSnapshot | None
) -> bool:
    """Store the file's content unless it is what the last snapshot holds, or no whole notebook."""
    data = handle.read(notebooks.LARGEST + 1)
    try:
        cells = len(json.loads(data)["cells"]) if len(data) <= notebooks.LARGEST else None
    except (ValueError, KeyError, TypeError, RecursionError):
        cells = None  # half-written, or no notebook
    if cells is None:
        return False
    sha256, size = objects.put([data])
    if last is not None and last.sha256 == sha256:
        NotebookSnapshot.objects.filter(pk=last.pk).update(saved_at=saved_at)
        return False
    NotebookSnapshot.objects.create(
        workspace=workspace, path=path, sha256=sha256, size=size, cells=cells, saved_at=saved_at
    )
    return True


def forget_old(workspace: Workspace, *, now: datetime) -> None:
    """Of each notebook the newest stay, then one an hour for a day and one a day for 90 days; 1 GB in all."""
    rows = list(NotebookSnapshot.objects.filter(workspace=workspace).order_by("-taken_at", "-pk"))
    gone = _superfluous(rows, now)
    total = 0
    for row in rows:
        total += 0 if row.pk in gone else row.size
        if total > MOST_BYTES:
            gone.add(row.pk)
    NotebookSnapshot.objects.filter(pk__in=gone).delete()


def _superfluous(rows: Iterable[NotebookSnapshot], now: datetime) -> set[int]:
    seen: dict[str, int] = {}
    spans: set[tuple[str, str]] = set()
    gone = set()
    for row in rows:
        seen[row.path] = seen.get(row.path, 0) + 1
        if seen[row.path] <= NEWEST_KEPT:
            continue
        age = now - row.taken_at
        span = (row.path, row.taken_at.strftime("%Y-%m-%d %H" if age < HOURLY_FOR else "%Y-%m-%d"))
        if age > DAILY_FOR or span in spans:
            gone.add(row.pk)
        spans.add(span)
    return gone


# -- read and put back ------------------------------------------------------------------------------


def snapshots_of(workspace: Workspace, path: str = "") -> QuerySet[NotebookSnapshot]:
    """The snapshots of a workspace, or of one of its notebooks, newest first."""
    rows = NotebookSnapshot.objects.filter(workspace=workspace).order_by("-pk")
    if "\0" in path:  # no file is called so, and the database takes no such text
        return rows.none()
    return rows.filter(path=path) if path else rows


def summary_of(workspace: Workspace) -> dict[str, dict[str, object]]:
    """{notebook: {"snapshots": how many, "taken_at": of the newest}}."""
    rows = NotebookSnapshot.objects.filter(workspace=workspace).values("path").order_by("path")
    told = rows.annotate(snapshots=Count("pk"), newest=Max("taken_at"))[:500]
    return {row["path"]: {"snapshots": row["snapshots"], "taken_at": row["newest"]} for row in told}


def notebooks_of(workspace: Workspace) -> list[dict[str, object]]:
    """The notebooks of a workspace as {path, size, deleted, snapshots, taken_at (of the newest)}; those that were
    deleted, of which only snapshots are left, come last."""
    told = summary_of(workspace)
    there = {file.path: file.size for file in files.notebooks(home_of(workspace))}
    never: dict[str, object] = {"snapshots": 0, "taken_at": None}
    rows = [
        {"path": path, "size": size, "deleted": False, **told.get(path, never)}
        for path, size in there.items()
    ]
    gone = sorted(told.keys() - there.keys())
    return rows + [{"path": path, "size": None, "deleted": True, **told[path]} for path in gone]


def notebook_now(workspace: Workspace, path: str) -> bytes | None:
    """A notebook as it stands in the workspace; None where there is none, or it is hidden. One that is larger than
    `notebooks.LARGEST` is cut behind its first byte too many."""
    if not path.endswith(".ipynb") or any(part.startswith(".") for part in PurePosixPath(path).parts):
        return None
    try:
        with files.opened(home_of(workspace), path) as handle:
            return handle.read(notebooks.LARGEST + 1)
    except (OSError, ValueError):  # gone, a link, or no name of a file
        return None


def get_snapshot(workspace: Workspace, pk: int) -> NotebookSnapshot:
    """One of a workspace's snapshots. Raises NotFound."""
    found = NotebookSnapshot.objects.filter(workspace=workspace, pk=pk).first()
    if found is None:
        raise NotFound(_("This workspace has no snapshot %(id)s.") % {"id": pk})
    return found


def content_of(snapshot: NotebookSnapshot) -> bytes:
    """The notebook as it was."""
    with objects.open_object(snapshot.sha256) as stream:
        return stream.read()


def restore_snapshot(workspace: Workspace, snapshot: NotebookSnapshot, *, by: User) -> None:
    """Put a notebook back as it was; what stands there now is kept as a snapshot first.

    Raises NotAllowed, and Conflict where something other than a file is at its place.
    """
    require(may_edit_workspace(by, workspace))
    home, now = home_of(workspace), timezone.now()
    if workspace.cloned_from_id is None or home.exists():
        fill_home(workspace)
    try:
        with files.opened(home, snapshot.path) as handle:
            saved_at = datetime.fromtimestamp(os.fstat(handle.fileno()).st_mtime, UTC)
            _keep(workspace, snapshot.path, handle, saved_at, snapshots_of(workspace, snapshot.path).first())
    except FileNotFoundError:
        pass  # it was deleted
    except OSError as error:
        raise _not_there(snapshot.path) from error
    content = content_of(snapshot)
    with transaction.atomic():
        audit.record(
            "workbench.snapshot.restored",
            workspace,
            by=by,
            path=snapshot.path,
            taken_at=str(snapshot.taken_at),
        )
        try:
            saved_at = datetime.fromtimestamp(files.put_over(home, snapshot.path, content), UTC)
        except OSError as error:
            raise _not_there(snapshot.path) from error
        NotebookSnapshot.objects.create(
            workspace=workspace,
            path=snapshot.path,
            sha256=snapshot.sha256,
            size=snapshot.size,
            cells=snapshot.cells,
            saved_at=saved_at,
        )
    forget_old(workspace, now=now)


def _not_there(path: str) -> Conflict:
    message = _("“%(path)s” cannot be put back: its folder is gone, or something else is at its place.")
    return Conflict(message % {"path": path})


def changes(old: bytes, new: bytes) -> list[dict[str, str]]:
    """How the cells' sources differ, as lines that were added, removed, or stand around them."""
    lines = difflib.unified_diff(_lines(old), _lines(new), lineterm="", n=2)
    kinds = {"+": "added", "-": "removed", "@": "gap"}
    told = [line for line in lines if not line.startswith(("+++", "---"))]
    return [{"kind": kinds.get(line[:1], ""), "text": "…" if line[:1] == "@" else line[1:]} for line in told]


def _lines(data: bytes) -> list[str]:
    try:
        cells = notebooks.sources_of(data)
    except Invalid:
        return []
    return [
        line for number, source in enumerate(cells) for line in ([""] if number else []) + source.splitlines()
    ]
