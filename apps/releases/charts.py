"""Figures of a gray release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from apps.releases.models import Release


def stages(release: Release) -> dict[str, Any] | None:
    """Bad answers in percent at each stage, candidate beside what ran before; None while there is none."""
    judged = [stage for stage in release.stages.all() if stage.evidence.get("candidate")]
    if not judged:
        return None
    names = [_("%(weight)d %% stage") % {"weight": stage.weight} for stage in judged]

    def rates(side: str) -> list[float]:
        found = [stage.evidence[side] for stage in judged]
        return [
            round(100 * (s["errors"] + s["complaints"]) / s["calls"], 3) if s["calls"] else 0 for s in found
        ]

    mine, other = rates("candidate"), rates("baseline")
    if not any(mine + other):
        return None
    return {
        "data": [
            {"type": "bar", "name": _("candidate"), "x": names, "y": mine},
            {"type": "bar", "name": _("before"), "x": names, "y": other},
        ],
        "layout": {
            "barmode": "group",
            "yaxis": {"title": {"text": _("bad answers, %")}, "rangemode": "tozero"},
        },
    }
