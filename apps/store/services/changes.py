"""What a living subscription can become: longer, or of another plan. The keys stay the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import ngettext

from apps.accounts.models import User
from apps.core import audit, events
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.core.telling import say as _
from apps.gateway import services as gateway
from apps.requests import services as requests
from apps.store.models import Change, Plan, Subscription, Succession
from apps.store.policy import SUBSCRIBERS, may_subscribe, may_use_keys
from apps.store.services.following import told_before
from apps.store.services.plans import grants_at_once, rule_of
from apps.store.services.subscriptions import require_on_offer
from apps.store.succession import asks_more

if TYPE_CHECKING:
    from apps.requests.models import Request

CHANGE_REQUEST = "store.change"
NOTICE_DAYS = (90, 45, 30, 7)
RENEWABLE = timedelta(days=max(NOTICE_DAYS))


@transaction.atomic
def renew_subscription(subscription: Subscription, *, by: User, reason: str = "") -> Change:
    """Ask for the same plan for another of its periods, from 90 days before the end on. At once where nobody decides.

    Raises Conflict when it has no end, when it is too early, or while another change is asked for.
    """
    require(may_use_keys(by, subscription))
    _require_granted(subscription)
    if subscription.expires_at is None or subscription.plan.valid_days is None:
        raise Conflict(_("This subscription has no end, so there is nothing to renew."))
    if subscription.expires_at - timezone.now() > RENEWABLE:
        raise Conflict(
            _("It can be renewed from %(day)s on, 90 days before its end.")
            % {"day": date_format(timezone.localtime(subscription.expires_at - RENEWABLE), "Y-m-d")}
        )
    return _ask(subscription, subscription.plan, by=by, reason=reason)


@transaction.atomic
def change_plan(subscription: Subscription, plan: Plan, *, by: User, reason: str = "") -> Change:
    """Ask to move a subscription, with its keys, to another plan of the same capability.

    Nobody decides where the plan says so, the team is trusted, or it succeeds the present one and gives no more.
    Raises Invalid for a plan of something else, Conflict while another change is asked for.
    """
    require(may_use_keys(by, subscription))
    require(may_subscribe(by, plan, subscription.team))
    _require_granted(subscription)
    if plan.capability_id != subscription.capability_id:
        raise Invalid(_("“%(plan)s” is a plan of another capability.") % {"plan": plan.name})
    if plan.pk == subscription.plan_id:
        raise Conflict(_("The subscription has this plan already."))
    _require_free(subscription, plan)
    return _ask(subscription, plan, by=by, reason=reason)


def _require_granted(subscription: Subscription) -> None:
    subscription.refresh_from_db()
    if subscription.status != Subscription.Status.GRANTED:
        raise Conflict(
            _("Only a granted subscription can be changed; this one is: %(status)s.")
            % {"status": subscription.get_status_display()}
        )


def _require_free(subscription: Subscription, plan: Plan) -> None:
    """A team has one open subscription to a plan."""
    others = Subscription.objects.filter(plan=plan, team=subscription.team, status__in=Subscription.OPEN)
    if others.exclude(pk=subscription.pk).exists():
        raise Conflict(
            _("%(team)s has a subscription to “%(plan)s” already.")
            % {"team": subscription.team, "plan": plan.name}
        )


def _ask(subscription: Subscription, plan: Plan, *, by: User, reason: str) -> Change:
    try:
        with transaction.atomic():
            change = Change.objects.create(subscription=subscription, plan=plan, asked_by=by)
    except IntegrityError as error:
        raise Conflict(_("A change of this subscription is waiting for a decision already.")) from error
    audit.record("store.change.asked", change, by=by, plan=plan.name, subscription=subscription.pk)
    if grants_at_once(plan, subscription.team) or _succeeds(plan, subscription.plan):
        _apply(change, by=by)
        return change
    words = _("renew") if plan.pk == subscription.plan_id else _("change to %(plan)s") % {"plan": plan.name}
    change.ticket = requests.open_request(
        CHANGE_REQUEST,
        change,
        _("%(team)s, %(capability)s: %(what)s")
        % {"team": subscription.team, "capability": subscription.capability.name, "what": words},
        by=by,
        rule=rule_of(plan, asking=by),
        url=reverse("store:subscription", args=[subscription.pk]),
        body=reason,
        team=subscription.team,
    )
    change.save(update_fields=["ticket"])
    return change


def _succeeds(plan: Plan, present: Plan) -> bool:
    """Whether the provider named a plan in place of the present one, and whoever has that has to ask nobody."""
    named = Succession.objects.filter(plan=present, successor=plan).exists()
    return named and not asks_more(present, plan)


def _apply(change: Change, *, by: User | None) -> None:
    """Move the end or the plan; all keys of the pool follow within seconds."""
    subscription = (
        Subscription.objects.select_for_update().select_related("plan").get(pk=change.subscription_id)
    )
    _require_granted(subscription)
    _require_free(subscription, change.plan)
    if change.plan_id != subscription.plan_id:
        require_on_offer(change.plan)
    change.done, change.ended_at = True, timezone.now()
    change.save(update_fields=["done", "ended_at"])
    put_in_force(change, subscription, until=_new_end(subscription, change.plan), by=by)


def put_in_force(
    change: Change, subscription: Subscription, *, until: datetime | None, by: User | None
) -> None:
    """Write a change that is done into its locked subscription; all keys of the pool follow within seconds."""
    assert change.ended_at is not None
    before, renewed = subscription.expires_at, change.plan_id == subscription.plan_id
    subscription.plan, subscription.expires_at = change.plan, until
    subscription.save(update_fields=["plan", "expires_at"])
    if not renewed:
        gateway.change_limits(subscription.pool, change.plan.limits, by=by)
    if before != until:
        gateway.change_expiry(subscription.pool, before, until, by=by)
    audit.record("store.change.done", change, by=by, plan=change.plan.name, until=until)
    events.publish(
        "store.subscription_changed", subscription.pk, renewed=renewed, at=change.ended_at.isoformat()
    )


def _new_end(subscription: Subscription, plan: Plan) -> datetime | None:
    if plan.valid_days is None:
        return None
    renewed = plan.pk == subscription.plan_id and subscription.expires_at is not None
    start = subscription.expires_at if renewed else timezone.now()
    assert start is not None
    return start + timedelta(days=plan.valid_days)


def grant_change(ticket: Request, by: User | None) -> None:
    """The approvers agreed: called by the approval engine inside its transaction."""
    change = Change.objects.select_related("plan").get(ticket=ticket)
    if change.ended_at is None:
        _apply(change, by=by)


def close_change(ticket: Request, by: User | None) -> None:
    """The approvers refused, or nobody decided: the subscription stays as it is."""
    Change.objects.filter(ticket=ticket, ended_at=None).update(ended_at=timezone.now())


def tell_of_ends() -> int:
    """Tell a team 90, 45, 30 and 7 days before its subscription ends, once each. Returns how many were told."""
    now = timezone.now()
    ending = Subscription.objects.filter(
        status=Subscription.Status.GRANTED, expires_at__gt=now, expires_at__lte=now + RENEWABLE
    )
    told = 0
    for subscription in ending.select_related("capability", "team").order_by("pk").iterator(500):
        told += _tell_of_end(subscription, now)
    return told


@transaction.atomic
def _tell_of_end(subscription: Subscription, now: datetime) -> int:
    """The nearest milestone that has been reached counts; those before it are not told late."""
    assert subscription.expires_at is not None
    left = subscription.expires_at - now
    days = min(days for days in NOTICE_DAYS if left <= timedelta(days=days))
    day = timezone.localtime(subscription.expires_at)
    if told_before(f"end:{subscription.pk}:{day:%Y%m%d}:{days}"):
        return 0
    people = User.objects.filter(
        is_active=True, memberships__team=subscription.team, memberships__role__in=SUBSCRIBERS
    )
    whole = max(left.days, 0)

    def title() -> str:
        return ngettext(
            "%(name)s: the subscription of %(team)s ends in %(days)d day",
            "%(name)s: the subscription of %(team)s ends in %(days)d days",
            whole,
        ) % {"name": subscription.capability.name, "team": subscription.team.name, "days": whole}

    requests.notify(list(people.distinct()), title, url=reverse("store:subscription", args=[subscription.pk]))
    events.publish("store.subscription_expiring", subscription.pk, at=f"{day:%Y%m%d}:{days}")
    return 1
