"""Changes to workspaces. They write what is wanted; the reconciler makes it so."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import PersonalToken
from apps.compute.environments.offered import offered_to
from apps.compute.placement import read_labels
from apps.compute.selectors import most_to_ask
from apps.core import audit, background
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.datasets.policy import may_view as may_view_dataset
from apps.workbench.models import Workspace
from apps.workbench.policy import (
    may_create_workspace,
    may_edit_workspace,
    may_stop_workspace,
    may_view_workspace,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from apps.accounts.models import Team, User
    from apps.datasets.models import DatasetVersion

RECONCILE = "workbench.reconcile_workspace"
COPY_FILES = "workbench.copy_files"
_OUTLIVES_LEASE = timedelta(days=1)


@transaction.atomic
def create_workspace(
    name: str,
    *,
    team: Team,
    by: User,
    flavour: str = Workspace.Flavour.SMALL,
    environment: str = "base",
    labels: Sequence[str] = (),
    datasets: Iterable[DatasetVersion] = (),
) -> Workspace:
    """Make a stopped workspace with no files yet, in which the versions of `datasets` are read-only.

    Only a node with all `labels` takes its server. Raises NotAllowed, Invalid.
    """
    require(may_create_workspace(by, team))
    name = name.strip()
    if not name:
        raise Invalid(_("Give the workspace a name."), fields={"name": _("is empty")})
    _check_flavour(flavour)
    _check_environment(environment, by)
    try:
        with transaction.atomic():
            workspace = Workspace.objects.create(
                name=name[:80],
                owner=by,
                team=team,
                flavour=flavour,
                environment=environment,
                labels=read_labels(labels),
            )
    except IntegrityError as error:
        message = _("You have a workspace named “%(name)s” already.") % {"name": name}
        raise Invalid(message, fields={"name": message}) from error
    audit.record("workbench.workspace.created", workspace, by=by, team=team.slug, flavour=flavour)
    return mount_datasets(workspace, datasets, by=by)


@transaction.atomic
def start_workspace(workspace: Workspace, *, by: User) -> Workspace:
    """Ask for the workspace's server, on a new lease. Progress is seen in its status."""
    require(may_edit_workspace(by, workspace))
    lease = timezone.now() + Workspace.LEASE
    _move(workspace, "starting", by=by, lease_until=lease, lease_warned=False, active_at=None, activity={})
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


@transaction.atomic
def renew_lease(workspace: Workspace, *, by: User) -> Workspace:
    """Let a running workspace run for a whole lease from now on. Raises NotAllowed, Conflict."""
    require(may_edit_workspace(by, workspace))
    until = timezone.now() + Workspace.LEASE
    running = Workspace.objects.filter(pk=workspace.pk, status__in=("starting", "running"))
    if not running.update(lease_until=until, lease_warned=False):
        raise Conflict(_("The workspace is not running. Its lease begins when you start it."))
    late = until + _OUTLIVES_LEASE
    if workspace.token_id is not None:
        PersonalToken.objects.filter(pk=workspace.token_id, expires_at__lt=late).update(expires_at=late)
    audit.record("workbench.workspace.lease_renewed", workspace, by=by, until=until.isoformat())
    workspace.lease_until = until
    return workspace


@transaction.atomic
def change_workspace(
    workspace: Workspace,
    *,
    by: User,
    flavour: str | None = None,
    idle_minutes: int | None = None,
    environment: str | None = None,
    share_terminals: bool | None = None,
    labels: Sequence[str] | None = None,
) -> Workspace:
    """Change size, environment and the labels of its node, which count from the next start, when it is stopped for
    being idle, or whether team mates may watch its terminals.

    Raises NotAllowed, Invalid.
    """
    require(may_edit_workspace(by, workspace))
    if flavour is not None and flavour != workspace.flavour:
        _check_flavour(flavour)
    if idle_minutes is not None and idle_minutes not in Workspace.IdleLimit.values:
        allowed = ", ".join(str(value) for value in Workspace.IdleLimit.values)
        message = _("%(value)s minutes are not offered; choose one of %(allowed)s.")
        raise Invalid(
            message % {"value": idle_minutes, "allowed": allowed}, fields={"idle_minutes": _("unknown")}
        )
    if environment is not None and environment != workspace.environment:
        _check_environment(environment, by)
    facts: dict[str, Any] = {"flavour": flavour, "idle_minutes": idle_minutes, "environment": environment}
    facts |= {"share_terminals": share_terminals, "labels": None if labels is None else read_labels(labels)}
    changed = {name: value for name, value in facts.items() if value not in (None, getattr(workspace, name))}
    if changed:
        for name, value in changed.items():
            setattr(workspace, name, value)
        workspace.save(update_fields=list(changed))
        audit.record("workbench.workspace.changed", workspace, by=by, **changed)
    return workspace


@transaction.atomic
def mount_datasets(workspace: Workspace, versions: Iterable[DatasetVersion], *, by: User) -> Workspace:
    """Choose the data set versions that are read-only in the workspace from its next start on, and in its jobs.

    Raises NotAllowed.
    """
    require(may_edit_workspace(by, workspace))
    chosen = list(versions)
    for version in chosen:
        require(may_view_dataset(by, version.dataset))
    before = set(workspace.datasets.values_list("pk", flat=True))
    if before != {version.pk for version in chosen}:
        workspace.datasets.set(chosen)
        audit.record("workbench.workspace.datasets", workspace, by=by, datasets=[str(one) for one in chosen])
    return workspace


@transaction.atomic
def clone_workspace(source: Workspace, name: str, *, by: User) -> Workspace:
    """Make a stopped workspace of one's own with a copy of the files that `source` has now.

    Links, hidden files and caches stay behind. Raises NotAllowed, Invalid.
    """
    require(may_view_workspace(by, source))
    made = create_workspace(
        name,
        team=source.team,
        by=by,
        flavour=source.flavour,
        environment=source.environment,
        labels=source.labels,
    )
    made.cloned_from, made.idle_minutes = source, source.idle_minutes
    made.save(update_fields=["cloned_from", "idle_minutes"])
    audit.record("workbench.workspace.cloned", made, by=by, source=source.pk)
    transaction.on_commit(lambda: background.enqueue(COPY_FILES, made.pk))
    return made


def _check_flavour(flavour: str) -> None:
    """Raises Invalid where there is no such size, or no node with such a card."""
    if flavour not in Workspace.Flavour.values:
        raise Invalid(
            _("There is no size “%(value)s”.") % {"value": flavour}, fields={"flavour": _("unknown")}
        )
    if Workspace.SIZES[Workspace.Flavour(flavour)].gpu > most_to_ask()[0].gpu:
        message = _("No node has a graphics card. Choose another size.")
        raise Invalid(message, fields={"flavour": message})


def _check_environment(name: str, by: User) -> None:
    known = dict(offered_to(by))
    if name not in known:
        words = _("There is no environment “%(name)s”; there are: %(names)s.")
        names = ", ".join(f"{label} ({key})" if key != label else key for key, label in known.items())
        raise Invalid(words % {"name": name, "names": names}, fields={"environment": _("unknown")})


def _move(workspace: Workspace, to: str, *, by: User, **facts: Any) -> None:
    now = timezone.now()
    Workspace.lifecycle.move(workspace, to, by=by, status_reason="", status_at=now, **facts)
    transaction.on_commit(lambda: background.enqueue(RECONCILE, workspace.pk, priority=0))
