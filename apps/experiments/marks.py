"""Which arms answered a call, for the call's page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse

from apps.experiments.models import Arm
from apps.experiments.selectors import experiments_visible_to
from apps.gateway.actions import Mark

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.gateway.models import Call


def arms_of_call(user: User, call: Call) -> list[Mark]:
    """The arms, each as a link to its experiment; none for who may not see experiments of the capability."""
    if not call.arms:
        return []
    arms = Arm.objects.filter(pk__in=call.arms, experiment__in=experiments_visible_to(user))
    return [
        Mark(
            f"{arm.experiment.name}: {arm.name}",
            reverse("experiments:detail", args=[arm.experiment_id]),
            "flask",
        )
        for arm in arms.select_related("experiment").order_by("pk")
    ]
