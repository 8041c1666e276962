"""The one guard before production traffic. It fails closed: without a registered check the answer is no.

Every registered check must agree; `apps.releases` registers sign-off, and the order in which a version gets there:
a person gives shares only to what has gone all the way once, and to nothing while a release divides the traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from apps.catalog.models import Capability, Version
from apps.core.policy import Verdict, allow, deny
from apps.core.telling import say as _

Check = Callable[[Version], Verdict]
Limit = Callable[[Version], int]


@dataclass(frozen=True)
class Order:
    """What an app says of the way to production.

    `free`: whether a person may divide a capability's traffic now. `gone`: whether a version has gone the whole way.
    """

    free: Callable[[Capability], Verdict]
    gone: Check


_limits: list[Limit] = []
_checks: dict[str, Check] = {}
_orders: dict[str, Order] = {}


def register(name: str, check: Check) -> None:
    """Add a check under a name; the same name replaces. For an app's `ready()`."""
    _checks[name] = check


def register_order(name: str, order: Order) -> None:
    """Add what says which way leads to production; the same name replaces. For an app's `ready()`."""
    _orders[name] = order


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


def may_divide_by_hand(capability: Capability) -> Verdict:
    """Whether a person may divide a capability's traffic now, with the first reason against it."""
    return _all(order.free(capability) for order in list(_orders.values()))


def has_gone_the_whole_way(version: Version) -> Verdict:
    """Whether a version may be given all the calls at once, since it was in production before."""
    return _all(order.gone(version) for order in list(_orders.values()))


def may_be_given_by_hand(version: Version) -> Verdict:
    """Whether a person may let a version answer production calls: the guard, and the way that it has gone."""
    verdict = may_take_production_traffic(version)
    return has_gone_the_whole_way(version) if verdict else verdict


def _all(verdicts: Iterable[Verdict]) -> Verdict:
    """Yes if all of them say so, and there is one at all; asked one by one."""
    verdict = deny(_("Nobody decides here about production traffic, so none is allowed."))
    for verdict in verdicts:
        if not verdict:
            break
    return verdict
