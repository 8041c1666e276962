"""Why a stage or a release stands where it does: a code with its numbers is stored, a sentence is shown.

`words(Reason(Code.NO_RISE, {"worse_by": 0.05}).stored())` is "no rise of 5.0 % was found" to an English reader. A new
code needs a sentence below; each parameter has one form, whatever the sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.utils import formats
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from apps.core.telling import spoken


class Code(StrEnum):
    """What is stored and told to programs; never renamed."""

    WORSE = "worse"
    CALLS_MISSING = "calls_missing"
    NO_RISE = "no_rise"
    MIRRORED_MISSING = "mirrored_missing"
    MIRRORED_FINE = "mirrored_fine"
    MEMORY = "memory"
    LOAD_UNKNOWN = "load_unknown"
    LOAD_HIGH = "load_high"
    LOAD_FINE = "load_fine"
    EFFORT_HIGH = "effort_high"
    EFFORT_MISSING = "effort_missing"
    EFFORT_FINE = "effort_fine"
    METRIC_WORSE = "metric_worse"
    METRIC_MISSING = "metric_missing"
    METRIC_FINE = "metric_fine"
    BACK_WORSE = "back_worse"
    BACK_MEMORY = "back_memory"
    BACK_LOAD = "back_load"
    BACK_EFFORT = "back_effort"
    BACK_METRIC = "back_metric"
    BACK_FAILED = "back_failed"
    BACK_CASES = "back_cases"
    BACK_RETIRED = "back_retired"
    BACK_BY_HAND = "back_by_hand"
    GATEWAY_AWAY = "gateway_away"
    GATEWAY_BEHIND = "gateway_behind"
    HELD = "held"
    PAUSED_UNDECIDED = "paused_undecided"
    PAUSED_AWAY = "paused_away"
    PAUSED_BEHIND = "paused_behind"
    PAUSED_HELD = "paused_held"
    CHANGED = "changed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


#: Why the portal itself paused a release.
BY_ITSELF = (Code.PAUSED_UNDECIDED, Code.PAUSED_AWAY, Code.PAUSED_BEHIND, Code.PAUSED_HELD)


@dataclass(frozen=True)
class Reason:
    """A code, and what its sentence names: numbers as they were computed, names as people wrote them."""

    code: Code
    about: Mapping[str, Any] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """As JSON: `{"code", "about"}`."""
        return {"code": str(self.code), "about": dict(self.about)}


_SENTENCES: dict[Code, Any] = {
    Code.WORSE: _("the candidate answers badly more often"),
    Code.CALLS_MISSING: ngettext_lazy(
        "%(missing)s more call of the candidate", "%(missing)s more calls of the candidate", "n"
    ),
    Code.NO_RISE: _("no rise of %(worse_by)s %% was found"),
    Code.MIRRORED_MISSING: ngettext_lazy(
        "%(missing)s more mirrored call", "%(missing)s more mirrored calls", "n"
    ),
    Code.MIRRORED_FINE: _("the mirrored calls were answered equally well"),
    Code.MEMORY: _("a replica uses more memory than the stage allows"),
    Code.LOAD_UNKNOWN: _("the load of the servers is being measured"),
    Code.LOAD_HIGH: _(
        "a server would keep %(cores)s cores busy with all the traffic, the stage allows %(most)s"
    ),
    Code.LOAD_FINE: _("a server would keep %(cores)s cores busy with all the traffic"),
    Code.EFFORT_HIGH: _(
        "a row costs %(ratio)s times the processor time, the stage allows %(most_times)s times"
    ),
    Code.EFFORT_MISSING: ngettext_lazy(
        "%(minutes)s more busy minute to compare the processor time of a row",
        "%(minutes)s more busy minutes to compare the processor time of a row",
        "n",
    ),
    Code.EFFORT_FINE: _("a row costs %(ratio)s times the processor time"),
    Code.METRIC_WORSE: _("“%(name)s” is worse"),
    Code.METRIC_MISSING: ngettext_lazy(
        "%(missing)s more call of the candidate with “%(name)s”",
        "%(missing)s more calls of the candidate with “%(name)s”",
        "n",
    ),
    Code.METRIC_FINE: _("“%(name)s” is not worse by %(worse_by)s %%"),
    Code.BACK_WORSE: _(
        "Stage of %(weight)s %%: the candidate answers badly more often (%(bad)s of %(calls)s against "
        "%(bad_before)s of %(calls_before)s)."
    ),
    Code.BACK_MEMORY: _(
        "Stage of %(weight)s %%: a replica uses %(memory_mb)s MB, the stage allows %(most_mb)s MB."
    ),
    Code.BACK_LOAD: _(
        "Stage of %(weight)s %%: with all the traffic a server would keep %(cores)s cores busy, the stage "
        "allows %(most)s."
    ),
    Code.BACK_EFFORT: _(
        "Stage of %(weight)s %%: a row costs %(ratio)s times the processor time of what runs beside it, the stage"
        " allows %(most_times)s times."
    ),
    Code.BACK_METRIC: _("Stage of %(weight)s %%: “%(name)s” is worse (%(candidate)s against %(baseline)s)."),
    Code.BACK_FAILED: _("The candidate failed: %(why)s"),
    Code.BACK_CASES: _("Shipped cases give other answers on the served endpoint: %(names)s"),
    Code.BACK_RETIRED: _("The version was taken out of use while it was in gray."),
    Code.BACK_BY_HAND: _("Rolled back by %(who)s."),
    Code.GATEWAY_AWAY: _(
        "The gateway does not answer the portal. Shares stay as the gateway knows them; the release goes on by "
        "itself once it answers."
    ),
    Code.GATEWAY_BEHIND: _("the gateway still answers by the shares from before this stage"),
    Code.HELD: _("It cannot go on and is tried again every few seconds: %(why)s"),
    Code.PAUSED_UNDECIDED: _(
        "Paused by itself: the stage of %(weight)s %% is undecided after %(days)s days. Shares stay as they are;"
        " resume it to wait as long again, or roll it back."
    ),
    Code.PAUSED_AWAY: _(
        "Paused by itself: the gateway has not answered the portal for %(minutes)s minutes. Shares stay as the gateway"
        " knows them; resume it once it answers."
    ),
    Code.PAUSED_BEHIND: _(
        "Paused by itself: for %(minutes)s minutes the gateway has answered by the shares from before this stage. See"
        " that it hears of changes, then resume it."
    ),
    Code.PAUSED_HELD: _("Paused by itself: it could not go on for %(minutes)s minutes. %(why)s"),
    Code.CHANGED: _("Its content was changed after it was opened: nothing that was signed holds any more."),
    Code.REJECTED: _("Rejected"),
    Code.WITHDRAWN: _("Withdrawn"),
    Code.EXPIRED: _("Expired"),
}
_OF_SHADOW: dict[Code, Any] = {
    Code.BACK_WORSE: _(
        "Shadow stage: the candidate answers badly, or refuses, more often (%(bad)s of %(calls)s mirrored calls "
        "against %(bad_before)s of %(calls_before)s)."
    ),
    Code.PAUSED_UNDECIDED: _(
        "Paused by itself: the shadow stage is undecided after %(days)s days. Shares stay as they are; resume it to"
        " wait as long again, or roll it back."
    ),
}
"""The same of a stage that mirrors calls, whose `weight` is 0."""


def _fixed(digits: int, times: int = 1) -> Callable[[float], str]:
    return lambda value: formats.number_format(round(value * times, digits), digits, force_grouping=True)


def _short(value: float) -> str:
    """Four digits that say something, no zeros after them."""
    return formats.number_format(Decimal(f"{value:.4g}"), force_grouping=True)


_FORMS: dict[str, Callable[[Any], str]] = {
    "missing": _fixed(0),
    "ratio": _fixed(2),
    "most_times": _short,
    "worse_by": _fixed(1, times=100),
    "cores": _fixed(2),
    "most": _short,
    "bad": _fixed(0),
    "calls": _fixed(0),
    "bad_before": _fixed(0),
    "calls_before": _fixed(0),
    "memory_mb": _fixed(0),
    "most_mb": _fixed(0),
    "candidate": _short,
    "baseline": _short,
    "names": ", ".join,
}


def fields(reason: Reason | str) -> dict[str, Any]:
    """The two fields of a release that keep it: what a person wrote stays as it is."""
    return (
        {"reason": reason, "why": {}} if isinstance(reason, str) else {"reason": "", "why": reason.stored()}
    )


def said(reason: Reason | str) -> str:
    """It in the active language."""
    return reason if isinstance(reason, str) else words(reason.stored())


def words(stored: Mapping[str, Any] | None, otherwise: str = "") -> str:
    """The sentence of a stored reason in the active language.

    `otherwise` where none was stored: rows of an earlier portal have their sentence ready-made. A code that is not
    known here is shown as it is.
    """
    if not stored:
        return otherwise
    about = stored.get("about", {})
    shown = {
        name: spoken(value) if isinstance(value, Mapping) else _FORMS.get(name, str)(value)
        for name, value in about.items()
    }
    sentences = _SENTENCES | _OF_SHADOW if about.get("weight") == 0 else _SENTENCES
    try:
        return str(
            sentences[Code(stored["code"])] % (shown | {"n": about.get("missing", about.get("minutes", 0))})
        )
    except (KeyError, ValueError):
        return otherwise or str(stored.get("code", ""))
