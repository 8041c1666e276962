"""The store's words in templates: limits, approvals, a glyph for each capability."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils import formats
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.store.limits import Limits, parse_limits
from apps.store.models import Plan, Subscription
from apps.store.selectors import agreed
from apps.store.standing import DATA_TYPES

register = template.Library()


def _n(value: float) -> str:
    return str(formats.number_format(value, None if value % 1 else 0, use_l10n=True, force_grouping=True))


@register.filter
def approvals(subscription: Subscription) -> tuple[int, int]:
    """Of how many approvals that a waiting subscription needs how many are given: (given, needed)."""
    return agreed(subscription)


@register.filter
def limit_words(plan: Plan | Limits | dict[str, Any]) -> list[str]:
    """The limits of a plan, one sentence each."""
    limits = (
        plan.allowed if isinstance(plan, Plan) else plan if isinstance(plan, Limits) else parse_limits(plan)
    )
    words = []
    if limits.per_day is not None:
        words.append(_("%(n)s calls a day") % {"n": _n(limits.per_day)})
    if limits.per_month is not None:
        words.append(_("%(n)s calls a month") % {"n": _n(limits.per_month)})
    if limits.rate_per_s is not None:
        words.append(_("%(n)s calls a second") % {"n": _n(limits.rate_per_s)})
    if limits.burst is not None:
        words.append(_("bursts of %(n)s calls") % {"n": _n(limits.burst)})
    if limits.concurrent is not None:
        words.append(
            ngettext("%(n)s call at a time", "%(n)s calls at a time", limits.concurrent)
            % {"n": _n(limits.concurrent)}
        )
    if isinstance(plan, Plan) and plan.reuse:
        words.append(_("may run at your own site"))
    if isinstance(plan, Plan) and plan.device:
        words.append(_("may be taken to a device"))
    return words


@register.filter
def data_type_words(names: list[str]) -> str:
    """What a capability reads: `Image, Text`."""
    return ", ".join(str(DATA_TYPES[name]) for name in names if name in DATA_TYPES)


@register.filter
def approval_words(plan: Plan) -> str:
    """Who decides on a subscription to a plan."""
    return {
        Plan.Approval.AUTO: _("at once"),
        Plan.Approval.ONE: _("one person approves"),
        Plan.Approval.FOUR_EYES: _("two people approve"),
    }[Plan.Approval(plan.approval)]


@register.simple_tag
def stars(rating: float) -> SafeString:
    """A rating as five stars, read aloud as a number: `{% stars review.rating %}`."""
    words = _("%(n)s of 5 stars") % {"n": formats.number_format(rating, 0 if rating % 1 == 0 else 1)}
    return format_html(
        '<span class="stars" role="img" aria-label="{}" title="{}"><i style="--share: {}%">★★★★★</i></span>',
        words,
        words,
        round(rating * 20),
    )
