"""What an experiment needs so that its arms may answer callers; asked at its start and again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apps.experiments.models import Experiment
from apps.instances.guard import may_be_given_by_hand, most_percent
from apps.instances.models import Deployment
from apps.instances.selectors import weights_at_sites, weights_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import Any

    from apps.catalog.models import Capability
    from apps.core.policy import Verdict
    from apps.experiments.models import Arm

WHOLE = 100


def guarded(arms: Iterable[Arm]) -> Iterable[tuple[Arm, Verdict]]:
    """Each arm with a version, and what the guard of production traffic says of giving callers to it now: an experiment
    is a person's division, so it is for versions whose stages are passed.
    """
    return ((arm, may_be_given_by_hand(arm.version)) for arm in arms if arm.version is not None)


def refusals(capability: Capability, numbers: Collection[str]) -> list[str]:
    """What the guard has against these versions now, one sentence each: a plan may be made before they are released."""
    versions = capability.versions.filter(number__in=numbers)
    return [verdict.reason for verdict in map(may_be_given_by_hand, versions) if not verdict]


def share_of_all(experiment: Experiment, arm: Arm) -> float:
    """Percent of all the production traffic that an arm gets."""
    return experiment.size * arm.share / WHOLE


def production(capability: Capability) -> dict[str, Any]:
    """How production is divided now, as an experiment keeps it."""
    everywhere = {str(pk): weight for pk, weight in weights_of(capability).items() if weight}
    at_sites = {
        site: {str(pk): weight for pk, weight in shares.items()}
        for site, shares in weights_at_sites(capability).items()
    }
    return {"everywhere": everywhere, "at_sites": at_sites}


def refused(experiment: Experiment) -> Experiment.Why | None:
    """Why its arms may answer nobody now, or None. Its arms with their versions and deployments are loaded."""
    arms = [arm for arm in experiment.arms.all() if arm.version is not None]
    if not all(verdict for _arm, verdict in guarded(arms)):
        return Experiment.Why.UNSIGNED
    if any(
        share_of_all(experiment, arm) > most_percent(arm.version) for arm in arms if arm.version is not None
    ):
        return Experiment.Why.LIMITED
    gone = (Deployment.Status.FAILED, Deployment.Status.STOPPING, Deployment.Status.STOPPED)
    if any(arm.deployment is None or arm.deployment.status in gone for arm in arms):
        return Experiment.Why.STOPPED
    return None
