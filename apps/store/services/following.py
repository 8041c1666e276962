"""Following capabilities and teams, and telling people what happens to what they follow or use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from django.db import transaction
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.catalog.models import Capability, Version
from apps.catalog.policy import LISTED, may_view_capability
from apps.core.policy import require
from apps.instances.models import Deployment
from apps.requests import services as requests
from apps.store.models import Follow, Notice, Subscription
from apps.store.policy import SUBSCRIBERS

if TYPE_CHECKING:
    from apps.accounts.models import Team


def follow_capability(capability: Capability, *, by: User) -> None:
    """Hear of new versions and of the end of a capability. Following twice is following."""
    require(may_view_capability(by, capability))
    Follow.objects.get_or_create(user=by, capability=capability, team=None)


def unfollow_capability(capability: Capability, *, by: User) -> None:
    """Hear no more of a capability, unless one's team subscribes to it."""
    Follow.objects.filter(user=by, capability=capability).delete()


def follow_team(team: Team, *, by: User) -> None:
    """Hear of everything that a team offers to this person."""
    Follow.objects.get_or_create(user=by, team=team, capability=None)


def unfollow_team(team: Team, *, by: User) -> None:
    """Hear no more of a team."""
    Follow.objects.filter(user=by, team=team).delete()


def told_before(key: str) -> bool:
    """Whether this was told already; notes that it is being told now. Call it inside the transaction that tells."""
    return not Notice.objects.get_or_create(key=key)[1]


def users_of(capability: Capability) -> list[User]:
    """The people of the teams that have a living subscription, in the roles that use it."""
    teams = Subscription.objects.filter(capability=capability, status__in=Subscription.OPEN).values("team")
    found = User.objects.filter(
        is_active=True, memberships__team__in=teams, memberships__role__in=SUBSCRIBERS
    )
    return list(found.distinct())


def followers_of(capability: Capability) -> list[User]:
    """Those who follow the capability or its team, and may see it now."""
    ids = Follow.objects.filter(capability=capability).values_list("user", flat=True)
    ids = ids.union(Follow.objects.filter(team=capability.team).values_list("user", flat=True))
    people = User.objects.filter(is_active=True, pk__in=list(ids))
    return [user for user in people if may_view_capability(user, capability)]


def _tell(people: Iterable[User], title: Callable[[], str], url: str, body: str = "") -> None:
    requests.notify({user.pk: user for user in people}.values(), title, url=url, body=body)


@transaction.atomic
def tell_of_versions(capability_id: int, deployments: Iterable[int]) -> None:
    """Tell users and followers, once for each version, that it answers all the production calls now.

    What answered before the capability was published is no news when it does so again.
    """
    capability = Capability.objects.select_related("team").get(pk=capability_id)
    running = Deployment.objects.filter(pk__in=list(deployments), capability=capability).values("version")
    for version in Version.objects.filter(pk__in=running):
        if not told_before(f"version:{version.pk}") and capability.status in LISTED:
            _tell_of_version(capability, version)


def _tell_of_version(capability: Capability, version: Version) -> None:
    _tell(
        [*users_of(capability), *followers_of(capability)],
        lambda: (
            _("%(name)s: version %(number)s answers now")
            % {"name": capability.name, "number": version.number}
        ),
        reverse("store:versions", args=[capability.slug]),
        version.changelog[:500],
    )


@transaction.atomic
def tell_of_deprecation(capability_id: int) -> None:
    """Tell users and followers, once for each day named, that a capability will go, when, and what to do."""
    capability = Capability.objects.select_related("team").get(pk=capability_id)
    if capability.status != Capability.Status.DEPRECATED or capability.deprecated_at is None:
        return
    day = capability.retires_on or ""
    if told_before(f"deprecated:{capability.pk}:{capability.deprecated_at.isoformat()}:{day}"):
        return

    def title() -> str:
        if capability.retires_on is None:
            return _("%(name)s is deprecated") % {"name": capability.name}
        return _("%(name)s is deprecated and goes on %(day)s") % {
            "name": capability.name,
            "day": date_format(capability.retires_on, "Y-m-d"),
        }

    url = reverse("store:capability", args=[capability.slug])
    _tell([*users_of(capability), *followers_of(capability)], title, url, capability.deprecation_note[:500])


@transaction.atomic
def tell_of_deprecated_version(version_id: int) -> None:
    """Tell users and followers, once for each day and successor named, that a version will go, and what to call."""
    version = Version.objects.select_related("capability__team", "successor").get(pk=version_id)
    capability, day = version.capability, version.retires_on
    if version.deprecated_at is None or capability.status not in LISTED:
        return
    moment = f"{version.deprecated_at.isoformat()}:{day or ''}:{version.successor_id or ''}"
    if told_before(f"version-deprecated:{version.pk}:{moment}"):
        return

    def title() -> str:
        facts = {"name": capability.name, "number": version.number}
        if day is None:
            return _("%(name)s: version %(number)s is deprecated") % facts
        facts["day"] = date_format(day, "Y-m-d")
        return _("%(name)s: version %(number)s is deprecated and goes on %(day)s") % facts

    people = [*users_of(capability), *followers_of(capability)]
    url = reverse("store:versions", args=[capability.slug])
    _tell(people, title, url, version.deprecation_note[:500])


@transaction.atomic
def tell_of_publication(capability_id: int) -> None:
    """Tell the followers of a team that it offers something new."""
    capability = Capability.objects.select_related("team").get(pk=capability_id)
    if capability.status not in LISTED or told_before(f"published:{capability.pk}"):
        return
    _tell(
        followers_of(capability),
        lambda: _("%(team)s offers %(name)s") % {"team": capability.team.name, "name": capability.name},
        reverse("store:capability", args=[capability.slug]),
        capability.summary,
    )
