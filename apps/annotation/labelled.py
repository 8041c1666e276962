"""Accepted labels become the next version of the project's data set.

The rows are written first, a thousand tasks in memory at a time, and nothing is locked meanwhile. Keeping them is one
transaction that looks whether the tasks and the data set are still what was written; so a kill at any moment leaves
either a whole version or nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import orjson
from django.db import transaction
from django.db.models import Q
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from apps.annotation.models import Annotation, Project, PullRule, Task
from apps.annotation.policy import may_manage
from apps.core import audit, events, lineage, objects
from apps.core.errors import Conflict, StaleWrite
from apps.core.policy import require
from apps.datasets.models import Dataset, DatasetVersion
from apps.datasets.services import create_version
from apps.datasets.splitting import named_part

if TYPE_CHECKING:
    from hashlib import _Hash

    from django.db.models import QuerySet

    from apps.accounts.models import User

PAGE = 1000
_IN_MEMORY = 8 << 20
_CHUNK = 1 << 20
Progress = Callable[[int], None]


def waiting(project: Project) -> QuerySet[Task]:
    """The accepted tasks whose labels are in no data set yet."""
    return Task.objects.filter(project=project, status=Task.Status.ACCEPTED, dataset_version=None)


@dataclass(frozen=True)
class Written:
    """The files with the rows of `tasks` behind those of `parent`; `said` is the digest of what the tasks said then."""

    parent: DatasetVersion
    files: dict[str, str]
    tasks: list[int]
    said: str


def export_labels(project: Project, *, by: User) -> DatasetVersion:
    """Add the accepted labels that are in no data set yet to the project's data set, as its next version.

    The new rows are training rows; the held-out rows stay as they were. Raises NotAllowed, Conflict when there are none
    or they do not fit, StaleWrite when something changed meanwhile.
    """
    require(may_manage(by, project))
    return keep(project, write(project), by=by)


def write(project: Project, progress: Progress | None = None) -> Written:
    """The data set's CSV with one more row for each label; `progress` is told how many are written. Raises Conflict."""
    if not waiting(project).exists():
        raise Conflict(_("There are no accepted labels that are not in a data set already."))
    parent = project.dataset.versions.order_by("-number").first()
    if parent is None:
        raise Conflict(_("The data set “%(name)s” has no version to add to.") % {"name": project.dataset})
    path = _for_training(parent.manifest)
    if path is None:
        raise Conflict(_("The data set has no CSV file to add rows to."))
    files = {name: entry["sha256"] for name, entry in parent.manifest.items()}
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as out:
        tasks, said = _rows(project, _copy(files[path], out), out, progress)
        out.seek(0)
        files[path] = objects.put(iter(lambda: out.read(_CHUNK), b""))[0]
    return Written(parent, files, tasks, said)


def _for_training(manifest: Iterable[str]) -> str | None:
    """The CSV that new rows go to: `train.csv` before others, never one that is held out by its name."""
    parts = {name: named_part(name) for name in sorted(manifest) if name.endswith(".csv")}
    free = [name for name, part in parts.items() if part in (None, "train")]
    return min(free, key=lambda name: parts[name] is None, default=None)


def _rows(
    project: Project, header: list[str], out: IO[bytes], progress: Progress | None
) -> tuple[list[int], str]:
    if project.target not in header:
        raise Conflict(_("The data set has no column “%(column)s”.") % {"column": project.target})
    features = [name for name in header if name not in (project.target, "split", "id")]
    tasks: list[int] = []
    said = hashlib.sha256()
    for page in _pages(project):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for task in page:
            row = _row(task, project, features)
            writer.writerow([row[name] for name in header])
            tasks.append(task.pk)
            _note(said, task)
        out.write(text.getvalue().encode())
        if progress is not None:
            progress(len(tasks))
    return tasks, said.hexdigest()


def _copy(sha256: str, out: IO[bytes]) -> list[str]:
    """Copy a CSV file, ended by a new line; returns its header."""
    with objects.open_object(sha256) as file:
        header = next(csv.reader(io.TextIOWrapper(file, "utf-8", newline="")))
    last = b"\n"
    with objects.open_object(sha256) as file:
        while chunk := file.read(_CHUNK):
            out.write(chunk)
            last = chunk[-1:]
    if last != b"\n":
        out.write(b"\n")
    return header


def _pages(project: Project) -> Iterator[list[Task]]:
    last = 0
    while page := list(waiting(project).filter(pk__gt=last).order_by("pk")[:PAGE]):
        yield page
        last = page[-1].pk


def _note(digest: _Hash, task: Task) -> None:
    digest.update(orjson.dumps([task.pk, task.label, task.value]))


@transaction.atomic
def keep(project: Project, written: Written, *, by: User) -> DatasetVersion:
    """The next version of the data set, with the tasks in it. Raises StaleWrite when something changed meanwhile."""
    Dataset.objects.select_for_update(no_key=True).get(pk=project.dataset_id)
    newest = project.dataset.versions.order_by("-number").first()
    if newest != written.parent:
        raise StaleWrite(_("%(version)s came meanwhile.") % {"version": newest})
    version = create_version(
        project.dataset,
        files=written.files,
        by=by,
        note=_("%(n)d labels of “%(project)s”") % {"n": len(written.tasks), "project": project.name},
        parent=written.parent,
    )
    _link_makers(project, version, written.tasks)
    if _mark(project, version, written.tasks) != written.said:
        raise StaleWrite(_("A label was decided anew meanwhile."))
    audit.record(
        "annotation.labels.exported", project, by=by, rows=len(written.tasks), version=version.number
    )
    events.publish("annotation.exported", version.pk, project=project.pk)
    return version


def _link_makers(project: Project, version: DatasetVersion, keys: list[int]) -> None:
    """The lineage of the project, its rules and its people; before that of the calls, behind which it would be lost."""
    lineage.link(project, version, "labels")
    chose: set[int] = set()
    kinds: set[str] = set()  # of tasks that do not know their rule
    labelled: set[int] = set()
    decided: set[int] = set()
    for at in range(0, len(keys), PAGE):
        some = keys[at : at + PAGE]
        tasks = Task.objects.filter(pk__in=some)
        for rule, kind, reviewer in tasks.values_list("rule", "rule_kind", "reviewed_by").distinct():
            if rule is None:
                kinds.add(kind)
            else:
                chose.add(rule)
            decided |= {reviewer} - {None}
        said = Annotation.objects.filter(task__in=some, skipped=False)
        labelled.update(said.values_list("user", flat=True).distinct())
    rules = project.rules.filter(Q(pk__in=chose) | Q(kind__in=kinds))
    lineage.link_all(rules.order_by("pk"), version, "chose")
    # In the order of what is written: the order of the people would tell who is behind a pseudonym.
    lineage.link_all(sorted(_person(project, pk) for pk in labelled), version, "labelled")
    lineage.link_all(sorted(_person(project, pk) for pk in decided), version, "decided")


def _person(project: Project, pk: int) -> str:
    """A person's URN; where the project keeps names out, a pseudonym that is the same in all of its versions."""
    if not project.pseudonymous:
        return f"atrium:accounts.user:{pk}"
    digest = salted_hmac("annotation.pseudonym", f"{project.pk}:{pk}", algorithm="sha256").digest()
    return f"atrium:annotation.pseudonym:{int.from_bytes(digest[:4])}"


def _mark(project: Project, version: DatasetVersion, keys: list[int]) -> str:
    """Put the tasks into the version, with the lineage of their calls; the digest of what they say by now."""
    said = hashlib.sha256()
    for at in range(0, len(keys), PAGE):
        some = waiting(project).filter(pk__in=keys[at : at + PAGE])
        tasks = list(some.select_for_update().order_by("pk"))
        for task in tasks:
            _note(said, task)
        Task.objects.filter(pk__in=[task.pk for task in tasks]).update(dataset_version=version)
        called = [task for task in tasks if task.rule_kind != PullRule.Kind.UPLOADED]
        lineage.link_all([f"atrium:gateway.call:{task.request_id}" for task in called], version, "labelled")
    return said.hexdigest()


def _row(task: Task, project: Project, features: list[str]) -> dict[str, Any]:
    values = [
        value for part in task.inputs.values() for value in (part if isinstance(part, list) else [part])
    ]
    if len(values) != len(features):
        raise Conflict(
            _("Task %(task)d has %(got)d values, the data set has %(want)d columns.")
            % {"task": task.pk, "got": len(values), "want": len(features)}
        )
    named = dict(zip(features, values, strict=True))
    return named | {project.target: _cell(task), "split": "train", "id": str(task.request_id)}


def _cell(task: Task) -> Any:
    """The decision as one cell: a text or a number as it is, anything else as JSON."""
    if task.value is None:
        return task.label
    return task.value if isinstance(task.value, str | int) else orjson.dumps(task.value).decode()
