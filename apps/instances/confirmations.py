"""The guard's first form: an operator's recorded word on exactly the bytes that would answer."""

from __future__ import annotations

from django.utils.translation import gettext as _

from apps.catalog.models import Version
from apps.core.policy import Verdict, allow, deny
from apps.instances import guard
from apps.instances.selectors import confirmation_of

CHECK = "operator-confirmation"


def confirmed(version: Version) -> Verdict:
    """Whether an operator confirmed the version's present digest."""
    if confirmation_of(version) is not None:
        return allow()
    return deny(
        _("No operator has confirmed the bytes %(digest)s… of version %(number)s for production yet.")
        % {"digest": version.digest[:12], "number": version.number}
    )


def register() -> None:
    """Make it the guard's check."""
    guard.register(CHECK, confirmed)
