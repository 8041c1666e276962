"""Who may do what with a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.policy import has_role, is_platform_admin, may_act_as
from apps.core.policy import Verdict, allow, deny

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import Team, User
    from apps.workbench.models import Recipe, Workspace


def may_create_workspace(user: User, team: Team) -> Verdict:
    """Developers of a team may have workspaces in it."""
    return may_act_as(user, team, Role.DEVELOPER)


def may_edit_workspace(user: User | AnonymousUser, workspace: Workspace) -> Verdict:
    """Only the owner runs code in a workspace: it carries the owner's token. Start, stop and archive too."""
    if workspace.owner_id != user.pk:
        return deny(_("Only %(owner)s may do this.") % {"owner": workspace.owner.username})
    if not has_role(user, Role.DEVELOPER, workspace.team) and not is_platform_admin(user):
        return deny(_("You no longer develop in the team %(team)s.") % {"team": workspace.team.name})
    return allow()


def may_stop_workspace(user: User | AnonymousUser, workspace: Workspace) -> Verdict:
    """The owner, or an administrator who needs the machine."""
    return allow() if is_platform_admin(user) else may_edit_workspace(user, workspace)


def may_view_workspace(user: User | AnonymousUser, workspace: Workspace) -> Verdict:
    """The owner and the developers of the team see it; the others of them only read."""
    if may_edit_workspace(user, workspace):
        return allow()
    return may_act_as(user, workspace.team, Role.DEVELOPER)


def may_make_environment(user: User, team: Team) -> Verdict:
    """Developers of a team choose packages for it."""
    return may_act_as(user, team, Role.DEVELOPER)


def may_publish_recipe(user: User, team: Team) -> Verdict:
    """Developers of a team publish for it."""
    return may_act_as(user, team, Role.DEVELOPER)


def may_run_recipe(user: User | AnonymousUser, recipe: Recipe) -> Verdict:
    """Developers of its team; of any team where it is open to the organisation."""
    if recipe.visibility == "organisation" and has_role(user, Role.DEVELOPER):
        return allow()
    return may_act_as(user, recipe.team, Role.DEVELOPER)


def may_see_experiments(user: User | AnonymousUser) -> Verdict:
    """Developers of any team."""
    if has_role(user, Role.DEVELOPER) or is_platform_admin(user):
        return allow()
    return deny(_("Experiments are for developers of a team."))
