"""Splits of a version: which items are for training, validation and the test. Pure computation.

The order within a stratum is that of a hash of seed, stratum and place, so that the same version and seed give the
same split on every machine, and no random generator's implementation matters.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

FORMAT = 1
SYMBOLS = "0123456789"
"""One for each part: a split has at most ten."""
TOLD_VALUES = 50

_NAMED = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def stratified(values: Sequence[str], shares: Sequence[float], seed: int) -> list[int]:
    """The part of each item, so that each value is divided in proportion. One value for all: by chance.

    Each stratum is within one item of its share; what rounding leaves over goes where earlier strata owe most, so that
    the parts as a whole are as large as asked for, too.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, value in enumerate(values):
        places[value].append(place)
    parts = [0] * len(values)
    lacking = [0.0] * len(shares)
    for value in sorted(places):
        order = sorted(places[value], key=lambda place: _rank(seed, value, place))
        counts = _rounded(len(order), shares, lacking)
        at = 0
        for part, count in enumerate(counts):
            for place in order[at : at + count]:
                parts[place] = part
            at += count
    return parts


def _rounded(total: int, shares: Sequence[float], lacking: list[float]) -> list[int]:
    """How many of a stratum go to each part; `lacking`, what earlier strata owe them, is updated."""
    exact = [total * share for share in shares]
    counts = [int(number + 1e-9) for number in exact]
    owed = [debt + number - count for debt, number, count in zip(lacking, exact, counts, strict=True)]
    most_owed = sorted(range(len(shares)), key=lambda at: (-round(owed[at], 9), at))
    for part in most_owed[: total - sum(counts)]:
        counts[part] += 1
        owed[part] -= 1
    lacking[:] = owed
    return counts


def grouped(values: Sequence[str], shares: Sequence[float], seed: int) -> list[int]:
    """The part of each item, no value in two parts: the largest groups first, to the part that lacks most."""
    counts: dict[str, int] = defaultdict(int)
    for value in values:
        counts[value] += 1
    wanted = [len(values) * share for share in shares]
    part_of: dict[str, int] = {}
    for value in sorted(counts, key=lambda value: (-counts[value], _rank(seed, value, 0))):
        part = max(range(len(shares)), key=lambda at: (wanted[at], -at))
        part_of[value] = part
        wanted[part] -= counts[value]
    return [part_of[value] for value in values]


def _rank(seed: int, value: str, place: int) -> bytes:
    return hashlib.blake2b(f"{seed}\0{value}\0{place}".encode(), digest_size=8).digest()


def named_part(path: str) -> str | None:
    """The part that a file's name or a folder around it says: train, val or test."""
    pure = PurePosixPath(path)
    for word in (*(part.lower() for part in pure.parts[:-1]), pure.stem.lower()):
        if word in _NAMED:
            return _NAMED[word]
    return None


def part_called(name: str) -> str | None:
    """The part that a word means: "validation" is val."""
    return _NAMED.get(name.strip().lower())


def named_parts(paths: Iterable[str]) -> dict[str, str]:
    """{path: part} where all files say their part and there are two parts at least; else nothing."""
    found = {path: named_part(path) for path in paths}
    told = {path: part for path, part in found.items() if part is not None}
    return told if len(told) == len(found) and len(set(told.values())) > 1 else {}


def counted(parts: Sequence[int], names: Sequence[str]) -> dict[str, int]:
    """How many items each part has."""
    counts = [0] * len(names)
    for part in parts:
        counts[part] += 1
    return dict(zip(names, counts, strict=True))


def counted_by(
    parts: Sequence[int], values: Sequence[str], names: Sequence[str]
) -> dict[str, dict[str, int]]:
    """How many items of each value each part has; the most common values first."""
    found: dict[str, list[int]] = defaultdict(lambda: [0] * len(names))
    for part, value in zip(parts, values, strict=True):
        found[value][part] += 1
    common = sorted(found, key=lambda value: (-sum(found[value]), value))[:TOLD_VALUES]
    return {value: dict(zip(names, found[value], strict=True)) for value in common}


def document(
    parts: Sequence[int], names: Sequence[str], unit: str, files: Mapping[str, int] | None = None
) -> bytes:
    """The stored form: {"format", "unit", "parts", "of"}; `of` has one digit for each item, the place in `parts`.

    Rows are counted through the tables in order of their path; files are `files` in order of their path.
    """
    told = {
        "format": FORMAT,
        "unit": unit,
        "parts": list(names),
        "of": "".join(SYMBOLS[part] for part in parts),
        **({"files": sorted(files)} if files is not None else {}),
    }
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
