"""What a ticket about a subscription asks for, for those who decide it."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.requests.models import Request
from apps.store import services
from apps.store.models import Change, Plan, Subscription
from apps.store.templatetags.store import limit_words


def of_subscription(request: Request) -> list[tuple[str, str]]:
    """The capability, who would use it and where, and what the plan allows."""
    rows = Subscription.objects.select_related("plan__capability", "team__site")
    subscription = rows.filter(ticket=request).first()
    if subscription is None:
        return []
    team = subscription.team
    return [
        (_("Capability"), subscription.plan.capability.name),
        (_("For"), f"{team.name}, {team.site.name}"),
        (_("Plan"), _allows(subscription.plan)),
        *_meanwhile(request, subscription.plan),
    ]


def of_change(request: Request) -> list[tuple[str, str]]:
    """The plan that is asked for beside the present one."""
    rows = Change.objects.select_related("plan__capability", "subscription__plan", "subscription__team__site")
    change = rows.filter(ticket=request).first()
    if change is None:
        return []
    team = change.subscription.team
    return [
        (_("Capability"), change.plan.capability.name),
        (_("For"), f"{team.name}, {team.site.name}"),
        (_("Now"), _allows(change.subscription.plan)),
        (_("Asked for"), _allows(change.plan)),
        # What somebody has already may be renewed, though nobody can begin with it any more.
        *([] if change.plan_id == change.subscription.plan_id else _meanwhile(request, change.plan)),
    ]


def _meanwhile(request: Request, plan: Plan) -> list[tuple[str, str]]:
    """Why nobody can say yes any more to a request that is open, before anybody tries to."""
    why = services.why_off_offer(plan) if request.status == Request.Status.OPEN else ""
    return [(_("Meanwhile"), why)] if why else []


def _allows(plan: Plan) -> str:
    """The plan by its name, its limits and how long it holds."""
    words = limit_words(plan) or [_("No limits")]
    if plan.valid_days:
        words.append(ngettext("for %(n)d day", "for %(n)d days", plan.valid_days) % {"n": plan.valid_days})
    return f"{plan.name}: {', '.join(words)}"
