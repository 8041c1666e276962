"""What the page of a release shows of it while it goes on, the same over HTTP and over the websocket."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from django.template.loader import render_to_string

from apps.accounts.models import Site
from apps.core import charts as core_charts
from apps.releases import charts, replays, rollout
from apps.releases.blockers import Blocker, blockers_of
from apps.releases.course import course_of
from apps.releases.findings import most_percent
from apps.releases.models import Release, Replay, Stage
from apps.releases.policy import may_promote, may_steer, offers_way_back
from apps.releases.selectors import release_of
from apps.requests.selectors import who_refused

if TYPE_CHECKING:
    from apps.accounts.models import User

MOST_SHOWN = 200
MOVING = (Release.Status.SIGNING, Release.Status.ROLLING, Release.Status.PAUSED)


def shown(release: Release, *, user: User) -> dict[str, Any]:
    """The context of `releases/_live.html` for one viewer, in the active language and time zone."""
    stages = _stages_of(release)
    active = next((stage for stage in stages if stage.status == Stage.Status.ACTIVE), None)
    context = {
        "release": release,
        "moves": release.status in MOVING,
        "active": active,
        "stages": stages,
        "figure": charts.stages(stage for stage in stages if stage.ended_at),
        "comparison": charts.comparison(*(course_of(release, active) if active else ([], []))),
        "may_promote": may_promote(
            user,
            release,
            active,
            limit=most_percent(release),
            after=rollout.next_weight(release),
            unanswered=replays.waiting(release),
        ),
        "replays": _replays_of(release),
        "may_steer": may_steer(user, release),
        "may_go_back": offers_way_back(user, release),
        "final_step": active is not None and not any(s.status == Stage.Status.PENDING for s in stages),
        "blockers": _blockers_of(release),
        "rejected_by": _who_rejected(release),
    }
    return context | {"mark": _mark(context)}


def told(shown: dict[str, Any]) -> dict[str, Any]:
    """What the websocket sends of it: `mark` is another one when the page has to fetch its buttons and lists again;
    `stages` and `blockers` are HTML, `figure` the live comparison as Plotly takes it, with its `table`.
    """
    figure = core_charts.figure_of(shown["comparison"])
    return {
        "mark": shown["mark"],
        "stages": render_to_string("releases/_stages.html", shown),
        "blockers": render_to_string("releases/_blockers.html", shown),
        "why_not": "" if shown["may_promote"] else str(shown["may_promote"].reason),
        "figure": figure,
        "table": render_to_string("components/_chart_table.html", {"table": core_charts.table_of(figure)}),
    }


def _mark(context: dict[str, Any]) -> str:
    """One word for everything that the websocket does not send itself."""
    release, active = context["release"], context["active"]
    parts = [release.status, release.reason_words, active and active.pk, bool(context["may_promote"])]
    parts += [bool(context["may_steer"]), context["may_go_back"], release.cases is not None]
    parts += [(each["row"].pk, each["row"].status, each["counts"]) for each in context["replays"]]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _blockers_of(release: Release) -> list[Blocker]:
    """What blocks it now. A later release of the version has its blockers on its own page."""
    return blockers_of(release.version) if release_of(release.version) == release else []


def _who_rejected(release: Release) -> User | None:
    ended = release.request if release.status == Release.Status.REJECTED else None
    return who_refused(ended) if ended is not None else None


def _stages_of(release: Release) -> list[Stage]:
    """The stages, each with the name of its site and when it pauses by itself."""
    stages = list(release.stages.all())
    names = dict(Site.objects.filter(slug__in=[stage.site for stage in stages]).values_list("slug", "name"))
    for stage in stages:
        stage.site_name = names.get(stage.site, stage.site)  # type: ignore[attr-defined]
        stage.pauses_at = rollout.pauses_at(release, stage)  # type: ignore[attr-defined]
    return stages


def _replays_of(release: Release) -> list[dict[str, Any]]:
    """What each subscriber's calls showed and what the subscriber says, the open ones first."""
    rows = list(
        release.replays.select_related("subscription__team", "answered_by").order_by("pk")[:MOST_SHOWN]
    )
    counts = replays.counted(rows)
    told = [
        {"row": row, "counts": counts.get(row.pk, {}), "total": sum(counts.get(row.pk, {}).values())}
        for row in rows
    ]
    return sorted(told, key=lambda each: each["row"].status not in Replay.OPEN)
