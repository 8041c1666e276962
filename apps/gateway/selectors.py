"""Reads of usage and of the call log: what the store, releases, annotation and monitoring look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.policy import has_role
from apps.accounts.selectors import teams_of
from apps.catalog.examples import Example
from apps.catalog.models import Capability, Version
from apps.catalog.policy import BUILDERS
from apps.core.errors import NotFound
from apps.gateway.histogram import SIZE, percentile
from apps.gateway.models import QUOTA_EXCEEDED, Call, CallExport, Grant, Outcome, Overload, Usage
from apps.gateway.sealed import masked
from apps.instances.models import Deployment

if TYPE_CHECKING:
    from apps.accounts.models import User

__all__ = [
    "KeyRow",
    "PeriodRow",
    "UsageRow",
    "asked_by_hour",
    "callers_of",
    "calls",
    "calls_of_people",
    "calls_visible_to",
    "capabilities_called",
    "complaints_by_deployment",
    "counted_calls",
    "examples",
    "feedback_visible_to",
    "get_call",
    "grants_of",
    "kept_calls",
    "keys_of",
    "moment_of",
    "moments_of",
    "names_of",
    "outcomes_of",
    "overloads_visible_to",
    "percentile",
    "site_of",
    "usage",
    "usage_by_key",
    "usage_by_period",
]

COUNTED = frozenset({"", "input"})
MOST_EXAMPLES = 8
LOOKED_INTO = (Role.DEVELOPER, Role.QA, Role.OPERATOR, Role.ANNOTATOR)


@dataclass(frozen=True)
class UsageRow:
    """One hour of one key at one deployment with one outcome; `error_kind` is empty for answered calls."""

    hour: datetime
    grant_id: int
    capability_id: int
    deployment_id: int
    version: str
    error_kind: str
    count: int
    ms: float
    histogram: list[int]

    @property
    def counted(self) -> bool:
        """Whether these calls used up quota: the model was asked and did not fail."""
        return self.error_kind in COUNTED


def usage(
    *,
    since: datetime,
    until: datetime | None = None,
    grants: Iterable[int] | None = None,
    capability: Capability | None = None,
    deployments: Iterable[int] | None = None,
) -> list[UsageRow]:
    """The rollups of whole hours from the one that holds `since`, without shadows' calls."""
    rows = Usage.objects.filter(hour__gte=since.replace(minute=0, second=0, microsecond=0), grant_id__gt=0)
    if until is not None:
        rows = rows.filter(hour__lt=until)
    if grants is not None:
        rows = rows.filter(grant_id__in=list(grants))
    if capability is not None:
        rows = rows.filter(capability_id=capability.pk)
    if deployments is not None:
        rows = rows.filter(deployment_id__in=list(deployments))
    found = rows.order_by("hour").values_list(
        "hour", "grant_id", "capability_id", "deployment_id", "version", "outcome", "count", "ms", "histogram"
    )
    return [UsageRow(*row) for row in found]


@dataclass(frozen=True)
class PeriodRow:
    """All calls of one period at one deployment with one outcome; `error_kind` is empty for answered calls.

    Deployment 0 was never reached. `histogram` holds the latencies of answered calls; others have none.
    """

    at: datetime
    error_kind: str
    deployment_id: int
    version: str
    count: int
    histogram: list[int]


def usage_by_period(
    *,
    since: datetime,
    period: timedelta,
    grants: Iterable[int] | None = None,
    capability: Capability | None = None,
) -> list[PeriodRow]:
    """The rollups summed into periods that begin at multiples of their length since 1970, whatever the keys.

    The database adds the histograms up; for a capability it has done so for each hour before, whatever the keys.
    """
    added = ", ".join(f"sum(histogram[{place + 1}])::bigint" for place in range(SIZE))
    rows, values = _rollup(since, grants, capability)
    asked: list[Any] = [period, *values]
    told = "at, outcome, deployment_id, version, sum(count)::bigint"
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH used AS NOT MATERIALIZED ("  # noqa: S608
            "SELECT date_bin(%s, hour, 'epoch') AS at, outcome, deployment_id, version, count, histogram"
            f" FROM {rows})"
            f" SELECT {told}, ARRAY[{added}] FROM used WHERE outcome = '' GROUP BY 1, 2, 3, 4"
            f" UNION ALL SELECT {told}, '{{}}' FROM used WHERE outcome <> '' GROUP BY 1, 2, 3, 4",
            asked,
        )
        return [PeriodRow(*row) for row in cursor.fetchall()]


def _rollup(
    since: datetime, grants: Iterable[int] | None, capability: Capability | None
) -> tuple[str, list[Any]]:
    """The table with its condition, and the values in it: of the hours from the one that holds `since`."""
    if (grants is None) == (capability is None):
        raise ValueError("name keys or a capability")
    hour = since.replace(minute=0, second=0, microsecond=0)
    if capability is not None:
        return "gateway_usageofcapability WHERE hour >= %s AND capability_id = %s", [hour, capability.pk]
    return "gateway_usage WHERE hour >= %s AND grant_id > 0 AND grant_id = ANY(%s)", [
        hour,
        list(grants or ()),
    ]


@dataclass(frozen=True)
class KeyRow:
    """All calls of one key at one version; `failed` are those without an answer, `last` is the last such hour."""

    grant_id: int
    version: str
    count: int
    failed: int
    last: datetime


def usage_by_key(capability: Capability, *, since: datetime) -> list[KeyRow]:
    """Who called which version of a capability how much: by whole days, and by hours for the day that `since` cuts."""
    midnight = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT grant_id, version, sum(count)::bigint, sum(failed)::bigint, max(last) FROM (
                SELECT grant_id, version, count, CASE outcome WHEN '' THEN 0 ELSE count END AS failed, hour AS last
                FROM gateway_usage
                WHERE capability_id = %(capability)s AND hour >= %(since)s AND hour < %(midnight)s AND grant_id > 0
                UNION ALL
                SELECT grant_id, version, count, failed, last FROM gateway_usageofkey
                WHERE capability_id = %(capability)s AND day >= %(midnight)s
            ) AS used GROUP BY 1, 2
            """,
            {"capability": capability.pk, "since": since, "midnight": midnight},
        )
        return [KeyRow(*row) for row in cursor.fetchall()]


def asked_by_hour(grants: Iterable[int], since: datetime) -> list[tuple[datetime, int]]:
    """Calls with these keys in each hour, whatever came of them, in the order of time."""
    rows = Usage.objects.filter(grant_id__in=list(grants), hour__gte=since).values_list("hour")
    return [(hour, int(count)) for hour, count in rows.annotate(n=Sum("count")).order_by("hour")]


def moments_of(grants: Iterable[int], capability: Capability, since: datetime) -> list[datetime]:
    """When each call with these keys was made, in the order of time, from the log."""
    rows = Call.objects.filter(
        capability_id=capability.pk, at__gte=since, grant_id__in=list(grants), shadow=False
    )
    return list(rows.order_by("at").values_list("at", flat=True))


def counted_calls(grants: Iterable[int], since: datetime) -> int:
    """How many calls with these keys used up quota since the hour that holds `since`."""
    hour = since.replace(minute=0, second=0, microsecond=0)
    rows = Usage.objects.filter(hour__gte=hour, grant_id__in=list(grants), outcome__in=COUNTED)
    total: int | None = rows.aggregate(total=Sum("count"))["total"]
    return int(total or 0)


def refused_for_quota(since: datetime) -> list[int]:
    """The keys of which calls were refused, as the quota was used up, since the hour that holds `since`."""
    hour = since.replace(minute=0, second=0, microsecond=0)
    rows = Usage.objects.filter(hour__gte=hour, outcome=QUOTA_EXCEEDED)
    return list(rows.values_list("grant_id", flat=True).distinct()[:5000])


def complaints_by_deployment(capability: Capability, since: datetime) -> list[tuple[str, int, int, int]]:
    """(version, deployment, calls answered, how many of them a caller called wrong) since a moment.

    What the portal asked by itself is left out: nobody can call it wrong.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH wrong AS (
                SELECT c.version, c.deployment_id, count(DISTINCT c.request_id) AS n
                FROM gateway_outcome o JOIN gateway_call c ON c.request_id = o.request_id AND c.at >= %(since)s
                WHERE o.kind = 'feedback' AND NOT o.correct AND c.capability_id = %(capability)s AND NOT c.shadow
                GROUP BY 1, 2
            ), asked AS (
                SELECT version, deployment_id, sum(count)::bigint AS n FROM gateway_usage
                WHERE capability_id = %(capability)s AND hour >= date_trunc('hour', %(since)s::timestamptz)
                  AND grant_id > 0 AND outcome = '' AND grant_id NOT IN (
                      SELECT id FROM gateway_grant WHERE capability_id = %(capability)s AND kind = 'evaluation')
                GROUP BY 1, 2
            )
            SELECT asked.version, asked.deployment_id, asked.n, coalesce(wrong.n, 0)
            FROM asked LEFT JOIN wrong USING (version, deployment_id) ORDER BY 1, 2
            """,
            {"capability": capability.pk, "since": since},
        )
        return list(cursor.fetchall())


def calls(
    *,
    capability: Capability | None = None,
    grants: Iterable[int] | None = None,
    deployments: Iterable[int] | None = None,
    version: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    failed: bool | None = None,
    score_below: float | None = None,
    complained: bool | None = None,
    shadow: bool | None = False,
) -> QuerySet[Call]:
    """Logged calls by what pages and pull rules ask for, without bodies; page with `keyset(…, ("-at", "-pk"))`."""
    rows = Call.objects.defer("request", "response")
    conditions: dict[str, Any] = {
        "capability_id": capability.pk if capability else None,
        "grant_id__in": None if grants is None else list(grants),
        "deployment_id__in": None if deployments is None else list(deployments),
        "version": version or None,
        "at__gte": since,
        "at__lt": until,
        "score__lt": score_below,
        "shadow": shadow,
    }
    rows = rows.filter(**{name: value for name, value in conditions.items() if value is not None})
    if failed is not None:
        rows = rows.filter(Q(status__gte=400) if failed else Q(status__lt=400))
    if complained is not None:
        wrong = Outcome.objects.filter(correct=False).values("request_id")
        rows = rows.filter(request_id__in=wrong) if complained else rows.exclude(request_id__in=wrong)
    return rows


def calls_of_people(capability: Capability, **asked: Any) -> QuerySet[Call]:
    """As `calls`, without what the portal asked by itself: that says nothing of what people ask."""
    own = Grant.objects.filter(capability=capability, kind=Grant.Kind.EVALUATION).values("pk")
    return calls(capability=capability, **asked).exclude(grant_id__in=own)


def calls_visible_to(user: User, *, shadow: bool | None = False) -> QuerySet[Call]:
    """The calls of the capabilities that a person's teams own, and those with the person's teams' keys.

    What a shadow answered is seen by the capability's team alone: callers never get it.
    """
    rows = calls(shadow=shadow)
    if has_role(user, Role.ADMIN):
        return rows
    own = Capability.objects.filter(team__in=teams_of(user, *LOOKED_INTO)).values("pk")
    keys = keys_of(user).values("pk")
    return rows.filter(Q(capability_id__in=own) | Q(grant_id__in=keys, shadow=False))


def exports_visible_to(user: User) -> QuerySet[CallExport]:
    """Exports of the calls of the capabilities that one's teams build, newest first."""
    rows = CallExport.objects.select_related("capability__team", "dataset", "version", "started_by").order_by(
        "-pk"
    )
    if has_role(user, Role.ADMIN):
        return rows
    return rows.filter(capability__team__in=teams_of(user, *BUILDERS))


def keys_of(user: User) -> QuerySet[Grant]:
    """The keys of a person's teams, and the person's own."""
    return Grant.objects.filter(Q(team__in=teams_of(user), kind=Grant.Kind.SUBSCRIPTION) | Q(user=user))


def overloads_visible_to(user: User) -> QuerySet[Overload]:
    """The times in which deployments of a person's teams turned calls away, newest first."""
    rows = Overload.objects.select_related("capability", "deployment__version").order_by("-last_at", "-pk")
    return (
        rows if has_role(user, Role.ADMIN) else rows.filter(capability__team__in=teams_of(user, *LOOKED_INTO))
    )


def capabilities_called(user: User) -> QuerySet[Capability]:
    """The capabilities whose calls a person may see some of."""
    if has_role(user, Role.ADMIN):
        return Capability.objects.all()
    keys = keys_of(user).values("capability")
    return Capability.objects.filter(Q(team__in=teams_of(user, *LOOKED_INTO)) | Q(pk__in=keys))


def names_of(calls: Iterable[Call], user: User) -> dict[int | None, str]:
    """{capability id: its short name} of some calls, as far as a person may see them."""
    found = capabilities_called(user).filter(pk__in={call.capability_id for call in calls})
    return dict(found.values_list("pk", "slug"))


def callers_of(calls: Iterable[Call]) -> dict[int | None, str]:
    """{key: the team that called with it, else the person}; of keys that the portal uses itself their kind."""
    keys = Grant.objects.filter(pk__in={call.grant_id for call in calls if call.grant_id})
    return {grant.pk: _caller(grant) for grant in keys.select_related("team", "user")}


def _caller(grant: Grant) -> str:
    if grant.kind == Grant.Kind.EVALUATION:
        return grant.get_kind_display()
    if grant.team is not None:
        return grant.team.name
    return grant.user.username if grant.user is not None else ""


def site_of(call: Call) -> str:
    """The short name of the place that answered a call; empty when nothing did."""
    sites = Deployment.objects.filter(pk=call.deployment_id or 0).values_list("site__slug", flat=True)
    return sites.first() or ""


def feedback_visible_to(user: User) -> QuerySet[Outcome]:
    """What became known of the calls that a person may see."""
    seen = calls_visible_to(user).values("request_id")
    return Outcome.objects.filter(request_id__in=seen).select_related("by")


def get_call(request_id: UUID | str, *, user: User) -> Call:
    """One call with its bodies. Raises NotFound for what the person may not know of."""
    try:
        number = UUID(str(request_id))
    except ValueError:
        number = UUID(int=0)
    around = moment_of(number)
    found = (
        calls_visible_to(user, shadow=None)
        .defer(None)
        .filter(request_id=number, at__range=(around - timedelta(minutes=5), around + timedelta(minutes=5)))
        .first()
    )
    if found is None:
        raise NotFound(_("There is no call %(id)s that you may see.") % {"id": request_id})
    return found


def examples(version: Version, user: User) -> list[Example]:
    """The newest answered calls of a version that a person may see, to try rules on; encrypted fields masked."""
    rows = calls_visible_to(user).filter(
        capability_id=version.capability_id, version=version.number, status__lt=400, request__isnull=False
    )
    rows = rows.defer(None).only("request_id", "at", "request", "response").order_by("-at", "-pk")
    return [
        Example(
            _("call of %(at)s") % {"at": f"{timezone.localtime(row.at):%Y-%m-%d %H:%M:%S}"},
            {**_masked(row.request_document), **_masked(row.response_document)},
        )
        for row in rows[:MOST_EXAMPLES]
    ]


def _masked(document: Any) -> dict[str, Any]:
    return masked(document) if isinstance(document, dict) else {}


def kept_calls(capability: Capability) -> tuple[int, datetime | None]:
    """How many calls of a capability stand in the log, shadows' too, and when the oldest was."""
    rows = calls(capability=capability, shadow=None)
    oldest = rows.order_by("at").values_list("at", flat=True).first()
    return rows.count(), oldest


def moment_of(request_id: UUID) -> datetime:
    """When a request id (UUID version 7) was made, to the millisecond."""
    return datetime.fromtimestamp((request_id.int >> 80) / 1000, UTC) if request_id.version == 7 else _EPOCH


_EPOCH = datetime(1970, 1, 2, tzinfo=UTC)


def outcomes_of(request_ids: Iterable[UUID | str]) -> dict[UUID, list[Outcome]]:
    """{request id: what became known of it, oldest first}."""
    found: dict[UUID, list[Outcome]] = {}
    for outcome in (
        Outcome.objects.filter(request_id__in=list(request_ids)).order_by("at").select_related("by")
    ):
        found.setdefault(outcome.request_id, []).append(outcome)
    return found


def grants_of(pool: str) -> QuerySet[Grant]:
    """The keys that share a pool, newest first."""
    return Grant.objects.filter(pool=pool).order_by("-pk")
