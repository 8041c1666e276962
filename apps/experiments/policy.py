"""Who may see, write and steer experiments, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.policy import may_act_as
from apps.core.policy import Verdict, deny
from apps.experiments.models import Experiment

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Capability

VIEWERS = (Role.DEVELOPER, Role.QA, Role.OPERATOR)


def may_see_experiments(actor: User, capability: Capability) -> Verdict:
    """The team's developers, QA and operators."""
    return may_act_as(actor, capability.team, *VIEWERS)


def may_write_experiment(actor: User, capability: Capability) -> Verdict:
    """The team's developers and operators write plans; nothing moves by them."""
    return may_act_as(actor, capability.team, Role.DEVELOPER, Role.OPERATOR)


def may_change_draft(actor: User, experiment: Experiment) -> Verdict:
    """The same people, before it has begun: afterwards the plan stays as it is, or its numbers would mean nothing."""
    if experiment.status != Experiment.Status.DRAFT:
        return deny(
            _("This experiment is %(status)s; only a draft can be changed.")
            % {"status": experiment.get_status_display().lower()}
        )
    return may_write_experiment(actor, experiment.capability)


def may_steer(actor: User, experiment: Experiment) -> Verdict:
    """Operators start, pause, resume and end."""
    return may_act_as(actor, experiment.capability.team, Role.OPERATOR)
