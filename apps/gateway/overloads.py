"""Notices in the log that a deployment turns calls away, and alerts its operators once for each such time.

The ingester calls this in the transaction that commits the records, so each refusal counts once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.accounts.models import Role
from apps.accounts.selectors import users_with
from apps.core import events
from apps.gateway.models import Overload
from apps.instances.alerts import Alert
from apps.instances.models import Deployment
from apps.requests.notifications import notify

KIND = "overloaded"
QUIET = timedelta(minutes=1)
SHOWN_FOR = timedelta(days=1)


def note(facts: Iterable[dict[str, Any]]) -> None:
    """Count the calls that were turned away; a new time of overload is an event and a line in the operators' bell."""
    seen: defaultdict[int, list[float]] = defaultdict(list)
    for fact in facts:
        if fact["error"] == KIND and fact["kind"] == "call" and fact["deployment"]:
            seen[int(fact["deployment"])].append(fact["at"])
    for pk in sorted(seen):
        _extend(pk, [datetime.fromtimestamp(at, UTC) for at in sorted(seen[pk])])


def _extend(deployment_id: int, times: list[datetime]) -> None:
    first, last = times[0], times[-1]
    found = (
        Overload.objects.select_for_update()
        .filter(deployment=deployment_id, last_at__gte=first - QUIET)
        .order_by("-last_at")
        .first()
    )
    if found is not None:
        found.last_at = max(found.last_at, last)
        found.refused += len(times)
        found.save(update_fields=["last_at", "refused"])
        return
    deployment = (
        Deployment.objects.select_related("version__capability__team").filter(pk=deployment_id).first()
    )
    if deployment is not None:
        _begin(deployment, times)


def _begin(deployment: Deployment, times: list[datetime]) -> None:
    capability = deployment.version.capability
    Overload.objects.create(
        deployment=deployment,
        capability=capability,
        started_at=times[0],
        last_at=times[-1],
        refused=len(times),
    )
    events.publish(
        "gateway.overloaded",
        deployment.pk,
        capability=capability.pk,
        at=times[0].isoformat(),
        refused=len(times),
    )
    notify(
        users_with(Role.OPERATOR, capability.team),
        lambda: (
            _("%(version)s turns calls away: all its replicas are busy") % {"version": deployment.version}
        ),
        url=reverse("instances:detail", args=[deployment.pk]),
    )


def alerts_of(deployment: Deployment) -> list[Alert]:
    """Its last time of overload, for a day: how many calls were turned away, and whether that goes on."""
    now = timezone.now()
    last = (
        Overload.objects.filter(deployment=deployment, last_at__gte=now - SHOWN_FOR)
        .order_by("-last_at")
        .first()
    )
    if last is None:
        return []
    words = ngettext(
        "It turned %(count)d call away, because all its replicas were busy. More replicas take more calls.",
        "It turned %(count)d calls away, because all its replicas were busy. More replicas take more calls.",
        last.refused,
    )
    asked = {"capability": deployment.capability.slug, "outcome": "failed"}
    return [
        Alert(
            words % {"count": last.refused},
            last.last_at,
            lasts=now - last.last_at < QUIET,
            url=f"{reverse('calls:list')}?{urlencode(asked)}",
            action=_("The calls"),
        )
    ]
