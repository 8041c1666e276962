"""Texts that can be kept: PostgreSQL holds no NUL in a text, and UTF-8 no half of a surrogate pair."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _

from apps.core.errors import Invalid

_UNKEPT = re.compile("[\\0\ud800-\udfff]")


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


def keepable(document: Any) -> Any:
    """A JSON document as a row can keep it: with U+FFFD for each character, and a word for each number, that it cannot.

    For what code that runs here leaves behind, which nobody can be asked to send again. Raises RecursionError.
    """
    if isinstance(document, str):
        return _UNKEPT.sub("\ufffd", document)
    if isinstance(document, float) and not math.isfinite(document):
        return json.dumps(document)
    if isinstance(document, dict):
        return {keepable(name): keepable(value) for name, value in document.items()}
    return [keepable(item) for item in document] if isinstance(document, list) else document
