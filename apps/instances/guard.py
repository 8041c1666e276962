"""The one guard before production traffic. It fails closed: without a registered check the answer is no.

Every registered check must agree; `apps.releases` registers sign-off.
"""

from __future__ import annotations

from collections.abc import Callable

from django.utils.translation import gettext as _

from apps.catalog.models import Version
from apps.core.policy import Verdict, allow, deny

Check = Callable[[Version], Verdict]
_checks: dict[str, Check] = {}


def register(name: str, check: Check) -> None:
    """Add a check under a name; the same name replaces. For an app's `ready()`."""
    _checks[name] = check


def may_take_production_traffic(version: Version) -> Verdict:
    """Whether a version may answer production calls, with the first reason against it."""
    if version.status != Version.Status.PACKAGED or not version.digest:
        return deny(
            _("Version %(number)s is not packaged, so it has no digest that anybody could have approved.")
            % {"number": version.number}
        )
    if not _checks:
        return deny(_("Nobody decides here about production traffic, so none is allowed."))
    for check in list(_checks.values()):
        verdict = check(version)
        if not verdict:
            return verdict
    return allow()
