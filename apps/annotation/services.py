"""Writes: projects, rules, labels and review."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.annotation import claims
from apps.annotation.candidates import CONTROLS
from apps.annotation.label_types import TYPES
from apps.annotation.label_types.base import consensus, short
from apps.annotation.models import Annotation, Decision, Project, PullRule, Slot, Task
from apps.annotation.policy import may_create_project, may_label, may_manage, may_review
from apps.annotation.selectors import setting_of
from apps.core import audit
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.gateway.models import Outcome
from apps.gateway.services import record_outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apps.accounts.models import User
    from apps.annotation.label_types import LabelType
    from apps.catalog.models import Capability
    from apps.datasets.models import Dataset

_URGENT = 30
_KEYS = "1234567890qwertziopsdghjkvbnm"


@transaction.atomic
def create_project(
    capability: Capability,
    *,
    by: User,
    name: str,
    question: str,
    show: str,
    labels: list[str],
    dataset: Dataset,
    target: str,
    kind: str = "single",
    options: Mapping[str, Any] | None = None,
    overlap: int = 2,
    guideline: str = "",
    blind: bool = False,
    near: bool = False,
) -> Project:
    """Ask a question about a capability's calls. `dataset` is what accepted labels are added to, under `target`."""
    require(may_create_project(by, capability.team))
    cleaned = list(dict.fromkeys(label.strip() for label in labels if label.strip()))
    asked = _type(kind)
    if show not in asked.shows:
        raise Invalid(
            _("“%(kind)s” cannot be asked about an input shown as %(show)s.")
            % {"kind": asked.title, "show": show},
            fields={"show": _("does not fit")},
        )
    kept = asked.configure(cleaned, options or {})
    if not 1 <= overlap <= 9:
        raise Invalid(_("One to nine people can label a task."), fields={"overlap": _("out of range")})
    project = Project.objects.create(
        capability=capability,
        team=capability.team,
        name=name,
        question=question,
        guideline=guideline,
        show=show,
        kind=kind,
        options=kept,
        labels=keyed(cleaned),
        overlap=overlap,
        blind=blind,
        near=near,
        dataset=dataset,
        target=target,
        created_by=by,
    )
    audit.record("annotation.project.created", project, by=by, name=name)
    return project


def keyed(labels: Sequence[str], wished: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """Labels with the keys that choose them: the wished ones, for the others the next that is free.

    Raises Invalid for a key that the screen needs itself, or that two labels wish.
    """
    keys = {
        label: key.strip().lower() for label, key in (wished or {}).items() if key.strip() and label in labels
    }
    for label, key in keys.items():
        if key not in _KEYS or len(key) != 1:
            raise Invalid(
                _("“%(key)s” cannot be the key of “%(label)s”; free keys are %(keys)s.")
                % {"key": key, "label": label, "keys": " ".join(_KEYS)},
                fields={"labels": _("has a wrong key")},
            )
    twice = sorted(key for key, n in Counter(keys.values()).items() if n > 1)
    if twice:
        raise Invalid(
            _("The key %(key)s is wished by two labels.") % {"key": twice[0]},
            fields={"labels": _("has a key twice")},
        )
    free = (key for key in _KEYS if key not in keys.values())
    return [{"value": label, "title": label, "hotkey": keys.get(label) or next(free, "")} for label in labels]


def _type(slug: str) -> LabelType:
    if slug not in TYPES:
        raise Invalid(
            _("“%(kind)s” is no label type; there are %(kinds)s.")
            % {"kind": slug, "kinds": ", ".join(TYPES)},
            fields={"kind": _("is unknown")},
        )
    return TYPES[slug]


@transaction.atomic
def change_labels(
    project: Project, labels: Sequence[str], *, by: User, hotkeys: Mapping[str, str] | None = None
) -> Project:
    """Give a project other labels to choose from. Raises Invalid when one goes that somebody has used.

    `hotkeys` are the keys by label; without them labels that stay keep theirs.
    """
    require(may_manage(by, project))
    project = Project.objects.select_for_update().get(pk=project.pk)
    kind = _type(project.kind)
    cleaned = list(dict.fromkeys(label.strip() for label in labels if label.strip()))
    kind.configure(cleaned, project.options)
    gone = {item["value"] for item in project.labels} - set(cleaned)
    used: Counter[str] = Counter()
    if gone:
        rows = Annotation.objects.filter(task__project=project, skipped=False)
        for label, value in rows.values_list("label", "value").iterator(chunk_size=2000):
            used.update(kind.labels_in(label if value is None else value) & gone)
    if used:
        told = ", ".join(f"{label} ({n})" for label, n in sorted(used.items()))
        raise Invalid(
            _("These labels are in use and cannot go: %(labels)s.") % {"labels": told},
            fields={"labels": _("in use")},
        )
    if hotkeys is None:
        hotkeys = {item["value"]: item["hotkey"] for item in project.labels if item["hotkey"] in _KEYS}
    before, project.labels = [item["value"] for item in project.labels], keyed(cleaned, hotkeys)
    project.save(update_fields=["labels"])
    audit.record("annotation.project.labels_changed", project, by=by, before=before, after=cleaned)
    return project


@transaction.atomic
def change_project(project: Project, *, by: User, **changes: Any) -> Project:
    """Change what may change while people label: texts, blind, near, pseudonymous. Raises Invalid for the rest."""
    require(may_manage(by, project))
    fixed = sorted(set(changes) - {"name", "question", "guideline", "blind", "near", "pseudonymous"})
    if fixed:
        raise Invalid(
            _("%(names)s cannot change once a project is open; make another project for it.")
            % {"names": ", ".join(fixed)},
            fields=dict.fromkeys(fixed, _("cannot change")),
        )
    for name, value in changes.items():
        setattr(project, name, value)
    project.save(update_fields=[*changes])
    audit.record("annotation.project.changed", project, by=by, **changes)
    return project


@transaction.atomic
def set_status(project: Project, to: str, *, by: User) -> Project:
    """Pause, close or open a project again. Labels of places that are held are still taken once it is open."""
    require(may_manage(by, project))
    Project.lifecycle.move(project, to, by=by)
    return project


@transaction.atomic
def add_rule(
    project: Project,
    *,
    by: User,
    kind: str,
    share: float = 1.0,
    below: float | None = None,
    measure: str = PullRule.Measure.CONFIDENCE,
    quota: int | None = None,
    every_s: int = 30,
    event: str = "",
) -> PullRule:
    """Pull calls of a kind into the project from now on, each with probability `share`.

    `below` and `measure` are for uncertain calls (`below` for rare answers, too: their share), `quota` for a control
    that takes so many of each site and hour. It pulls every so many seconds, and at once when its `event` comes.
    A project has one control at a time: with two, nobody could say how likely a call was to be drawn.
    """
    require(may_manage(by, project))
    if kind not in PullRule.Kind.values or kind == PullRule.Kind.UPLOADED:
        raise Invalid(_("“%(kind)s” is no kind of rule.") % {"kind": kind}, fields={"kind": _("is unknown")})
    if not 0 < share <= 1:
        raise Invalid(_("The share must lie above 0 and be at most 1."), fields={"share": _("out of range")})
    if event and event not in PullRule.Event.values:
        raise Invalid(
            _("“%(event)s” is no event that a rule waits for.") % {"event": event},
            fields={"event": _("is unknown")},
        )
    if kind == PullRule.Kind.RARE and not (below is not None and 0 < below < 1):
        raise Invalid(
            _("Say below which share of the calls an answer is rare."), fields={"below": _("is missing")}
        )
    if kind in (PullRule.Kind.UNCERTAIN, PullRule.Kind.CONFIDENT) and not (
        below is not None and 0 < below <= 1
    ):
        raise Invalid(
            _("Say below which confidence an answer is uncertain."), fields={"below": _("is missing")}
        )
    if measure not in PullRule.Measure.values:
        raise Invalid(
            _("“%(measure)s” is no measure.") % {"measure": measure}, fields={"measure": _("is unknown")}
        )
    if kind == PullRule.Kind.STRATIFIED and not (quota and quota > 0):
        raise Invalid(
            _("Say how many calls of each site and hour are drawn."), fields={"quota": _("is missing")}
        )
    if kind in CONTROLS:
        Project.objects.select_for_update(of=("self",)).get(pk=project.pk)
        if project.rules.filter(kind__in=CONTROLS, active=True).exists():
            raise Conflict(_("There is a random control already. Let it rest before you add another one."))
    rule = PullRule.objects.create(
        project=project,
        kind=kind,
        share=1.0 if kind == PullRule.Kind.STRATIFIED else share,
        below=below,
        measure=measure,
        quota=quota if kind == PullRule.Kind.STRATIFIED else None,
        every_s=max(5, every_s),
        event=event,
        created_by=by,
    )
    audit.record("annotation.rule.added", rule, by=by, kind=kind, share=share)
    return rule


@transaction.atomic
def switch_rule(rule: PullRule, *, by: User, active: bool) -> PullRule:
    """Let a rule pull, or rest. What it has pulled stays."""
    require(may_manage(by, rule.project))
    others = rule.project.rules.filter(kind__in=CONTROLS, active=True).exclude(pk=rule.pk)
    if active and rule.kind in CONTROLS and others.exists():
        raise Conflict(_("There is a random control already. Let it rest before you add another one."))
    rule.active = active
    rule.save(update_fields=["active"])
    audit.record("annotation.rule.switched", rule, by=by, active=active)
    return rule


@transaction.atomic
def submit(
    slot: Slot,
    token: int,
    *,
    by: User,
    label: str = "",
    value: Any = None,
    skipped: bool = False,
    flagged: bool = False,
    comment: str = "",
    seconds: float = 0,
) -> Annotation:
    """Record what a person said: a `value` of the project's label type, or a `label` where that is all.

    After the lease it still counts, as one more vote; twice is a Conflict."""
    task = Task.objects.select_for_update(of=("self",)).select_related("project__team").get(pk=slot.task_id)
    require(may_label(by, task.project))
    if skipped and not comment.strip():
        raise Invalid(_("Say why you skip it."), fields={"comment": _("is empty")})
    kind, clean = _type(task.project.kind), None
    if not skipped:
        clean = kind.clean(label if value is None else value, setting_of(task.project, task.inputs))
    annotation = Annotation(
        task=task, user=by, label="" if skipped else short(kind.text(clean)), value=clean, skipped=skipped,
        flagged=flagged, comment=comment.strip()[:10_000], seconds=min(max(seconds, 0), 3600),
    )  # fmt: skip
    votes = claims.keep(annotation, slot.pk, token)
    if votes is not None:
        settle_on(task, votes)
    return annotation


def settle_on(task: Task, votes: Sequence[Any]) -> None:
    """All places are done: agreed, or a disagreement for review; all skipped leaves it to review too."""
    kind = _type(task.project.kind)
    value, all_agree = consensus(kind, votes)
    to = Task.Status.AGREED if all_agree else Task.Status.CONFLICT
    said = "" if value is None else short(kind.text(value))
    Task.lifecycle.move(task, to, by=None, label=said, value=value)


@transaction.atomic
def review(
    task: Task, *, by: User, label: str = "", value: Any = None, leave_out: bool = False, comment: str = ""
) -> Task:
    """Decide: accept with a value of the label type, or leave it out. It becomes an outcome of the call.

    What is accepted can be decided anew until it is in a data set; each decision is kept. Raises Conflict.
    """
    task = Task.objects.select_for_update(of=("self",)).select_related("project__team").get(pk=task.pk)
    require(may_review(by, task))
    if task.dataset_version_id is not None:
        raise Conflict(
            _("Task %(task)d is in %(version)s, which does not change. Correct the data set's next version.")
            % {"task": task.pk, "version": task.dataset_version}
        )
    if leave_out:
        Task.lifecycle.move(task, Task.Status.REJECTED, by=by, reviewed_by=by, closed_at=timezone.now())
        _decided(task, Decision.What.LEFT_OUT, by, comment)
        return task
    kind = _type(task.project.kind)
    clean = kind.clean(label if value is None else value, setting_of(task.project, task.inputs))
    said = short(kind.text(clean))
    agreed = task.value if task.value is not None else task.label
    what = Decision.What.ACCEPTED if agreed == clean else Decision.What.FIXED
    Task.lifecycle.move(
        task, Task.Status.ACCEPTED, by=by, label=said, value=clean, reviewed_by=by, closed_at=timezone.now()
    )
    _decided(task, what, by, comment)
    if task.rule_kind != PullRule.Kind.UPLOADED:
        record_outcome(
            task.request_id,
            kind=Outcome.Kind.LABEL,
            correct=task.predicted == said if task.predicted and kind.slug == "single" else None,
            expected={"class": said} if kind.slug == "single" else {"value": clean},
            by=by,
        )
    return task


def _decided(task: Task, what: str, by: User, comment: str) -> None:
    left_out = what == Decision.What.LEFT_OUT
    Decision.objects.create(
        task=task, what=what, by=by, comment=comment.strip()[:10_000], label="" if left_out else task.label,
        value=None if left_out else task.value,
    )  # fmt: skip


@transaction.atomic
def ask_another(task: Task, *, by: User, comment: str = "") -> Task:
    """Send a task back for the answer of one more person; it comes to review again then. Raises NotAllowed."""
    task = Task.objects.select_for_update(of=("self",)).select_related("project__team").get(pk=task.pk)
    require(may_review(by, task))
    Task.lifecycle.move(task, Task.Status.OPEN, by=by)
    last = task.slots.aggregate(last=Max("number"))["last"]
    Slot.objects.create(
        task=task, project=task.project, number=0 if last is None else last + 1, priority=_URGENT
    )
    _decided(task, Decision.What.ASKED, by, comment)
    return task
