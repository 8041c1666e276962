"""The two requests that every single label waits for, claim and submit, on a short way.

Only what goes well goes this way: a good token that was seen within the last minute, a right, a body that fits. For
anything else the functions give None and the ordinary view answers, with its errors. The statements are functions of
the database (migrations 0006 and 0031), so that they are planned once per connection: planning took most of their time.
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

_CLAIM = "SELECT * FROM annotation_claim_by(%(digest)s, %(project)s, %(roles)s, %(lease)s)"
_MAY_SAY = "SELECT * FROM annotation_say_by(%(digest)s, %(slot)s, %(roles)s)"


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
    asked: dict[str, Any] = {
        "digest": digest,
        "project": int(pk),
        "roles": [role.value for role in MEMBERS],
        "lease": claims.LEASE,
    }
    with connection.cursor() as cursor:
        try:
            cursor.execute(_CLAIM, asked)
        except IntegrityError:  # two tabs of one person reached for two places of one task
            return None
        row = cursor.fetchone()
    return None if row is None else _json(_place(row[1:], int(pk), blind=row[0]), 200)


def _place(row: tuple[Any, ...], project: int, *, blind: bool) -> dict[str, Any]:
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
