"""What beat calls for accounts."""

from __future__ import annotations

import logging

from apps.accounts import audit_trail
from apps.core import background

log = logging.getLogger(__name__)


@background.every(86400, "accounts.verify_audit")
def verify_audit() -> None:
    """The chain is verified once a day; the audit page and the administration page show what was found."""
    found = audit_trail.verify()
    if not found.intact:
        log.error("the audit chain is broken at %s: %s", found.broken_at, found.problem)
