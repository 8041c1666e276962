"""The append-only audit log and its hash chain.

The database refuses to alter, remove or empty what stands in it. The chain shows what was changed by somebody who got
past that; its end is anchored with the instance's secret key, so that entries cut off at the end are missed, too.
Rows are appended inside the transaction that they tell of; one sealer gives them their place in the chain
within two seconds, because hashing inside the transaction would make all writers wait for one another.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.core.signing import BadSignature, Signer
from django.db import connection, models, transaction

from apps.core.models import AuditAnchor, AuditEntry
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
    if not AuditEntry.objects.filter(position=None).exists():
        return 0  # asked each second, mostly in vain
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
        if entries:
            AuditEntry.objects.bulk_update(entries, ["position", "digest"], batch_size=500)
            _anchor(position, digest)
    return len(entries)


def _signer() -> Signer:
    return Signer(salt="core.audit")


def _anchor(position: int, digest: str) -> None:
    mark = _signer().signature(f"{position}:{digest}")
    AuditAnchor.objects.update_or_create(
        pk=1, defaults={"position": position, "digest": digest, "mark": mark}
    )


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
    anchor = AuditAnchor.objects.first()  # before the entries: what is sealed meanwhile comes after it
    digest, expected, anchored = _GENESIS, 0, anchor is None
    unsealed = AuditEntry.objects.filter(position=None).count()
    for entry in AuditEntry.objects.exclude(position=None).order_by("position").iterator(2000):
        expected += 1
        if entry.position != expected:
            return Verification(expected - 1, unsealed, expected, f"entry {expected} is missing")
        digest = _digest(digest, entry)
        if digest != entry.digest:
            return Verification(expected - 1, unsealed, expected, f"entry {expected} was altered")
        anchored = anchored or (anchor is not None and (expected, digest) == (anchor.position, anchor.digest))
    return Verification(expected, unsealed, *_end(anchor, expected, anchored=anchored))


def _end(anchor: AuditAnchor | None, last: int, *, anchored: bool) -> tuple[int | None, str]:
    """What is wrong with the end of a chain that fits in itself: a position and words, or None."""
    if anchor is None:
        return (last, "the anchor of the chain's end is missing") if last else (None, "")
    try:
        _signer().unsign(f"{anchor.position}:{anchor.digest}:{anchor.mark}")
    except BadSignature:
        return anchor.position, "the anchor of the chain's end was not written by this portal"
    if last < anchor.position:
        return last + 1, f"entries {last + 1} to {anchor.position} are missing"
    if not anchored:
        return (
            anchor.position,
            f"entry {anchor.position} is another one than the anchor of the chain's end names",
        )
    return None, ""
