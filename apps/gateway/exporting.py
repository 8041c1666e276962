"""Logged calls become a version of a data set: a JSON Lines file with one call in a line.

An export is worked on by one worker at a time, under a lock of the database that ends with its holder: after a kill
the reconciler begins again, and only the end writes something, so that nothing is there twice or by halves.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

import orjson
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from apps.catalog.models import Capability
from apps.catalog.policy import may_build
from apps.core import audit, background, objects, turns
from apps.core.errors import Conflict, Invalid, PortalError
from apps.core.policy import require
from apps.core.urns import urn
from apps.datasets.policy import may_add_version
from apps.datasets.services import create_version
from apps.gateway.asked import FILTERS, SPANS, narrowed
from apps.gateway.models import CallExport, Outcome
from apps.gateway.scanning import Condition, document_of, walk
from apps.gateway.sealed import shown
from apps.gateway.selectors import calls

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.accounts.models import User
    from apps.datasets.models import Dataset
    from apps.gateway.models import Call

log = logging.getLogger(__name__)
FILE = "calls.jsonl"
MOST_LOOKED_AT = 200_000
MOST_FOUND = 50_000
ASKED = (*(name for name in FILTERS if name != "since"), "from", "until", "where")
_IN_MEMORY = 8 << 20
_CHUNK = 1 << 20


@transaction.atomic
def start_export(
    capability: Capability, dataset: Dataset, asked: Mapping[str, str], *, by: User
) -> CallExport:
    """Begin an export of the calls that are in the log now. `asked` is as in `CallExport`, or has a span `since`.

    Raises NotAllowed, and Invalid for a filter or condition that cannot be read.
    """
    require(may_build(by, capability))
    require(may_add_version(by, dataset))
    now = timezone.now()
    kept = {name: asked[name] for name in ASKED if asked.get(name)}
    if span := asked.get("since"):
        if span not in SPANS:
            raise Invalid(_("since is “%(value)s”; use hour, day or week.") % {"value": span})
        kept["from"] = (now - SPANS[span]).isoformat()
    kept.setdefault("until", now.isoformat())
    rows_of(capability, kept)
    if where := kept.get("where"):
        Condition(where)
    made = CallExport.objects.create(capability=capability, dataset=dataset, asked=kept, started_by=by)
    audit.record(
        "gateway.export.started", made, by=by, capability=capability.slug, dataset=dataset.slug, asked=kept
    )
    transaction.on_commit(lambda: background.enqueue("gateway.export", made.pk))
    return made


def rows_of(capability: Capability, asked: Mapping[str, str]) -> QuerySet[Call]:
    """The calls of an export, without its condition. Raises Invalid."""
    return narrowed(calls(capability=capability), {**asked, "capability": ""}, Capability.objects.none())


@transaction.atomic
def cancel_export(export: CallExport, *, by: User) -> None:
    """Stop it; nothing of it is kept. Raises Conflict when it has ended."""
    require(may_build(by, export.capability))
    CallExport.lifecycle.move(export, CallExport.Status.CANCELLED, by=by, ended_at=timezone.now())


def run_waiting() -> None:
    """Work on whatever waits, one after the other."""
    waiting = CallExport.objects.filter(status=CallExport.Status.WAITING).order_by("pk")
    for pk in list(waiting.values_list("pk", flat=True)[:20]):
        run(pk)


def run(pk: int) -> None:
    """Work on one export, unless somebody else does or it has ended. Call it outside a transaction."""
    with turns.only_one(turns.CALL_EXPORT, pk) as mine:
        export = _waiting(pk) if mine else None
        if export is None:
            return
        with override(export.started_by.language), tempfile.SpooledTemporaryFile(_IN_MEMORY) as out:
            try:
                if _write(export, out):
                    out.seek(0)
                    _keep(export, out)
            except (PortalError, OSError) as error:
                log.warning("export of calls %s failed: %s", pk, error)
                _fail(pk, str(error)[:5000])


def _waiting(pk: int) -> CallExport | None:
    rows = CallExport.objects.select_related("capability", "dataset__team", "started_by")
    return rows.filter(pk=pk, status=CallExport.Status.WAITING).first()


def _write(export: CallExport, out: IO[bytes]) -> bool:
    """The matching calls as lines, newest first; False when it was cancelled meanwhile."""
    condition = Condition(export.asked["where"]) if export.asked.get("where") else None
    looked_at = found = 0
    for page, _behind in walk(rows_of(export.capability, export.asked)):
        said = _said(page)
        for call in page:
            document = document_of(call)
            if condition is None or condition.holds(document):
                out.write(orjson.dumps(document | {"feedback": said.get(call.request_id)}) + b"\n")
                found += 1
        looked_at += len(page)
        still = CallExport.objects.filter(pk=export.pk, status=CallExport.Status.WAITING)
        if not still.update(looked_at=looked_at, found=found):
            return False
        if looked_at >= MOST_LOOKED_AT or found >= MOST_FOUND:
            break
    if not found:
        raise Conflict(_("No call matches, so there is nothing to keep."))
    export.looked_at, export.found = looked_at, found
    return True


def _said(page: list[Call]) -> dict[Any, dict[str, Any]]:
    """The last word of feedback or label on each call; an encrypted one stays masked."""
    rows = Outcome.objects.filter(request_id__in=[call.request_id for call in page]).order_by("pk")
    return {
        row.request_id: {"correct": row.correct, "expected": shown(row.expected), "kind": row.kind}
        for row in rows
    }


def _keep(export: CallExport, out: IO[bytes]) -> None:
    sha256, _size = objects.put(iter(lambda: out.read(_CHUNK), b""))
    with transaction.atomic():
        export = CallExport.objects.select_for_update(of=("self",)).select_related(
            "capability", "dataset__team", "started_by"
        ).get(pk=export.pk)  # fmt: skip
        if export.status != CallExport.Status.WAITING:
            return
        version = create_version(
            export.dataset,
            {FILE: sha256},
            by=export.started_by,
            note=_("%(n)d calls of “%(capability)s”")
            % {"n": export.found, "capability": export.capability.name},
            sources=[urn(export.capability)],
            facts={"calls": export.asked},
        )
        CallExport.lifecycle.move(
            export, CallExport.Status.DONE, by=None, version=version, ended_at=timezone.now()
        )


def _fail(pk: int, reason: str) -> None:
    with transaction.atomic():
        export = CallExport.objects.select_for_update().get(pk=pk)
        if export.status == CallExport.Status.WAITING:
            CallExport.lifecycle.move(
                export, CallExport.Status.FAILED, by=None, reason=reason, ended_at=timezone.now()
            )
