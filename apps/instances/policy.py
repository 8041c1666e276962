"""Who may see and change what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apps.accounts.models import Role
from apps.accounts.policy import may_act_as
from apps.catalog.models import Capability, Version
from apps.core.policy import Verdict, allow, deny
from apps.core.telling import say as _
from apps.instances.models import Deployment

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import Team, User

VIEWERS = frozenset({Role.DEVELOPER, Role.QA, Role.OPERATOR})


def may_view(actor: User | AnonymousUser, deployment: Deployment) -> Verdict:
    """The developers, QA engineers and operators of the team that runs it, and of the capability's team."""
    seen = may_act_as(actor, deployment.run_by, *VIEWERS)
    return (
        seen
        if seen or deployment.host_id is None
        else may_act_as(actor, deployment.capability.team, *VIEWERS)
    )


def may_deploy(actor: User | AnonymousUser, version: Version, kind: str) -> Verdict:
    """Test deployments: developers, QA and operators; production: operators. Only packaged versions run."""
    team = version.capability.team
    if kind == Deployment.Kind.PRODUCTION:
        verdict = may_act_as(actor, team, Role.OPERATOR)
    else:
        verdict = may_act_as(actor, team, *VIEWERS)
    return _packaged(version) if verdict else verdict


def may_host(actor: User | AnonymousUser, version: Version, host: Team) -> Verdict:
    """Whether a person may run another team's version at the site of their own team: its operators."""
    verdict = may_act_as(actor, host, Role.OPERATOR)
    return _packaged(version) if verdict else verdict


def _packaged(version: Version) -> Verdict:
    if version.status != Version.Status.PACKAGED:
        return deny(
            _("%(version)s is %(status)s. Only a packaged version can run.")
            % {"version": version, "status": version.get_status_display().lower()}
        )
    return allow()


def may_change(actor: User | AnonymousUser, deployment: Deployment) -> Verdict:
    """Stop, restart and scale: operators; for test deployments all who may make them."""
    team = deployment.run_by
    if deployment.kind == Deployment.Kind.TEST:
        return may_act_as(actor, team, *VIEWERS)
    return may_act_as(actor, team, Role.OPERATOR)


def may_set_weights(actor: User | AnonymousUser, capability: Capability) -> Verdict:
    """The operators of the capability's team."""
    return may_act_as(actor, capability.team, Role.OPERATOR)
