"""Who may see and extend data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from guardian.core import ObjectPermissionChecker

from apps.accounts.models import Role
from apps.accounts.policy import is_platform_admin, may_act_as, roles_of
from apps.core.policy import Verdict, allow, deny
from apps.datasets.models import VIEW_DATASET, Dataset

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import Team, User

READERS = frozenset({Role.DEVELOPER, Role.ANNOTATOR, Role.QA, Role.OPERATOR})
WRITERS = frozenset({Role.DEVELOPER, Role.QA})


def may_view(actor: User | AnonymousUser, dataset: Dataset) -> Verdict:
    """The owning team's working members, whom it is shared with, and everybody when it is open to the organisation."""
    if not actor.is_authenticated:
        return deny(_("Log in first."))
    if is_platform_admin(actor) or roles_of(actor, dataset.team) & READERS:
        return allow()
    if dataset.visibility == Dataset.Visibility.ORGANISATION:
        return allow()
    if ObjectPermissionChecker(actor).has_perm(VIEW_DATASET, dataset):
        return allow()
    return deny(_("Only the team %(team)s sees this data set.") % {"team": dataset.team.name})


def may_create_dataset(actor: User | AnonymousUser, team: Team) -> Verdict:
    """Developers and QA engineers, for their team."""
    return may_act_as(actor, team, *WRITERS)


def may_add_version(actor: User | AnonymousUser, dataset: Dataset) -> Verdict:
    """Developers and QA engineers of the owning team."""
    return may_act_as(actor, dataset.team, *WRITERS)


def may_edit(actor: User | AnonymousUser, dataset: Dataset) -> Verdict:
    """Name, description and visibility: as for versions."""
    return may_act_as(actor, dataset.team, *WRITERS)


def may_share(actor: User | AnonymousUser, dataset: Dataset) -> Verdict:
    """Letting single people outside the team read it: as for its visibility."""
    return may_edit(actor, dataset)


def may_split(actor: User | AnonymousUser, dataset: Dataset) -> Verdict:
    """Dividing a version and naming it: as for versions."""
    return may_act_as(actor, dataset.team, *WRITERS)
