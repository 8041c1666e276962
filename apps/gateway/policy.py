"""Who may read what is encrypted in the call log, and who decides how long calls are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.policy import is_platform_admin, may_act_as
from apps.catalog.models import Capability
from apps.core.policy import Verdict, allow, deny
from apps.gateway.models import Call
from apps.gateway.selectors import keys_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import User


def may_unmask(actor: User, call: Call) -> Verdict:
    """Quality engineers of the capability's team, and whoever's key sent the call: it is their own data."""
    if is_platform_admin(actor):
        return allow()
    if call.grant_id and not call.shadow and keys_of(actor).filter(pk=call.grant_id).exists():
        return allow()
    capability = Capability.objects.select_related("team").filter(pk=call.capability_id or 0).first()
    if capability is None:
        return deny(_("The capability of this call is gone."))
    return may_act_as(actor, capability.team, Role.QA)


def may_set_retention(actor: User | AnonymousUser, capability: Capability) -> Verdict:
    """The operators of the capability's team."""
    return may_act_as(actor, capability.team, Role.OPERATOR)
