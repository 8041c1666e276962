"""Reads about releases and the production history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import QuerySet

from apps.accounts.models import Role
from apps.accounts.selectors import teams_of
from apps.core.models import AuditEntry
from apps.core.urns import urn
from apps.releases.models import Release
from apps.requests.selectors import waiting_for

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Capability, Version

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


def waiting_for_signature(user: User) -> QuerySet[Release]:
    """What this person can sign now, for the QA inbox."""
    open_requests = waiting_for(user).filter(kind="release").values("pk")
    return releases_visible_to(user).filter(status=Release.Status.SIGNING, request__in=open_requests)


def release_of(version: Version) -> Release | None:
    """The newest release of a version."""
    return Release.objects.filter(version=version).order_by("-pk").first()


def production_history(capability: Capability, limit: int = 50) -> list[AuditEntry]:
    """Every change of the traffic shares, newest first: `facts` has before and after by deployment."""
    entries = AuditEntry.objects.filter(urn=urn(capability), action="instances.weights.set")
    return list(entries.order_by("-pk")[:limit])
