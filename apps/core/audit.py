"""The append-only audit log and its hash chain.

Rows are appended inside the transaction that they tell of; one sealer gives them their place in the chain
within two seconds, because hashing inside the transaction would make all writers wait for one another.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import connection, models, transaction

from apps.core.models import AuditEntry
from apps.core.urns import urn

if TYPE_CHECKING:
    from apps.accounts.models import User

_SEALER_LOCK = 0x41545249
_GENESIS = "0" * 64


def record(action: str, obj: models.Model | str, *, by: User | None, **facts: object) -> AuditEntry:
    """Append one entry; call it inside the transaction that does what it tells. `by=None` is the portal itself."""
    return AuditEntry.objects.create(
        action=action,
        urn=urn(obj),
        actor=by,
        actor_name=by.get_username() if by else "atrium",
        facts=json.loads(json.dumps(facts, default=str)),
    )


def _digest(previous: str, entry: AuditEntry) -> str:
    told = {
        "previous": previous,
        "position": entry.position,
        "id": entry.pk,
        "at": entry.at.isoformat(),
        "action": entry.action,
        "urn": entry.urn,
        "actor": entry.actor_name,
        "facts": entry.facts,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def seal(limit: int = 5000) -> int:
    """Give unsealed entries their place in the chain, in the order of their ids. Returns how many.

    An advisory lock makes it the only sealer; a second one returns 0 at once.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_SEALER_LOCK])
            if not cursor.fetchone()[0]:
                return 0
        last = AuditEntry.objects.exclude(position=None).order_by("-position").first()
        position, digest = (last.position or 0, last.digest) if last else (0, _GENESIS)
        entries = list(AuditEntry.objects.filter(position=None).order_by("pk")[:limit])
        for entry in entries:
            position += 1
            entry.position = position
            entry.digest = digest = _digest(digest, entry)
        AuditEntry.objects.bulk_update(entries, ["position", "digest"], batch_size=500)
    return len(entries)


@dataclass(frozen=True)
class Verification:
    """What the verifier found: sealed entries checked, entries not sealed yet, and the first broken place."""

    checked: int
    unsealed: int
    broken_at: int | None
    problem: str = ""

    @property
    def intact(self) -> bool:
        return self.broken_at is None


def verify() -> Verification:
    """Recompute the whole chain and name the first position that does not fit."""
    digest, expected = _GENESIS, 0
    unsealed = AuditEntry.objects.filter(position=None).count()
    for entry in AuditEntry.objects.exclude(position=None).order_by("position").iterator(2000):
        expected += 1
        if entry.position != expected:
            return Verification(expected - 1, unsealed, expected, f"entry {expected} is missing")
        digest = _digest(digest, entry)
        if digest != entry.digest:
            return Verification(expected - 1, unsealed, expected, f"entry {expected} was altered")
    return Verification(expected, unsealed, None)
