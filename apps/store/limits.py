"""What a plan allows, as numbers: calls per second, per day, per month, at the same time. No Django here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import inf
from typing import Any

MOST = 1_000_000_000


class WrongLimit(ValueError):
    """A limit that cannot be used: `name` is the limit, `problem` a word for what is wrong, with the facts of it.

    `unknown` has names, `whole` and `number` a value, `range` and `above` value and most, `needs` and `above` the
    other limit. `services.wrong_limit` says it in the reader's language.
    """

    def __init__(self, name: str, problem: str, **facts: Any) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem
        self.facts = facts


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
    if not isinstance(document, Mapping):
        raise WrongLimit("limits", "unknown", names=", ".join(names))
    unknown = sorted(set(document) - set(names))
    if unknown:
        raise WrongLimit(unknown[0], "unknown", names=", ".join(names))
    values = {name: _number(name, value) for name, value in document.items() if value is not None}
    limits = Limits(**values)
    if limits.burst is not None and limits.rate_per_s is None:
        raise WrongLimit("burst", "needs", other="rate_per_s")
    if limits.per_day is not None and limits.per_month is not None and limits.per_day > limits.per_month:
        raise WrongLimit("per_day", "above", value=limits.per_day, other="per_month", most=limits.per_month)
    return limits


def _number(name: str, value: Any) -> Any:
    whole = name != "rate_per_s"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise WrongLimit(name, "whole" if whole else "number", value=repr(value))
    if not 0 < value <= MOST:
        raise WrongLimit(name, "range", value=value, most=MOST)
    return value
