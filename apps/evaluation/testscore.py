"""The ML Test Score: 28 items in four sections; a version is as ready as its weakest section.

Source: Breck, Cai, Nielsen, Salib, Sculley, "The ML Test Score: A Rubric for ML Production Readiness" (2017). There
an item done by hand gives half a point and an automated one a whole point. Here what the platform proves from its own
evidence gives a whole point, what a person claims gives half. Evidence ages: it counts fully for 90 days and then less
each day, down to nothing after a year. Pure computation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.utils.translation import gettext_noop as _

FRESH = timedelta(days=90)
WORTHLESS = timedelta(days=365)
PROVEN, CLAIMED = 1.0, 0.5


class Section(StrEnum):
    """The four sections, each of seven items."""

    DATA = "data"
    MODEL = "model"
    INFRASTRUCTURE = "infrastructure"
    MONITORING = "monitoring"


ITEMS: dict[str, tuple[Section, str]] = {
    "data.schema": (Section.DATA, _("What features may look like is written down in a schema")),
    "data.beneficial": (Section.DATA, _("All features are of use")),
    "data.cost": (Section.DATA, _("No feature costs more than it brings")),
    "data.requirements": (Section.DATA, _("Features keep to the rules for their use")),
    "data.privacy": (Section.DATA, _("Sensitive data is protected on its whole way")),
    "data.new_features": (Section.DATA, _("New features can be added quickly")),
    "data.tested": (Section.DATA, _("The code that makes features is tested")),
    "model.reviewed": (Section.MODEL, _("Every version is reviewed and kept")),
    "model.proxy": (Section.MODEL, _("What is measured offline goes with what matters online")),
    "model.tuned": (Section.MODEL, _("Hyperparameters have been tuned")),
    "model.staleness": (Section.MODEL, _("The harm of an old model is known")),
    "model.baseline": (Section.MODEL, _("A simpler model is not better")),
    "model.slices": (Section.MODEL, _("Quality is sufficient on all important slices")),
    "model.inclusion": (Section.MODEL, _("Groups of people are served alike")),
    "infra.reproducible": (Section.INFRASTRUCTURE, _("Training can be repeated")),
    "infra.unit": (Section.INFRASTRUCTURE, _("The model's code has tests of its own")),
    "infra.integration": (Section.INFRASTRUCTURE, _("The whole way from data to answers is tested")),
    "infra.validated": (Section.INFRASTRUCTURE, _("Quality is checked before a model serves")),
    "infra.debuggable": (Section.INFRASTRUCTURE, _("A single answer can be followed step by step")),
    "infra.canary": (Section.INFRASTRUCTURE, _("A new model serves a small share first")),
    "infra.rollback": (Section.INFRASTRUCTURE, _("A model can be rolled back quickly")),
    "monitor.dependencies": (Section.MONITORING, _("Changes of what it depends on are told")),
    "monitor.invariants": (Section.MONITORING, _("Inputs keep to what training data looked like")),
    "monitor.skew": (Section.MONITORING, _("Training and serving compute the same features")),
    "monitor.stale": (Section.MONITORING, _("Models are not too old")),
    "monitor.stable": (Section.MONITORING, _("The model is numerically stable")),
    "monitor.performance": (Section.MONITORING, _("It has not become slower or larger")),
    "monitor.quality": (Section.MONITORING, _("Answers have not become worse in use")),
}
"""`{name: (section, words to be translated)}`."""


@dataclass(frozen=True)
class Proof:
    """What shows that an item holds: words, where to look, and since when it is known."""

    words: str
    at: datetime
    url: str = ""


@dataclass(frozen=True)
class Scored:
    """One item: `points` after ageing, `by` is "platform", the name of a person, or empty."""

    name: str
    section: Section
    title: str
    points: float
    by: str = ""
    proof: Proof | None = None


@dataclass(frozen=True)
class Score:
    """`total` is the smallest sum of a section, 0 to 7."""

    items: list[Scored]
    sections: dict[Section, float]

    @property
    def total(self) -> float:
        return min(self.sections.values())


def worth(at: datetime, now: datetime) -> float:
    """How much evidence of that age still counts, 1 to 0."""
    age = now - at
    if age <= FRESH:
        return 1.0
    return max(0.0, 1.0 - (age - FRESH) / (WORTHLESS - FRESH))


def score(
    proofs: Mapping[str, Iterable[Proof]], claims: Mapping[str, tuple[str, Proof]], now: datetime
) -> Score:
    """Score every item by its best evidence; a claim counts where no fresher proof is worth more."""
    items = [_item(name, list(proofs.get(name, [])), claims.get(name), now) for name in ITEMS]
    sections = {
        section: round(sum(item.points for item in items if item.section is section), 3)
        for section in Section
    }
    return Score(items, sections)


def _item(name: str, proofs: list[Proof], claim: tuple[str, Proof] | None, now: datetime) -> Scored:
    section, title = ITEMS[name]
    found = [(PROVEN * worth(proof.at, now), "platform", proof) for proof in proofs]
    if claim is not None:
        found.append((CLAIMED * worth(claim[1].at, now), claim[0], claim[1]))
    if not found:
        return Scored(name, section, title, 0.0)
    points, by, proof = max(found, key=lambda each: each[0])
    return Scored(name, section, title, round(points, 3), by, proof)
