"""Keys are made, changed and ended here; what is known later of a call is written down here.

Whoever calls has asked its own policy: a subscription is the store's matter, a test key the release's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.core import audit, events, secrets
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.policy import require
from apps.gateway import payloads, reach, sealed
from apps.gateway.models import Call, Grant, Outcome, Retention
from apps.gateway.policy import may_set_retention, may_unmask
from apps.gateway.retention import MOST_DAYS, days_of
from apps.instances.models import Deployment

if TYPE_CHECKING:
    from apps.accounts.models import Team, User
    from apps.catalog.models import Capability

CHANNEL = "atrium_routes"
SHOWN = 8
SHOWN_BYTES = 1 << 20
"""A larger body is not shown in a page, but can be downloaded."""


def announce(what: str = "") -> None:
    """Tell every live process that keys or routes changed. Call it inside the transaction; told on commit.

    `what` is `key <SHA-256>` or `capability <id>`, so that only that is read again; empty is everything.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, what])


def announce_capability(pk: int) -> None:
    """A capability's routes, deployments, replicas, mirror or data key changed."""
    announce(f"capability {pk}")


def _announce_key(grant: Grant) -> None:
    announce(f"key {grant.key_hash}")


@transaction.atomic
def create_grant(
    *,
    kind: str,
    capability: Capability,
    team: Team | None = None,
    user: User | None = None,
    limits: Mapping[str, Any] | None = None,
    pool: str = "",
    scope: str = Grant.PRODUCTION,
    expires_at: datetime | None = None,
    addresses: Iterable[str] = (),
    label: str = "",
    by: User | None,
    secret: str = "",
) -> tuple[Grant, str]:
    """Make a key; the secret is returned this once. `secret` is for a caller that can derive it again.

    The outermost transaction ends when the gateway knows the key, or two seconds later.

    Without a `pool` the key has limits of its own. Raises Invalid for a scope or an address that cannot be.
    """
    if kind not in Grant.Kind.values:
        raise Invalid(_("“%(kind)s” is no kind of key.") % {"kind": kind}, fields={"kind": _("is unknown")})
    _check_scope(scope, capability)
    if not secret:
        secret, digest = secrets.new("atk")
    else:
        digest = secrets.digest(secret)
    grant = Grant.objects.create(
        key_hash=digest,
        prefix=secret[: len("atk_") + SHOWN],
        kind=kind,
        capability=capability,
        team=team,
        user=user,
        pool=pool or f"key:{digest[:32]}",
        limits=dict(limits or {}),
        scope=scope,
        addresses=_checked_addresses(addresses),
        expires_at=expires_at,
        label=label[:100],
        created_by=by,
    )
    audit.record(
        "gateway.grant.created", grant, by=by, kind=kind, capability=capability.slug, scope=scope, label=label
    )
    _announce_key(grant)
    slug = capability.slug
    transaction.on_commit(lambda: reach.wait_until_known(slug, secret), robust=True)
    return grant, secret


def _check_scope(scope: str, capability: Capability) -> None:
    if scope == Grant.PRODUCTION:
        return
    word, _colon, number = scope.partition(":")
    found = (
        word == "deployment"
        and number.isdecimal()
        and Deployment.objects.filter(pk=int(number), capability=capability).exists()
    )
    if not found:
        raise Invalid(
            _("“%(scope)s” is no scope for %(capability)s: use production, or deployment:<id> of its own.")
            % {"scope": scope, "capability": capability},
            fields={"scope": _("is unknown")},
        )


def _checked_addresses(addresses: Iterable[str]) -> list[str]:
    checked = []
    for address in addresses:
        try:
            checked.append(str(ipaddress.ip_network(address.strip(), strict=False)))
        except ValueError as error:
            raise Invalid(
                _("“%(address)s” is no address: use one like 10.0.0.7 or 10.0.0.0/8.") % {"address": address},
                fields={"addresses": address},
            ) from error
    return checked


@transaction.atomic
def rotate_grant(
    grant: Grant,
    *,
    by: User | None,
    overlap: timedelta = timedelta(hours=24),
    expires_at: datetime | None = None,
) -> tuple[Grant, str]:
    """Make the successor of a key, in the same pool; the old one works for `overlap` more.

    The successor ends when the old one would have, unless `expires_at` says another time.
    """
    grant = (
        Grant.objects.select_for_update(of=("self",))
        .select_related("capability", "team", "user")
        .get(pk=grant.pk)
    )
    if grant.status != Grant.Status.ACTIVE:
        raise Conflict(
            _("This key is %(status)s; only an active one can be rotated.")
            % {"status": grant.get_status_display()}
        )
    successor, secret = create_grant(
        kind=grant.kind,
        capability=grant.capability,
        team=grant.team,
        user=grant.user,
        limits=grant.limits,
        pool=grant.pool,
        scope=grant.scope,
        expires_at=expires_at or grant.expires_at,
        addresses=grant.addresses,
        label=grant.label,
        by=by,
    )
    end = timezone.now() + overlap
    grant.expires_at = min(grant.expires_at, end) if grant.expires_at else end
    grant.save(update_fields=["expires_at"])
    audit.record("gateway.grant.rotated", grant, by=by, successor=successor.pk, works_until=grant.expires_at)
    _announce_key(grant)
    return successor, secret


def _move(grant: Grant, to: str, by: User | None) -> Grant:
    with transaction.atomic():
        Grant.lifecycle.move(grant, to, by=by)
        _announce_key(grant)
    return grant


def suspend_grant(grant: Grant, *, by: User | None) -> Grant:
    """Refuse a key's calls until it is resumed; acts within 2 s."""
    return _move(grant, Grant.Status.SUSPENDED, by)


def resume_grant(grant: Grant, *, by: User | None) -> Grant:
    """Let a suspended key's calls pass again."""
    return _move(grant, Grant.Status.ACTIVE, by)


def revoke_grant(grant: Grant, *, by: User | None) -> Grant:
    """End a key for good; acts within 2 s."""
    return _move(grant, Grant.Status.REVOKED, by)


@transaction.atomic
def change_limits(pool: str, limits: Mapping[str, Any], *, by: User | None) -> int:
    """Give every key of a pool new limits; acts within 2 s. Returns how many keys there are."""
    count = 0
    for grant in Grant.objects.select_for_update().filter(pool=pool).exclude(status=Grant.Status.REVOKED):
        before, grant.limits = grant.limits, dict(limits)
        grant.save(update_fields=["limits"])
        audit.record("gateway.grant.limits_changed", grant, by=by, before=before, after=grant.limits)
        _announce_key(grant)
        count += 1
    return count


@transaction.atomic
def change_scope(pool: str, capability: Capability, scope: str, *, by: User | None) -> int:
    """Let every key of a pool reach something else, see `Grant`; acts within 2 s. Returns how many there are."""
    _check_scope(scope, capability)
    count = 0
    grants = Grant.objects.select_for_update().filter(pool=pool, capability=capability).exclude(scope=scope)
    for grant in grants.exclude(status=Grant.Status.REVOKED):
        before, grant.scope = grant.scope, scope
        grant.save(update_fields=["scope"])
        audit.record("gateway.grant.scope_changed", grant, by=by, before=before, after=scope)
        _announce_key(grant)
        count += 1
    return count


@transaction.atomic
def change_expiry(pool: str, before: datetime | None, after: datetime | None, *, by: User | None) -> int:
    """Move the end of those keys of a pool that end at `before`; rotated keys keep theirs. Returns how many."""
    grants = Grant.objects.select_for_update().filter(pool=pool, expires_at=before)
    count = 0
    for grant in grants.exclude(status=Grant.Status.REVOKED):
        grant.expires_at = after
        grant.save(update_fields=["expires_at"])
        audit.record("gateway.grant.expiry_changed", grant, by=by, before=before, after=after)
        _announce_key(grant)
        count += 1
    return count


@transaction.atomic
def record_outcome(
    request_id: UUID | str,
    *,
    kind: str,
    correct: bool | None = None,
    expected: Any = None,
    comment: str = "",
    by: User | None = None,
    at: datetime | None = None,
) -> Outcome:
    """Write down what became known of a call; an accepted label replaces the label before it."""
    if kind == Outcome.Kind.LABEL:
        Outcome.objects.filter(request_id=request_id, kind=kind).delete()
    outcome = Outcome.objects.create(
        request_id=request_id,
        kind=kind,
        correct=correct,
        expected=expected,
        comment=comment,
        by=by,
        at=at or timezone.now(),
    )
    events.publish("gateway.outcome_recorded", str(request_id), kind=kind, correct=correct)
    return outcome


@transaction.atomic
def give_feedback(
    call: Call, *, correct: bool | None = None, expected: Any = None, comment: str = "", by: User
) -> Outcome:
    """A person says whether an answer was right; a second word of the same person replaces the first.

    Raises Invalid when nothing is said. Whoever may see the call may do this.
    """
    comment = comment.strip()[:10_000]
    if correct is None and expected is None and not comment:
        raise Invalid(
            _("Say whether the answer was right, what it should have been, or write a comment."),
            fields={"correct": _("is empty")},
        )
    said = {"expected": expected, "comment": comment}
    if (expected is not None or comment) and (kept := _hidden_feedback(call, said)) is not None:
        expected, comment = kept, ""
    Outcome.objects.filter(request_id=call.request_id, kind=Outcome.Kind.FEEDBACK, by=by).delete()
    return record_outcome(
        call.request_id,
        kind=Outcome.Kind.FEEDBACK,
        correct=correct,
        expected=expected,
        comment=comment,
        by=by,
    )


def _hidden_feedback(call: Call, said: dict[str, Any]) -> dict[str, Any] | None:
    """Feedback as it may be kept where the version's signature calls something sensitive; else None."""
    deployment = Deployment.objects.select_related("version").filter(pk=call.deployment_id or 0).first()
    return sealed.hidden_feedback(deployment.version, call.request_id, said) if deployment else None


@transaction.atomic
def set_retention(capability: Capability, days: int, *, by: User) -> Retention:
    """Keep a capability's calls for so many days; the next round deletes what is older. Raises NotAllowed, Invalid."""
    require(may_set_retention(by, capability))
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MOST_DAYS:
        raise Invalid(
            _("Calls cannot be kept for %(days)s days: choose 1 to %(most)d.")
            % {"days": days, "most": MOST_DAYS},
            fields={"days": _("must be 1 to %(most)d") % {"most": MOST_DAYS}},
        )
    before = days_of(capability)
    kept, _created = Retention.objects.update_or_create(
        capability=capability, defaults={"days": days, "set_by": by}
    )
    audit.record("gateway.retention.set", capability, by=by, before=before, after=days)
    return kept


@transaction.atomic
def unmask_call(call: Call, *, by: User) -> dict[str, Any]:
    """{request, response, logged, feedback} with what is encrypted read; written into the audit log.

    `feedback` is {id of an outcome: {"expected", "comment"}} for those that were encrypted. Raises NotAllowed.
    """
    require(may_unmask(by, call))
    audit.record("gateway.call.unmasked", call, by=by, capability=call.capability_id)
    opened = {
        which: sealed.open_document(document, call.request_id)
        for which, document in documents_of(call).items()
    }
    outcomes = Outcome.objects.filter(request_id=call.request_id, kind=Outcome.Kind.FEEDBACK)
    feedback = {
        str(outcome.pk): sealed.reveal(outcome.expected, call.request_id)
        for outcome in outcomes
        if sealed.is_hidden(outcome.expected)
    }
    return {**opened, "logged": sealed.open_values(call.logged, call.request_id), "feedback": feedback}


def documents_of(call: Call, most: int = SHOWN_BYTES) -> dict[str, Any]:
    """{request, response} as logged; a body in a file is read up to `most` bytes, else None."""
    found = {"request": call.request_document, "response": call.response_document}
    for which, document in found.items():
        if document is None and 0 < payloads.size_of(call, which) <= most:
            with suppress(NotFound, orjson.JSONDecodeError):
                found[which] = orjson.loads(payloads.read(call, which))
    return found
