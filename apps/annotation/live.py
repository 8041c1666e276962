"""How right production is by version, site and slice: from accepted labels of random controls, and from complaints.

Labels give accuracy, weighted by how each call was drawn (Horvitz and Thompson); complaints give a share of all calls
that says less: most callers do not complain.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.translation import gettext as _

from apps.annotation.estimate import Estimate, share, weighted_share
from apps.annotation.selectors import labelled_draws
from apps.gateway.selectors import complaints_by_deployment
from apps.instances.models import Deployment

if TYPE_CHECKING:
    from apps.annotation.models import Project

DAYS = 30
_MOST = 20_000
_MOST_GROUPS = 60


@dataclass(frozen=True)
class Group:
    """One version, site or slice: `accuracy` from labels, `complained` as a share of `calls`; None where unknown."""

    dimension: str
    name: str
    accuracy: Estimate | None
    calls: int | None = None
    complained: Estimate | None = None


def live_quality(project: Project) -> list[Group]:
    """By version, then by site, then by slice; the groups with the fewest right answers first in each."""
    labels = _labels(project)
    counted = _complaints(project)
    groups = [
        Group(
            dimension, name, weighted_share(*zip(*rows, strict=True)) if rows else None,
            *counted.get((dimension, name), (None, None)),
        )
        for dimension, name in {**labels, **counted}
        for rows in [labels.get((dimension, name), [])]
    ]  # fmt: skip
    order = {_("Version"): 0, _("Site"): 1}
    groups.sort(key=lambda found: (order.get(found.dimension, 2), found.dimension, _right(found), found.name))
    return groups[:_MOST_GROUPS]


def _right(group: Group) -> float:
    return group.accuracy.value if group.accuracy else 2.0


def _labels(project: Project) -> dict[tuple[str, str], list[tuple[bool, float]]]:
    found: dict[tuple[str, str], list[tuple[bool, float]]] = defaultdict(list)
    names = ("version", "site", "slices", "predicted", "task__label", "probability")
    rows = labelled_draws(project).order_by("-pk").values_list(*names)[:_MOST]
    for version, site, slices, predicted, label, chance in rows:
        pair = (predicted == label, chance)
        found[_("Version"), version].append(pair)
        found[_("Site"), site or _("centre")].append(pair)
        found[_("The model's answer"), predicted].append(pair)
        for name, value in slices.items():
            found[str(name), str(value)].append(pair)
    return dict(found)


def _complaints(project: Project) -> dict[tuple[str, str], tuple[int, Estimate]]:
    """Calls and complaints of the last `DAYS` days by version and by site."""
    since = timezone.now() - timedelta(days=DAYS)
    sites = dict(Deployment.objects.filter(capability=project.capability).values_list("pk", "site__slug"))
    counted: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for version, deployment, calls, wrong in complaints_by_deployment(project.capability, since):
        for key in ((_("Version"), version), (_("Site"), sites.get(deployment) or _("centre"))):
            counted[key][0] += calls
            counted[key][1] += wrong
    return {key: (calls, share(min(wrong, calls), calls)) for key, (calls, wrong) in counted.items() if calls}
