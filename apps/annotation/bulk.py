"""Many tasks at once, with progress: labels into a data set version, and accepting what all agreed on.

Few are done at once, in the request; more in the background, one worker at each under a lock of the database that ends
with its holder. After a kill the reconciler goes on: an export begins again, since only its end keeps something, and
an acceptance with what is left, since each page of it is one transaction.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from apps.annotation import labelled
from apps.annotation.models import Annotation, Bulk, Project, PullRule, Task
from apps.annotation.policy import may_manage
from apps.annotation.services import review
from apps.core import audit, background, turns
from apps.core.errors import Conflict, Invalid, PortalError, StaleWrite
from apps.core.policy import require
from apps.core.telling import kept
from apps.core.telling import say as _

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.models import QuerySet

    from apps.accounts.models import User

log = logging.getLogger(__name__)
AT_ONCE = 200
_PAGE = 100
_KEPT = 30
ASKED = ("label", "rule_kind", "with_model")


def start_export(project: Project, *, by: User) -> Bulk:
    """Make a data set version of the accepted labels that are in none. Raises NotAllowed, Conflict without any."""
    require(may_manage(by, project))
    total = labelled.waiting(project).count()
    if not total:
        raise Conflict(_("There are no accepted labels that are not in a data set already."))
    return _start(project, Bulk.What.EXPORT, {}, total, by)


def start_accept(project: Project, asked: Mapping[str, str], *, by: User) -> Bulk:
    """Accept what all agreed on and nobody flagged: all of it, or what `asked` leaves.

    `label` is the one that was agreed on, `rule_kind` the kind of rule that took the call; `with_model` leaves those on
    which the model said the same. Raises NotAllowed, Invalid.
    """
    require(may_manage(by, project))
    narrowed = {name: asked[name][:200] for name in ASKED if asked.get(name)}
    if narrowed.get("rule_kind", PullRule.Kind.RANDOM) not in PullRule.Kind.values:
        told = {"kind": narrowed["rule_kind"]}
        raise Invalid(_("“%(kind)s” is no kind of rule.") % told, fields={"rule_kind": _("is unknown")})
    return _start(project, Bulk.What.ACCEPT, narrowed, acceptable(project, narrowed).count(), by)


def acceptable(project: Project, asked: Mapping[str, str]) -> QuerySet[Task]:
    """The tasks that an acceptance takes: agreed on, flagged by nobody, and as `asked`."""
    rows = _agreed(project, asked)
    return rows.exclude(Exists(_flags())).order_by("pk")


def _agreed(project: Project, asked: Mapping[str, str]) -> QuerySet[Task]:
    rows = Task.objects.filter(project=project, status=Task.Status.AGREED)
    if label := asked.get("label"):
        rows = rows.filter(label=label)
    if kind := asked.get("rule_kind"):
        rows = rows.filter(rule_kind=kind)
    return rows.filter(predicted=F("label")) if asked.get("with_model") else rows


def _flags() -> QuerySet[Annotation]:
    return Annotation.objects.filter(task=OuterRef("pk"), flagged=True)


def _start(project: Project, what: str, asked: dict[str, str], total: int, by: User) -> Bulk:
    try:
        with transaction.atomic():
            made = Bulk.objects.create(
                project=project, what=what, asked=asked, total=total, started_by=by, started_at=timezone.now()
            )
            audit.record(f"annotation.{what}.started", made, by=by, project=project.pk, tasks=total, **asked)
            if total > AT_ONCE:
                transaction.on_commit(lambda: background.enqueue("annotation.bulk", made.pk))
    except IntegrityError as error:
        raise Conflict(_("The same is under way already; its progress stands in the project.")) from error
    if total <= AT_ONCE:
        run(made.pk)
        made = Bulk.objects.select_related("project__dataset", "version__dataset").get(pk=made.pk)
    return made


def newest(project: Project) -> list[Bulk]:
    """What was done at once in a project, the newest first."""
    return list(
        project.bulks.select_related("project__dataset", "version__dataset", "started_by").order_by("-pk")[
            :_KEPT
        ]
    )


def run_waiting() -> None:
    """Work on whatever waits, one after the other."""
    rows = Bulk.objects.filter(status=Bulk.Status.WAITING).order_by("pk")
    for pk in list(rows.values_list("pk", flat=True)[:20]):
        run(pk)


def run(pk: int) -> None:
    """Work on one, unless somebody else does or it has ended. Call it outside a transaction."""
    with turns.only_one(turns.BULK, pk) as mine:
        rows = Bulk.objects.select_related("project__team", "project__dataset__team", "started_by")
        found = rows.filter(pk=pk, status=Bulk.Status.WAITING).first() if mine else None
        if found is None:
            return
        try:
            (_export if found.what == Bulk.What.EXPORT else _accept)(found)
        except StaleWrite:
            log.info("bulk %s: something changed meanwhile; it begins again", pk)
        except (PortalError, OSError) as error:
            log.warning("bulk %s failed: %s", pk, error)
            words, told = kept(error.message if isinstance(error, PortalError) else str(error), most=5000)
            Bulk.lifecycle.move(
                found, Bulk.Status.FAILED, by=None, reason=words, told=told, ended_at=timezone.now()
            )


def _export(found: Bulk) -> None:
    def progress(done: int) -> None:
        Bulk.objects.filter(pk=found.pk).update(done=done, total=max(done, found.total))

    project, by = found.project, found.started_by
    require(may_manage(by, project))
    written = labelled.write(project, progress)
    with transaction.atomic():
        version = labelled.keep(project, written, by=by)
        Bulk.lifecycle.move(found, Bulk.Status.DONE, by=None, version=version, ended_at=timezone.now())


def _accept(found: Bulk) -> None:
    project, by = found.project, found.started_by
    require(may_manage(by, project))
    while _accept_some(found):
        pass
    left = _agreed(project, found.asked).filter(Exists(_flags())).count()
    Bulk.lifecycle.move(found, Bulk.Status.DONE, by=None, flagged=left, ended_at=timezone.now())


@transaction.atomic
def _accept_some(found: Bulk) -> int:
    tasks = list(acceptable(found.project, found.asked).select_for_update(of=("self",))[:_PAGE])
    for task in tasks:
        review(task, by=found.started_by, label=task.label, value=task.value)
    Bulk.objects.filter(pk=found.pk).update(done=F("done") + len(tasks))
    return len(tasks)
