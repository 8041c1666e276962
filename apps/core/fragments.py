"""Pieces of pages that look the same whenever their facts are the same: rendered once, then remembered.

The facts are the key, so nothing here ever goes stale; what shows a time, a token or a person does not belong here.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import get_language

_MOST_REMEMBERED = 2048


def render(template: str, **facts: Hashable) -> SafeString:
    """The template with these facts and nothing else (no request), in the present language."""
    look = _made if settings.DEBUG else _remembered
    return look(get_language() or "", template, tuple(facts.items()))


def _made(language: str, template: str, facts: tuple[tuple[str, Hashable], ...]) -> SafeString:
    return render_to_string(template, dict(facts))


_remembered = lru_cache(maxsize=_MOST_REMEMBERED)(_made)
