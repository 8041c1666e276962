"""What all REST endpoints share: errors, keyset pages, idempotent POSTs."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.core.files.uploadedfile import UploadedFile
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, set_rollback
from rest_framework.views import exception_handler as drf_handler

from apps.core import secrets
from apps.core.errors import Conflict, Invalid, PortalError
from apps.core.models import IdempotentRequest
from apps.core.paging import LARGEST_PAGE, keyset
from apps.core.problems import body_of, problem_of

if TYPE_CHECKING:
    from django.http import QueryDict

    from apps.accounts.models import User

_Row = TypeVar("_Row", bound=Model)
_PROBLEM_JSON = "application/problem+json"


def _flatten(detail: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(detail, dict):
        parts = [_flatten(value, f"{prefix}{key}.") for key, value in detail.items()]
        return {key: value for part in parts for key, value in part.items()}
    if isinstance(detail, list):
        return {prefix.rstrip(".") or "detail": " ".join(str(item) for item in detail)}
    return {prefix.rstrip(".") or "detail": str(detail)}


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: domain errors and DRF's own, both as problem+json (RFC 9457)."""
    path = context["request"].path if context.get("request") else ""
    if isinstance(exc, exceptions.ValidationError):
        fields = _flatten(exc.detail)
        detail = "; ".join(f"{name}: {text}" for name, text in fields.items())
        exc = Invalid(detail, fields=fields)
    if isinstance(exc, Http404):
        exc = exceptions.NotFound(_("There is nothing here that you may see."))
    if isinstance(exc, PortalError):
        set_rollback()
        problem = problem_of(exc)
        headers = {}
        if getattr(exc, "retry_after", None) is not None:
            headers["Retry-After"] = str(exc.retry_after)  # type: ignore[attr-defined]
        return Response(
            body_of(exc, instance=path), status=problem.status, headers=headers, content_type=_PROBLEM_JSON
        )
    response = drf_handler(exc, context)
    if response is None:
        return None
    detail = "; ".join(_flatten(response.data).values()) if response.data else ""
    kind = str(getattr(exc, "default_code", "error")).replace("_", "-")
    response.data = {
        "type": f"urn:atrium:problem:{kind}",
        "title": str(getattr(exc, "default_detail", exc.__class__.__name__)),
        "status": response.status_code,
        "detail": f"{detail} {_what_to_do(exc)}".strip(),
        "instance": path,
    }
    response.content_type = _PROBLEM_JSON
    return response


def _what_to_do(exc: Exception) -> str:
    """The next step for errors that the framework words without one."""
    if isinstance(exc, exceptions.NotAuthenticated):
        return _("Log in, or send a personal token of your profile as “Authorization: Bearer …”.")
    if isinstance(exc, exceptions.ParseError):
        return _("Send a JSON document, with “Content-Type: application/json”.")
    return ""


class KeysetPagination(BasePagination):
    """Pages by position: `?cursor=…&page_size=…`; the answer is `{next, previous, results}`.

    The view names its order in `ordering`, a tuple of fields of which the last is unique; `rows_are_wide` is
    `keyset`'s `wide`.
    """

    default_size = 50

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        order = tuple(getattr(view, "ordering", None) or ("-pk",))
        try:
            size = int(request.query_params.get("page_size", self.default_size))
        except ValueError as error:
            raise Invalid(
                _("page_size must be a whole number from 1 to %(most)d.") % {"most": LARGEST_PAGE},
                fields={"page_size": _("not a whole number")},
            ) from error
        self.request = request
        wide = bool(getattr(view, "rows_are_wide", False))
        self.page = keyset(queryset, order, request.query_params.get("cursor", ""), size, wide=wide)
        return list(self.page.items)

    def _link(self, cursor: str) -> str | None:
        if not cursor:
            return None
        query = self.request.query_params.copy()
        query["cursor"] = cursor
        return self.request.build_absolute_uri(f"{self.request.path}?{query.urlencode()}")

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "next": self._link(self.page.next_cursor),
                "previous": self._link(self.page.previous_cursor),
                "results": data,
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {
                "name": "cursor",
                "in": "query",
                "schema": {"type": "string"},
                "description": "From next or previous.",
            },
            {"name": "page_size", "in": "query", "schema": {"type": "integer", "maximum": LARGEST_PAGE}},
        ]


def narrowed(rows: QuerySet[_Row], request: Request, lookups: dict[str, str]) -> QuerySet[_Row]:
    """The rows that are as the query string says: {its name there: lookup}. What it does not name narrows nothing."""
    asked = {lookup: request.query_params.get(name) for name, lookup in lookups.items()}
    return rows.filter(**{lookup: value for lookup, value in asked.items() if value})


class IdempotencyMixin:
    """Gives the first answer again to a POST repeated with the same `Idempotency-Key` and body.

    A first attempt that failed is forgotten, so that it can be repeated. One that was cut off by the end of its process
    may have done its work or not: its repetition is told so at once, and does nothing a second time.
    """

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        key = request.headers.get("Idempotency-Key", "")
        if request.method != "POST" or not key:
            return super().dispatch(request, *args, **kwargs)  # type: ignore[misc]
        self._idempotency_key = key[:200]
        return super().dispatch(request, *args, **kwargs)  # type: ignore[misc]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        key = getattr(self, "_idempotency_key", "")
        if not key or not request.user.is_authenticated:
            return
        fingerprint = _fingerprint(request)
        lock = _lock_of(request.user, key)
        if not _try_lock(lock):
            raise Conflict(
                _("The first request with this Idempotency-Key is still being worked on. Ask again soon.")
            )
        self._lock = lock
        self._remembered = _claim(request.user, key, fingerprint)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, _Repeated):
            headers = {"Idempotent-Replay": "true"}
            return Response(_opened(exc.row.body), status=exc.row.status, headers=headers)
        return super().handle_exception(exc)  # type: ignore[misc, no-any-return]

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[misc]
        row: IdempotentRequest | None = getattr(self, "_remembered", None)
        if row is not None:
            if response.status_code < 400:
                # An answer may hold a secret that is told this once, so it is kept as secrets are.
                row.status = response.status_code
                row.body = secrets.encrypt(json.dumps(response.data, default=str))
                row.save(update_fields=["status", "body"])
            else:
                row.delete()
        if (lock := getattr(self, "_lock", None)) is not None:
            _unlock(lock)
        return response


def _opened(body: Any) -> Any:
    """The answer of a row; one of an older release was not encrypted."""
    return json.loads(secrets.decrypt(body)) if isinstance(body, str) else body


class _Repeated(Exception):
    def __init__(self, row: IdempotentRequest) -> None:
        self.row = row


def _fingerprint(request: Request) -> str:
    """What was asked, as SHA-256: the address and the body, for forms their fields and the bytes of their files."""
    digest = hashlib.sha256(f"{request.path}\n".encode())
    if not (request.content_type or "").startswith("multipart/"):
        digest.update(request.body)
        return digest.hexdigest()
    form = cast("QueryDict", request.data)
    for name, values in sorted(form.lists()):
        for value in values:
            if not isinstance(value, UploadedFile):
                digest.update(json.dumps([name, value]).encode())
                continue
            digest.update(json.dumps([name, value.name, value.size]).encode())
            for chunk in value.chunks():
                digest.update(chunk)
            value.seek(0)
    return digest.hexdigest()


def _lock_of(user: User, key: str) -> int:
    """A person's key as a number of PostgreSQL's advisory locks, which end with the process that took them."""
    digest = hashlib.sha256(f"idempotency {user.pk} {key}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def _try_lock(lock: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock])
        return bool(cursor.fetchone()[0])


def _unlock(lock: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s)", [lock])


def _claim(user: User, key: str, fingerprint: str) -> IdempotentRequest:
    """A row for the answer. Raises _Repeated where it was given before, Conflict where it cannot be known."""
    row, made = IdempotentRequest.objects.get_or_create(
        user=user, key=key, defaults={"fingerprint": fingerprint}
    )
    if made:
        return row
    if row.fingerprint != fingerprint:
        raise Conflict(_("The Idempotency-Key “%(key)s” was used for another request.") % {"key": key})
    if row.status is None:
        raise Conflict(
            _(
                "The first request with this Idempotency-Key was cut off before it was answered. Look whether it was"
                " done; if not, send it again with another key."
            )
        )
    raise _Repeated(row)
