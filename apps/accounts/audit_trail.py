"""The audit log as administrators read it: filters, and all that fits as CSV or JSON lines, streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.policy import may_administer
from apps.core import audit
from apps.core.errors import NotFound
from apps.core.heartbeats import beat
from apps.core.models import AuditEntry, Heartbeat
from apps.core.moments import moment_of
from apps.core.policy import require
from apps.core.spreadsheets import line

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser
    from django.db.models import QuerySet

    from apps.accounts.models import User

FORMS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
CHAIN = "audit chain"
_COLUMNS = ("position", "at", "actor_name", "action", "urn", "facts", "digest")
_LOOKUPS = {"action": "action__startswith", "actor": "actor_name", "urn": "urn"}
_AT_ONCE = 2000


def entries(asked: Mapping[str, Any]) -> QuerySet[AuditEntry]:
    """The entries that fit: `action` is a beginning, `actor` and `urn` are exact, `since` and `until` a day or moment.

    A day counts in the reader's time zone, `until` to its end. Raises Invalid for what is no date.
    """
    rows = AuditEntry.objects.all()
    for name, lookup in _LOOKUPS.items():
        if value := str(asked.get(name) or "").replace("\x00", "").strip():
            rows = rows.filter(**{lookup: value})
    if since := moment_of(asked, "since", end=False):
        rows = rows.filter(at__gte=since)
    if until := moment_of(asked, "until", end=True):
        rows = rows.filter(at__lt=until)
    return rows


def exported(rows: QuerySet[AuditEntry], form: str) -> Iterator[str]:
    """Every entry in the order in which they were written, a few thousand at a time in memory."""
    after = 0
    if form == "csv":
        yield line(_COLUMNS)
    while True:
        part = list(rows.filter(pk__gt=after).order_by("pk")[:_AT_ONCE])
        if not part:
            return
        after = part[-1].pk
        yield "".join(_csv(entry) if form == "csv" else _json(entry) for entry in part)


def download(user: User | AnonymousUser, form: str, asked: Mapping[str, Any]) -> StreamingHttpResponse:
    """The download, for page and API. Raises NotAllowed, Invalid, NotFound."""
    require(may_administer(user))
    if form not in FORMS:
        raise NotFound(_("The audit log comes as %(forms)s.") % {"forms": ", ".join(FORMS)})
    rows = entries(asked)
    told = {
        name: str(asked[name])[:200]
        for name in ("action", "actor", "urn", "since", "until")
        if asked.get(name)
    }
    audit.record(
        "core.audit.exported", "atrium:core.auditentry:all", by=cast("User", user), form=form, **told
    )
    answer = StreamingHttpResponse(exported(rows, form), content_type=FORMS[form])
    answer["Content-Disposition"] = f'attachment; filename="audit-{timezone.now():%Y%m%d-%H%M}.{form}"'
    return answer


def _json(entry: AuditEntry) -> str:
    told = {name: getattr(entry, name) for name in _COLUMNS} | {"id": entry.pk, "at": entry.at.isoformat()}
    return json.dumps(told, ensure_ascii=False) + "\n"


def _csv(entry: AuditEntry) -> str:
    facts = json.dumps(entry.facts, ensure_ascii=False)
    cells = (
        entry.position,
        entry.at.isoformat(),
        entry.actor_name,
        entry.action,
        entry.urn,
        facts,
        entry.digest,
    )
    return line(cells)


def verify() -> audit.Verification:
    """Recompute the chain, and remember what was found."""
    found = audit.verify()
    beat(CHAIN, intact=found.intact, checked=found.checked, unsealed=found.unsealed, problem=found.problem)
    return found


def last_verified() -> Heartbeat | None:
    """When the chain was verified last, with what was found."""
    return Heartbeat.objects.filter(part=CHAIN).first()
