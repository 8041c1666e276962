"""What the calls of a stage showed, per deployment; and what its replicas use.

The log is counted minute by minute and kept in `StageMinute`, so that looking every two seconds costs as much on
the tenth day as in the first minute. Minutes of the last while are counted again each time, since the log arrives
late; all minutes of the last 23 hours every ten minutes, for what a gateway that was cut off brings.

Which calls are a stage's is told by the share that the gateway logged with each, since gateways have clocks of their
own and may still answer by the former shares (`wanted`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import Max, Sum
from django.utils import timezone

from apps.gateway.histogram import BOUNDS, SIZE, percentile
from apps.gateway.models import Call, Grant, UsageOfCapability
from apps.gateway.selectors import outcomes_of
from apps.instances.models import Replica
from apps.releases import business, effort, load, means
from apps.releases.differences import Compared
from apps.releases.judgement import Counts
from apps.releases.models import Release, Stage, StageMinute
from apps.releases.shares import shares_of

if TYPE_CHECKING:
    from apps.instances.models import Deployment

NO_NUMBER = "coalesce(jsonb_exists({table}logged, 'not_finite'), false)"
"""The runner says so of an answer with NaN or infinity in it, see `atrium.logged`."""
LATE = timedelta(minutes=2)
RECOUNT_EVERY = timedelta(minutes=10)
RECOUNT_BACK = timedelta(hours=23)
"""Shorter than any retention: a minute whose calls are deleted keeps its figures."""
CLOCKS = timedelta(minutes=15)
"""How far a gateway's clock may be behind without its calls at a new share being missed."""
HEARD = timedelta(seconds=10)
"""A stage reaches the gateway and its calls the log well within this."""
AT_SHARE = (
    "CASE WHEN c.deployment_id = %(candidate)s THEN c.stage_weight ELSE 100 - c.stage_weight END"
    " = ANY(%({shares})s::float8[])"
)
"""Whether a call was answered while the candidate had one of these shares, in percent."""
MINUTES_AT_ONCE = 1000
MOST_MINUTES = 30
CALLS_AT_ONCE = 2000
ROWS_OF = 40
"""As many calls of a minute say how many rows a call has."""
PACE = timedelta(minutes=10)
USUAL = timedelta(days=7)
LEAST_USUAL = 100


@dataclass(frozen=True)
class Observed:
    """Calls, server errors among them, calls that somebody called wrong, and the 95th percentile in milliseconds.

    `slow` answers took longer than the stage allows; `bad` counts each call once, whatever is wrong with it.
    `memory_mb` is the largest replica's, `cpu_share` the sum of their processor shares; `servers` is the load of
    each: `[{"replica", "memory_mb", "cpu_share"}]`. `cores` is what a server kept busy on average.
    """

    calls: int = 0
    errors: int = 0
    complaints: int = 0
    p95_ms: float | None = None
    slow: int = 0
    bad: int = 0
    memory_mb: float = 0.0
    cpu_share: float = 0.0
    servers: list[dict[str, float]] = field(default_factory=list)
    cores: float | None = None

    @property
    def counts(self) -> Counts:
        return Counts(self.calls, min(self.calls, self.bad))


def observe(stage: Stage, candidate: Deployment, before: Deployment | None) -> dict[int, Observed]:
    """What was logged since the stage began for the candidate and what ran before, up to this moment."""
    keys = [deployment.pk for deployment in (candidate, before) if deployment is not None]
    calls = wanted(stage, candidate.pk, keys)
    count(stage, calls, timezone.now())
    complaints, sums = _complaints(calls), _sums(stage, keys)
    replicas: dict[int, list[Replica]] = {key: [] for key in keys}
    for replica in Replica.objects.filter(deployment_id__in=keys).order_by("pk"):
        replicas[replica.deployment_id].append(replica)
    before_now = stage.load
    stage.load = {str(key): load.noted(before_now.get(str(key), {}), _servers(replicas[key])) for key in keys}
    if stage.costlier_by:
        for key in keys:
            used = stage.load[str(key)]["cpu_s"] - before_now.get(str(key), {}).get("cpu_s", 0.0)
            _note_processor(stage, key, used)
    return {
        key: replace(
            _observed(replicas[key], sums.get(key), complaints.get(key, (0, 0))),
            cores=load.mean_cores(stage.load[str(key)]),
        )
        for key in keys
    }


def _servers(replicas: list[Replica]) -> list[load.Server]:
    return [
        load.Server(str(replica.pk), replica.cpu_s, replica.observed_at.timestamp())
        for replica in replicas
        if replica.observed_at is not None
    ]


def _note_processor(stage: Stage, deployment: int, used: float) -> None:
    """Add processor seconds to the present minute; its calls may not be in the log yet."""
    if used <= 0:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO releases_stageminute (stage_id, deployment_id, minute, calls, errors, slow, bad, histogram,"
            " metric_sum, metric_squares, cpu_s) VALUES (%s, %s, date_trunc('minute', now(), 'UTC'), 0, 0, 0, 0, %s,"
            " 0, 0, %s) ON CONFLICT (stage_id, deployment_id, minute)"
            " DO UPDATE SET cpu_s = releases_stageminute.cpu_s + excluded.cpu_s",
            [stage.pk, deployment, [0] * SIZE, used],
        )


def efforts(stage: Stage, candidate: int, baseline: int) -> list[tuple[effort.Side, effort.Side]]:
    """What a row cost each side, minute by minute, once the log of a minute is there. Minutes in which a server also
    answered calls that are none of the stage's say nothing: replays, callers who are pinned, test calls.
    """
    grants, _only = whose(stage)
    if grants:
        return []
    ripe = timezone.now() - LATE
    rows = stage.minutes.filter(minute__lt=ripe.replace(second=0, microsecond=0), cpu_s__gte=effort.BUSY_S)
    calls = wanted(stage, candidate, [candidate, baseline])
    for row in rows.filter(rows=None, calls__gte=effort.LEAST_CALLS).order_by("minute", "pk")[:MOST_MINUTES]:
        row.rows = 0.0 if _answers_others(row, calls) else _rows_of_a_call(row, calls)
        row.save(update_fields=["rows"])
    minutes: dict[datetime, dict[int, effort.Side]] = {}
    known = rows.filter(rows__gt=0).order_by("minute")
    for minute, pk, cpu_s, answered, each in known.values_list(
        "minute", "deployment_id", "cpu_s", "calls", "rows"
    ):
        minutes.setdefault(minute, {})[pk] = effort.Side(cpu_s, answered, each)
    return [
        (sides[candidate], sides[baseline])
        for sides in minutes.values()
        if candidate in sides and baseline in sides
    ]


def _answers_others(row: StageMinute, calls: Wanted) -> bool:
    """Whether the deployment answered a call in the minute that is none of the stage's: it took processor time, too."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM gateway_call c WHERE c.deployment_id = %(deployment)s"  # noqa: S608  our own words
            " AND c.at >= %(minute)s AND c.at < %(minute)s + interval '1 minute'"
            f" AND c.status <> 429 AND ({THEIRS}) IS NOT TRUE)",
            calls.parameters | {"deployment": row.deployment_id, "minute": row.minute},
        )
        return bool(cursor.fetchone()[0])


def _rows_of_a_call(row: StageMinute, calls: Wanted) -> float:
    """The mean over some calls of the minute; 0 where the log does not keep what was sent."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT request FROM gateway_call c WHERE {THEIRS} AND NOT c.shadow"  # noqa: S608  our own words
            " AND c.at >= %(minute)s AND c.at < %(minute)s + interval '1 minute' LIMIT %(most)s",
            calls.parameters | {"keys": [row.deployment_id], "minute": row.minute, "most": ROWS_OF},
        )
        found = [effort.rows_in(bytes(request) if request else b"") for (request,) in cursor.fetchall()]
    known = [rows for rows in found if rows is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else 0.0


def whose(stage: Stage) -> tuple[list[int], bool]:
    """Keys, and whether only calls with these count (else only those without): a stage at one site counts its own
    callers, one for everybody leaves out the sites that are ahead of it, whose callers have another share.
    """
    slugs = [stage.site] if stage.site else list(_ahead_of(stage))
    if not slugs:
        return [], False
    grants = Grant.objects.filter(capability=stage.release.capability_id, team__site__slug__in=slugs)
    return list(grants.values_list("pk", flat=True)), bool(stage.site)


def _ahead_of(stage: Stage) -> dict[str, int]:
    begun = Stage.objects.filter(release=stage.release_id, position__lte=stage.position).order_by("position")
    return shares_of(begun).ahead


@dataclass(frozen=True)
class Wanted:
    """Which rows of the log are a stage's: `THEIRS` with these `parameters`; before `earliest` there are none."""

    earliest: datetime
    parameters: dict[str, Any]


REFUSED = "c.status BETWEEN 400 AND 499"
"""The caller's own error, as an empty body, or a quota or a rate that was used up: it says nothing of a version."""
ALONE = "c.shadow AND c.error_kind = 'refused-alone'"
"""A mirrored call that the candidate refuses and another version answered; the gateway says so of each."""
THEIRS = f"""
  c.deployment_id = ANY(%(keys)s) AND c.at >= %(earliest)s AND (c.shadow OR c.stage_weight > 0)
  AND (NOT {REFUSED} OR {ALONE})
  AND coalesce(c.grant_id = ANY(%(grants)s), false) = %(only)s
  AND CASE WHEN c.at < %(began)s THEN NOT c.shadow AND {AT_SHARE.format(shares="now")}
      ELSE c.shadow OR NOT {AT_SHARE.format(shares="former")} END
"""


def wanted(stage: Stage, candidate: int | None, keys: list[int]) -> Wanted:
    """The calls of a stage's own callers that were divided, or mirrored, by its shares.

    Since the stage began all but those at a share of an earlier stage: they were logged by a gateway whose clock is
    ahead, or that has not heard of this stage. From up to `CLOCKS` before those at exactly this share: they were
    logged by one whose clock is behind. Where an earlier stage or release could have had the share, these are left
    out. A share that was set by hand meanwhile counts.
    """
    assert stage.started_at is not None
    begun = list(
        Stage.objects.filter(release=stage.release_id, position__lte=stage.position).order_by("position")
    )
    before = [shares_of(begun[:number]) for number in range(len(begun))]
    now = shares_of(begun).at(stage.site)
    former = {share for shares in before for share in (shares.everywhere, *shares.ahead.values())}
    earliest = stage.started_at
    if now not in former:
        others = Release.objects.filter(capability=stage.release.capability_id, ended_at__isnull=False)
        ended = others.aggregate(last=Max("ended_at"))["last"]
        earliest = min(earliest, max(earliest - CLOCKS, ended or earliest - CLOCKS))
    grants, only_these = whose(stage)
    parameters: dict[str, Any] = {
        "keys": keys, "grants": grants, "only": only_these, "candidate": candidate,
        "began": stage.started_at, "earliest": earliest,
        "now": [float(now)], "former": [float(share) for share in former - {now}],
        "slow_ms": stage.slow_ms or float("inf"),
    }  # fmt: skip
    return Wanted(earliest, parameters)


def stays_behind(stage: Stage, candidate: int, keys: list[int]) -> bool:
    """Whether the log has calls from after the stage began at the shares from before it: no gateway does that whose
    clock is right and that has heard of the stage.
    """
    assert stage.started_at is not None
    given = wanted(stage, candidate, keys).parameters | {"since": stage.started_at + HEARD}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM gateway_call c WHERE c.deployment_id = ANY(%(keys)s) AND c.at >= %(since)s"  # noqa: S608
            " AND coalesce(c.grant_id = ANY(%(grants)s), false) = %(only)s AND c.stage_weight > 0 AND NOT c.shadow"
            f" AND {AT_SHARE.format(shares='former')})",
            given,
        )
        return bool(cursor.fetchone()[0])


def _sums(stage: Stage, keys: list[int]) -> dict[int, tuple[int, int, int, int, list[int]]]:
    """{deployment: (calls, errors, slow, bad, histogram)} over all minutes; the database adds them up."""
    added = ", ".join(f"sum(histogram[{place + 1}])::bigint" for place in range(SIZE))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT deployment_id, sum(calls)::bigint, sum(errors)::bigint, sum(slow)::bigint, sum(bad)::bigint,"  # noqa: S608
            f" ARRAY[{added}] FROM releases_stageminute WHERE stage_id = %s AND deployment_id = ANY(%s) GROUP BY 1",
            [stage.pk, keys],
        )
        return {pk: tuple(rest) for pk, *rest in cursor.fetchall()}


def _observed(
    replicas: list[Replica], sums: tuple[int, int, int, int, list[int]] | None, complaints: tuple[int, int]
) -> Observed:
    calls, errors, slow, bad, histogram = sums or (0, 0, 0, 0, [])
    servers = [
        {
            "replica": replica.pk,
            "memory_mb": round(replica.memory_mb, 1),
            "cpu_share": round(replica.cpu_share, 3),
        }
        for replica in replicas
    ]
    return Observed(
        calls=calls,
        errors=errors,
        complaints=complaints[0],
        p95_ms=percentile([histogram], 0.95),
        slow=slow,
        bad=bad + complaints[1],
        memory_mb=max((server["memory_mb"] for server in servers), default=0.0),
        cpu_share=round(sum(server["cpu_share"] for server in servers), 3),
        servers=servers,
    )


def count(stage: Stage, calls: Wanted, now: datetime) -> None:
    """Bring the stage's minutes up to date with the log."""
    since = calls.earliest
    if stage.counted_at is not None:
        since = max(since, stage.counted_at - LATE)
    whole = stage.recounted_at is None or stage.recounted_at <= now - RECOUNT_EVERY
    if whole:
        since = max(calls.earliest, min(since, now - RECOUNT_BACK))
        stage.recounted_at = now
    _count(stage, calls, since)
    stage.counted_at = now
    Stage.objects.filter(pk=stage.pk).update(counted_at=now, recounted_at=stage.recounted_at)


def _count(stage: Stage, theirs: Wanted, since: datetime) -> None:
    """Count whole minutes from the one that holds `since`; those whose calls count no more get zeros, as far back as
    no retention has removed calls.

    Test calls of a key bound to one deployment do not count.
    """
    begin = max(theirs.earliest, since.replace(second=0, microsecond=0))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT deployment_id, date_trunc('minute', at, 'UTC') AS minute,
                   CASE WHEN status < 400 THEN width_bucket(latency_ms, %(bounds)s::float8[]) ELSE -1 END AS place,
                   count(*), count(*) FILTER (WHERE status >= 500), count(*) FILTER (WHERE latency_ms > %(slow_ms)s),
                   count(*) FILTER (WHERE status >= 400 OR latency_ms > %(slow_ms)s OR {NO_NUMBER.format(table="")})
            FROM gateway_call c WHERE {THEIRS} AND c.at >= %(begin)s
            GROUP BY 1, 2, 3
            """,  # noqa: S608  our own words
            theirs.parameters | {"bounds": list(BOUNDS), "begin": begin},
        )
        rows = cursor.fetchall()
    found: dict[tuple[int, datetime], StageMinute] = {}
    for pk, minute, place, calls, errors, slow, bad in rows:
        row = found.setdefault((pk, minute), _empty(stage, pk, minute))
        row.calls, row.errors, row.slow, row.bad = (
            row.calls + calls, row.errors + errors, row.slow + slow, row.bad + bad,
        )  # fmt: skip
        if place >= 0:
            row.histogram[place] += calls
    kept = max(begin.replace(second=0, microsecond=0), timezone.now() - RECOUNT_BACK)
    for gone in stage.minutes.filter(minute__gte=kept, calls__gt=0):
        key = (gone.deployment_id, gone.minute)
        found.setdefault(key, _empty(stage, *key))
    StageMinute.objects.bulk_create(
        found.values(),
        batch_size=MINUTES_AT_ONCE,
        update_conflicts=True,
        unique_fields=["stage", "deployment_id", "minute"],
        update_fields=["calls", "errors", "slow", "bad", "histogram"],
    )


def _empty(stage: Stage, pk: int, minute: datetime) -> StageMinute:
    return StageMinute(
        stage=stage, deployment_id=pk, minute=minute, calls=0, errors=0, slow=0, bad=0, histogram=[0] * SIZE
    )


def _complaints(calls: Wanted) -> dict[int, tuple[int, int]]:
    """{deployment: (calls that somebody called wrong, those of them that are not bad for another reason)}."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT c.deployment_id, count(DISTINCT c.request_id),
                   count(DISTINCT c.request_id)
                   FILTER (WHERE c.status < 400 AND c.latency_ms <= %(slow_ms)s AND NOT {NO_NUMBER.format(table="c.")})
            FROM gateway_outcome o JOIN gateway_call c ON c.request_id = o.request_id
            WHERE NOT o.correct AND o.at >= %(earliest)s AND {THEIRS}
            GROUP BY 1
            """,  # noqa: S608  our own words
            calls.parameters,
        )
        return {pk: (wrong, only) for pk, wrong, only in cursor.fetchall()}


def usual_latency(deployment: Deployment) -> float | None:
    """Below how many milliseconds 95 % of its answers of the last days stayed; None where there are too few to say."""
    since = timezone.now() - USUAL
    rows = UsageOfCapability.objects.filter(
        capability_id=deployment.capability_id, deployment_id=deployment.pk, outcome="", hour__gte=since
    )
    histograms = list(rows.values_list("histogram", flat=True))
    return percentile(histograms, 0.95) if sum(map(sum, histograms)) >= LEAST_USUAL else None


def pace(stage: Stage, deployment: int) -> tuple[int, float]:
    """The calls of the last while and its seconds: how it was hours ago, or while callers objected, is over."""
    assert stage.started_at is not None
    now = timezone.now()
    since = max(stage.started_at, now - PACE).replace(second=0, microsecond=0)
    rows = stage.minutes.filter(deployment_id=deployment, minute__gte=since)
    calls = rows.aggregate(calls=Sum("calls"))["calls"] or 0
    return calls, (now - max(stage.started_at, since)).total_seconds()


def replayed(stage: Stage, release: Release) -> Counts:
    """The candidate's answers to the logged calls of all subscribers, and how many of them would be bad ones here.

    One without an answer is bad; one whose answer is not in the log yet does not count.
    """
    assert stage.started_at is not None
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT count(*), count(*) FILTER (
                WHERE r.outcome = 'failed' OR c.latency_ms > %(slow_ms)s OR {NO_NUMBER.format(table="c.")}
            )
            FROM releases_replayedcall r
            JOIN releases_replay p ON p.id = r.replay_id AND p.release_id = %(release)s
            LEFT JOIN gateway_call c
            ON c.request_id = r.answer_id AND c.at >= %(since)s AND c.deployment_id = %(candidate)s
            WHERE r.outcome = 'failed' OR r.outcome = ANY(%(answered)s) AND c.request_id IS NOT NULL
            """,  # noqa: S608  our own words
            {
                "release": release.pk,
                "since": stage.started_at - CLOCKS,
                "candidate": release.deployment_id,
                "slow_ms": stage.slow_ms or float("inf"),
                "answered": [str(each) for each in Compared],
            },
        )
        calls, bad = cursor.fetchone()
    return Counts(calls, bad)


def measure(stage: Stage, metric: business.Metric, candidate: int, baseline: int) -> means.Means:
    """The business metric of both sides. Each minute is read once, when feedback had its time, in the order of time."""
    ripe = timezone.now() - timedelta(minutes=metric.wait_minutes + 1) - LATE
    due = stage.minutes.filter(metric_n=None, minute__lte=ripe).order_by("minute", "pk")
    calls = wanted(stage, candidate, [candidate, baseline])
    for row in due[:MOST_MINUTES]:
        _fill(row, metric, calls)
    minutes: dict[datetime, dict[int, means.Sums]] = {}
    known = stage.minutes.filter(metric_n__isnull=False).order_by("minute")
    rows = known.values_list("minute", "deployment_id", "metric_n", "metric_sum", "metric_squares")
    for minute, pk, n, total, squares in rows:
        minutes.setdefault(minute, {})[pk] = means.Sums(n or 0, total, squares)
    nothing = means.Sums()
    pairs = [(each.get(candidate, nothing), each.get(baseline, nothing)) for each in minutes.values()]
    return means.compare(pairs, metric.scaled_worse_by)


def _fill(row: StageMinute, metric: business.Metric, calls: Wanted) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT request_id FROM gateway_call c WHERE {THEIRS} AND NOT c.shadow"  # noqa: S608  our own words
            " AND c.at >= %(minute)s AND c.at < %(minute)s + interval '1 minute'",
            calls.parameters | {"keys": [row.deployment_id], "minute": row.minute},
        )
        ids = [request_id for (request_id,) in cursor.fetchall()]
    of_minute = Call.objects.filter(at__gte=row.minute, at__lt=row.minute + timedelta(minutes=1))
    of_minute = of_minute.defer("request", "response")
    sums = means.Sums()
    for begin in range(0, len(ids), CALLS_AT_ONCE):
        some = ids[begin : begin + CALLS_AT_ONCE]
        sums += business.sums(metric, of_minute.filter(request_id__in=some), outcomes_of(some))
    row.metric_n, row.metric_sum, row.metric_squares = sums.n, sums.total, sums.squares
    row.save(update_fields=["metric_n", "metric_sum", "metric_squares"])
