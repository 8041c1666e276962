"""Who is who. Roles are held per team; `admin` in any team, or superuser, is the platform's administrator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from apps.accounts.models import Membership, Role, Site, Team
from apps.core.policy import Verdict, allow, deny

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import User


def memberships_of(user: User | AnonymousUser) -> list[Membership]:
    """The person's memberships, read once per loaded user."""
    if not user.is_authenticated:
        return []
    if "_memberships" not in user.__dict__:
        user.__dict__["_memberships"] = list(
            Membership.objects.filter(user_id=user.pk, team__archived_at=None)
        )
    found: list[Membership] = user.__dict__["_memberships"]
    return found


def team_ids_of(user: User | AnonymousUser, *roles: str) -> set[int]:
    """The keys of the teams in use in which a person holds one of the roles (any role when none is named)."""
    return {m.team_id for m in memberships_of(user) if not roles or m.role in roles}


def is_platform_admin(user: User | AnonymousUser) -> bool:
    """Whether this person administers the whole platform."""
    return bool(user.is_active and user.is_superuser) or any(
        m.role == Role.ADMIN for m in memberships_of(user)
    )


def roles_of(user: User | AnonymousUser, team: Team | None = None) -> set[str]:
    """The roles that a person holds, in one team or in any."""
    return {m.role for m in memberships_of(user) if team is None or m.team_id == team.pk}


def has_role(user: User | AnonymousUser, role: str, team: Team | None = None) -> bool:
    """Whether a person holds a role, in one team or in any. It does not ask whether they are an administrator."""
    return role in roles_of(user, team)


def may_act_as(user: User | AnonymousUser, team: Team, *roles: str) -> Verdict:
    """Whether a person holds one of these roles in the team, or administers the platform."""
    if is_platform_admin(user) or roles_of(user, team) & set(roles):
        return allow()
    wanted = get_text_list([str(Role(role).label) for role in roles])
    return deny(
        _("This needs the role %(roles)s in the team %(team)s.") % {"roles": wanted, "team": team.name}
    )


def may_administer(user: User | AnonymousUser) -> Verdict:
    """Whether a person may change teams, sites, plans and policies of the platform."""
    return allow() if is_platform_admin(user) else deny(_("Only an administrator may do this."))


def may_archive_site(user: User | AnonymousUser, site: Site) -> Verdict:
    """Whether a person may take a site out of use: an administrator, once no team in use works there."""
    at_work = list(site.teams.filter(archived_at=None).order_by("name").values_list("name", flat=True)[:5])
    if not is_platform_admin(user) or not at_work:
        return may_administer(user)
    return deny(
        _("Teams still work at %(site)s: %(teams)s. Archive them, or give them another site first.")
        % {"site": site.name, "teams": ", ".join(at_work)}
    )


def may_lead(user: User | AnonymousUser, team: Team) -> Verdict:
    """Whether a person may choose who is in a team: its owner, or an administrator."""
    if team.archived_at is not None:
        return deny(
            _("The team %(team)s is archived; an administrator can open it again.") % {"team": team.name}
        )
    if is_platform_admin(user) or (user.is_authenticated and team.owner_id == user.pk):
        return allow()
    return deny(_("Only an administrator or the owner of the team may do this."))


def may_invite(user: User | AnonymousUser, team: Team) -> Verdict:
    """Whether a person may invite others into a team."""
    return may_lead(user, team)


def leads_any(user: User | AnonymousUser) -> bool:
    """Whether there is a team that this person may invite into."""
    return is_platform_admin(user) or (
        user.is_authenticated and Team.objects.filter(owner=user.pk, archived_at=None).exists()
    )
