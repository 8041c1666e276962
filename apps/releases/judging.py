"""What the evidence of a stage says, from all of its criteria: bad answers, memory, load, effort, business metric."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from django.core.cache import caches
from django.utils import timezone

from apps.releases import business, effort, load, means
from apps.releases.evidence import Observed, efforts, measure, observe, pace, stays_behind
from apps.releases.judgement import Judgement, Outcome, both, hours_left, judge_bad_answers, judge_shadow
from apps.releases.reasons import Code, Reason

if TYPE_CHECKING:
    from apps.releases.models import Release, Stage

FULL = 100
MINUTE_S = 60


@dataclass(frozen=True)
class Found:
    """The outcome, what is shown of it, and why the release goes back if it does."""

    judgement: Judgement
    told: dict[str, Any]
    why_back: Reason | None = None


def judge_stage(release: Release, stage: Stage) -> Found:
    """Look at the stage's calls and servers up to now. Changes `stage.load` and leaves saving it to the caller."""
    assert release.deployment is not None
    assert stage.started_at is not None
    seen = observe(stage, release.deployment, release.baseline)
    mine = seen[release.deployment.pk]
    other = seen[release.baseline.pk] if release.baseline else Observed()
    judgement = _judgement(release, stage, mine, other)
    told = _told(release, stage, judgement, mine, other)
    criteria = {
        "load": _loaded(stage, mine, other),
        "effort": _compared(release, stage),
        "metric": _measured(release, stage),
    }
    for name, criterion in criteria.items():
        if criterion is None:
            continue
        told[name], judged = criterion
        if name == "effort" and judged.outcome is Outcome.UNDECIDED:
            continue  # too few busy minutes are shown and hold nothing up
        judgement = both(judgement, judged)
        told |= {"missing": judgement.missing, "why": judgement.reason.stored()}
    told["taken_over"] = bool(mine.calls or (stage.weight and other.calls))
    if stage.weight and not told["taken_over"] and stays_behind(stage, release.deployment.pk, list(seen)):
        told |= {"behind": True, "why": Reason(Code.GATEWAY_BEHIND).stored()}
    stage.evidence = told
    failed = judgement.outcome is Outcome.FAILURE
    return Found(judgement, told, _why_back(stage, judgement, mine, other) if failed else None)


def _loaded(stage: Stage, mine: Observed, other: Observed) -> tuple[dict[str, Any], Judgement] | None:
    """The load of a server at a stage that limits it: what is shown of it, and its outcome."""
    if not stage.server_cpu:
        return None
    cores = load.projected(mine.cores, mine.calls, mine.calls + other.calls)
    judged = load.judge_load(cores, stage.server_cpu)
    told = {"cores": mine.cores, "before": other.cores, "projected": cores, "most": stage.server_cpu}
    return told | {"outcome": str(judged.outcome)}, judged


def _compared(release: Release, stage: Stage) -> tuple[dict[str, Any], Judgement] | None:
    """What a row costs in processor time beside the other version; None where no minute could be compared."""
    if not stage.costlier_by or release.deployment is None or release.baseline is None:
        return None
    found = _effort(stage, stage.costlier_by, release.deployment.pk, release.baseline.pk)
    if found is None:
        return None
    judged = effort.judge(found, stage.costlier_by)
    told = {
        "ratio": round(found.ratio, 4),
        "most_times": 1 + stage.costlier_by,
        "minutes": found.minutes,
        "needed": effort.minutes_needed(stage.costlier_by),
        "e_value": round(found.evidence, 4),
    }
    return told | {"outcome": str(judged.outcome)}, judged


def _effort(stage: Stage, allowed: float, candidate: int, baseline: int) -> effort.Effort | None:
    """Compared once a minute, as no more comes than the next minute."""
    key, remembered = f"releases-effort-{stage.pk}-{timezone.now():%d%H%M}", caches["process"]
    kept: tuple[effort.Effort | None] | None = remembered.get(key)
    if kept is not None:
        return kept[0]
    minutes = efforts(stage, candidate, baseline)
    found = effort.compare(minutes, allowed)
    if minutes:
        remembered.set(key, (found,), MINUTE_S)
    return found


def _measured(release: Release, stage: Stage) -> tuple[dict[str, Any], Judgement] | None:
    """The business metric of a stage that asks for one: what is shown of it, and its outcome."""
    if not stage.metric or release.deployment is None or release.baseline is None:
        return None
    metric = business.parse(stage.metric)
    found = measure(stage, metric, release.deployment.pk, release.baseline.pk)
    worse_by = metric.scaled_worse_by
    judged = means.judge(found, worse_by=worse_by, share=stage.weight / FULL, name=metric.name)
    size = metric.high - metric.low
    told = {
        "name": metric.name,
        "candidate": metric.unscaled(found.candidate.mean) if found.candidate.n else None,
        "baseline": metric.unscaled(found.baseline.mean) if found.baseline.n else None,
        "candidate_calls": found.candidate.n,
        "baseline_calls": found.baseline.n,
        "better_by": [round(each * size, 6) for each in (found.low, found.difference, found.high)],
        "e_value": round(found.evidence, 4),
        "missing": judged.missing,
        "outcome": str(judged.outcome),
    }
    return told, judged


def _judgement(release: Release, stage: Stage, mine: Observed, other: Observed) -> Judgement:
    if stage.memory_mb and mine.memory_mb > stage.memory_mb:
        return Judgement(Outcome.FAILURE, 0.0, 0, 0, Reason(Code.MEMORY))
    if not stage.weight:
        return judge_shadow(mine.counts, other.counts, calls=release.policy.shadow_calls)
    return judge_bad_answers(mine.counts, other.counts, worse_by=stage.worse_by, share=stage.weight / FULL)


def _why_back(stage: Stage, judgement: Judgement, mine: Observed, other: Observed) -> Reason:
    about: dict[str, Any] = {"weight": stage.weight}
    servers, metric = stage.evidence.get("load") or {}, stage.evidence.get("metric") or {}
    rows = stage.evidence.get("effort") or {}
    if servers.get("outcome") == Outcome.FAILURE:
        return Reason(Code.BACK_LOAD, about | {"cores": servers["projected"], "most": stage.server_cpu})
    if judgement.reason.code is Code.MEMORY:
        used = {"memory_mb": mine.memory_mb, "most_mb": stage.memory_mb}
        return Reason(Code.BACK_MEMORY, about | used)
    if rows.get("outcome") == Outcome.FAILURE:
        return Reason(Code.BACK_EFFORT, about | {key: rows[key] for key in ("ratio", "most_times")})
    if metric.get("outcome") == Outcome.FAILURE:
        named = ("name", "candidate", "baseline")
        return Reason(Code.BACK_METRIC, about | {key: metric[key] for key in named})
    counted = {"bad": mine.bad, "calls": mine.calls, "bad_before": other.bad, "calls_before": other.calls}
    return Reason(Code.BACK_WORSE, about | counted)


def _told(
    release: Release, stage: Stage, judgement: Judgement, mine: Observed, other: Observed
) -> dict[str, Any]:
    assert release.deployment is not None
    return {
        "candidate": asdict(mine),
        "baseline": asdict(other),
        "e_value": round(judgement.evidence, 4),
        "needed": judgement.needed,
        "missing": judgement.missing,
        "hours_left": hours_left(judgement.missing, *pace(stage, release.deployment.pk)),
        "why": judgement.reason.stored(),
        "worse_by": stage.worse_by,
    }
