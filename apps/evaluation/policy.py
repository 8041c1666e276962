"""Who may do what with suites, evaluations and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.policy import may_act_as
from apps.catalog.models import Version
from apps.core.policy import Verdict, deny

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Capability
    from apps.evaluation.models import Run


def may_see_evaluations(actor: User, capability: Capability) -> Verdict:
    """The team's developers, QA and operators."""
    return may_act_as(actor, capability.team, Role.DEVELOPER, Role.QA, Role.OPERATOR)


def may_write_suite(actor: User, capability: Capability) -> Verdict:
    """QA decides what is asked; developers may propose it, since a report names its suite's author."""
    return may_act_as(actor, capability.team, Role.QA, Role.DEVELOPER)


def may_evaluate(actor: User, version: Version) -> Verdict:
    """Developers and QA, once the version is packaged."""
    if version.status != Version.Status.PACKAGED:
        return deny(
            _("Version %(number)s is %(status)s. Only a packaged version can be evaluated.")
            % {"number": version.number, "status": version.get_status_display().lower()}
        )
    return may_act_as(actor, version.capability.team, Role.DEVELOPER, Role.QA)


def may_cancel(actor: User, run: Run) -> Verdict:
    """Whoever may start one may end it."""
    return may_act_as(actor, run.version.capability.team, Role.DEVELOPER, Role.QA)


def may_claim(actor: User, capability: Capability) -> Verdict:
    """The team's developers, QA and operators speak for how their capability is made."""
    return may_see_evaluations(actor, capability)
