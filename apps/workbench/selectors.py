"""Reads about workspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.selectors import teams_of
from apps.catalog.models import Version
from apps.catalog.selectors import versions_visible_to
from apps.core.errors import NotFound
from apps.datasets.models import DatasetVersion
from apps.datasets.selectors import datasets_visible_to
from apps.workbench.models import Environment, Recipe, RecipeRun, Registration, Sweep, Workspace

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import Team, User


_MOST_WORDS = 5


def workspaces_visible_to(user: User) -> QuerySet[Workspace]:
    """A person's own workspaces and those of the teams in which they develop, own ones first by name."""
    visible = Q(team__in=teams_of(user, Role.DEVELOPER))
    return Workspace.objects.filter(visible).select_related("owner", "team").order_by("name", "pk")


def environments_visible_to(user: User | AnonymousUser) -> QuerySet[Environment]:
    """The environments of the teams in which a person develops, by name."""
    teams = teams_of(user, Role.DEVELOPER)
    return (
        Environment.objects.filter(team__in=teams).select_related("team", "created_by").order_by("name", "pk")
    )


def environment_for(user: User, pk: int) -> Environment:
    """One environment. Raises NotFound, which also hides that it exists."""
    found = environments_visible_to(user).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no environment %(pk)s that you may see.") % {"pk": pk})
    return found


def dataset_versions_offered_to(user: User) -> QuerySet[DatasetVersion]:
    """Data set versions that a person may read, by name and newest first."""
    visible = datasets_visible_to(user).values("pk")
    found = DatasetVersion.objects.filter(dataset__in=visible).select_related("dataset__team")
    return found.defer("manifest", "schema", "statistics").order_by("dataset__slug", "-number")


def environments_offered_to(user: User | AnonymousUser) -> list[tuple[str, str]]:
    """Those that can be used, as compute offers them."""
    ready = environments_visible_to(user).filter(status=Environment.Status.READY)
    return list(ready.values_list("lock_name", "name")[:200])


def workspace_for(user: User, pk: int) -> Workspace:
    """One workspace that the person may see. Raises NotFound, which also hides that it exists."""
    found = workspaces_visible_to(user).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no workspace %(pk)s that you may see.") % {"pk": pk})
    return found


def registrations_visible_to(user: User | AnonymousUser) -> QuerySet[Registration]:
    """What the teams in which a person develops have registered."""
    rows = Registration.objects.filter(team__in=teams_of(user, Role.DEVELOPER))
    return rows.select_related("team", "created_by", "version__capability")


def registrations_of_run(user: User, team: Team, run_id: str) -> list[Registration]:
    """What was made of one run, newest first."""
    return list(registrations_visible_to(user).filter(team=team, run_id=run_id).order_by("-pk")[:50])


def registration_for(user: User, pk: int) -> Registration:
    """One registration. Raises NotFound, which also hides that it exists."""
    found = registrations_visible_to(user).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no registration %(pk)s that you may see.") % {"pk": pk})
    return found


def recipes_visible_to(user: User | AnonymousUser) -> QuerySet[Recipe]:
    """The recipes of the teams in which a person develops, and those that are open to all developers."""
    teams = teams_of(user, Role.DEVELOPER)
    visible = Q(team__in=teams)
    if teams.exists():
        visible |= Q(visibility=Recipe.Visibility.ORGANISATION)
    return Recipe.objects.filter(visible).select_related("team", "created_by").order_by("name", "pk")


def recipe_for(user: User | AnonymousUser, slug: str) -> Recipe:
    """One recipe. Raises NotFound, which also hides that it exists."""
    found = recipes_visible_to(user).filter(slug=slug).first()
    if found is None:
        raise NotFound(_("There is no recipe “%(slug)s” that you may see.") % {"slug": slug})
    return found


def recipe_runs_visible_to(user: User | AnonymousUser, recipe: Recipe) -> QuerySet[RecipeRun]:
    """The runs of a recipe that were made for the teams in which a person develops."""
    rows = RecipeRun.objects.filter(
        recipe_version__recipe=recipe, job__team__in=teams_of(user, Role.DEVELOPER)
    )
    return rows.select_related(
        "job__team", "job__created_by", "recipe_version", "version__capability", "base__capability"
    )


def versions_to_refine(user: User, words: str = "") -> QuerySet[Version]:
    """Versions of the capabilities that a person builds; with `words`, of those that are called or numbered so.

    The newest first, or by name where words are given.
    """
    rows = versions_visible_to(user).filter(capability__team__in=teams_of(user, Role.DEVELOPER))
    rows = rows.exclude(status=Version.Status.RETIRED).select_related("capability")
    for word in words.split()[:_MOST_WORDS]:
        called = Q(capability__slug__icontains=word) | Q(capability__name__icontains=word)
        rows = rows.filter(called | Q(number__startswith=word.lstrip("vV") or word))
    return rows.order_by("capability__slug", "-pk") if words.split() else rows.order_by("-pk")


def sweeps_visible_to(user: User | AnonymousUser) -> QuerySet[Sweep]:
    """The sweeps of the teams in which a person develops."""
    return Sweep.objects.filter(team__in=teams_of(user, Role.DEVELOPER)).select_related("team", "created_by")


def sweep_for(user: User | AnonymousUser, pk: int) -> Sweep:
    """One sweep. Raises NotFound, which also hides that it exists."""
    found = sweeps_visible_to(user).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no sweep %(pk)s that you may see.") % {"pk": pk})
    return found
