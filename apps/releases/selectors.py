"""Reads about releases and the production history."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.selectors import teams_of
from apps.catalog.models import Version
from apps.core.errors import NotFound
from apps.gateway.selectors import calls, grants_of
from apps.releases.models import Bypass, Conclusion, Finding, Policy, Release, Replay, Rerun
from apps.requests.selectors import waiting_for

if TYPE_CHECKING:
    from apps.accounts.models import Team, User
    from apps.catalog.models import Capability
    from apps.gateway.models import Call

_VIEWERS = (Role.DEVELOPER, Role.QA, Role.OPERATOR)
_NAMES = ("username", "first_name", "last_name")


def releases_visible_to(user: User) -> QuerySet[Release]:
    """Releases of the person's teams, with what lists and pages show."""
    return Release.objects.filter(capability__team__in=teams_of(user, *_VIEWERS)).select_related(
        "version",
        "capability__team",
        "report__run__suite__dataset_version",
        "report__version",
        "policy__team",
        "request",
        "opened_by",
        "baseline__version",
        "deployment__version",
    )


def releases_listed(user: User) -> QuerySet[Release]:
    """The same releases with what a line of their list shows."""
    shown = ("status", "opened_at", "content_digest", "version__number", "capability__name")
    people = ("opened_by__username", "opened_by__first_name", "opened_by__last_name")
    rows = Release.objects.filter(capability__team__in=teams_of(user, *_VIEWERS))
    return rows.select_related("version", "capability", "opened_by").only(*shown, *people)


def releases_told(user: User) -> QuerySet[Release]:
    """The same releases with what REST tells of each in a list: of their neighbours the report's short form alone."""
    own = [field.name for field in Release._meta.concrete_fields]
    rows = Release.objects.filter(capability__team__in=teams_of(user, *_VIEWERS)).select_related("report")
    return rows.only(*own, "report__verdict", "report__headline")


def conclusions_of(release: Release) -> QuerySet[Conclusion]:
    """Stages of a release that two people concluded on replayed calls, or were asked to; at most a few."""
    found = Conclusion.objects.filter(stage__release=release)
    return found.select_related("stage", "asked_by", "settled_by").order_by("pk")[:100]


def findings_visible_to(user: User, state: str = "") -> QuerySet[Finding]:
    """What signers of the person's teams found, of all releases; `state` leaves the `open` or the `closed` alone."""
    found = Finding.objects.filter(release__capability__team__in=teams_of(user, *_VIEWERS))
    if state in ("open", "closed"):
        found = found.filter(closed_at__isnull=state == "open")
    of_release = (
        "status",
        "version__number",
        "capability__slug",
        "capability__name",
        "capability__team__name",
    )
    people = (f"{who}__{name}" for who in ("raised_by", "closed_by") for name in _NAMES)
    shown = ("text", "most_percent", "raised_at", "closed_at", "resolution")
    related = found.select_related("release__version", "release__capability__team", "raised_by", "closed_by")
    return related.only(*shown, *(f"release__{name}" for name in of_release), *people)


def bypasses_visible_to(user: User) -> QuerySet[Bypass]:
    """Emergency bypasses of the person's teams."""
    found = Bypass.objects.filter(capability__team__in=teams_of(user, *_VIEWERS))
    return found.select_related("version__capability", "capability__team", "asked_by", "agreed_by")


def replays_visible_to(user: User) -> QuerySet[Replay]:
    """Replays of the person's teams' calls, and those on releases of the person's teams."""
    mine = Q(subscription__team__in=teams_of(user))
    own = Q(release__capability__team__in=teams_of(user, *_VIEWERS))
    return Replay.objects.filter(mine | own).select_related(
        "release__version",
        "release__policy",
        "release__capability__team",
        "release__baseline__version",
        "release__deployment__version",
        "subscription__team",
        "subscription__plan",
        "answered_by",
        "asked_anew_by",
        "kept__version",
    )


def get_replay(pk: int, *, user: User) -> Replay:
    """A replay by its key. Raises NotFound for what the person may not know of."""
    found = replays_visible_to(user).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no replay %(pk)s that you may see.") % {"pk": pk})
    return found


def policies_visible_to(user: User) -> QuerySet[Policy]:
    """Release policies of the person's teams and their capabilities."""
    found = Policy.objects.filter(team__in=teams_of(user, *_VIEWERS))
    return found.select_related("capability", "team")


def teams_with_policies(user: User) -> QuerySet[Team]:
    """The teams whose default policies the person may read."""
    return teams_of(user, *_VIEWERS).order_by("name")


def get_team_of_policy(slug: str, *, user: User) -> Team:
    """A team whose default policy the person may read. Raises NotFound for any other."""
    found = teams_with_policies(user).filter(slug=slug).first()
    if found is None:
        raise NotFound(_("There is no team “%(slug)s” whose release policy you may see.") % {"slug": slug})
    return found


def reruns_visible_to(user: User) -> QuerySet[Rerun]:
    """Calls of the person's teams' capabilities that were run again."""
    found = Rerun.objects.filter(version__capability__team__in=teams_of(user, *_VIEWERS))
    return found.select_related("version__capability", "answered_by", "deployment", "asked_by")


def versions_for_bypass(user: User) -> QuerySet[Version]:
    """Packaged versions of the teams where the person operates or is QA."""
    teams = teams_of(user, Role.OPERATOR, Role.QA)
    found = Version.objects.filter(capability__team__in=teams, status=Version.Status.PACKAGED)
    return found.select_related("capability").order_by("capability__slug", "-pk")


def waiting_for_signature(user: User) -> QuerySet[Release]:
    """What this person can sign now, for the QA inbox: with what its rows show and nothing heavier."""
    open_requests = waiting_for(user).filter(kind="release").values("pk")
    rows = Release.objects.filter(
        capability__team__in=teams_of(user, *_VIEWERS),
        status=Release.Status.SIGNING,
        request__in=open_requests,
    )
    shown = ("status", "opened_at", "version__number", "report__verdict", "report__headline")
    people = ("opened_by__username", "opened_by__first_name", "opened_by__last_name")
    names = ("capability__name", "capability__team__name", *people)
    related = rows.select_related("version", "capability__team", "report", "opened_by")
    return related.only(*shown, *names).prefetch_related("findings")


def calls_around(capability: Capability, at: datetime, pool: str = "", limit: int = 10) -> list[Call]:
    """The last answered calls before a moment and just after it, of one caller or of all, without bodies."""
    grants = list(grants_of(pool).values_list("pk", flat=True)) if pool else None
    rows = calls(
        capability=capability, grants=grants, since=at - timedelta(days=1), until=at + timedelta(minutes=1)
    )
    return list(rows.filter(status__lt=400).order_by("-at")[:limit])


def release_of(version: Version) -> Release | None:
    """The newest release of a version."""
    return Release.objects.filter(version=version).order_by("-pk").first()
