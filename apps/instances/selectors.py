"""Reads of what runs, for pages and for the gateway's snapshot."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import Count, Prefetch, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.accounts.selectors import teams_of
from apps.catalog.models import Capability, Version
from apps.catalog.uses import Use
from apps.core.errors import NotFound
from apps.instances.models import Deployment, Pin, Replica, Shadow, TrafficWeight
from apps.instances.policy import VIEWERS, may_view

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import User


def deployments() -> QuerySet[Deployment]:
    """All deployments with what is shown of them, in a constant number of queries."""
    return Deployment.objects.select_related(
        "version", "capability__team", "site", "host", "created_by", "traffic"
    ).prefetch_related(Prefetch("replica_set", Replica.objects.order_by("pk")))


def deployments_visible_to(user: User | AnonymousUser) -> QuerySet[Deployment]:
    """The deployments of the teams in which a person builds, tests or operates, and what these run of others."""
    mine = teams_of(user, *VIEWERS)
    return deployments().filter(Q(capability__team__in=mine) | Q(host__in=mine))


def get_deployment(pk: int, *, user: User | AnonymousUser) -> Deployment:
    """A deployment by its key. Raises NotFound for what the person may not know of."""
    deployment = deployments().filter(pk=pk).first()
    if deployment is None or not may_view(user, deployment):
        raise NotFound(_("There is no deployment %(pk)s that you may see.") % {"pk": pk})
    return deployment


def deployments_of(version: Version) -> QuerySet[Deployment]:
    """Where a version runs or ran, newest first."""
    return deployments().filter(version=version).order_by("-pk")


_MOST_USES = 20


def uses_of_version(version: Version, _quiet: timedelta) -> list[Use]:
    """What runs a version now, with its part of the production traffic, for those who want to retire it."""
    pinned = Count("pins", filter=Q(pins__until__gt=timezone.now()))
    alive = Deployment.objects.filter(version=version).exclude(status=Deployment.Status.STOPPED)
    rows = alive.select_related("traffic").annotate(pinned=pinned).order_by("pk")[:_MOST_USES]
    return [Use(_use_words(row, row.pinned), reverse("instances:detail", args=[row.pk])) for row in rows]


def _use_words(deployment: Deployment, pinned: int) -> str:
    traffic: TrafficWeight | None = getattr(deployment, "traffic", None)
    facts = {"pk": deployment.pk, "share": traffic.weight if traffic else 0, "pinned": pinned}
    if facts["share"]:
        return _("deployment #%(pk)d takes %(share)d %% of the production traffic") % facts
    if traffic is not None and any(traffic.at_sites.values()):
        return _("deployment #%(pk)d takes the production traffic of single sites") % facts
    if pinned:
        return (
            ngettext(
                "deployment #%(pk)d answers %(pinned)d pinned caller",
                "deployment #%(pk)d answers %(pinned)d pinned callers",
                pinned,
            )
            % facts
        )
    return _("deployment #%(pk)d runs it") % facts


def labels_before(capability: Capability) -> list[str]:
    """The labels of the newest deployment that a capability's team runs: what its next one asks for, too."""
    rows = Deployment.objects.filter(capability=capability, host=None).order_by("-pk")
    return list(rows.values_list("labels", flat=True).first() or [])


def living_deployments() -> QuerySet[Deployment]:
    """Every deployment that is not stopped: for the reconciler and the routing snapshot."""
    return deployments().exclude(status=Deployment.Status.STOPPED).order_by("pk")


def ready_replicas() -> QuerySet[Replica]:
    """Every replica that answers, with its socket: what the gateway may route to."""
    return (
        Replica.objects.filter(status=Replica.Status.READY)
        .select_related("deployment__version", "deployment__capability")
        .order_by("deployment_id", "pk")
    )


def weights() -> QuerySet[TrafficWeight]:
    """How the production traffic of every capability is divided."""
    return TrafficWeight.objects.select_related("deployment__version", "capability").order_by(
        "capability_id", "deployment_id"
    )


def weights_of(capability: Capability) -> dict[int, int]:
    """{deployment id: percent} of one capability's production traffic; empty when none is let in."""
    found = TrafficWeight.objects.filter(capability=capability)
    return dict(found.values_list("deployment_id", "weight"))


def weights_at_sites(capability: Capability) -> dict[str, dict[int, int]]:
    """{site's short name: {deployment id: percent}} for the sites whose callers have other shares than the rest."""
    found: dict[str, dict[int, int]] = {}
    for row in TrafficWeight.objects.filter(capability=capability).order_by("deployment_id"):
        for site, percent in row.at_sites.items():
            found.setdefault(site, {})[row.deployment_id] = percent
    return found


def shadows() -> QuerySet[Shadow]:
    """Every mirror of production calls."""
    return Shadow.objects.select_related("deployment__version").order_by("capability_id")


def shadow_of(capability: Capability) -> Shadow | None:
    """The deployment that gets a copy of a capability's calls, or None."""
    return shadows().filter(capability=capability).first()


def living_pins() -> QuerySet[Pin]:
    """Every caller that stays with one deployment for now."""
    return Pin.objects.filter(until__gt=timezone.now()).order_by("pk")


def production_versions(capability: Capability) -> list[Version]:
    """The versions that answer production calls, the one with the largest share first."""
    rows = weights().filter(capability=capability).order_by("-weight", "-deployment_id")
    return [row.deployment.version for row in rows]
