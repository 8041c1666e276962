"""The words in which a signature says what a version takes and gives; search finds capabilities by them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST_LABELS = 300
_SAID = ("name", "title", "description", "unit", "kind")


def signature_words(signature: Mapping[str, Any]) -> Iterator[str]:
    """Names, titles, descriptions, units and labels of all inputs, columns and outputs, as they were written."""
    for where in ("inputs", "columns", "outputs"):
        for spec in signature.get(where) or []:
            yield from (str(spec[said]) for said in _SAID if spec.get(said))
            yield from map(str, (spec.get("labels") or [])[:MOST_LABELS])
            yield from (str(choice) for choice in (spec.get("choices") or [])[:MOST_LABELS])
