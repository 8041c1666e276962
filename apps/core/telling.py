"""What was said when nobody read it yet, in the reader's language.

English sentences are stored, and beside them (`told`) the pattern and the values that each was made of: by jobs in
their results, by the queue in its reasons for waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext

Told = dict[str, Any]
"""{"pattern": English, "values": {name: text or another Told}}."""


def told(pattern: str, **values: Any) -> Told:
    """A sentence to be said in any language; `pattern` is marked with gettext_noop where it is written."""
    return {"pattern": pattern, "values": values}


def spoken(told: Told) -> str:
    """The sentence in the active language."""
    return _spoken(told, in_english(told))


def in_english(told: Told) -> str:
    """The sentence as it is stored."""
    values = {
        name: in_english(dict(value)) if isinstance(value, Mapping) else value
        for name, value in told["values"].items()
    }
    return str(told["pattern"]) % values if values else str(told["pattern"])


def in_words(document: Any, told: Mapping[str, Any]) -> Any:
    """The document with every sentence in it translated; what nobody knows a pattern of stays as it is."""
    if isinstance(document, Mapping):
        return {key: in_words(value, told) for key, value in document.items()}
    if isinstance(document, list):
        return [in_words(value, told) for value in document]
    return sentence(document, told) if isinstance(document, str) else document


def sentence(text: str, told: Mapping[str, Any]) -> str:
    """One sentence in the reader's language."""
    parts = told.get(text)
    return _spoken(parts, text) if isinstance(parts, Mapping) else text


def _spoken(parts: Mapping[str, Any], text: str) -> str:
    pattern, given = parts.get("pattern"), parts.get("values")
    if not isinstance(pattern, str) or not pattern or not isinstance(given, Mapping):
        return text
    values = {
        name: _spoken(value, "") if isinstance(value, Mapping) else value for name, value in given.items()
    }
    try:
        return gettext(pattern) % values if values else gettext(pattern)
    except (KeyError, TypeError, ValueError):
        return text
