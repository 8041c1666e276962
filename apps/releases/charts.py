"""Figures of a gray release."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from apps.releases.course import Point
    from apps.releases.history import Change
    from apps.releases.models import Stage


def stages(all_stages: Iterable[Stage]) -> dict[str, Any] | None:
    """Bad answers in percent at each stage, candidate beside what ran before; None while there is none."""
    judged = [stage for stage in all_stages if stage.evidence.get("candidate")]
    if not judged:
        return None
    names = [_("%(weight)d %% stage") % {"weight": stage.weight} for stage in judged]

    def rates(side: str) -> list[float]:
        found = [stage.evidence[side] for stage in judged]
        return [round(100 * _bad(seen) / seen["calls"], 3) if seen["calls"] else 0 for seen in found]

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


def comparison(mine: Sequence[Point], other: Sequence[Point]) -> dict[str, Any]:
    """The stage under way: bad answers so far, in percent of all so far, above the 95th percentile of each span of
    time; candidate beside what ran before.
    """
    data = []
    for side, points in ((_("candidate"), mine), (_("before"), other)):
        told = {"side": side}
        calls, bad = accumulate(point.calls for point in points), accumulate(point.bad for point in points)
        so_far = [round(100 * wrong / n, 3) if n else None for wrong, n in zip(bad, calls, strict=True)]
        p95 = [None if point.p95_ms is None else round(point.p95_ms, 2) for point in points]
        line = {
            "type": "scatter",
            "mode": "lines+markers",
            "x": [f"{timezone.localtime(point.at):%Y-%m-%d %H:%M}" for point in points],
        }
        data.append({**line, "name": _("%(side)s, bad so far, %%") % told, "y": so_far})
        data.append({**line, "name": _("%(side)s, p95 in ms") % told, "y": p95, "yaxis": "y2"})
    return {
        "data": data if mine or other else [],
        "layout": {
            "xaxis": {"anchor": "y2", "title": {"text": _("time")}},
            "yaxis": {"domain": [0.56, 1], "title": {"text": _("bad, %")}, "rangemode": "tozero"},
            "yaxis2": {"domain": [0, 0.44], "title": {"text": _("p95, ms")}, "rangemode": "tozero"},
        },
    }


def _bad(seen: dict[str, Any]) -> int:
    """What the stage counts as bad, each call once; evidence of an earlier portal has errors and complaints alone."""
    bad: int | None = seen.get("bad")
    return seen["errors"] + seen["complaints"] if bad is None else bad


def moved(values: list[float]) -> dict[str, Any] | None:
    """How far the numbers of replayed answers moved; None while nothing did."""
    if not any(values):
        return None
    most = max(values)
    return {
        "data": [
            {
                "type": "histogram",
                "x": values,
                "xbins": {"start": 0, "end": most * 1.05, "size": most * 1.05 / 20},
            }
        ],
        "layout": {
            "xaxis": {"title": {"text": _("largest difference of two numbers")}, "range": [0, most * 1.1]},
            "yaxis": {"title": {"text": _("calls")}},
            "showlegend": False,
        },
    }


def shares(changes: Sequence[Change]) -> dict[str, Any] | None:
    """The shares of the versions over time, stacked; `changes` are newest first. None with nothing to compare."""
    if len(changes) < 2:
        return None
    ordered = changes[::-1]
    times = [change.entry.at.isoformat() for change in ordered] + [timezone.now().isoformat()]
    versions = sorted({share.version for change in ordered for share in change.shares})

    def percents(version: str) -> list[int]:
        found = [sum(s.percent for s in change.shares if s.version == version) for change in ordered]
        return [*found, found[-1]]

    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "line": {"shape": "hv", "width": 1},
                "stackgroup": "all",
                "name": version,
                "x": times,
                "y": percents(version),
            }
            for version in versions
        ],
        "layout": {"yaxis": {"title": {"text": _("share, %")}, "range": [0, 100]}},
    }
