"""How much something is called: totals, charts and a file, from the gateway's rollups."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.catalog.uses import Use
from apps.gateway import selectors as gateway
from apps.gateway.models import Grant
from apps.instances.models import Deployment
from apps.store.figures import calls_figure, errors_figure, latency_figure, parts_figure
from apps.store.limits import Limits
from apps.store.models import Subscription, SubscriptionKey
from apps.store.policy import may_offer
from apps.store.replay import Replay, replay_calls, replay_hours

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Capability, Version


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
    start: datetime
    end: datetime
    name: str = ""
    """Of the limit: `per_day` or `per_month`."""

    @property
    def fraction(self) -> float:
        return min(self.used / self.limit, 1.0)

    @property
    def exhausted(self) -> bool:
        """Whether calls are refused until it is counted anew."""
        return self.used >= self.limit

    @property
    def forecast(self) -> int | None:
        """How many calls there will be at the end, if it goes on as since the start; None in the first twentieth."""
        gone = (timezone.now() - self.start) / (self.end - self.start)
        return round(self.used / gone) if self.used and 0.05 <= gone <= 1 else None

    @property
    def runs_out_at(self) -> datetime | None:
        """When the limit is reached at this pace; None when it is not, or too little is known."""
        forecast = self.forecast
        if forecast is None or forecast <= self.limit:
            return None
        return self.start + (self.end - self.start) * (self.limit / forecast)


@dataclass
class Part:
    """What one version, or one site, answered within a span."""

    name: str
    calls: int = 0
    failed: int = 0
    histograms: list[Sequence[int]] = field(default_factory=list)

    def percentile(self, share: float) -> float | None:
        return gateway.percentile(self.histograms, share)

    @property
    def document(self) -> dict[str, Any]:
        """The part for the API and for a file."""
        latencies = {f"{name}_ms": self.percentile(share) for name, share in _PERCENTILES.items()}
        return {"name": self.name, "answered": self.calls - self.failed, "failed": self.failed, **latencies}


BY = ("time", "version", "site")
"""What a report can be told by."""


@dataclass
class Report:
    """The usage of one span. `rows` is one dictionary for each period that had calls."""

    times: list[datetime] = field(default_factory=list)
    good: list[int] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    latency: dict[str, list[float | None]] = field(default_factory=dict)
    overall: dict[str, float | None] = field(default_factory=dict)
    versions: list[Part] = field(default_factory=list)
    sites: list[Part] = field(default_factory=list)

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

    @property
    def versions_chart(self) -> dict[str, Any]:
        return _parts_chart(self.versions, _("Version"))

    @property
    def sites_chart(self) -> dict[str, Any]:
        return _parts_chart(self.sites, _("Site"))

    def document(self) -> dict[str, Any]:
        """The report for the API."""
        return {
            "calls": self.calls,
            "failed": self.errors,
            "errors": dict(self.kinds),
            "overall_ms": self.overall,
            "versions": [part.document for part in self.versions],
            "sites": [part.document for part in self.sites],
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

    def csv(self, by: str = "time") -> str:
        """One line for each period, version or site: answered, refused or failed, percentiles in milliseconds.

        By `error`: each kind of refusal and failure with its calls.
        """
        out = io.StringIO()
        writer = csv.writer(out)
        if by == "error":
            writer.writerow(["error", "calls"])
            counted = sorted(self.kinds.items(), key=lambda pair: (-pair[1], pair[0]))
            writer.writerows(counted)
            return out.getvalue()
        if by in ("version", "site"):
            parts = [part.document for part in (self.versions if by == "version" else self.sites)]
            writer.writerow([by, "answered", "failed", *(f"{name}_ms" for name in _PERCENTILES)])
            writer.writerows(part.values() for part in parts)
            return out.getvalue()
        names = list(self.latency)
        writer.writerow(["from", "answered", "failed", *(f"{name}_ms" for name in names)])
        for at, moment in enumerate(self.times):
            numbers = [self.latency[name][at] for name in names]
            writer.writerow([moment.isoformat(), self.good[at], self.bad[at], *numbers])
        return out.getvalue()


def _parts_chart(parts: list[Part], title: str) -> dict[str, Any]:
    return parts_figure([(part.name, part.calls - part.failed, part.failed) for part in parts], title)


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
    versions, sites = _parts(rows)
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
        versions=versions,
        sites=sites,
    )


def _parts(rows: list[gateway.PeriodRow]) -> tuple[list[Part], list[Part]]:
    """The calls by the version and by the site that answered; what was refused before reached none."""
    where = Deployment.objects.filter(pk__in={row.deployment_id for row in rows})
    sites = dict(where.values_list("pk", "site__name"))
    nowhere = _("refused before")
    by_version: dict[str, Part] = {}
    by_site: dict[str, Part] = {}
    for row in rows:
        for found, name in ((by_version, row.version), (by_site, sites.get(row.deployment_id) or "")):
            part = found.setdefault(name or nowhere, Part(name or nowhere))
            part.calls += row.count
            if row.error_kind:
                part.failed += row.count
            else:
                part.histograms.append(row.histogram)
    first, second = (sorted(found.values(), key=lambda part: -part.calls) for found in (by_version, by_site))
    return first, second


_PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def _floor(moment: datetime, period: timedelta) -> datetime:
    seconds = int(period.total_seconds())
    stamp = int(moment.timestamp())
    return datetime.fromtimestamp(stamp - stamp % seconds, tz=timezone.get_current_timezone())


def quotas_of(subscription: Subscription) -> list[Quota]:
    """How much of the plan's day and month is used, over all keys."""
    limits = subscription.plan.allowed
    day = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    spans = [
        ("per_day", _("today"), limits.per_day, day, day + timedelta(days=1)),
        (
            *("per_month", _("this month"), limits.per_month, month),
            (month + timedelta(days=32)).replace(day=1),
        ),
    ]
    grants = list(subscription.keys.values_list("grant_id", flat=True))
    return [
        Quota(
            str(title),
            gateway.counted_calls(grants, since),
            limit,
            since,
            until,
            name,
        )
        for name, title, limit, since, until in spans
        if limit is not None
    ]


@dataclass(frozen=True)
class Caller:
    """How much one subscription calls one version, or Try it does."""

    team: str
    site: str
    version: str
    calls: int
    failed: int
    last: datetime
    subscription: int | None = None
    plan: str = ""


def callers(capability: Capability, span: Span, *, tests: bool = True) -> list[Caller]:
    """Who calls which version and how much, the most first: subscriptions and Try it, from the rollups.

    Without `tests` the questions that builders ask a single deployment in Try it are left out.
    """
    rows = gateway.usage_by_key(capability, since=timezone.now() - span.length)
    shown = (Grant.Kind.SUBSCRIPTION, Grant.Kind.TRIAL)
    grants = Grant.objects.filter(pk__in={row.grant_id for row in rows}, kind__in=shown)
    if not tests:
        grants = grants.exclude(~Q(scope=Grant.PRODUCTION), kind=Grant.Kind.TRIAL)
    keys = SubscriptionKey.objects.filter(
        grant__capability=capability, grant__in={row.grant_id for row in rows}
    )
    held = {
        grant: (pk, plan)
        for grant, pk, plan in keys.values_list("grant", "subscription", "subscription__plan__name")
    }
    known = {
        pk: ((team, site) if kind == Grant.Kind.SUBSCRIPTION and team else (_("Try it"), ""), used)
        for pk, kind, team, site, used in grants.values_list(
            "pk", "kind", "team__name", "team__site__name", "last_used_at"
        )
    }
    found: dict[tuple[str, str, str, int | None, str], list[Any]] = {}
    for row in rows:
        if row.grant_id not in known:
            continue
        who, used = known[row.grant_id]
        # The rollup knows the hour; within it the key itself knows better.
        last = used if used and row.last <= used < row.last + timedelta(hours=1) else row.last
        sums = found.setdefault((*who, row.version, *held.get(row.grant_id, (None, ""))), [0, 0, last])
        sums[0] += row.count
        sums[1] += row.failed
        sums[2] = max(sums[2], last)
    listed = [
        Caller(team, site, version, calls, failed, last, subscription, plan)
        for (team, site, version, subscription, plan), (calls, failed, last) in found.items()
    ]
    return sorted(listed, key=lambda caller: (-caller.calls, caller.team))


def uses_of_version(version: Version, quiet: timedelta) -> list[Use]:
    """Who has called a version within a time, for those who want to retire it."""
    # Usage is kept by the hour: the hour in which the time began counts as a whole.
    span = Span("quiet", "", quiet + timedelta(hours=1), SPANS[0].period)
    found = callers(version.capability, span, tests=False)
    url = reverse("store:usage", args=[version.capability.slug]) + "?span=month"
    return [
        Use(
            ngettext("%(team)s called it %(n)d time", "%(team)s called it %(n)d times", caller.calls)
            % {"team": caller.team, "n": caller.calls},
            url,
        )
        for caller in found
        if caller.version == version.number
    ]


MOST_REPLAYED = 200_000


def what_if(subscription: Subscription, limits: Limits) -> Replay:
    """The last 30 days of a subscription under other limits: call by call, or by hours where there are very many."""
    since = timezone.now() - timedelta(days=30)
    grants = list(subscription.keys.values_list("grant_id", flat=True))
    hours = gateway.asked_by_hour(grants, since)
    if sum(count for _at, count in hours) > MOST_REPLAYED:
        return replay_hours(hours, limits)
    return replay_calls(gateway.moments_of(grants, subscription.capability, since), limits)


def replay_days(found: Replay) -> list[tuple[date, int, int]]:
    """(day, passed, refused) of each day with calls."""
    return [
        (day, found.passed[day], found.refused[day]) for day in sorted(set(found.passed) | set(found.refused))
    ]


def replay_words(found: Replay) -> str:
    """The result in a sentence: how often, because of what, mostly when."""
    if not found.calls:
        return _("There were no calls in the last 30 days.")
    if not found.refused.total():
        return _("All %(calls)d calls would have passed.") % {"calls": found.calls}
    total, (weekday, most) = found.refused.total(), found.weekdays.most_common(1)[0]
    names = {
        "rate_per_s": _("the rate"),
        "per_day": _("the day's quota"),
        "per_month": _("the month's quota"),
    }
    limits = ", ".join(names[name] for name, _count in found.by_limit.most_common())
    told = _("%(refused)d of %(calls)d calls would have been refused, because of %(limits)s.") % {
        "refused": total,
        "calls": found.calls,
        "limits": limits,
    }
    if most * 2 > total:
        told += " " + _("Mostly on %(day)s.") % {"day": WEEKDAYS[weekday]}
    if not found.exact:
        told += " " + _("For the rate this is the least that is possible: it was counted by hours.")
    return told
