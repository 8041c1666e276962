"""The two requests that every single label waits for, claim and submit, on a short way.

Only what goes well goes this way: a good token that was seen within the last minute, a right, a body that fits. For
anything else the functions give None and the ordinary view answers, with its errors. Two round trips each; the
longer statements are functions of the database (migration 0006), so that they are planned once per connection.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson
from django.db import IntegrityError, connection, transaction
from django.http import HttpResponse

from apps.annotation import claims, services
from apps.annotation.label_types import Setting, type_named
from apps.annotation.label_types.base import short
from apps.annotation.models import Annotation, Project, Task
from apps.annotation.policy import MEMBERS
from apps.core import secrets
from apps.core.errors import Invalid
from apps.core.telling import sentence

if TYPE_CHECKING:
    from django.http import HttpRequest

View = Callable[..., Any]

# Every condition of live_token() and may_label() stands here too; test_quick.py holds them against each other.
_WHO = """
FROM accounts_personaltoken k JOIN accounts_user u ON u.id = k.user_id
WHERE k.digest = %(digest)s AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
  AND k.last_used_at > now() - interval '1 minute' AND u.is_active AND p.status = 'open'
  AND p.per_person IS NULL
  AND NOT EXISTS (SELECT 1 FROM annotation_project_assignees a WHERE a.project_id = p.id)
  AND EXISTS (SELECT 1 FROM accounts_membership m
              WHERE m.user_id = u.id AND m.team_id = p.team_id AND m.role = ANY(%(roles)s))
"""
_MAY_CLAIM = f"SELECT p.blind, u.id {_WHO}".replace(
    "WHERE", "JOIN annotation_project p ON p.id = %(project)s WHERE", 1
)
_MAY_SAY = f"""SELECT u.id, u.username, t.id, t.inputs::text, p.id, p.kind, p.labels::text, p.options::text
{_WHO}""".replace(
    "WHERE",
    "JOIN annotation_slot s ON s.id = %(slot)s JOIN annotation_task t ON t.id = s.task_id "
    "JOIN annotation_project p ON p.id = t.project_id WHERE",
    1,
)
_TASK = """
SELECT s.id, s.token, s.leased_until, t.id, t.request_id::text, t.called_at, t.version, t.inputs::text, t.predicted,
       t.confidence, t.suggested, t.proposed::text, t.reason, t.told::text, t.rule_kind, t.probability, t.priority,
       t.weight, t.created_at
FROM annotation_slot s JOIN annotation_task t ON t.id = s.task_id WHERE s.id = %(slot)s
"""


def first(view: View, quick: View) -> View:
    """A view that takes the short way where it can, and is the ordinary one otherwise."""

    @functools.wraps(view)
    def either(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.method != "POST" or "Idempotency-Key" in request.headers:
            return view(request, *args, **kwargs)
        scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
        answer = quick(request, secrets.digest(secret), **kwargs) if scheme == "Bearer" else None
        return view(request, *args, **kwargs) if answer is None else answer

    return either


def claim(request: HttpRequest, digest: str, pk: str) -> HttpResponse | None:
    """Take the next task."""
    asked: dict[str, Any] = {"digest": digest, "project": int(pk), "roles": [role.value for role in MEMBERS]}
    with connection.cursor() as cursor:
        cursor.execute(_MAY_CLAIM, asked)
        may = cursor.fetchone()
        if may is None:
            return None
        blind, user = may
        try:
            cursor.execute(claims.CLAIM, asked | {"user": user, "lease": claims.LEASE})
        except IntegrityError:  # two tabs of one person reached for two places of one task
            return None
        slot = cursor.fetchone()[0]
        if slot is None:
            return None
        cursor.execute(_TASK, {"slot": slot})
        row = cursor.fetchone()
    return _json(_place(row, int(pk), blind), 200)


def _place(row: tuple[Any, ...], project: int, blind: bool) -> dict[str, Any]:
    (slot, token, until, pk, request_id, called_at, version, inputs, predicted, confidence, suggested, proposed, reason,
     told, kind, probability, priority, weight, created_at) = row  # fmt: skip
    task = {
        "id": pk,
        "project": project,
        "request_id": request_id,
        "called_at": called_at,
        "version": version,
        "inputs": orjson.Fragment(inputs),
        "predicted": "" if blind else predicted,
        "confidence": None if blind else confidence,
        "suggested": "" if blind else suggested,
        "proposed": None if blind or proposed is None else orjson.Fragment(proposed),
        "reason": sentence(reason, orjson.loads(told)) if told else reason,
        "rule_kind": kind,
        "probability": probability,
        "priority": priority,
        "weight": weight,
        "status": "open",  # a golden task looks like any other
        "label": "",
        "value": None,
        "dataset_version": None,
        "created_at": created_at,
        "closed_at": None,
    }
    return {"slot": slot, "token": token, "leased_until": until, "task": task}


def say(request: HttpRequest, digest: str) -> HttpResponse | None:
    """Keep an annotation."""
    told = _told(request)
    if told is None:
        return None
    asked: dict[str, Any] = {
        "digest": digest,
        "slot": told["slot"],
        "roles": [role.value for role in MEMBERS],
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_MAY_SAY, asked)
        may = cursor.fetchone()
        if may is None:
            return None
        user, name, task, inputs, project, kind_name, labels, options = may
        kind = type_named(kind_name)
        known = tuple(item["value"] for item in orjson.loads(labels))
        try:
            value = kind.clean(told["said"], Setting(known, orjson.loads(options), orjson.loads(inputs)))
        except Invalid:
            return None
        made = Annotation(
            task_id=task, user_id=user, label=short(kind.text(value)), value=value, comment=told["comment"],
            flagged=told["flagged"], seconds=told["seconds"],
        )  # fmt: skip
        votes = claims.keep(made, told["slot"], told["token"])
        if votes is not None:
            finished = Task(pk=task, status=Task.Status.OPEN, project=Project(pk=project, kind=kind_name))
            services.settle_on(finished, votes)
    answer = {
        "id": made.pk,
        "task": task,
        "project": project,
        "user": name,
        "label": made.label,
        "value": value,
        "skipped": False,
        "flagged": made.flagged,
        "comment": made.comment,
        "seconds": made.seconds,
        "extra": made.extra,
        "at": made.at,
    }
    return _json(answer, 201)


def _told(request: HttpRequest) -> dict[str, Any] | None:
    """The body, if it is one of the usual ones; None for what the serializer should look at."""
    if request.content_type != "application/json":
        return None
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict) or body.get("skipped"):
        return None
    slot, token, seconds = body.get("slot"), body.get("token"), body.get("seconds", 0)
    comment, flagged = body.get("comment", ""), body.get("flagged", False)
    fits = (
        type(slot) is int
        and 0 < slot < 2**62
        and type(token) is int
        and 0 <= token < 2**31
        and type(seconds) in (int, float)
        and type(comment) is str
        and len(comment) <= 10_000
        and "\x00" not in comment
        and type(flagged) is bool
    )
    if not fits:
        return None
    said = body.get("value")
    return {
        "slot": slot,
        "token": token,
        "seconds": float(min(max(seconds, 0), 3600)),
        "comment": comment.strip(),
        "flagged": flagged,
        "said": body.get("label", "") if said is None else said,
    }


def _json(body: dict[str, Any], status: int) -> HttpResponse:
    content = orjson.dumps(body, option=orjson.OPT_UTC_Z)
    return HttpResponse(content, content_type="application/json", status=status)
