"""Where a capability stands: rating, use, availability and badges. Computed in bulk, kept in rows, never typed in."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.catalog.models import Capability
from apps.store import panels, standing_facts
from apps.store.models import Standing

SPAN = timedelta(days=30)
FRESH = timedelta(days=180)
AVAILABLE = 0.995
ENOUGH_CALLS = 100
_CHUNK = 2000
_ROUND_S = 30.0

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


def refresh(ids: Iterable[int]) -> int:
    """Compute the standing of these capabilities anew, with a constant number of queries. Returns how many."""
    keys, now = list(ids), timezone.now()
    found = standing_facts.read(keys, now - SPAN, CALLERS_FAULT)
    signed = panels.signed_versions({each.version for each in found if each.live and each.version})
    standing_facts.write([_standing(each, each.version in signed, now) for each in found])
    return len(found)


def _standing(found: standing_facts.Found, signed: bool, now: datetime) -> dict[str, Any]:
    """The row of one capability."""
    availability = found.answered / found.judged if found.judged else None
    facts = Facts(signed, found.passed, found.live, found.calls, availability, found.made_at)
    return {
        "capability_id": found.capability,
        "rating": found.rating,
        "reviews": found.reviews,
        "subscribers": found.subscribers,
        "calls": found.calls,
        "availability": availability,
        "framework": found.framework,
        "licence": licence_of(found.card),
        "data_types": data_types_of({"inputs": found.inputs, "columns": found.columns}),
        "badges": badges_for(facts, now),
        "made_at": found.made_at,
        "computed_at": now,
    }


def refresh_oldest(most: int = 500) -> int:
    """Compute all that have no standing yet, then `most` of the ones computed longest ago. Returns how many.

    A store that was filled at once has its standings within seconds; one round ends within a minute whatever comes.
    """
    computed, ends = 0, time.monotonic() + _ROUND_S
    lacking = Capability.objects.filter(published_at__isnull=False, standing=None).order_by("pk")
    while time.monotonic() < ends and (ids := list(lacking.values_list("pk", flat=True)[:_CHUNK])):
        computed += refresh(ids)
    old = Standing.objects.filter(computed_at__lt=timezone.now() - timedelta(minutes=5)).order_by(
        "computed_at"
    )
    return computed + refresh(old.values_list("pk", flat=True)[:most])


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
