"""What standings are computed from, read and written for thousands of capabilities in one statement each."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection

CARD_HEAD = 4000


@dataclass(frozen=True, slots=True)
class Found:
    """What the tables say of one capability: its head of a card, the version that answers or is newest, its use."""

    capability: int
    card: str
    version: int | None
    framework: str
    inputs: list[Any]
    columns: list[Any]
    made_at: datetime | None
    live: bool
    passed: bool
    calls: int
    answered: int
    judged: int
    rating: float
    reviews: int
    subscribers: int


_READ = """
WITH live AS (
    SELECT DISTINCT ON (w.capability_id) w.capability_id, d.version_id
    FROM instances_trafficweight w JOIN instances_deployment d ON d.id = w.deployment_id
    WHERE w.capability_id = ANY(%(ids)s) AND w.weight > 0
    ORDER BY w.capability_id, w.weight DESC, w.deployment_id DESC
), newest AS (
    SELECT DISTINCT ON (capability_id) capability_id, id AS version_id FROM catalog_version
    WHERE capability_id = ANY(%(ids)s) AND status = 'packaged'
    ORDER BY capability_id, packaged_at DESC, id DESC
), judged AS (
    SELECT DISTINCT ON (r.version_id) r.version_id, r.verdict, run.version_digest AS digest
    FROM evaluation_report r JOIN evaluation_run run ON run.id = r.run_id
    JOIN catalog_version v ON v.id = r.version_id
    WHERE v.capability_id = ANY(%(ids)s) ORDER BY r.version_id, r.id DESC
), called AS (
    SELECT u.capability_id, sum(u.count) AS calls,
        coalesce(sum(u.count) FILTER (WHERE u.outcome = ''), 0) AS answered,
        coalesce(sum(u.count) FILTER (WHERE NOT u.outcome = ANY(%(callers_fault)s)), 0) AS judged
    FROM gateway_usage u JOIN gateway_grant g ON g.id = u.grant_id
    WHERE u.capability_id = ANY(%(ids)s) AND u.hour >= %(since)s AND g.kind IN ('subscription', 'trial')
    GROUP BY u.capability_id
), rated AS (
    SELECT capability_id, round(avg(rating), 3)::float AS rating, count(*) AS reviews FROM store_review
    WHERE capability_id = ANY(%(ids)s) GROUP BY capability_id
), used AS (
    SELECT capability_id, count(DISTINCT team_id) AS teams FROM store_subscription
    WHERE capability_id = ANY(%(ids)s) AND status = 'granted' GROUP BY capability_id
)
SELECT c.id, left(c.card, %(head)s), v.id, coalesce(v.framework, ''), v.signature -> 'inputs',
    v.signature -> 'columns', coalesce(v.packaged_at, v.created_at), live.version_id IS NOT NULL,
    coalesce(judged.verdict = 'passed' AND judged.digest = v.digest, false),
    coalesce(called.calls, 0), coalesce(called.answered, 0), coalesce(called.judged, 0),
    coalesce(rated.rating, 0), coalesce(rated.reviews, 0), coalesce(used.teams, 0)
FROM catalog_capability c
LEFT JOIN live ON live.capability_id = c.id
LEFT JOIN newest ON newest.capability_id = c.id
LEFT JOIN catalog_version v ON v.id = coalesce(live.version_id, newest.version_id)
LEFT JOIN judged ON judged.version_id = v.id
LEFT JOIN called ON called.capability_id = c.id
LEFT JOIN rated ON rated.capability_id = c.id
LEFT JOIN used ON used.capability_id = c.id
WHERE c.id = ANY(%(ids)s)
"""

_COLUMNS = {
    "capability_id": "bigint",
    "rating": "float",
    "reviews": "int",
    "subscribers": "int",
    "calls": "bigint",
    "availability": "float",
    "framework": "text",
    "licence": "text",
    "data_types": "text[]",
    "badges": "text[]",
    "made_at": "timestamptz",
    "computed_at": "timestamptz",
}
_NAMES = ", ".join(_COLUMNS)
_WRITE = (
    f"INSERT INTO store_standing ({_NAMES}) SELECT {_NAMES} FROM jsonb_to_recordset(%s::jsonb) AS r("  # noqa: S608
    + ", ".join(f"{name} {type_}" for name, type_ in _COLUMNS.items())
    + ") ORDER BY capability_id ON CONFLICT (capability_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "capability_id")
)


def read(ids: Collection[int], since: datetime, callers_fault: Iterable[str]) -> list[Found]:
    """The facts of these capabilities; calls from `since` on by subscribers and Try it, not by tests.

    `callers_fault` are the outcomes that say nothing about the capability.
    """
    if not ids:
        return []
    asked: dict[str, Any] = {
        "ids": list(ids),
        "since": since,
        "callers_fault": list(callers_fault),
        "head": CARD_HEAD,
    }
    with connection.cursor() as cursor:
        cursor.execute(_READ, asked)
        return [_found(row) for row in cursor.fetchall()]


def _found(row: tuple[Any, ...]) -> Found:
    head, documents, rest = row[:4], row[4:6], row[6:]
    inputs, columns = (json.loads(text) if text else [] for text in documents)
    made_at, live, passed, calls, answered, judged, *people = rest
    counts = (int(calls), int(answered), int(judged))
    values = (*head, inputs or [], columns or [], made_at, live, passed, *counts, *people)
    return Found(*values)


def write(rows: list[dict[str, Any]]) -> None:
    """Keep these standings, replacing what was computed before."""
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(_WRITE, [json.dumps(rows, cls=DjangoJSONEncoder)])
