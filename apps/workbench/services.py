"""Changes to workspaces. They write what is wanted; the reconciler makes it so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.core import audit, background
from apps.core.errors import Invalid
from apps.core.policy import require
from apps.workbench.models import Workspace
from apps.workbench.policy import may_create_workspace, may_edit_workspace, may_stop_workspace

if TYPE_CHECKING:
    from apps.accounts.models import Team, User

RECONCILE = "workbench.reconcile_workspace"


@transaction.atomic
def create_workspace(
    name: str, *, team: Team, by: User, flavour: str = Workspace.Flavour.SMALL, environment: str = "base"
) -> Workspace:
    """Make a stopped workspace with no files yet."""
    require(may_create_workspace(by, team))
    name = name.strip()
    if not name:
        raise Invalid(_("Give the workspace a name."), fields={"name": _("is empty")})
    if flavour not in Workspace.Flavour.values:
        raise Invalid(
            _("There is no size “%(value)s”.") % {"value": flavour}, fields={"flavour": _("unknown")}
        )
    try:
        with transaction.atomic():
            workspace = Workspace.objects.create(
                name=name[:80], owner=by, team=team, flavour=flavour, environment=environment
            )
    except IntegrityError as error:
        message = _("You have a workspace named “%(name)s” already.") % {"name": name}
        raise Invalid(message, fields={"name": message}) from error
    audit.record("workbench.workspace.created", workspace, by=by, team=team.slug, flavour=flavour)
    return workspace


@transaction.atomic
def start_workspace(workspace: Workspace, *, by: User) -> Workspace:
    """Ask for the workspace's server. Progress is seen in its status."""
    require(may_edit_workspace(by, workspace))
    _move(workspace, "starting", by=by)
    return workspace


@transaction.atomic
def stop_workspace(workspace: Workspace, *, by: User) -> Workspace:
    """Ask for the end of the workspace's server; kernels and terminals end, files stay."""
    require(may_stop_workspace(by, workspace))
    _move(workspace, "stopping", by=by)
    return workspace


@transaction.atomic
def archive_workspace(workspace: Workspace, *, by: User) -> Workspace:
    """Put a stopped workspace away; its files stay until it is restored."""
    require(may_stop_workspace(by, workspace))
    _move(workspace, "archived", by=by)
    return workspace


@transaction.atomic
def restore_workspace(workspace: Workspace, *, by: User) -> Workspace:
    """Bring an archived workspace back, stopped."""
    require(may_edit_workspace(by, workspace))
    _move(workspace, "stopped", by=by)
    return workspace


def _move(workspace: Workspace, to: str, *, by: User) -> None:
    Workspace.lifecycle.move(workspace, to, by=by, status_reason="", status_at=timezone.now())
    transaction.on_commit(lambda: background.enqueue(RECONCILE, workspace.pk, priority=0))
