"""Who may see and extend data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.policy import is_platform_admin, may_act_as, roles_of
from apps.core.policy import Verdict, allow, deny
from apps.datasets.models import Dataset

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import Team, User

READERS = frozenset({Role.DEVELOPER, Role.ANNOTATOR, Role.QA, Role.OPERATOR})
WRITERS = frozenset({Role.DEVELOPER, Role.QA})


def may_view(actor: User | AnonymousUser, dataset: Dataset) -> Verdict:
    """The owning team's working members, and everybody when it is open to the organisation."""
    if not actor.is_authenticated:
        return deny(_("Log in first."))
    if is_platform_admin(actor) or roles_of(actor, dataset.team) & READERS:
        return allow()
    if dataset.visibility == Dataset.Visibility.ORGANISATION:
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


def may_split(actor: User | AnonymousUser, dataset: Dataset) -> Verdict:
    """Dividing a version and naming it: as for versions."""
    return may_act_as(actor, dataset.team, *WRITERS)
