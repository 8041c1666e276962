"""A business metric: what its owner says a good answer is worth, as an expression over a call and its feedback."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jmespath
from django.utils.translation import gettext as _
from jmespath.exceptions import JMESPathError

from apps.releases.means import Sums

if TYPE_CHECKING:
    from uuid import UUID

    from apps.gateway.models import Call, Outcome

MOST_CHARACTERS = 500


@dataclass(frozen=True)
class Metric:
    """`expression` is JMESPath over `parsed`, `score`, `logged`, `status`, `latency_ms`, `correct`, `expected` and
    `comment`; true and false are 1 and 0, and a call for which it gives nothing does not count.

    Values are cut to `low`..`high`; `worse_by` is in the metric's unit. Feedback has `wait_minutes` to come.
    """

    name: str
    expression: str
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    worse_by: float = 0.05
    wait_minutes: int = 0

    @property
    def scaled_worse_by(self) -> float:
        return self.worse_by / (self.high - self.low)

    def scaled(self, value: float) -> float:
        """In 0..1, more being better."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return share if self.higher_is_better else 1.0 - share

    def unscaled(self, share: float) -> float:
        """A mean of scaled values in the metric's own unit."""
        return self.low + (share if self.higher_is_better else 1.0 - share) * (self.high - self.low)


def parse(raw: Any) -> Metric:
    """Raises ValueError with what is wrong."""
    if not isinstance(raw, Mapping):
        told = _("a business metric is an object with a name and an expression")
        raise ValueError(told)  # noqa: TRY004  whoever calls shows it as what is wrong with a value
    unknown = set(raw) - set(Metric.__dataclass_fields__)
    if unknown:
        raise ValueError(_("a business metric has no “%(name)s”") % {"name": sorted(unknown)[0]})
    try:
        metric = Metric(**raw)
        jmespath.compile(metric.expression)
        numbers = [metric.low, metric.high, metric.worse_by]
        well_formed = all(math.isfinite(number) for number in numbers) and 0 <= metric.wait_minutes <= 10_080
    except JMESPathError as error:
        raise ValueError(_("the metric's expression cannot be read: %(why)s") % {"why": error}) from error
    except TypeError as error:
        raise ValueError(_("a business metric has a name, an expression, and numbers")) from error
    if not well_formed or metric.low >= metric.high:
        raise ValueError(_("low is below high, both are numbers, and feedback gets at most 10080 minutes"))
    if not 0 < metric.worse_by <= metric.high - metric.low:
        raise ValueError(_("worse_by is above 0 and at most the distance from low to high"))
    if not metric.name.strip() or len(metric.expression) > MOST_CHARACTERS:
        raise ValueError(
            _("a business metric has a name, and at most %(most)d characters") % {"most": MOST_CHARACTERS}
        )
    return metric


def document_of(call: Call, outcomes: Iterable[Outcome] = ()) -> dict[str, Any]:
    """What the expression sees; of several words of feedback the last one that says something counts."""
    said: dict[str, Any] = {"correct": None, "expected": None, "comment": ""}
    for outcome in outcomes:
        said |= {name: value for name in said if (value := getattr(outcome, name)) not in (None, "")}
    return {
        "parsed": call.parsed,
        "score": call.score,
        "logged": call.logged,
        "status": call.status,
        "latency_ms": call.latency_ms,
        **said,
    }


def value_of(metric: Metric, document: Mapping[str, Any]) -> float | None:
    """The metric of one call; None when it does not count."""
    try:
        value = jmespath.compile(metric.expression).search(document)
    except (JMESPathError, TypeError, ValueError, RecursionError):
        return None
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return float(value)
    return None


def sums(metric: Metric, calls: Iterable[Call], outcomes: Mapping[UUID, list[Outcome]]) -> Sums:
    """The scaled metric of some calls."""
    found = Sums()
    for call in calls:
        value = value_of(metric, document_of(call, outcomes.get(call.request_id, [])))
        if value is not None:
            scaled = metric.scaled(value)
            found += Sums(1, scaled, scaled * scaled)
    return found
