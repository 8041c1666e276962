"""Where a capability stands: rating, use, availability and badges. Computed in bulk, kept in rows, never typed in."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.catalog.models import Capability, Version
from apps.evaluation.models import Report
from apps.gateway.models import Grant, Usage
from apps.instances.models import TrafficWeight
from apps.store import panels
from apps.store.models import Review, Standing, Subscription

SPAN = timedelta(days=30)
FRESH = timedelta(days=180)
AVAILABLE = 0.995
ENOUGH_CALLS = 100

CALLERS_FAULT = frozenset(
    {
        *("input", "bad-request", "unauthorized", "forbidden", "not-found", "method-not-allowed"),
        *("request-timeout", "content-too-large", "unprocessable-content", "headers-too-large"),
        *("rate-exceeded", "quota-exceeded", "too-many-at-once"),
    }
)
"""Outcomes that say nothing about the capability: the call itself, or the plan, was the reason."""

BADGES = {
    "signed": gettext_lazy("Signed off"),
    "evaluated": gettext_lazy("Evaluation passed"),
    "live": gettext_lazy("In production"),
    "available": gettext_lazy("Reliable"),
    "fresh": gettext_lazy("Fresh"),
}
DATA_TYPES = {
    "image": gettext_lazy("Image"),
    "text": gettext_lazy("Text"),
    "table": gettext_lazy("Table row"),
    "series": gettext_lazy("Series of numbers"),
    "number": gettext_lazy("Number"),
    "tensor": gettext_lazy("Tensor"),
}
_LICENCE = re.compile(r"\A---\s*\n(?:.*\n)*?licen[cs]e:[ \t]*[\"']?([^\s\"'#][^\n\"'#]{0,59})", re.IGNORECASE)


def licence_of(card: str) -> str:
    """The licence that a card's front matter names, in lower case; empty when it names none."""
    head = card.replace("\r\n", "\n")[:4000].split("\n---", 1)[0]
    found = _LICENCE.match(head)
    return found[1].strip().lower() if found else ""


def data_types_of(signature: Mapping[str, Any]) -> list[str]:
    """What a version reads, in words of DATA_TYPES."""
    columns = signature.get("columns") or []
    return sorted({_data_type(spec, columns) for spec in signature.get("inputs") or []})


def _data_type(spec: Mapping[str, Any], columns: Sequence[Any]) -> str:
    shape = list(spec.get("shape") or [])
    rest = shape[1:] if shape[:1] == [-1] else shape
    if columns and shape[-1:] == [len(columns)]:
        return "table"
    if spec.get("kind") in DATA_TYPES:
        return str(spec["kind"])
    if spec.get("datatype") == "BYTES":
        return "text"
    if not rest or rest == [1]:
        return "number"
    return "series" if len(rest) == 1 else "tensor"


@dataclass(frozen=True)
class Facts:
    """What badges are computed from."""

    signed: bool
    evaluated: bool
    live: bool
    calls: int
    availability: float | None
    made_at: datetime | None


def badges_for(facts: Facts, now: datetime) -> list[str]:
    """The badges that these facts earn. Too few calls earn no availability."""
    earned = {
        "signed": facts.signed,
        "evaluated": facts.evaluated,
        "live": facts.live,
        "available": facts.calls >= ENOUGH_CALLS and (facts.availability or 0) >= AVAILABLE,
        "fresh": facts.made_at is not None and now - facts.made_at <= FRESH,
    }
    return [name for name in BADGES if earned[name]]


def availability_of(outcomes: Mapping[str, int]) -> tuple[int, float | None]:
    """Calls, and the share of them that were answered, leaving out those that failed by the caller's own fault."""
    judged = sum(count for kind, count in outcomes.items() if kind not in CALLERS_FAULT)
    return sum(outcomes.values()), outcomes.get("", 0) / judged if judged else None


def refresh(ids: Iterable[int]) -> int:
    """Compute the standing of these capabilities anew, with a constant number of queries. Returns how many."""
    capabilities = list(Capability.objects.filter(pk__in=list(ids)).only("pk", "card"))
    now = timezone.now()
    keys = [capability.pk for capability in capabilities]
    versions, live = _versions(keys)
    signed = panels.signed_versions(versions[key] for key in live if key in versions)
    passed = _passed(versions.values())
    outcomes, reviews, subscribers = _outcomes(keys, now), _reviews(keys), _subscribers(keys)
    rows = []
    for capability in capabilities:
        key, version = capability.pk, versions.get(capability.pk)
        calls, availability = availability_of(outcomes.get(key, {}))
        made_at = (version.packaged_at or version.created_at) if version else None
        pk = version.pk if version else 0
        facts = Facts(pk in signed, pk in passed, key in live, calls, availability, made_at)
        average, count = reviews.get(key, (0.0, 0))
        rows.append(
            Standing(
                capability_id=key,
                rating=average,
                reviews=count,
                subscribers=subscribers.get(key, 0),
                calls=calls,
                availability=availability,
                framework=version.framework if version else "",
                licence=licence_of(capability.card),
                data_types=data_types_of(version.signature) if version else [],
                badges=badges_for(facts, now),
                made_at=made_at,
                computed_at=now,
            )
        )
    _write(rows)
    return len(rows)


def _write(rows: list[Standing]) -> None:
    fields = [field.name for field in Standing._meta.fields if not field.primary_key]
    rows.sort(key=lambda row: row.pk)
    Standing.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["capability"], update_fields=fields, batch_size=1000
    )


def refresh_oldest(most: int = 500) -> int:
    """Compute those that have no standing yet, then the ones computed longest ago."""
    lacking = Capability.objects.filter(published_at__isnull=False, standing=None).values_list(
        "pk", flat=True
    )
    ids = list(lacking[:most])
    old = Standing.objects.filter(computed_at__lt=timezone.now() - timedelta(minutes=5))
    ids += old.order_by("computed_at").values_list("pk", flat=True)[: max(0, most - len(ids))]
    return refresh(ids) if ids else 0


def _versions(keys: Sequence[int]) -> tuple[dict[int, Version], set[int]]:
    """{capability: the version that answers, else the newest packaged one}, and which capabilities answer."""
    unread = ("source_manifest", "manifest", "report", "failure", "parameters", "changelog")
    newest = (
        Version.objects.filter(capability__in=keys, status=Version.Status.PACKAGED)
        .order_by("capability_id", "-packaged_at", "-pk")
        .distinct("capability_id")
        .defer(*unread)
    )
    found = {version.capability_id: version for version in newest}
    weights = (
        TrafficWeight.objects.filter(capability__in=keys, weight__gt=0)
        .select_related("deployment__version")
        .defer(*(f"deployment__version__{name}" for name in unread))
        .order_by("weight", "deployment_id")
    )
    live = {weight.capability_id: weight.deployment.version for weight in weights}
    return found | live, set(live)


def _passed(versions: Iterable[Version]) -> set[int]:
    digests = {version.pk: version.digest for version in versions}
    latest = (
        Report.objects.filter(version__in=list(digests))
        .order_by("version_id", "-pk")
        .distinct("version_id")
        .values_list("version_id", "verdict", "run__version_digest")
    )
    return {pk for pk, verdict, digest in latest if verdict == "passed" and digest == digests[pk]}


def _outcomes(keys: Sequence[int], now: datetime) -> dict[int, dict[str, int]]:
    """{capability: {outcome: calls}} of subscribers and of Try it; tests and evaluations say nothing of production."""
    real = Grant.objects.filter(capability__in=keys, kind__in=[Grant.Kind.SUBSCRIPTION, Grant.Kind.TRIAL])
    counted = (
        Usage.objects.filter(
            capability_id__in=keys, hour__gte=now - SPAN, grant_id__in=real.order_by().values("pk")
        )
        .values_list("capability_id", "outcome")
        .annotate(n=Sum("count"))
        .order_by()
    )
    found: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for key, outcome, count in counted:
        found[key][outcome] = count
    return found


def _reviews(keys: Sequence[int]) -> dict[int, tuple[float, int]]:
    rows = Review.objects.filter(capability__in=keys).values_list("capability")
    return {key: (round(average, 3), n) for key, average, n in rows.annotate(Avg("rating"), Count("pk"))}


def _subscribers(keys: Sequence[int]) -> dict[int, int]:
    granted = Q(capability__in=keys, status=Subscription.Status.GRANTED)
    rows = Subscription.objects.filter(granted).values_list("capability")
    return dict(rows.annotate(n=Count("team", distinct=True)))


def badges_shown(standing: Standing | None, names: Iterable[str] = BADGES) -> list[panels.Badge]:
    """A standing's badges of these names with their look, and a sentence that says what earned them."""
    if standing is None:
        return []
    return [_badge(name, standing) for name in names if name in standing.badges]


def _badge(name: str, standing: Standing) -> panels.Badge:
    told = {
        "signed": ("good", "rosette-discount-check", _("QA signed exactly the version that answers.")),
        "evaluated": (
            "good",
            "clipboard-check",
            _("The newest evaluation of this version passed all gates."),
        ),
        "live": ("good", "broadcast", _("A version answers production calls.")),
        "available": ("good", "activity-heartbeat", _available_words(standing)),
        "fresh": ("busy", "leaf", _fresh_words(standing)),
    }
    tone, icon, title = told[name]
    return panels.Badge(str(BADGES[name]), tone, icon, title)


def _available_words(standing: Standing) -> str:
    share = f"{(standing.availability or 0) * 100:.2f}"
    return _(
        "%(share)s %% of %(calls)d calls in 30 days were answered, without those that the caller got wrong."
    ) % {
        "share": share,
        "calls": standing.calls,
    }


def _fresh_words(standing: Standing) -> str:
    days = (timezone.now() - standing.made_at).days if standing.made_at else 0
    return _("The version was made %(days)d days ago.") % {"days": days}
