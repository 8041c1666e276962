"""What happens to subscriptions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.catalog.models import Capability
from apps.core import audit, events
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.core.telling import say as _
from apps.gateway import services as gateway
from apps.requests import services as requests
from apps.requests.models import Decision
from apps.store.models import Plan, Subscription
from apps.store.policy import SUBSCRIBERS, may_cancel, may_subscribe, may_suspend
from apps.store.services.keys import live_keys
from apps.store.services.plans import grants_at_once, rule_of

if TYPE_CHECKING:
    from apps.accounts.models import Team
    from apps.requests.models import Request

SUBSCRIPTION_REQUEST = "store.subscription"


@transaction.atomic
def subscribe(plan: Plan, team: Team, *, by: User, use_case: str = "") -> Subscription:
    """Take a plan for a team: granted at once, or waiting for those whom the plan names.

    A second request for a plan that the team has already, or waits for, returns that subscription.
    """
    require(may_subscribe(by, plan, team))
    at_once = grants_at_once(plan, team)
    if not at_once and not use_case.strip():
        raise Invalid(
            _("Say what the team wants to use it for: somebody has to decide on it."),
            fields={"use_case": _("is empty")},
        )
    try:
        with transaction.atomic():
            subscription = Subscription.objects.create(
                plan=plan, capability=plan.capability, team=team, requested_by=by, use_case=use_case.strip()
            )
    except IntegrityError:
        return Subscription.objects.get(plan=plan, team=team, status__in=Subscription.OPEN)
    audit.record("store.subscription.requested", subscription, by=by, plan=plan.name, team=team.slug)
    if at_once:
        _grant(subscription, by=by)
    else:
        _ask(subscription, by=by)
    return subscription


def _ask(subscription: Subscription, *, by: User) -> None:
    plan = subscription.plan
    ticket = requests.open_request(
        SUBSCRIPTION_REQUEST,
        subscription,
        _("%(team)s wants to use %(capability)s (%(plan)s)")
        % {"team": subscription.team, "capability": plan.capability.name, "plan": plan.name},
        by=by,
        rule=rule_of(plan, asking=by),
        url=reverse("store:subscription", args=[subscription.pk]),
        body=subscription.use_case,
    )
    subscription.ticket = ticket
    subscription.save(update_fields=["ticket"])
    events.publish("store.subscription_requested", subscription.pk)


def _grant(subscription: Subscription, *, by: User | None) -> None:
    now, days = timezone.now(), subscription.plan.valid_days
    Subscription.lifecycle.move(
        subscription,
        Subscription.Status.GRANTED,
        by=by,
        granted_at=now,
        expires_at=now + timedelta(days=days) if days else None,
    )
    events.publish("store.subscription_granted", subscription.pk)


def grant_requested(ticket: Request, by: User | None) -> None:
    """The approvers agreed: called by the approval engine inside its transaction."""
    _grant(Subscription.objects.get(ticket=ticket), by=by)


def check_still_on_offer(ticket: Request, by: User, approve: bool) -> None:
    """Refuse a yes to a plan, or a capability, that was taken off the store while the request was waiting."""
    plan = Plan.objects.select_related("capability").get(subscriptions__ticket=ticket)
    if approve:
        require_on_offer(plan)


def require_on_offer(plan: Plan) -> None:
    """Raise Conflict, with what to do, when nobody can take this plan any more."""
    if why := why_off_offer(plan):
        raise Conflict(why)


def why_off_offer(plan: Plan) -> str:
    """Why nobody can take this plan any more, told to who decides on a request for it; empty while it is on offer."""
    if plan.status != Plan.Status.PUBLISHED:
        return _(
            "The plan “%(plan)s” was withdrawn meanwhile. Refuse the request and name the plan to ask for."
        ) % {"plan": plan.name}
    if plan.capability.status != Capability.Status.PUBLISHED:
        return _("“%(name)s” is %(status)s by now, so nobody can subscribe to it. Refuse the request.") % {
            "name": plan.capability.name,
            "status": plan.capability.get_status_display().lower(),
        }
    return ""


def why_not_grantable(subscription: Subscription) -> str:
    """Why nobody can grant any more what a subscription waits for, told to who waits; empty where somebody can.

    Somebody may have it renewed whose plan nobody can begin with any more.
    """
    if subscription.status not in Subscription.OPEN:
        return ""
    capability = subscription.capability
    gone = {"name": capability.name, "status": capability.get_status_display().lower()}
    offered = capability.status == Capability.Status.PUBLISHED
    if subscription.status == Subscription.Status.PENDING:
        if subscription.plan.status != Plan.Status.PUBLISHED:
            return _(
                "The plan “%(plan)s” was withdrawn meanwhile, so nobody can grant this any more. Cancel it and ask for"
                " another plan."
            ) % {"plan": subscription.plan.name}
        words = _("“%(name)s” is %(status)s by now, so nobody can grant this any more. Cancel it.")
        return "" if offered else words % gone
    change = next((each for each in subscription.changes.all() if each.ended_at is None), None)
    if change is None or change.plan_id == subscription.plan_id:
        return ""
    if change.plan.status != Plan.Status.PUBLISHED:
        return _(
            "The plan “%(plan)s” was withdrawn meanwhile, so nobody can grant the change to it any more. Withdraw the"
            " request and ask for another plan."
        ) % {"plan": change.plan.name}
    words = _("“%(name)s” is %(status)s by now, so nobody can grant the change any more. Withdraw it.")
    return "" if offered else words % gone


def reject_requested(ticket: Request, by: User | None) -> None:
    """The approvers refused: called by the approval engine inside its transaction."""
    subscription = Subscription.objects.get(ticket=ticket)
    Subscription.lifecycle.move(
        subscription,
        Subscription.Status.REJECTED,
        by=by,
        ended_at=timezone.now(),
        status_reason=_last_word(ticket),
    )
    events.publish("store.subscription_rejected", subscription.pk)


def _last_word(ticket: Request) -> str:
    """What the one who refused said."""
    refusal = Decision.objects.filter(step__request=ticket, approve=False).order_by("-at").first()
    return refusal.comment[:500] if refusal else ""


def close_requested(ticket: Request, by: User | None) -> None:
    """The request was withdrawn or expired: nobody waits for the subscription any more."""
    subscription = Subscription.objects.get(ticket=ticket)
    if subscription.status == Subscription.Status.PENDING:
        Subscription.lifecycle.move(
            subscription, Subscription.Status.CANCELLED, by=by, ended_at=timezone.now()
        )


@transaction.atomic
def suspend_subscription(subscription: Subscription, *, by: User, reason: str) -> None:
    """Refuse all calls of a subscription until it is resumed. Its keys stay as they are."""
    require(may_suspend(by, subscription))
    if not reason.strip():
        raise Invalid(_("Say why: the subscriber reads it."), fields={"reason": _("is empty")})
    Subscription.lifecycle.move(
        subscription, Subscription.Status.SUSPENDED, by=by, status_reason=reason.strip()[:500]
    )
    for key in live_keys(subscription):
        gateway.suspend_grant(key.grant, by=by)
    tell_team(
        subscription,
        lambda: _("%(name)s was suspended for %(team)s") % _named(subscription),
        body=reason.strip(),
        by=by,
    )
    events.publish("store.subscription_suspended", subscription.pk, at=timezone.now().isoformat())


@transaction.atomic
def resume_subscription(subscription: Subscription, *, by: User) -> None:
    """Let the calls of a suspended subscription pass again."""
    require(may_suspend(by, subscription))
    Subscription.lifecycle.move(subscription, Subscription.Status.GRANTED, by=by, status_reason="")
    for key in live_keys(subscription):
        gateway.resume_grant(key.grant, by=by)
    tell_team(
        subscription,
        lambda: _("%(name)s: the subscription of %(team)s works again") % _named(subscription),
        by=by,
    )
    events.publish("store.subscription_resumed", subscription.pk, at=timezone.now().isoformat())


@transaction.atomic
def cancel_subscription(subscription: Subscription, *, by: User) -> None:
    """End a subscription: its keys are refused within seconds. One that waits is withdrawn by who asked for it."""
    require(may_cancel(by, subscription))
    if subscription.status == Subscription.Status.PENDING and subscription.ticket is not None:
        requests.withdraw(subscription.ticket, by=by)
        subscription.refresh_from_db()
    else:
        _end(subscription, Subscription.Status.CANCELLED, by=by)


def end_subscription(subscription: Subscription, *, by: User | None, reason: str) -> None:
    """End a subscription because of what it was for. The caller has asked the policy; call it in its transaction."""
    Subscription.objects.filter(pk=subscription.pk).update(status_reason=reason[:500])
    _end(subscription, Subscription.Status.CANCELLED, by=by, reason=reason)


def expire_due() -> int:
    """End the subscriptions whose time is over. Returns how many."""
    due = Subscription.objects.filter(
        status__in=[Subscription.Status.GRANTED, Subscription.Status.SUSPENDED],
        expires_at__lte=timezone.now(),
    )
    ended = list(due[:200])
    for subscription in ended:
        with transaction.atomic():
            _end(subscription, Subscription.Status.EXPIRED, by=None)
    return len(ended)


def _named(subscription: Subscription) -> dict[str, object]:
    return {"name": subscription.capability.name, "team": subscription.team}


def tell_team(
    subscription: Subscription,
    title: Callable[[], str],
    *,
    by: User | None,
    body: str | Callable[[], str] = "",
) -> None:
    """A line in the bells of those who may use its keys, and of who asked for it; who did it knows."""
    uses = Q(memberships__team=subscription.team, memberships__role__in=SUBSCRIBERS)
    people = User.objects.filter(uses | Q(pk=subscription.requested_by_id), is_active=True).distinct()
    url = reverse("store:subscription", args=[subscription.pk])
    requests.notify(people.exclude(pk=by.pk) if by else people, title, url=url, body=body)


def _tell_of_end(subscription: Subscription, status: str, reason: str, by: User | None) -> None:
    if status == Subscription.Status.EXPIRED:
        tell_team(
            subscription,
            lambda: _("%(name)s: the subscription of %(team)s has expired") % _named(subscription),
            body=lambda: _("Its keys are refused from now on. Subscribe again to go on."),
            by=by,
        )
        return
    tell_team(
        subscription,
        lambda: _("%(name)s: the subscription of %(team)s was ended") % _named(subscription),
        body=reason,
        by=by,
    )


def _end(subscription: Subscription, status: str, *, by: User | None, reason: str = "") -> None:
    Subscription.lifecycle.move(subscription, status, by=by, ended_at=timezone.now())
    for key in live_keys(subscription):
        gateway.revoke_grant(key.grant, by=by)
    for change in subscription.changes.filter(ended_at=None).select_related("ticket"):
        change.ended_at = timezone.now()
        change.save(update_fields=["ended_at"])
    _tell_of_end(subscription, status, reason, by)
    events.publish("store.subscription_ended", subscription.pk)
