"""How much something is called: totals, charts and a file, from the gateway's rollups."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.gateway import selectors as gateway
from apps.store.figures import calls_figure, errors_figure, latency_figure
from apps.store.models import Subscription
from apps.store.policy import may_offer

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Capability


@dataclass(frozen=True)
class Span:
    """A stretch of time up to now, cut into periods."""

    name: str
    title: Any
    length: timedelta
    period: timedelta


SPANS = (
    Span("day", gettext_lazy("24 hours"), timedelta(days=1), timedelta(hours=1)),
    Span("week", gettext_lazy("7 days"), timedelta(days=7), timedelta(hours=6)),
    Span("month", gettext_lazy("30 days"), timedelta(days=30), timedelta(days=1)),
)


def span_of(name: str) -> Span:
    """The span of that name; the day for any other word."""
    return next((span for span in SPANS if span.name == name), SPANS[0])


@dataclass(frozen=True)
class Quota:
    """How much of a limit is used."""

    title: str
    used: int
    limit: int

    @property
    def fraction(self) -> float:
        return min(self.used / self.limit, 1.0)


@dataclass
class Report:
    """The usage of one span. `rows` is one dictionary for each period that had calls."""

    times: list[datetime] = field(default_factory=list)
    good: list[int] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    latency: dict[str, list[float | None]] = field(default_factory=dict)
    overall: dict[str, float | None] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        return sum(self.good) + sum(self.bad)

    @property
    def errors(self) -> int:
        return sum(self.bad)

    @property
    def error_rate(self) -> float | None:
        return self.errors / self.calls if self.calls else None

    @property
    def calls_chart(self) -> dict[str, Any]:
        return calls_figure(self.times, self.good, self.bad)

    @property
    def errors_chart(self) -> dict[str, Any]:
        return errors_figure(self.kinds.most_common(12))

    @property
    def latency_chart(self) -> dict[str, Any]:
        return latency_figure(self.times, self.latency)

    def document(self) -> dict[str, Any]:
        """The report for the API."""
        return {
            "calls": self.calls,
            "failed": self.errors,
            "errors": dict(self.kinds),
            "overall_ms": self.overall,
            "periods": [
                {
                    "from": moment.isoformat(),
                    "answered": self.good[at],
                    "failed": self.bad[at],
                    **{f"{name}_ms": values[at] for name, values in self.latency.items()},
                }
                for at, moment in enumerate(self.times)
            ],
        }

    def csv(self) -> str:
        """One line for each period: start, answered, refused or failed, percentiles in milliseconds."""
        out = io.StringIO()
        writer = csv.writer(out)
        names = list(self.latency)
        writer.writerow(["from", "answered", "failed", *(f"{name}_ms" for name in names)])
        for at, moment in enumerate(self.times):
            numbers = [self.latency[name][at] for name in names]
            writer.writerow([moment.isoformat(), self.good[at], self.bad[at], *numbers])
        return out.getvalue()


def for_subscription(subscription: Subscription, span: Span) -> Report:
    """The calls with any key of a subscription."""
    grants = list(subscription.keys.values_list("grant_id", flat=True))
    return _report(span, grants=grants)


def for_capability(user: User, capability: Capability, span: Span) -> Report:
    """All calls of a capability for its provider; for others those of their own teams' subscriptions."""
    if may_offer(user, capability):
        return _report(span, capability=capability)
    own = Subscription.objects.filter(capability=capability, team__memberships__user=user)
    grants = list(own.values_list("keys__grant_id", flat=True).distinct())
    return _report(span, grants=[pk for pk in grants if pk])


def _report(span: Span, *, grants: list[int] | None = None, capability: Capability | None = None) -> Report:
    """The calls in each period of a span; every period is there, empty ones with zeros."""
    end = timezone.now()
    rows = gateway.usage_by_period(
        since=end - span.length, period=span.period, grants=grants, capability=capability
    )
    start = _floor(end - span.length, span.period)
    times = []
    while start <= end:
        times.append(start)
        start += span.period
    good, bad, kinds = Counter[datetime](), Counter[datetime](), Counter[str]()
    histograms: defaultdict[datetime, list[Sequence[int]]] = defaultdict(list)
    for row in rows:
        at = _floor(row.at, span.period)
        if row.error_kind:
            bad[at] += row.count
            kinds[row.error_kind] += row.count
        else:
            good[at] += row.count
            histograms[at].append(row.histogram)
    return Report(
        times=times,
        good=[good[at] for at in times],
        bad=[bad[at] for at in times],
        kinds=kinds,
        latency={
            name: [gateway.percentile(histograms[at], p) for at in times] for name, p in _PERCENTILES.items()
        },
        overall={
            name: gateway.percentile([each for found in histograms.values() for each in found], p)
            for name, p in _PERCENTILES.items()
        },
    )


_PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def _floor(moment: datetime, period: timedelta) -> datetime:
    seconds = int(period.total_seconds())
    stamp = int(moment.timestamp())
    return datetime.fromtimestamp(stamp - stamp % seconds, tz=timezone.get_current_timezone())


def quotas_of(subscription: Subscription) -> list[Quota]:
    """How much of the plan's day and month is used, over all keys."""
    limits = subscription.plan.allowed
    now = timezone.now()
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    spans = [
        (_("today"), limits.per_day, day),
        (_("this month"), limits.per_month, day.replace(day=1)),
    ]
    grants = list(subscription.keys.values_list("grant_id", flat=True))
    return [
        Quota(
            str(title),
            gateway.counted_calls(grants, since),
            limit,
        )
        for title, limit, since in spans
        if limit is not None
    ]
