"""Good → publish, poor → retrain: a capability's rule decides, and what it decides is recorded with its figures.

Poor is production whose whole interval lies below what the rule asks for; one that spans it decides nothing. Good is a
retrained version whose report opens a release and whose whole interval of the difference to production is on the good
side. Its release is opened as a person would open it: who signs, and through which stages it goes, stays as it is.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import OperationalError, transaction
from django.db.models import Max, Q
from django.urls import reverse
from django.utils import timezone

from apps.annotation import retraining
from apps.annotation.estimate import Estimate, weighted_share
from apps.annotation.labelled import export_labels
from apps.annotation.models import Project, Retraining, RetrainingDecision, RetrainingRule, Task
from apps.annotation.policy import may_write_retraining_rule
from apps.annotation.selectors import labelled_draws
from apps.catalog.models import Version
from apps.core import audit
from apps.core.errors import Conflict, Invalid, PortalError
from apps.core.policy import require
from apps.core.telling import Said, joined, kept, spoken
from apps.core.telling import say as _
from apps.datasets.models import DatasetVersion
from apps.evaluation.gates import HIGHER_IS_BETTER, METRICS
from apps.evaluation.policy import decides
from apps.evaluation.selectors import deciding_report, production_of
from apps.releases.models import Release
from apps.releases.order import OPEN
from apps.releases.signing import open_release
from apps.requests.services import notify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apps.accounts.models import User
    from apps.catalog.models import Capability
    from apps.evaluation.models import Report

log = logging.getLogger(__name__)
What, Code = RetrainingDecision.What, RetrainingDecision.Code
TRY_AGAIN = timedelta(hours=1)
_MOST_LABELS = 20_000
_PAGE = 100
_OF_RESULTS = (Code.BETTER, Code.NOT_PASSED, Code.NOT_BETTER, Code.NOT_OPENED)
_TOLD = (Code.POOR, Code.BETTER, Code.REFUSED, Code.NOT_OPENED)


@transaction.atomic
def write_rule(
    capability: Capability,
    *,
    by: User,
    project: int,
    least_quality: float = 0.9,
    days: int = 14,
    least_labels: int = 50,
    cool_down_h: int = 24,
    opens_release: bool = True,
    active: bool = True,
) -> RetrainingRule:
    """Say when a capability is trained anew, in place of what was said before. `project` is the number of the
    annotation project that measures it. Raises NotAllowed, Invalid."""
    require(may_write_retraining_rule(by, capability))
    if not Project.objects.filter(pk=project, capability=capability).exists():
        raise Invalid(
            _("The capability has no annotation project %(pk)d.") % {"pk": project},
            fields={"project": _("is none of the capability's")},
        )
    if not 0 < least_quality < 1:
        raise Invalid(
            _("The accuracy must lie between 0 and 1."), fields={"least_quality": _("out of range")}
        )
    for name, value, most in (
        ("days", days, 365), ("least_labels", least_labels, 1_000_000), ("cool_down_h", cool_down_h, 8760),
    ):  # fmt: skip
        if not 1 <= value <= most:
            raise Invalid(
                _("%(name)s must lie between 1 and %(most)d.") % {"name": name, "most": most},
                fields={name: _("out of range")},
            )
    said = {
        "project_id": project, "least_quality": least_quality, "days": days, "least_labels": least_labels,
        "cool_down_h": cool_down_h, "opens_release": opens_release, "active": active,
    }  # fmt: skip
    own = {"written_by": by, "written_at": timezone.now(), "tried_at": None}
    rule, _new = RetrainingRule.objects.update_or_create(capability=capability, defaults=said | own)
    audit.record("annotation.retraining_rule.written", rule, by=by, **said)
    return rule


def decide_all() -> None:
    """Let every active rule decide; one that breaks stops no other. Harmless at any time, also twice at once."""
    last = 0
    while True:
        rules = list(RetrainingRule.objects.filter(active=True, pk__gt=last).order_by("pk")[:_PAGE])
        for rule in rules:
            try:
                decide(rule)
            except OperationalError:
                raise  # the database is away: for all of them
            except Exception:  # whatever a rule meets is its own affair
                log.exception("retraining rule %d broke", rule.pk)
        if len(rules) < _PAGE:
            return
        last = rules[-1].pk


def decide(rule: RetrainingRule) -> RetrainingDecision | None:
    """Look at the figures and do what they ask for. The decision, if it is none that was recorded before.

    One transaction: who is killed in it leaves nothing behind, and the next look begins anew. None, too, while the
    rule rests or somebody else looks.
    """
    with transaction.atomic():
        rows = RetrainingRule.objects.select_for_update(skip_locked=True, of=("self",)).select_related(
            "capability__team", "project__capability", "project__dataset", "project__team", "written_by"
        )
        locked = rows.filter(pk=rule.pk, active=True).first()
        if locked is None:
            return None
        released = _judge_result(locked) if locked.opens_release else None
        return released or _judge_production(locked)


@dataclass(frozen=True)
class Quality:
    """How right the version in production was in the rule's days; `version` and `accuracy` are None where unknown."""

    version: Version | None
    accuracy: Estimate | None

    @property
    def figures(self) -> dict[str, Any]:
        """As a decision keeps them."""
        found, version = self.accuracy, self.version
        told: dict[str, Any] = {"version": version.number if version else ""}
        if found is not None:
            told |= {"accuracy": found.value, "low": found.low, "high": found.high, "n": found.n}
        return told


def quality_of(rule: RetrainingRule) -> Quality:
    """From the accepted labels of the project's random controls, as `live` has it, of the present version alone."""
    running = production_of(rule.capability)
    if running is None:
        return Quality(None, None)
    since = timezone.now() - timedelta(days=rule.days)
    rows = labelled_draws(rule.project).filter(version=running.version.number, called_at__gte=since)
    names = ("predicted", "task__label", "probability")
    found = [
        (predicted == label, chance)
        for predicted, label, chance in rows.order_by("-pk").values_list(*names)[:_MOST_LABELS]
    ]
    if not found:
        return Quality(running.version, None)
    return Quality(running.version, weighted_share(*zip(*found, strict=True)))


def new_labels(rule: RetrainingRule) -> int:
    """How many accepted labels no training has seen: in no data set version, or in one newer than the last used."""
    newer = Q(dataset_version__dataset=rule.project.dataset_id, dataset_version__number__gt=_trained_on(rule))
    accepted = Task.objects.filter(project=rule.project_id, status=Task.Status.ACCEPTED)
    return accepted.filter(Q(dataset_version=None) | newer).count()


def _trained_on(rule: RetrainingRule) -> int:
    """The newest version of the project's data set that a training used; 0 when none did."""
    dataset = rule.project.dataset_id
    rows = Retraining.objects.filter(capability=rule.capability_id, dataset_version__dataset=dataset)
    again = rows.exclude(status=Retraining.Status.FAILED).aggregate(last=Max("dataset_version__number"))
    running = production_of(rule.capability)
    key = running.version.dataset_version_urn.rpartition(":")[2] if running else ""
    used = DatasetVersion.objects.filter(pk=int(key) if key.isdecimal() else 0, dataset=dataset).first()
    return max(again["last"] or 0, used.number if used else 0)


@dataclass(frozen=True)
class _Outcome:
    """What a look came to, before it is known whether it is to be recorded."""

    what: str
    code: str
    reason: Said
    figures: Mapping[str, Any] = field(default_factory=dict)
    made: Retraining | None = None
    release: Release | None = None


def _judge_production(rule: RetrainingRule) -> RetrainingDecision | None:
    found = quality_of(rule)
    figures = found.figures | {"least_quality": rule.least_quality, "days": rule.days}
    if found.version is None:
        why = _("No version answers production calls.")
        return _record(rule, _Outcome(What.NOTHING, Code.UNKNOWN, why, figures))
    if found.accuracy is None:
        why = _(
            "No call of version %(version)s that a random control drew in the last %(days)d days is labelled yet."
        ) % {"version": found.version.number, "days": rule.days}
        return _record(rule, _Outcome(What.NOTHING, Code.UNKNOWN, why, figures))
    measured = _measured(rule, found.version, found.accuracy)
    if found.accuracy.low >= rule.least_quality:
        why = joined(measured, _("Quality holds."))
        return _record(rule, _Outcome(What.NOTHING, Code.HOLDS, why, figures))
    if found.accuracy.high >= rule.least_quality:
        why = joined(measured, _("More labels have to decide which side it is on."))
        return _record(rule, _Outcome(What.NOTHING, Code.UNDECIDED, why, figures))
    return _of_poor(rule, measured, figures)


def _measured(rule: RetrainingRule, version: Version, found: Estimate) -> Said:
    share = {name: round(100 * getattr(found, name), 1) for name in ("value", "low", "high")}
    return _(
        "Version %(version)s answered %(value)s %% of the calls rightly (%(low)s to %(high)s %%; %(n)d labels of"
        " %(days)d days); %(least)s %% are asked for."
    ) % {
        **share, "version": version.number, "n": found.n, "days": rule.days,
        "least": round(100 * rule.least_quality, 1),
    }  # fmt: skip


def _of_poor(rule: RetrainingRule, measured: Said, figures: dict[str, Any]) -> RetrainingDecision | None:
    """Production is poor: retrain, unless that is under way, was done a short time ago, or would teach nothing new."""
    retraining.one_at_a_time(rule.capability)
    on_its_way = _under_way(rule)
    if on_its_way is not None:
        return _record(rule, _Outcome(What.NOTHING, Code.UNDER_WAY, joined(measured, on_its_way), figures))
    until = _cools_until(rule)
    if until is not None:
        told = _("The next retraining begins at %(until)s UTC at the earliest.") % {
            "until": f"{until:%Y-%m-%d %H:%M}"
        }
        figures |= {"until": until.isoformat()}
        return _record(rule, _Outcome(What.NOTHING, Code.COOLING, joined(measured, told), figures))
    labels = new_labels(rule)
    figures |= {"new_labels": labels, "least_labels": rule.least_labels}
    told = _("%(n)d labels are new; %(least)d are asked for.") % {"n": labels, "least": rule.least_labels}
    measured = joined(measured, told)
    if labels < rule.least_labels:
        return _record(rule, _Outcome(What.NOTHING, Code.FEW_LABELS, measured, figures))
    if rule.tried_at is not None and timezone.now() < rule.tried_at + TRY_AGAIN:
        return None
    return _record(rule, _retrain(rule, measured, figures))


def _under_way(rule: RetrainingRule) -> Said | None:
    rows = Retraining.objects.filter(capability=rule.capability_id, status__in=retraining.UNDER_WAY)
    begun = rows.select_related("dataset_version__dataset").order_by("-pk").first()
    if begun is not None:
        return _("The retraining on %(data)s is under way.") % {"data": begun.dataset_version}
    opened = Release.objects.filter(capability=rule.capability_id, status__in=OPEN).order_by("-pk")
    release = opened.select_related("version").first()
    if release is not None:
        return _("The release of version %(version)s is under way.") % {"version": release.version.number}
    return None


def _cools_until(rule: RetrainingRule) -> datetime | None:
    """When the next retraining may begin; None when it may now. Those that failed or were begun by hand count, too."""
    last = Retraining.objects.filter(capability=rule.capability_id).order_by("-pk").first()
    until = last.started_at + timedelta(hours=rule.cool_down_h) if last else None
    return until if until is not None and until > timezone.now() else None


def _retrain(rule: RetrainingRule, measured: Said, figures: dict[str, Any]) -> _Outcome:
    RetrainingRule.objects.filter(pk=rule.pk).update(tried_at=timezone.now())
    by = rule.written_by
    if not (by.is_active and may_write_retraining_rule(by, rule.capability)):
        told = _(
            "Its author %(name)s may not retrain any more; a developer of the team has to save the rule anew."
        )
        return _refused(measured, told % {"name": by.called}, figures)
    try:
        with transaction.atomic():
            made = retraining.retrain(rule.capability, _newest_labels(rule), by=by)
    except PortalError as error:
        return _refused(measured, _("Retraining was refused: %(why)s") % {"why": error.message}, figures)
    told = _("So it is trained anew on %(data)s.") % {"data": made.dataset_version}
    return _Outcome(What.RETRAIN, Code.POOR, joined(measured, told), figures, made)


def _refused(measured: Said, why: Said, figures: dict[str, Any]) -> _Outcome:
    """The figures move on from one try to the next; `refused` says whether it was for the same reason."""
    told = figures | {"refused": kept(why)[0]}
    return _Outcome(What.NOTHING, Code.REFUSED, joined(measured, why), told)


def _newest_labels(rule: RetrainingRule) -> DatasetVersion:
    """The data set with every accepted label in it: a new version where some are in none yet."""
    project = rule.project
    waiting = Task.objects.filter(project=project, status=Task.Status.ACCEPTED, dataset_version=None)
    if waiting.exists():
        return export_labels(project, by=rule.written_by)
    newest = project.dataset.versions.order_by("-number").first()
    if newest is None:
        raise Conflict(_("The data set has no version yet."))
    return newest


def _judge_result(rule: RetrainingRule) -> RetrainingDecision | None:
    """Open the release of the newest retrained version where it is good; the decision only then.

    A version whose release was opened before, however that ended, is left to people.
    """
    rows = Retraining.objects.filter(
        capability=rule.capability_id, status=Retraining.Status.DONE, version__status=Version.Status.PACKAGED
    )
    made = rows.select_related("version__capability__team").order_by("-pk").first()
    if made is None or made.version is None:
        return None
    running = production_of(rule.capability)
    if running is not None and running.version_id == made.version_id:
        return None
    if Release.objects.filter(version=made.version).exists():
        return None
    outcome = _of_result(rule, made, made.version)
    recorded = _record(rule, outcome)
    return recorded if outcome.what == What.RELEASE else None


def _of_result(rule: RetrainingRule, made: Retraining, version: Version) -> _Outcome:
    report = deciding_report(version)
    figures = {"version": version.number, "report": report.pk if report else None}
    lacking = _not_passed(report, version)
    if report is None or lacking is not None:
        told = _("The retrained version %(version)s is not released: %(why)s") % {
            "version": version.number, "why": lacking,
        }  # fmt: skip
        return _Outcome(What.NOTHING, Code.NOT_PASSED, told, figures, made)
    better, compared = _compared(version, report)
    figures |= {"metric": report.headline.get("main"), "difference": report.headline.get("difference")}
    if not better:
        return _Outcome(What.NOTHING, Code.NOT_BETTER, compared, figures, made)
    try:
        with transaction.atomic():
            release = open_release(version, by=rule.written_by, report=report)
    except PortalError as error:
        told = _("Opening its release was refused: %(why)s") % {"why": error.message}
        return _Outcome(What.NOTHING, Code.NOT_OPENED, joined(compared, told), figures, made)
    told = _("Its report passes, so its release waits for signatures.")
    return _Outcome(What.RELEASE, Code.BETTER, joined(compared, told), figures, made, release)


def _not_passed(report: Report | None, version: Version) -> Said | None:
    """Why no release can be opened on a report; None when one can."""
    if report is None:
        return _("there is no report about it by the capability's newest suite.")
    if report.verdict == "failed":
        return _("it fails a gate of its suite.")
    if report.verdict != "passed":
        return _("a gate of its suite is undecided.")
    if not decides(report, version):
        return _(
            "its report opens no release: it compares with what is not in production any more, or its release policy"
            " asks for more than its suite does."
        )
    return None


def _compared(version: Version, report: Report) -> tuple[bool, Said]:
    """Whether a version is better than production by the report's main figure, and the sentence that says so."""
    metric, found = report.headline.get("main"), report.headline.get("difference") or {}
    low, high = found.get("low"), found.get("high")
    if metric not in METRICS or low is None or high is None:
        return False, _("The retrained version %(version)s was not compared with production.") % {
            "version": version.number
        }
    told = {"version": version.number, "metric": metric, "low": f"{low:+.3g}", "high": f"{high:+.3g}"}
    if (low if metric in HIGHER_IS_BETTER else -high) > 0:
        return True, _(
            "The retrained version %(version)s is better than production: %(metric)s differs by %(low)s to %(high)s."
        ) % told
    return False, _(
        "The retrained version %(version)s is not surely better than production: %(metric)s differs by %(low)s to"
        " %(high)s."
    ) % told


def _record(rule: RetrainingRule, outcome: _Outcome) -> RetrainingDecision | None:
    """Keep what a look came to; None where the last one of its kind came to the same."""
    reason, told = kept(outcome.reason)
    of_result = outcome.code in _OF_RESULTS
    rows = RetrainingDecision.objects.filter(rule=rule).order_by("-pk")
    last = (rows.filter(code__in=_OF_RESULTS) if of_result else rows.exclude(code__in=_OF_RESULTS)).first()
    if outcome.what == What.NOTHING and last is not None and last.code == outcome.code:
        same = last.figures.get("refused") == outcome.figures.get("refused")
        if last.reason == reason if of_result else same:
            return None
    decision = RetrainingDecision.objects.create(
        rule=rule, what=outcome.what, code=outcome.code, reason=reason, told=told, figures=dict(outcome.figures),
        retraining=outcome.made, release=outcome.release,
    )  # fmt: skip
    audit.record(
        "annotation.retraining.decided", rule, by=None, decision=decision.pk, what=outcome.what,
        code=outcome.code, reason=reason, **outcome.figures,
    )  # fmt: skip
    if outcome.code in _TOLD:
        _tell(rule, decision, outcome.reason)
    return decision


def _tell(rule: RetrainingRule, decision: RetrainingDecision, reason: Said) -> None:
    """Whoever wrote the rule hears of what it did, or could not do, in their name."""

    def title() -> str:
        nothing = decision.what == What.NOTHING
        what = decision.get_code_display() if nothing else decision.get_what_display()
        told = {"capability": rule.capability, "what": str(what).lower()}
        return _("Retraining rule of %(capability)s: %(what)s") % told

    notify(
        [rule.written_by],
        title,
        url=reverse("annotation:retraining-rule", args=[rule.capability.slug]),
        body=lambda: spoken(reason.told),
    )
