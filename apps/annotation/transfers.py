"""Files in and out, run in the worker.

A transfer is worked on inside one transaction that holds its row: a worker that is killed lets go of it, nothing of
an import was kept, and the reconciler takes it up again. So nothing is doubled and nothing is lost.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from django.db import transaction
from django.utils import timezone

from apps.annotation import adding
from apps.annotation.formats import FORMATS
from apps.annotation.formats.base import NOTHING, Format, Item, Said, Shape
from apps.annotation.label_types import type_named
from apps.annotation.models import Annotation, Task, Transfer
from apps.annotation.policy import may_manage
from apps.core import audit, background, objects
from apps.core.errors import Conflict, Invalid, NotFound, PortalError
from apps.core.policy import require
from apps.core.telling import Told, kept
from apps.core.telling import say as _

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.annotation.models import Project

log = logging.getLogger(__name__)
_PAGE = 1000
_NAMED = 1000
_IN_MEMORY = 8 << 20
_CHUNK = 1 << 20
_DECIDED = (Task.Status.ACCEPTED, Task.Status.AGREED)


def formats_of(project: Project) -> list[Format]:
    """The formats that can carry a project's labels."""
    kind = type_named(project.kind)
    return [form for form in FORMATS.values() if form.carries(kind)]


def _format(project: Project, slug: str) -> Format:
    fitting = {form.slug: form for form in formats_of(project)}
    if slug not in fitting:
        raise Invalid(
            _("“%(format)s” cannot carry these labels; %(formats)s can.")
            % {"format": slug, "formats": ", ".join(fitting)},
            fields={"format": _("does not fit")},
        )
    return fitting[slug]


@transaction.atomic
def start_export(project: Project, form: str, *, by: User) -> Transfer:
    """Write the project's tasks and labels to a file, in the background."""
    require(may_manage(by, project))
    _format(project, form)
    return _start(project, form, Transfer.Direction.EXPORT, by)


@transaction.atomic
def start_import(
    project: Project, form: str, source: IO[bytes], *, by: User, keep_good: bool = False
) -> Transfer:
    """Make tasks of a file, in the background. Labels in it count as decided."""
    require(may_manage(by, project))
    _format(project, form)
    sha256, _size = objects.put(cast("BinaryIO", source))
    return _start(project, form, Transfer.Direction.IMPORT, by, sha256=sha256, keep_good=keep_good)


def _start(project: Project, form: str, direction: str, by: User, **fields: object) -> Transfer:
    made = Transfer.objects.create(project=project, format=form, direction=direction, started_by=by, **fields)
    audit.record(f"annotation.{direction}.started", made, by=by, project=project.pk, format=form)
    transaction.on_commit(lambda: background.enqueue("annotation.transfer", made.pk))
    return made


def open_file(project: Project, pk: int) -> tuple[BinaryIO, str]:
    """A transfer's file and a name for it. Raises NotFound, Conflict when it is not there yet."""
    found = Transfer.objects.filter(project=project, pk=pk).first()
    if found is None:
        raise NotFound(_("There is no transfer %(pk)d in this project.") % {"pk": pk})
    if not found.sha256:
        raise Conflict(_("The file is not written yet."))
    form = FORMATS[found.format]
    return objects.open_object(found.sha256), f"annotation-{project.pk}-{found.pk}.{form.suffix}"


def run_waiting() -> None:
    """Work on whatever waits, one after the other."""
    for pk in list(
        Transfer.objects.filter(status="waiting").order_by("pk").values_list("pk", flat=True)[:20]
    ):
        run(pk)


def run(pk: int) -> None:
    """Work on one transfer, unless somebody else does."""
    try:
        with transaction.atomic():
            found = _locked(pk)
            if found is not None:
                (_write if found.direction == Transfer.Direction.EXPORT else _read)(found)
    except (PortalError, OSError) as error:
        words, told = kept(error.message if isinstance(error, PortalError) else str(error), most=5000)
        with transaction.atomic():
            found = _locked(pk)
            if found is not None:
                log.warning("transfer %s failed: %s", pk, error)
                Transfer.lifecycle.move(
                    found, Transfer.Status.FAILED, by=None, reason=words, told=told, ended_at=timezone.now()
                )


def _locked(pk: int) -> Transfer | None:
    return (
        Transfer.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("project__team", "started_by")
        .filter(pk=pk, status=Transfer.Status.WAITING)
        .first()
    )


def _shape(project: Project) -> Shape:
    labels = tuple(item["value"] for item in project.labels)
    return Shape(type_named(project.kind), labels, project.options)


def _write(found: Transfer) -> None:
    project = found.project
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as out:
        count = FORMATS[found.format].write(lambda: items_of(project), _shape(project), out)
        out.seek(0)
        sha256, _size = objects.put(iter(lambda: out.read(_CHUNK), b""))
    Transfer.lifecycle.move(
        found, Transfer.Status.DONE, by=None, sha256=sha256, rows=count, ended_at=timezone.now()
    )


def _read(found: Transfer) -> None:
    project = found.project
    with objects.open_object(found.sha256) as source:
        rows = FORMATS[found.format].read(source, _shape(project))
        added = adding.add_tasks(project, rows, by=found.started_by, keep_good=found.keep_good)
    broken: list[tuple[int, str]] = []
    told: dict[str, Told] = {}
    for number, why in added.broken[:_NAMED]:
        words, made_of = kept(why)
        broken.append((number, words))
        told |= made_of
    Transfer.lifecycle.move(
        found, Transfer.Status.DONE, by=None, rows=added.tasks, merged=added.merged, broken=broken,
        unproposed=added.unproposed, told=told, ended_at=timezone.now(),
    )  # fmt: skip


def items_of(project: Project) -> Iterator[Item]:
    """A project's tasks in their order, a thousand in memory at a time; rows as plain values, a quarter of the work."""
    names = ("pk", "inputs", "predicted", "confidence", "version", "proposed", "status", "label", "value")
    rows = Task.objects.filter(project=project).exclude(status=Task.Status.REJECTED).order_by("pk")
    last = 0
    while True:
        page = list(rows.filter(pk__gt=last).values_list(*names)[:_PAGE])
        said = _said([task[0] for task in page])
        for pk, inputs, predicted, confidence, version, proposed, status, label, decided in page:
            value = NOTHING
            if status in _DECIDED:
                value = label if decided is None else decided
            heard = tuple(said.get(pk, ()))
            yield Item(pk, inputs, value, predicted, confidence, version, heard, proposed)
        if len(page) < _PAGE:
            return
        last = page[-1][0]


def _said(tasks: list[int]) -> dict[int, list[Said]]:
    """What people said, as plain values: rows that know one another would wait for the garbage collector."""
    rows = Annotation.objects.filter(task__in=tasks).order_by("pk")
    names = ("task_id", "pk", "user__username", "label", "value", "skipped", "seconds")
    found: dict[int, list[Said]] = {}
    for task, pk, person, label, value, skipped, seconds in rows.values_list(*names):
        found.setdefault(task, []).append(
            Said(pk, person, label if value is None else value, skipped, seconds)
        )
    return found
