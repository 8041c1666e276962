"""What changes for a subscriber when one plan takes the place of another: whether it is less, and who has to agree."""

from __future__ import annotations

from datetime import date, timedelta
from math import inf, isinf
from typing import TYPE_CHECKING, NamedTuple

from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

if TYPE_CHECKING:
    from apps.store.models import Plan

NOTICE_DAYS = 14
"""How many days ahead a day is named on which subscribers are moved."""

_TITLES = {
    "per_day": gettext_lazy("Calls per day"),
    "per_month": gettext_lazy("Calls per month"),
    "rate_per_s": gettext_lazy("Calls per second"),
    "burst": gettext_lazy("At most at once after a pause"),
    "concurrent": gettext_lazy("Calls at the same time"),
    "valid_days": gettext_lazy("Days until it has to be renewed"),
    "reuse": gettext_lazy("May run at the subscriber's site"),
    "device": gettext_lazy("May run on a device"),
}
_RIGHTS = ("reuse", "device")
_APPROVALS = ("auto", "one", "four_eyes")


def today() -> date:
    """The portal's day, whatever the reader's time zone: the worker that moves subscribers goes by it."""
    return timezone.localdate(timezone=timezone.get_default_timezone())


def earliest_day() -> date:
    """The first day on which subscribers may be moved to less, when it is named today."""
    return today() + timedelta(days=NOTICE_DAYS)


class Difference(NamedTuple):
    """One thing that two plans say differently; `less` where the later one gives less of it."""

    title: str
    before: str
    after: str
    less: bool


def _terms(plan: Plan) -> dict[str, float]:
    """What a subscriber has under a plan: more is better."""
    days = inf if plan.valid_days is None else plan.valid_days
    return {**plan.allowed.room, "valid_days": days, "reuse": plan.reuse, "device": plan.device}


def differences(before: Plan, after: Plan) -> list[Difference]:
    """What changes from one plan to the other, in the reader's language."""
    old, new = _terms(before), _terms(after)
    return [
        Difference(str(title), _shown(name, old[name]), _shown(name, new[name]), new[name] < old[name])
        for name, title in _TITLES.items()
        if new[name] != old[name]
    ]


def is_stricter(before: Plan, after: Plan) -> bool:
    """Whether the later plan gives less of anything."""
    old, new = _terms(before), _terms(after)
    return any(new[name] < old[name] for name in old)


def asks_more(before: Plan, after: Plan) -> bool:
    """Whether somebody has to agree before a subscriber of one plan gets the other.

    Those who granted the one have agreed to whatever gives no more than it and asks no more people.
    """
    if after.approval == _APPROVALS[0]:
        return False
    old, new = _terms(before), _terms(after)
    more = any(new[name] > old[name] for name in old)
    return more or _APPROVALS.index(after.approval) > _APPROVALS.index(before.approval)


def in_words(before: Plan, after: Plan) -> str:
    """What changes as one line: `Calls per day: 1,000 → 500; …`; where nothing does, that."""
    found = [f"{each.title}: {each.before} → {each.after}" for each in differences(before, after)]
    return "; ".join(found) or _("The limits stay the same.")


def _shown(name: str, value: float) -> str:
    if name in _RIGHTS:
        return _("yes") if value else _("no")
    if isinf(value):
        return _("no limit")
    return str(formats.number_format(value, None if value % 1 else 0, use_l10n=True, force_grouping=True))
