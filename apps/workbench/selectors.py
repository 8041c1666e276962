"""Reads about workspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.selectors import teams_of
from apps.core.errors import NotFound
from apps.workbench.models import Workspace

if TYPE_CHECKING:
    from apps.accounts.models import User


def workspaces_visible_to(user: User) -> QuerySet[Workspace]:
    """A person's own workspaces and those of the teams in which they develop, own ones first by name."""
    visible = Q(team__in=teams_of(user, Role.DEVELOPER))
    return Workspace.objects.filter(visible).select_related("owner", "team").order_by("name", "pk")


def workspace_for(user: User, pk: int) -> Workspace:
    """One workspace that the person may see. Raises NotFound, which also hides that it exists."""
    found = workspaces_visible_to(user).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no workspace %(pk)s that you may see.") % {"pk": pk})
    return found
