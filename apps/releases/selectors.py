"""Reads about releases and the production history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import QuerySet

from apps.accounts.models import Role
from apps.accounts.selectors import teams_of
from apps.catalog.models import Version
from apps.core.models import AuditEntry
from apps.core.urns import urn
from apps.releases.models import Bypass, Release
from apps.requests.selectors import waiting_for

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Capability

_VIEWERS = (Role.DEVELOPER, Role.QA, Role.OPERATOR)


def releases_visible_to(user: User) -> QuerySet[Release]:
    """Releases of the person's teams, with what lists and pages show."""
    return Release.objects.filter(capability__team__in=teams_of(user, *_VIEWERS)).select_related(
        "version",
        "capability__team",
        "report__run__suite__dataset_version",
        "report__version",
        "policy",
        "request",
        "opened_by",
        "baseline__version",
        "deployment__version",
    )


def bypasses_visible_to(user: User) -> QuerySet[Bypass]:
    """Emergency bypasses of the person's teams."""
    found = Bypass.objects.filter(capability__team__in=teams_of(user, *_VIEWERS))
    return found.select_related("version__capability", "capability__team", "asked_by", "agreed_by")


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
    names = ("capability__name", "capability__team__name", "opened_by__username")
    related = rows.select_related("version", "capability__team", "report", "opened_by")
    return related.only(*shown, *names).prefetch_related("findings")


def release_of(version: Version) -> Release | None:
    """The newest release of a version."""
    return Release.objects.filter(version=version).order_by("-pk").first()


def production_history(capability: Capability, limit: int = 50) -> list[AuditEntry]:
    """Every change of the traffic shares, newest first: `facts` has before and after by deployment."""
    entries = AuditEntry.objects.filter(urn=urn(capability), action="instances.weights.set")
    return list(entries.order_by("-pk")[:limit])
