"""Rows that somebody brings become tasks: in one COPY, equal ones counted, the bad ones named by their number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
from django.db import connection, transaction

from apps.annotation.label_types import type_named
from apps.annotation.label_types.base import short
from apps.annotation.models import Project, PullRule
from apps.annotation.policy import may_manage
from apps.annotation.queue import put_in_order
from apps.annotation.selectors import setting_of
from apps.core import audit, events
from apps.core.errors import Invalid
from apps.core.policy import require
from apps.core.telling import joined, kept
from apps.core.telling import say as _

if TYPE_CHECKING:
    from apps.accounts.models import User

LARGEST_INPUT = 1 << 20
NAMED = 50
MANY = 1000


@dataclass
class Added:
    """New tasks, rows that equal a task already there, and what is wrong with the others, by row number from 1.

    `unproposed` of the good rows came without what they proposed, since it is no value of the label type.
    """

    tasks: int = 0
    merged: int = 0
    unproposed: int = 0
    broken: list[tuple[int, str]] = field(default_factory=list)


@transaction.atomic
def add_tasks(project: Project, rows: Iterable[Any], *, by: User, keep_good: bool = False) -> Added:
    """Make tasks of rows `{"inputs": {name: value}, "predicted"?, "confidence"?, "reason"?, "priority"?, "value"?,
    "proposed"?}`.

    Equal inputs are one task with a weight. A `value` of the label type is a decision: its task is accepted at once;
    one that is `proposed` is what people begin from, and left out and counted where it is none (an Invalid: it could
    not be read).
    An Invalid among the rows stands for one that could not be read. Raises Invalid that names the broken rows,
    unless `keep_good`.
    """
    require(may_manage(by, project))
    added = Added()
    with connection.cursor() as cursor:
        cursor.execute(_STAGE)
        with cursor.copy(_COPY) as copy:
            for number, row in enumerate(rows, 1):
                try:
                    checked = _checked(number, row, project)
                except Invalid as error:
                    added.broken.append((number, error.message))
                    continue
                copy.write_row(checked)
                if checked[-1] is None and row.get("proposed") is not None:
                    added.unproposed += 1
        if added.broken and not keep_good:
            raise Invalid(broken_text(added.broken), fields={f"row {n}": t for n, t in added.broken[:NAMED]})
        cursor.execute(_WEIGH, {"project": project.pk})
        reason, made_of = kept(_("Uploaded by %(name)s.") % {"name": by.called})
        told: dict[str, int | str] = {
            "project": project.pk,
            "overlap": project.overlap,
            "reason": reason,
            "told": orjson.dumps(made_of).decode(),
            "kind": PullRule.Kind.UPLOADED.value,
            "by": by.pk,
        }
        cursor.execute(_MAKE, told)
        added.tasks, good, _places = cursor.fetchone()
        added.merged = good - added.tasks
        cursor.execute("DROP TABLE staged")
        if added.tasks >= MANY:  # else the first claims are planned for an empty table, and read all of it
            cursor.execute("ANALYZE annotation_task, annotation_slot")
    if project.order != Project.Order.PRIORITY:
        put_in_order(project)
    if added.tasks:
        key = f"{project.pk}:{uuid4().hex}"
        events.publish("annotation.tasks_added", key, project=project.pk, tasks=added.tasks, how="uploaded")
    audit.record(
        "annotation.tasks.added",
        project,
        by=by,
        tasks=added.tasks,
        merged=added.merged,
        broken=len(added.broken),
        unproposed=added.unproposed,
    )
    return added


def broken_text(broken: list[tuple[int, str]]) -> str:
    """What is wrong with an upload, in words."""
    listed = joined(*(_("row %(n)d: %(why)s") % {"n": n, "why": why} for n, why in broken[:NAMED]), by="; ")
    more = len(broken) - NAMED
    return joined(listed, _(" and %(n)d more") % {"n": more} if more > 0 else "", by="")


def _checked(number: int, row: Any, project: Project) -> tuple[Any, ...]:
    """A row for the staging table. Raises Invalid saying what is wrong with it."""
    if isinstance(row, Invalid):
        raise row
    if not isinstance(row, dict) or not isinstance(row.get("inputs"), dict) or not row["inputs"]:
        raise Invalid(_("it has no `inputs`, an object of name and value"))
    try:
        inputs = orjson.dumps(row["inputs"], option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise Invalid(_("its inputs are no JSON: %(why)s") % {"why": error}) from error
    if len(inputs) > LARGEST_INPUT:
        raise Invalid(_("its inputs are larger than 1 MiB"))
    if b"\\u0000" in inputs:
        raise Invalid(_("its inputs hold a NUL character, which cannot be kept"))
    confidence, priority = row.get("confidence"), row.get("priority", 0)
    if confidence is not None and (
        isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1
    ):
        raise Invalid(_("its confidence %(value)s is not between 0 and 1") % {"value": repr(confidence)[:40]})
    if isinstance(priority, bool) or not isinstance(priority, int) or not -1000 <= priority <= 1000:
        raise Invalid(
            _("its priority %(value)s is no whole number from -1000 to 1000") % {"value": repr(priority)[:40]}
        )
    texts = [str(row.get(name) or "").replace("\x00", "")[:200] for name in ("predicted", "reason")]
    label, value = _decision(row, project)
    return (
        *(number, hashlib.sha256(inputs).hexdigest(), inputs.decode(), *texts),
        *(confidence, priority, label, value, _proposed(row, project)),
    )


def _decision(row: dict[str, Any], project: Project) -> tuple[str, str | None]:
    if "value" not in row:
        return "", None
    kind = type_named(project.kind)
    value = kind.clean(row["value"], setting_of(project, row["inputs"]))
    return short(kind.text(value)), orjson.dumps(value).decode()


def _proposed(row: dict[str, Any], project: Project) -> str | None:
    said = row.get("proposed")
    if said is None or isinstance(said, Invalid):
        return None
    try:
        value = type_named(project.kind).clean(said, setting_of(project, row["inputs"]))
    except Invalid:
        return None
    return orjson.dumps(value).decode()


_STAGE = """
CREATE TEMPORARY TABLE staged (
    number integer, fingerprint varchar(64), inputs jsonb, predicted varchar(200), reason varchar(200),
    confidence double precision, priority smallint, label varchar(200), value jsonb,
    proposed jsonb
) ON COMMIT DROP
"""
_COPY = """
COPY staged (number, fingerprint, inputs, predicted, reason, confidence, priority, label, value, proposed) FROM STDIN
"""
_WEIGH = """
UPDATE annotation_task t SET weight = t.weight + s.n
FROM (SELECT fingerprint, count(*) AS n FROM staged GROUP BY 1) s
WHERE t.project_id = %(project)s AND t.fingerprint = s.fingerprint
"""
_MAKE = """
WITH one AS (
    SELECT DISTINCT ON (fingerprint) *, count(*) OVER (PARTITION BY fingerprint) AS weight
    FROM staged ORDER BY fingerprint, number
), made AS (
    INSERT INTO annotation_task (project_id, request_id, called_at, version, inputs, answer, predicted, confidence,
        suggested, proposed, reason, told, rule_kind, probability, priority, fingerprint, weight, status, label, value,
        created_at, reviewed_by_id, closed_at)
    SELECT %(project)s, gen_random_uuid(), now(), '', inputs, '{}', predicted, confidence, '', proposed,
        coalesce(nullif(reason, ''), %(reason)s), CASE WHEN reason = '' THEN %(told)s::jsonb END, %(kind)s,
        1.0, priority, fingerprint, weight,
        CASE WHEN value IS NULL THEN 'open' ELSE 'accepted' END, label, value, now(),
        CASE WHEN value IS NULL THEN NULL ELSE %(by)s END, CASE WHEN value IS NULL THEN NULL ELSE now() END
    FROM one ORDER BY number
    ON CONFLICT DO NOTHING RETURNING id, priority, status
), places AS (
    INSERT INTO annotation_slot (task_id, project_id, number, priority, status, token)
    SELECT made.id, %(project)s, n - 1, made.priority, 'open', 0
    FROM made, generate_series(1, %(overlap)s) n WHERE made.status = 'open' ORDER BY made.id, n RETURNING 1
)
SELECT (SELECT count(*) FROM made), (SELECT count(*) FROM staged), (SELECT count(*) FROM places)
"""
