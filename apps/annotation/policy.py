"""Who may set up, label and review."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.policy import may_act_as
from apps.annotation.models import Annotation, Project, Task
from apps.core.policy import Verdict, deny

if TYPE_CHECKING:
    from apps.accounts.models import Team, User
    from apps.catalog.models import Capability

MEMBERS = (Role.ANNOTATOR, Role.DEVELOPER, Role.QA)
RULE_READERS = (Role.DEVELOPER, Role.QA, Role.OPERATOR)


def may_create_project(actor: User, team: Team) -> Verdict:
    """Developers and QA ask the questions."""
    return may_act_as(actor, team, Role.DEVELOPER, Role.QA)


def may_manage(actor: User, project: Project) -> Verdict:
    """Developers and QA steer a project: rules, export, retraining."""
    return may_act_as(actor, project.team, Role.DEVELOPER, Role.QA)


def may_label(actor: User, project: Project, begun: int = 0) -> Verdict:
    """Members label while the project is open; `begun` are tasks that they hold and that will count for their share."""
    if project.status != Project.Status.OPEN:
        return deny(_("This project is %(status)s.") % {"status": project.get_status_display().lower()})
    if project.assignees.exists() and not project.assignees.filter(pk=actor.pk).exists():
        return deny(_("This project is assigned to other people."))
    if project.per_person is not None:
        done = Annotation.objects.filter(user_id=actor.pk, task__project=project).count()
        if done + begun >= project.per_person:
            return deny(_("You have done your share of this project: %(n)d tasks.") % {"n": done})
    return may_act_as(actor, project.team, *MEMBERS)


def may_review(actor: User, task: Task) -> Verdict:
    """QA and developers decide; what has no vote yet cannot be reviewed."""
    may = may_act_as(actor, task.project.team, Role.QA, Role.DEVELOPER)
    if may and task.status == Task.Status.OPEN:
        return deny(_("Nobody has finished labelling this task yet."))
    return may


def may_write_retraining_rule(actor: User, capability: Capability) -> Verdict:
    """The team's developers: whoever may retrain by hand."""
    return may_act_as(actor, capability.team, Role.DEVELOPER)


def may_see_retraining_rule(actor: User, capability: Capability) -> Verdict:
    """The team's developers, QA and operators."""
    return may_act_as(actor, capability.team, *RULE_READERS)
