"""What a plan allows, as numbers: calls per second, per day, per month, at the same time. No Django here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import inf
from typing import Any

MOST = 1_000_000_000


class WrongLimit(ValueError):
    """A limit that cannot be used; `name` is the limit, the text says what is expected."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


@dataclass(frozen=True)
class Limits:
    """The limits of a plan; None is unlimited. `rate_per_s` refills a bucket that holds `burst` calls."""

    rate_per_s: float | None = None
    burst: int | None = None
    per_day: int | None = None
    per_month: int | None = None
    concurrent: int | None = None
    payload_bytes: int | None = None
    """Bodies up to this stand in the call log itself, larger ones as files beside it; None: the gateway's setting."""

    def to_json(self) -> dict[str, float]:
        """As a plan and a grant keep them: only what is limited."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def room(self) -> dict[str, float]:
        """How much a caller has of each, infinity where there is no limit.

        A rate without a burst fills a bucket of its own size, as in the data plane. What the log keeps of a body
        (`payload_bytes`) is nothing that a caller has.
        """
        burst = self.burst
        if burst is None and self.rate_per_s is not None:
            burst = max(1, int(self.rate_per_s))
        held: dict[str, float | None] = {
            "per_day": self.per_day,
            "per_month": self.per_month,
            "rate_per_s": self.rate_per_s,
            "burst": burst,
            "concurrent": self.concurrent,
        }
        return {name: inf if value is None else value for name, value in held.items()}


def parse_limits(document: Mapping[str, Any]) -> Limits:
    """Read limits; raises WrongLimit with the first one that is unknown, not a number, or contradicts another."""
    names = [field.name for field in fields(Limits)]
    unknown = sorted(set(document) - set(names))
    if unknown:
        raise WrongLimit(unknown[0], f"is no limit; use {', '.join(names)}")
    values = {name: _number(name, value) for name, value in document.items() if value is not None}
    limits = Limits(**values)
    if limits.burst is not None and limits.rate_per_s is None:
        raise WrongLimit("burst", "needs rate_per_s beside it")
    if limits.per_day is not None and limits.per_month is not None and limits.per_day > limits.per_month:
        raise WrongLimit("per_day", f"{limits.per_day} is more than the {limits.per_month} of a month")
    return limits


def _number(name: str, value: Any) -> Any:
    whole = name != "rate_per_s"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise WrongLimit(name, f"{value!r} is not a {'whole ' if whole else ''}number")
    if not 0 < value <= MOST:
        raise WrongLimit(name, f"{value} is not between 0 and {MOST}")
    return value
