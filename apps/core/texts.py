"""Texts that can be kept: PostgreSQL holds no NUL in a text, and UTF-8 no half of a surrogate pair."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _

from apps.core.errors import Invalid


def unkept(text: str) -> str:
    """The first character that no text can be kept with, as it is named (U+0000); empty where there is none."""
    if "\0" in text:
        return "U+0000"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"U+{ord(text[error.start]):04X}"
    return ""


def require_kept(texts: Iterable[str]) -> None:
    """Raises Invalid for the first text that cannot be kept."""
    for text in texts:
        if named := unkept(text):
            raise Invalid(
                _(
                    "What was sent has the character %(code)s in it, which no text can be kept with. Take it out."
                )
                % {"code": named}
            )


def texts_in(document: Any) -> Iterable[str]:
    """All texts of a JSON document, the names in it too."""
    left = [document]
    while left:
        item = left.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            yield from (str(name) for name in item)
            left += item.values()
        elif isinstance(item, list):
            left += item
