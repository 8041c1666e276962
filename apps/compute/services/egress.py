"""Changes to the list of hosts that sandboxes may reach, and the record of what they asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.policy import may_administer
from apps.compute.adapters import keep_package_clients, package_clients_asked
from apps.compute.egress import Rule, clients
from apps.compute.models import AllowedHost, EgressRecord
from apps.compute.selectors import purposes_of
from apps.core import audit
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require

if TYPE_CHECKING:
    from apps.accounts.models import User

KEPT = timedelta(days=30)
MACHINE = AllowedHost.Source.MACHINE


@transaction.atomic
def allow_host(pattern: str, *, by: User, note: str = "") -> AllowedHost:
    """Let sandboxes reach a host from now on; one that was switched off is switched on. Raises NotAllowed, Invalid."""
    require(may_administer(by))
    try:
        pattern = str(Rule.parse(pattern))
    except ValueError as error:
        message = _(
            "“%(value)s” cannot be allowed: write host, host:port or *.domain.example, without https:// and path."
        )
        message %= {"value": pattern[:100]}
        raise Invalid(message, fields={"pattern": message}) from error
    known = AllowedHost.objects.filter(pattern=pattern).first()
    if known is not None:
        return known if known.enabled else set_host_enabled(known, enabled=True, by=by)
    try:
        with transaction.atomic():
            made = AllowedHost.objects.create(pattern=pattern, note=note.strip()[:200], added_by=by)
    except IntegrityError as error:
        raise Conflict(_("Somebody else has just added %(value)s.") % {"value": pattern}) from error
    audit.record("compute.host.allowed", made, by=by, host=pattern, note=made.note)
    return made


@transaction.atomic
def set_host_enabled(host: AllowedHost, *, enabled: bool, by: User) -> AllowedHost:
    """Switch an entry on or off; open connections to it are cut within seconds. Raises NotAllowed."""
    require(may_administer(by))
    if AllowedHost.objects.filter(pk=host.pk).exclude(enabled=enabled).update(enabled=enabled):
        audit.record(
            "compute.host.enabled" if enabled else "compute.host.disabled", host, by=by, host=host.pattern
        )
    host.enabled = enabled
    return host


@transaction.atomic
def remove_host(host: AllowedHost, *, by: User) -> None:
    """Take an administrator's entry away. Raises NotAllowed, Conflict for one that the machine would bring back."""
    require(may_administer(by))
    if host.source == MACHINE:
        raise Conflict(
            _("This machine's package clients use %(value)s. Switch it off instead.") % {"value": host}
        )
    audit.record("compute.host.removed", host, by=by, host=host.pattern)
    host.delete()


def learn_hosts(given: Iterable[str] | None = None) -> bool:
    """Bring the machine's entries up to date: `given` ones, else those that its package clients use.

    What an administrator has switched off stays off. Asks the clients, which takes seconds. Returns whether they told
    everything: while an index does not answer, what is known stays. However it ends, nobody waits for it any longer.
    """
    try:
        wanted, complete = (list(given), True) if given is not None else clients.hosts()
        _write_hosts(wanted, complete=complete)
        keep_package_clients({} if given is not None else clients.variables())
        return complete
    finally:
        if not package_clients_asked():
            keep_package_clients({})


@transaction.atomic
def _write_hosts(wanted: Iterable[str], *, complete: bool) -> None:
    rows = [AllowedHost(pattern=str(Rule.parse(text)), source=MACHINE) for text in wanted]
    AllowedHost.objects.bulk_create(rows, ignore_conflicts=True)
    if complete:
        gone = AllowedHost.objects.filter(source=MACHINE, enabled=True)
        gone.exclude(pattern__in=[row.pattern for row in rows]).delete()


@dataclass
class Use:
    """What one workload asked of one host since it was last written down. Bytes as the workload sees them."""

    connections: int = 0
    bytes_out: int = 0
    bytes_in: int = 0

    def add(self, other: Use) -> None:
        """Count what the other counted."""
        self.connections += other.connections
        self.bytes_out += other.bytes_out
        self.bytes_in += other.bytes_in


Asked = tuple[str, str, int, bool]
"""Workload, host, port, whether it was let through."""


def record_egress(uses: Mapping[Asked, Use]) -> None:
    """Add to the records, all in one statement."""
    now = timezone.now()
    purposes = purposes_of({asked[0] for asked in uses})
    rows = [
        (*asked, purposes.get(asked[0], ("", None))[0][:200], *astuple(use), now, now)
        for asked, use in uses.items()
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_ADD, rows)


_ADD = """
INSERT INTO compute_egressrecord AS known (workload_id, host, port, allowed, purpose,
    connections, bytes_out, bytes_in, first_at, last_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (workload_id, host, port, allowed) DO UPDATE SET
    connections = known.connections + excluded.connections, bytes_out = known.bytes_out + excluded.bytes_out,
    bytes_in = known.bytes_in + excluded.bytes_in, last_at = excluded.last_at
"""


def forget_egress(before: datetime | None = None) -> int:
    """Remove records older than 30 days. Returns how many."""
    return EgressRecord.objects.filter(last_at__lt=before or timezone.now() - KEPT).delete()[0]
