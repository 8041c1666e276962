"""What a result means in words, and what to do next with it: while an experiment runs, and after its end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from apps.experiments.analysis import is_uneven
from apps.experiments.effects import FEWEST_UNITS, Verdict
from apps.experiments.models import Experiment
from apps.experiments.shown import unit_of
from apps.releases.evidence import LATE
from apps.releases.models import Release

if TYPE_CHECKING:
    from apps.experiments.models import Arm

OVER = (
    Release.Status.REJECTED, Release.Status.VOIDED, Release.Status.ROLLED_BACK, Release.Status.SUPERSEDED,
)  # fmt: skip


@dataclass(frozen=True)
class Conclusion:
    """`title` says how it is, `text` what follows; `url` with its label `action` leads to where that is done."""

    tone: str
    title: str
    text: str
    action: str = ""
    url: str = ""

    @property
    def icon(self) -> str:
        return {"good": "circle-check", "bad": "alert-circle", "wait": "alert-triangle"}.get(
            self.tone, "info-circle"
        )


def conclusion_of(experiment: Experiment) -> Conclusion | None:
    """What the result says; None while there is nothing to say, or where the result cannot be believed."""
    evidence = experiment.evidence
    arms = evidence.get("arms", [])
    if not any(arm["calls"] for arm in arms) or is_uneven(evidence):
        return None
    fewest = min(arm["units"] for arm in arms)
    if fewest < FEWEST_UNITS:
        return _too_few(experiment, fewest)
    found = {Verdict(arm["effect"]["verdict"]) for arm in arms if arm["effect"]}
    if not found:
        return _not_measured(experiment)
    if Verdict.BETTER in found:
        return _better(experiment)
    if found == {Verdict.ALIKE}:
        return _alike(experiment)
    if found == {Verdict.WORSE}:
        return _worse(experiment)
    return _undecided(experiment) if experiment.status == Experiment.Status.ENDED else None


def _too_few(experiment: Experiment, fewest: int) -> Conclusion:
    words = _(
        "An arm has %(units)d of the %(needed)d callers that it needs before anything can be said. All calls of a key "
        "are one caller, unless the system that calls names its end users in the header Atrium-Caller."
    )
    text = words % {"units": fewest, "needed": FEWEST_UNITS}
    if experiment.status == Experiment.Status.ENDED:
        return Conclusion("wait", _("It ended with too few callers."), text, *_again(experiment))
    return Conclusion("busy", _("Too few callers so far."), text)


def _not_measured(experiment: Experiment) -> Conclusion:
    if experiment.measure == Experiment.Measure.BUSINESS:
        minutes = (experiment.metric or {}).get("wait_minutes", 0) + math.ceil(LATE.total_seconds() / 60)
        words = _(
            "A call's metric is asked once, %(minutes)d minutes after the call, when feedback had its time."
        )
        return Conclusion("busy", _("Nothing measured so far."), words % {"minutes": minutes})
    return Conclusion(
        "busy",
        _("Nothing measured so far."),
        _("No feedback says yet whether the calls of an arm were answered right."),
    )


def _better(experiment: Experiment) -> Conclusion:
    told = [
        arm for arm in experiment.evidence["arms"] if (arm["effect"] or {}).get("verdict") == Verdict.BETTER
    ]
    best = max(told, key=lambda arm: abs(arm["effect"]["difference"]))
    arm = next(each for each in experiment.arms.all() if each.pk == best["arm"])
    title = _("“%(arm)s” is better: %(effect)s.") % {"arm": arm.name, "effect": _in_words(experiment, best)}
    if experiment.status != Experiment.Status.ENDED:
        return Conclusion(
            "good",
            title,
            _(
                "The interval holds at all looks, so it may be ended now, or left until the plan is fulfilled."
            ),
        )
    if arm.version is None:
        words = _(
            "Nothing gives %(values)s to calls any more. Make it what counts otherwise in the model's code, and "
            "release that version; callers may also give it themselves."
        )
        values = ", ".join(f"{name} = {value}" for name, value in arm.parameters.items())
        return Conclusion(
            "good", title, words % {"values": values}, _("To the capability"),
            reverse("catalog:detail", args=[experiment.capability.slug]),
        )  # fmt: skip
    return Conclusion("good", title, *_going_on(experiment, arm))


def _going_on(experiment: Experiment, arm: Arm) -> tuple[str, str, str]:
    """How the winner comes to answer everybody, and where that is done."""
    assert arm.version is not None
    number = arm.version.number
    release = Release.objects.filter(version=arm.version).exclude(status__in=OVER).order_by("-pk").first()
    if release is None:
        text = _("Open a release of %(number)s to let it answer everybody.") % {"number": number}
        url = reverse("catalog:version", args=[experiment.capability.slug, number])
        return text, _("To version %(number)s") % {"number": number}, url
    url = reverse("releases:detail", args=[release.pk])
    if release.status == Release.Status.RELEASED:
        return _("%(number)s answers everybody meanwhile.") % {"number": number}, _("To its release"), url
    text = _(
        "All callers follow production again. The release of %(number)s lets it answer everybody, in stages."
    )
    return text % {"number": number}, _("To its release"), url


def _alike(experiment: Experiment) -> Conclusion:
    title = _("No difference worth knowing.")
    if experiment.status != Experiment.Status.ENDED:
        return Conclusion("good", title, _("The interval holds at all looks, so it may be ended now."))
    words = _(
        "Whatever the difference is, it is smaller than what the plan calls worth knowing. Take what is simpler to run."
    )
    return Conclusion("busy", title, words)


def _worse(experiment: Experiment) -> Conclusion:
    told = [arm for arm in experiment.evidence["arms"] if arm["effect"]]
    worst = max(told, key=lambda arm: abs(arm["effect"]["difference"]))
    title = _("“%(arm)s” is worse: %(effect)s.") % {
        "arm": worst["name"],
        "effect": _in_words(experiment, worst),
    }
    if experiment.status != Experiment.Status.ENDED:
        return Conclusion(
            "bad",
            title,
            _("The interval holds at all looks: end it, so that its callers follow production again."),
        )
    return Conclusion("bad", title, _("Keep what answers now. The hypothesis did not hold."))


def _undecided(experiment: Experiment) -> Conclusion:
    missing = experiment.evidence.get("missing")
    text = _("The interval holds both no difference and one that is worth knowing.")
    if missing:
        text += " " + _("By the plan %(calls)s calls were missing.") % {
            "calls": number_format(missing, force_grouping=True)
        }
    return Conclusion("wait", _("It ended undecided."), text, *_again(experiment))


def _again(experiment: Experiment) -> tuple[str, str]:
    url = reverse("experiments:new", args=[experiment.capability.slug])
    return _("Plan it again"), f"{url}?like={experiment.pk}"


def _in_words(experiment: Experiment, told: dict[str, Any]) -> str:
    """A difference with its interval, as the page shows it."""
    unit, effect = unit_of(experiment), told["effect"]
    difference, low, high = (
        number_format(round(unit.difference(effect[name]), unit.digits), unit.digits, force_grouping=True)
        for name in ("difference", "low", "high")
    )
    sign = "+" if effect["difference"] > 0 else ""
    told_as = f"{sign}{difference} {unit.of_difference}".rstrip()
    return _("%(measure)s %(difference)s (between %(low)s and %(high)s)") % {
        "measure": unit.name, "difference": told_as, "low": low, "high": high,
    }  # fmt: skip
