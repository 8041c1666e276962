"""Sentences that somebody may want to read in another language.

`tell("%(count)d files, digest %(digest)s", count=7, digest="ab12")` is that sentence in English, and remembers the
pattern and the values it was made of. `patterns_of` collects them from a document, so that whoever shows it can
translate the pattern. A value may be such a sentence itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


class Told(str):
    """A sentence with what it was made of."""

    __slots__ = ("pattern", "values")

    pattern: str
    values: Mapping[str, Any]

    def __str__(self) -> str:
        return self  # so that an exception that was raised with it still knows

    def parts(self) -> dict[str, Any]:
        """Pattern and values, as they stand in a JSON document."""
        values = {
            name: value.parts() if isinstance(value, Told) else value for name, value in self.values.items()
        }
        return {"pattern": self.pattern, "values": values}


def tell(pattern: str, /, **values: Any) -> Told:
    """A sentence from a pattern that translators know."""
    told = Told(pattern % values if values else pattern)
    told.pattern, told.values = pattern, values
    return told


def listed(words: Sequence[str]) -> Told:
    """Several words or sentences as one, with semicolons between them."""
    values = {f"part{number}": each for number, each in enumerate(words)}
    pattern = "; ".join(f"%({name})s" for name in values)
    return tell(pattern, **values)


def patterns_of(document: Any) -> dict[str, dict[str, Any]]:
    """What each sentence of a document was made of, by the sentence."""
    return {text: text.parts() for text in _sentences(document)}


def _sentences(value: Any) -> Iterator[Told]:
    if isinstance(value, Told):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _sentences(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _sentences(inner)
