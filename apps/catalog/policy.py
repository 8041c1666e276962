"""Who may see and change what in the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.policy import is_platform_admin, may_act_as, roles_of
from apps.catalog.models import Capability, Version
from apps.core.policy import Verdict, allow, deny

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import Team, User

BUILDERS = frozenset({Role.DEVELOPER, Role.QA, Role.OPERATOR})
LISTED = frozenset({Capability.Status.PUBLISHED, Capability.Status.DEPRECATED})


def may_view_capability(actor: User | AnonymousUser, capability: Capability) -> Verdict:
    """Its team sees it as its visibility says; everybody sees what is published to the organisation."""
    if not actor.is_authenticated:
        return deny(_("Log in first."))
    roles = roles_of(actor, capability.team)
    if is_platform_admin(actor) or roles & BUILDERS:
        return allow()
    if capability.status in LISTED:
        if capability.visibility == Capability.Visibility.ORGANISATION:
            return allow()
        if capability.visibility == Capability.Visibility.TEAM and roles:
            return allow()
    return deny(_("Only the team %(team)s sees this capability.") % {"team": capability.team.name})


def may_build(actor: User | AnonymousUser, capability: Capability) -> Verdict:
    """Whether somebody sees the workshop's pages of a capability: builds, failures, lineage."""
    return may_act_as(actor, capability.team, *BUILDERS)


def may_create_capability(actor: User | AnonymousUser, team: Team) -> Verdict:
    """Developers create capabilities for their team."""
    return may_act_as(actor, team, Role.DEVELOPER)


def may_edit_capability(actor: User | AnonymousUser, capability: Capability) -> Verdict:
    """The team's developers, until it is retired."""
    if capability.status == Capability.Status.RETIRED:
        return deny(_("%(name)s is retired; nothing changes there any more.") % {"name": capability.name})
    return may_act_as(actor, capability.team, Role.DEVELOPER)


def may_publish_capability(actor: User | AnonymousUser, capability: Capability) -> Verdict:
    """A developer, once there is something to say and a packaged version to call."""
    verdict = may_edit_capability(actor, capability)
    if not verdict:
        return verdict
    if not capability.summary.strip():
        return deny(_("Write a summary first: the store shows it in its list."))
    if not capability.versions.filter(status=Version.Status.PACKAGED).exists():
        return deny(_("There is no packaged version yet. Upload one first."))
    return allow()


def may_add_version(actor: User | AnonymousUser, capability: Capability) -> Verdict:
    """The team's developers."""
    return may_edit_capability(actor, capability)


def may_package_version(actor: User | AnonymousUser, version: Version) -> Verdict:
    """The team's developers."""
    return may_edit_capability(actor, version.capability)


def may_retire_version(actor: User | AnonymousUser, version: Version) -> Verdict:
    """The team's developers and operators."""
    return may_act_as(actor, version.capability.team, Role.DEVELOPER, Role.OPERATOR)


def may_deprecate_version(actor: User | AnonymousUser, version: Version) -> Verdict:
    """The team's developers, who build what takes its place."""
    return may_edit_capability(actor, version.capability)


def may_edit_parsing_rules(actor: User | AnonymousUser, version: Version) -> Verdict:
    """The team's developers, for a version that can be called."""
    if version.status != Version.Status.PACKAGED:
        return deny(
            _("%(version)s is not packaged, so it has no calls to read. Ship parsing.json with the upload.")
            % {"version": version}
        )
    return may_edit_capability(actor, version.capability)
