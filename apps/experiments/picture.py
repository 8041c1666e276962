"""What the gateway is told of experiments, with each change of keys or routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.crypto import salted_hmac

from apps.experiments.checks import refused
from apps.experiments.models import Experiment
from apps.experiments.selectors import experiments, waiting

if TYPE_CHECKING:
    from collections.abc import Collection

    from apps.experiments.models import Arm

WHOLE = 100


def added(capabilities: Collection[int]) -> dict[int, dict[str, Any]]:
    """{capability: its running experiments}. The guard is asked each time: what may not answer is left out, so that
    its callers follow production. While a release is in gray there is none at all.
    """
    running = experiments().filter(status=Experiment.Status.RUNNING).order_by("pk")
    rows = [row for row in running if row.capability_id in capabilities]
    waits = waiting({row.capability_id for row in rows})
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        if row.capability_id in waits or refused(row) is not None:
            continue
        told = found.setdefault(
            row.capability_id, {"experiments": [], "unit_salt": _salt("unit", row.capability_id)}
        )
        told["experiments"].append(_experiment(row))
    return found


def _experiment(row: Experiment) -> dict[str, Any]:
    return {
        "layer": _salt("layer", row.capability_id, row.layer),
        "salt": row.salt,
        "begins": row.begins / WHOLE,
        "ends": row.ends / WHOLE,
        "arms": [_arm(arm) for arm in row.arms.all()],
    }


def _arm(arm: Arm) -> dict[str, Any]:
    told: dict[str, Any] = {"id": arm.pk, "share": arm.share / WHOLE}
    if arm.deployment_id is not None:
        told["deployment"] = str(arm.deployment_id)
    if arm.parameters:
        told["parameters"] = arm.parameters
    return told


def _salt(*words: object) -> str:
    """Always the same for the same words, and nobody outside can tell a caller by a digest that is made with it."""
    return salted_hmac("experiments", " ".join(map(str, words)), algorithm="sha256").hexdigest()[:32]
