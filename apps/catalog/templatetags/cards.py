"""`{% load cards %}`: Markdown cards in templates."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from apps.catalog import cards

register = template.Library()


@register.filter
def card(text: str) -> SafeString:
    """A Markdown card as safe HTML: `{{ capability.card|card }}`."""
    return cards.render(text)


@register.filter
def small(value: float | None) -> str:
    """A difference in three significant digits: `{{ output.difference|small }}` gives `1.2e-07`; a dash for None."""
    return f"{value:.3g}" if isinstance(value, int | float) else "–"
