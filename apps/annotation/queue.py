"""What the queue does by itself: the order of places, shares of people, and an end when its purpose is reached."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import override

from apps.annotation.models import Project
from apps.annotation.policy import may_manage
from apps.annotation.selectors import decision_of
from apps.core import audit
from apps.core.errors import IllegalMove, Invalid, StaleWrite
from apps.core.policy import require
from apps.requests.services import notify

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.annotation.sequential import Decision

_RANK = """
UPDATE annotation_slot s SET priority = r.rank FROM (
    SELECT t.id, CASE
        WHEN %(order)s = 'priority' THEN t.priority
        WHEN %(order)s = 'sequential' THEN 0
        WHEN t.rule_kind IN ('random', 'stratified') THEN 500
        WHEN %(order)s = 'uniform' THEN (hashtext(t.id::text) %% 1000)
        ELSE round(1000 * (1 - coalesce(t.confidence, 1))) END::smallint AS rank
    FROM annotation_task t WHERE t.project_id = %(project)s AND (%(tasks)s::bigint[] IS NULL OR t.id = ANY(%(tasks)s))
) r WHERE s.task_id = r.id AND s.status <> 'done' AND s.priority <> r.rank
"""


def put_in_order(project: Project, tasks: Iterable[int] | None = None) -> None:
    """Give the places of a project (or of these tasks) the priority that its order asks for."""
    with connection.cursor() as cursor:
        told: dict[str, Any] = {"order": project.order, "project": project.pk}
        cursor.execute(_RANK, told | {"tasks": None if tasks is None else list(tasks)})


@transaction.atomic
def change_queue(
    project: Project,
    *,
    by: User,
    order: str,
    per_person: int | None = None,
    gate: float | None = None,
    golden_every: int | None = None,
    assignees: Iterable[User] = (),
) -> Project:
    """Say in which order tasks come, to whom, how many each person does at most, and what the labels have to decide.

    One task in `golden_every` is one whose answer is known. `gate` is an accuracy in production: once it is decided
    whether it is reached, the queue pauses by itself. Random controls come as they were drawn in every order: else
    those that are labelled first would be the hard ones.
    """
    require(may_manage(by, project))
    if order not in Project.Order.values:
        raise Invalid(_("“%(order)s” is no order.") % {"order": order}, fields={"order": _("is unknown")})
    if per_person is not None and per_person < 1:
        raise Invalid(_("One task or more for each person."), fields={"per_person": _("out of range")})
    if gate is not None and not 0 < gate < 1:
        raise Invalid(_("The accuracy must lie between 0 and 1."), fields={"gate": _("out of range")})
    if golden_every is not None and not 2 <= golden_every <= 1000:
        raise Invalid(
            _("One task in 2 to 1000 can be a golden one."), fields={"golden_every": _("out of range")}
        )
    project.order, project.per_person, project.gate = order, per_person, gate
    project.golden_every = golden_every
    project.save(update_fields=["order", "per_person", "gate", "golden_every"])
    chosen = list(assignees)
    project.assignees.set(chosen)
    put_in_order(project)
    audit.record(
        "annotation.project.queue_changed", project, by=by, order=order, per_person=per_person, gate=gate,
        golden_every=golden_every,
        assignees=[person.get_username() for person in chosen],
    )  # fmt: skip
    return project


def stop_decided() -> None:
    """Pause the projects whose labels have decided what they were asked for, and tell who opened them."""
    rows = Project.objects.filter(status=Project.Status.OPEN, gate__isnull=False).select_related("created_by")
    for project in rows.order_by("pk")[:200]:
        found = decision_of(project)
        if found is None or found.reached is None:
            continue
        try:
            with transaction.atomic(), override(project.created_by.language):
                Project.lifecycle.move(project, Project.Status.PAUSED, by=None)
                notify([project.created_by], _told(project, found), url=f"/annotation/{project.pk}/")
        except (StaleWrite, IllegalMove):
            continue


def _told(project: Project, found: Decision) -> str:
    assert project.gate is not None
    facts = {
        "project": project.name,
        "gate": round(100 * project.gate, 1),
        "low": round(100 * found.low, 1),
        "high": round(100 * found.high, 1),
    }
    if found.reached:
        return _("“%(project)s” is paused: accuracy lies above %(gate)s %% (%(low)s to %(high)s).") % facts
    return _("“%(project)s” is paused: accuracy lies below %(gate)s %% (%(low)s to %(high)s).") % facts
