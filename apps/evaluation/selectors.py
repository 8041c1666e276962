"""Reads about suites, evaluations and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from django.db.models import QuerySet

from apps.accounts.models import Role
from apps.accounts.selectors import teams_of
from apps.core import objects
from apps.evaluation.models import Report, Run, Suite
from apps.instances.models import Deployment, TrafficWeight

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Capability, Version

_VIEWERS = (Role.DEVELOPER, Role.QA, Role.OPERATOR)


def suites_visible_to(user: User) -> QuerySet[Suite]:
    """Suites of the person's teams, with what a list shows."""
    teams = teams_of(user, *_VIEWERS)
    return Suite.objects.filter(capability__team__in=teams).select_related(
        "capability", "dataset_version__dataset"
    )


def runs_visible_to(user: User) -> QuerySet[Run]:
    """Evaluations of the person's teams, with what a list shows."""
    teams = teams_of(user, *_VIEWERS)
    return Run.objects.filter(version__capability__team__in=teams).select_related(
        "suite",
        "version__capability__team",
        "started_by",
        "job",
        "report",
        "deployment",
        "production__version",
    )


def reports_visible_to(user: User) -> QuerySet[Report]:
    """Reports of the person's teams."""
    return Report.objects.filter(version__capability__team__in=teams_of(user, *_VIEWERS)).select_related(
        "run__suite__dataset_version__dataset", "version__capability__team", "run__started_by"
    )


def production_of(capability: Capability) -> Deployment | None:
    """The deployment that answers the largest share of a capability's production calls, or None."""
    share = TrafficWeight.objects.filter(capability=capability).select_related("deployment__version")
    largest = share.order_by("-weight", "-deployment_id").first()
    return largest.deployment if largest else None


def latest_suite(capability: Capability) -> Suite | None:
    """The suite that a new evaluation uses unless told otherwise."""
    return Suite.objects.filter(capability=capability).order_by("-number").first()


def latest_report(version: Version) -> Report | None:
    """The newest report about exactly the bytes that the version has now."""
    reports = Report.objects.filter(version=version, run__version_digest=version.digest)
    return reports.select_related("run__suite").order_by("-pk").first()


def cases_of(version: Version) -> list[dict[str, Any]]:
    """The cases that a packaged version ships."""
    entry = version.manifest.get("cases.json")
    if entry is None:
        return []
    with objects.open_object(entry["sha256"]) as file:
        cases: list[dict[str, Any]] = orjson.loads(file.read())
    return cases


def content_of(report: Report) -> dict[str, Any]:
    """The report's content, checked against its digest by the store's naming."""
    with objects.open_object(report.digest) as file:
        content: dict[str, Any] = orjson.loads(file.read())
    return content
