"""What was said when nobody read it yet, in the reader's language.

English sentences are stored, and beside them (`told`) the pattern and the values that each was made of: by jobs in
their results, by the queue in its reasons for waiting, by rows of deployments, runs and tasks in a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils.translation import gettext, override

Told = dict[str, Any]
"""{"pattern": English, "values": {name: text or another Told}}."""


class Said(str):
    """Words in the active language that remember what they were made of, so that a row can keep it (`kept`)."""

    __slots__ = ("told",)
    told: Told

    def __mod__(self, values: Any) -> Said:
        """Put values in their places, as ever."""
        shown = {name: spoken(each) if isinstance(each, Mapping) else each for name, each in values.items()}
        given = {name: _plain(each) for name, each in values.items()}
        return _said(super().__mod__(shown), {"pattern": self.told["pattern"], "values": given})


def _said(words: str, told: Told) -> Said:
    said = Said(words)
    said.told = told
    return said


def _plain(value: Any) -> Any:
    """As JSON can hold it."""
    if isinstance(value, Said):
        return value.told
    return value if isinstance(value, int | float | Mapping) else str(value)


def say(pattern: str) -> Said:
    """`gettext`, for words that are kept and read later by others: `from apps.core.telling import say as _`."""
    return _said(gettext(pattern), told(pattern))


def joined(*words: str, by: str = " ") -> Said:
    """Several sentences as one; empty ones are left out."""
    parts = {f"part{number}": each for number, each in enumerate(filter(None, words))}
    pattern = by.join(f"%({name})s" for name in parts)
    return _said(pattern, told(pattern)) % parts


def made_of(words: str) -> Told | str:
    """What words are made of, to be kept as JSON; words of a person or a program are kept as they are."""
    return words.told if isinstance(words, Said) else str(words)


def kept(words: str, *, most: int | None = None) -> tuple[str, dict[str, Told]]:
    """The sentence in English and `told` beside it, as a row keeps them to be read with `sentence`.

    `most` is how many characters the row holds; read in words it is whole all the same.
    """
    if not isinstance(words, Said):
        return str(words)[:most], {}
    english = in_english(words.told)[:most]
    return english, {english: words.told}


def told(pattern: str, **values: Any) -> Told:
    """A sentence to be said in any language; `pattern` is marked with gettext_noop where it is written."""
    return {"pattern": pattern, "values": values}


def spoken(told: Mapping[str, Any]) -> Said:
    """The sentence in the active language."""
    return _said(_spoken(told, in_english(told)), dict(told))


def in_english(told: Mapping[str, Any]) -> str:
    """The sentence as it is stored."""
    values = {
        name: in_english(dict(value)) if isinstance(value, Mapping) else value
        for name, value in told["values"].items()
    }
    return str(told["pattern"]) % values if values else str(told["pattern"])


def in_each_language(told: Mapping[str, Any]) -> list[str]:
    """The sentence in each of the portal's languages."""
    renderings = []
    for language, _name in settings.LANGUAGES:
        with override(language):
            renderings.append(str(spoken(told)))
    return renderings


def in_words(document: Any, told: Mapping[str, Any]) -> Any:
    """The document with every sentence in it translated; what nobody knows a pattern of stays as it is."""
    if isinstance(document, Mapping):
        return {key: in_words(value, told) for key, value in document.items()}
    if isinstance(document, list):
        return [in_words(value, told) for value in document]
    return sentence(document, told) if isinstance(document, str) else document


def sentence(text: str, told: Mapping[str, Any]) -> str:
    """A kept sentence in the reader's language; it still knows what it is made of, to be put into another one."""
    parts = told.get(text)
    return _said(_spoken(parts, text), dict(parts)) if isinstance(parts, Mapping) else text


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
