"""The one guard before production traffic. It fails closed: without a registered check the answer is no.

Every registered check must agree; `apps.releases` registers sign-off.
"""

from __future__ import annotations

from collections.abc import Callable

from apps.catalog.models import Version
from apps.core.policy import Verdict, allow, deny
from apps.core.telling import say as _

Check = Callable[[Version], Verdict]
Limit = Callable[[Version], int]
_limits: list[Limit] = []
_checks: dict[str, Check] = {}


def register(name: str, check: Check) -> None:
    """Add a check under a name; the same name replaces. For an app's `ready()`."""
    _checks[name] = check


def register_limit(limit: Limit) -> None:
    """Set what says how much of the traffic a version may have at most. For an app's `ready()`."""
    _limits[:] = [limit]


def most_percent(version: Version) -> int:
    """The largest share that a version may have; 100 unless a limit is registered and says less."""
    return min((limit(version) for limit in _limits), default=100)


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
