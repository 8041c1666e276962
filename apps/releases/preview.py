"""What a business metric says of the calls that are there, before a policy is saved with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from apps.core.errors import Invalid
from apps.gateway.models import Call
from apps.gateway.selectors import outcomes_of
from apps.releases import business
from apps.releases.means import Sums, calls_needed

if TYPE_CHECKING:
    from uuid import UUID

    from apps.catalog.models import Capability
    from apps.gateway.models import Outcome

LOOKED_AT = 500
EXAMPLES = 5


@dataclass(frozen=True)
class OfVersion:
    """The metric of one version's calls, in its own unit; `counted` of `calls` have a value."""

    version: str
    calls: int
    counted: int
    mean: float | None


@dataclass(frozen=True)
class Preview:
    """`needed` is how many calls of a candidate a stage of 50 % would wait for; None without any value."""

    versions: list[OfVersion]
    examples: list[tuple[str, float | None]]
    needed: int | None


def preview(capability: Capability, raw: Any) -> Preview:
    """Try the metric on the last production calls. Raises Invalid with what is wrong with it."""
    try:
        metric = business.parse(raw)
    except ValueError as error:
        words = str(error)
        raise Invalid(
            _("The business metric cannot be used: %(why)s.") % {"why": words}, fields={"metric": words}
        ) from error
    rows = Call.objects.filter(capability_id=capability.pk, shadow=False, stage_weight__gt=0, status__lt=400)
    calls = list(rows.defer("request", "response").order_by("-at")[:LOOKED_AT])
    outcomes = outcomes_of([call.request_id for call in calls])
    by_version: dict[str, list[Call]] = {}
    for call in calls:
        by_version.setdefault(call.version, []).append(call)
    found = {version: business.sums(metric, some, outcomes) for version, some in sorted(by_version.items())}
    total = sum(found.values(), Sums())
    return Preview(
        [
            OfVersion(
                version, len(by_version[version]), each.n, metric.unscaled(each.mean) if each.n else None
            )
            for version, each in found.items()
        ],
        [(str(call.request_id), _value(metric, call, outcomes)) for call in calls[:EXAMPLES]],
        calls_needed(round(total.variance, 4), metric.scaled_worse_by, 0.5) if total.n else None,
    )


def _value(metric: business.Metric, call: Call, outcomes: dict[UUID, list[Outcome]]) -> float | None:
    return business.value_of(metric, business.document_of(call, outcomes.get(call.request_id, [])))
