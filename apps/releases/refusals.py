"""Does the candidate refuse what was answered before? Judged on callers of whom that is known.

A call that a model refuses (400: wrong shape, a value it does not take) says something of its caller or of the version.
Callers are sticky, so one who sends nonsense all day would speak against whichever side answers them. So only keys
count of whose calls, in the week before the stage, hardly any was refused: at most half of the rise that the stage asks
about. Keys like that differ by less than this rise, however they are divided; a candidate that refuses more than that
fails, if the evidence (`judgement`) says so too. Which keys these are is fixed before the stage begins.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.core.cache import caches
from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce

from apps.gateway.models import Usage
from apps.releases.judgement import ALPHA, Counts, Judgement, Outcome, evidence_against
from apps.releases.reasons import Code, Reason

if TYPE_CHECKING:
    from apps.releases.models import Stage

BACK = timedelta(days=7)
ANSWERED, REFUSED = "", "input"
"""How the rollups of calls name an answer, and what the model itself refused."""
KEPT_S = 600


def usual_keys(stage: Stage, candidate: int | None) -> list[int]:
    """The keys whose calls were answered by other deployments before the stage, and hardly ever refused.

    Rollups are of whole hours: what was refused in the hour in which the stage begins is left out on both sides.
    """
    assert stage.started_at is not None
    remembered, name = caches["process"], f"releases-usual-keys-{stage.pk}-{stage.started_at.timestamp()}"
    found: list[int] | None = remembered.get(name)
    if found is None:
        found = _usual_keys(stage, candidate)
        remembered.set(name, found, KEPT_S)
    return found


def _usual_keys(stage: Stage, candidate: int | None) -> list[int]:
    assert stage.started_at is not None
    hour = stage.started_at.replace(minute=0, second=0, microsecond=0)
    before = Usage.objects.filter(
        capability_id=stage.release.capability_id, hour__gt=hour - BACK, hour__lte=hour, grant_id__gt=0
    ).exclude(deployment_id=candidate or 0)
    per_key = before.values("grant_id").annotate(
        answered=Coalesce(Sum("count", filter=Q(outcome=ANSWERED)), 0),
        refused=Coalesce(Sum("count", filter=Q(outcome=REFUSED, hour__lt=hour)), 0),
    )
    most = stage.worse_by / 2
    usual = per_key.filter(answered__gt=0, refused__lte=most * (F("answered") + F("refused")))
    return list(usual.values_list("grant_id", flat=True))


def judge(candidate: Counts, baseline: Counts, rise: float) -> Judgement:
    """Whether the candidate refuses more by `rise`, a probability; `bad` are the refused calls. It never waits."""
    evidence = evidence_against(candidate, baseline)
    more = _share(candidate) - _share(baseline)
    if evidence >= 1 / ALPHA and more >= rise:
        return Judgement(Outcome.FAILURE, evidence, 0, 0, Reason(Code.REFUSES))
    return Judgement(Outcome.SUCCESS, evidence, 0, 0, Reason(Code.REFUSALS_FEW))


def _share(counts: Counts) -> float:
    return counts.bad / counts.calls if counts.calls else 0.0
