"""What happens to plans, subscriptions and keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import Role, User
from apps.accounts.selectors import users_with
from apps.core import audit, events, secrets
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.gateway import services as gateway
from apps.gateway.models import Grant
from apps.requests import services as requests
from apps.requests.services import Need, Rule
from apps.store.limits import Limits, WrongLimit, parse_limits
from apps.store.models import Plan, Subscription, SubscriptionKey
from apps.store.policy import may_cancel, may_offer, may_subscribe, may_suspend, may_try, may_use_keys

if TYPE_CHECKING:
    from apps.accounts.models import Team
    from apps.catalog.models import Capability
    from apps.requests.models import Request

SUBSCRIPTION_REQUEST = "store.subscription"
OVERLAP = timedelta(hours=24)
MOST_KEYS = 10
TRIAL_LIMITS = Limits(rate_per_s=2, burst=5, per_day=100, concurrent=2)


# Plans


@transaction.atomic
def create_plan(
    capability: Capability,
    name: str,
    *,
    by: User,
    limits: Mapping[str, Any],
    approval: str = Plan.Approval.AUTO,
    trial: bool = False,
    description: str = "",
) -> Plan:
    """Draft a plan. Raises Invalid naming the limit that cannot be used, or the name that is taken."""
    require(may_offer(by, capability))
    try:
        wanted = parse_limits(limits).to_json()
    except WrongLimit as error:
        raise Invalid(
            _("The limits cannot be used: %(why)s.") % {"why": error}, fields={"limits": str(error)}
        ) from error
    if approval not in Plan.Approval.values:
        raise Invalid(
            _("“%(value)s” is no kind of approval.") % {"value": approval}, fields={"approval": _("unknown")}
        )
    plan = Plan(
        capability=capability,
        name=name,
        limits=wanted,
        approval=approval,
        trial=trial,
        description=description,
        created_by=by,
    )
    try:
        with transaction.atomic():
            plan.save()
    except IntegrityError as error:
        raise Invalid(
            _("“%(capability)s” has a plan called “%(name)s” already.")
            % {"capability": capability, "name": name},
            fields={"name": _("is taken")},
        ) from error
    audit.record("store.plan.created", plan, by=by, name=name, limits=wanted, approval=approval)
    return plan


@transaction.atomic
def publish_plan(plan: Plan, *, by: User) -> Plan:
    """Offer a plan; from now on it is immutable. Refused when nobody could legally approve a subscription to it."""
    require(may_offer(by, plan.capability))
    if plan.approval != Plan.Approval.AUTO:
        why = requests.why_rule_unsatisfiable(_rule_of(plan, asking=None), author=User())
        if why:
            raise Invalid(
                _("Nobody could approve a subscription to “%(plan)s”: %(why)s.")
                % {"plan": plan.name, "why": why}
            )
    Plan.lifecycle.move(plan, Plan.Status.PUBLISHED, by=by)
    events.publish("store.plan_published", plan.pk)
    return plan


@transaction.atomic
def withdraw_plan(plan: Plan, *, by: User) -> Plan:
    """Take a plan off the store. Existing subscriptions keep it."""
    require(may_offer(by, plan.capability))
    Plan.lifecycle.move(plan, Plan.Status.WITHDRAWN, by=by)
    return plan


# Subscriptions


@transaction.atomic
def subscribe(plan: Plan, team: Team, *, by: User, use_case: str = "") -> Subscription:
    """Take a plan for a team: granted at once, or waiting for those whom the plan names.

    A second request for a plan that the team has already, or waits for, returns that subscription.
    """
    require(may_subscribe(by, plan, team))
    if plan.approval != Plan.Approval.AUTO and not use_case.strip():
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
    if plan.approval == Plan.Approval.AUTO:
        _grant(subscription, by=by)
    else:
        _ask(subscription, by=by)
    return subscription


def _rule_of(plan: Plan, *, asking: User | None) -> Rule:
    """Four eyes: an operator and a developer of the providing team, two people. One approval: one of the two roles."""
    team = plan.capability.team
    if plan.approval == Plan.Approval.FOUR_EYES:
        return Rule(
            steps=[Need(Role.OPERATOR, team.pk), Need(Role.DEVELOPER, team.pk)],
            exclude_user_ids=[asking.pk] if asking else [],
            four_eyes=True,
        )
    operators = users_with(Role.OPERATOR, team).exclude(pk=asking.pk if asking else 0)
    role = Role.OPERATOR if operators.exists() else Role.DEVELOPER
    return Rule(steps=[Need(role, team.pk)])


def _ask(subscription: Subscription, *, by: User) -> None:
    plan = subscription.plan
    ticket = requests.open_request(
        SUBSCRIPTION_REQUEST,
        subscription,
        _("%(team)s wants to use %(capability)s (%(plan)s)")
        % {"team": subscription.team, "capability": plan.capability.name, "plan": plan.name},
        by=by,
        rule=_rule_of(plan, asking=by),
        url=reverse("store:subscription", args=[subscription.pk]),
        body=subscription.use_case,
    )
    subscription.ticket = ticket
    subscription.save(update_fields=["ticket"])


def _grant(subscription: Subscription, *, by: User | None) -> None:
    Subscription.lifecycle.move(subscription, Subscription.Status.GRANTED, by=by, granted_at=timezone.now())
    events.publish("store.subscription_granted", subscription.pk)


def grant_requested(ticket: Request, by: User | None) -> None:
    """The approvers agreed: called by the approval engine inside its transaction."""
    _grant(Subscription.objects.get(ticket=ticket), by=by)


def reject_requested(ticket: Request, by: User | None) -> None:
    """The approvers refused: called by the approval engine inside its transaction."""
    subscription = Subscription.objects.get(ticket=ticket)
    Subscription.lifecycle.move(subscription, Subscription.Status.REJECTED, by=by, ended_at=timezone.now())


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
    for key in _live_keys(subscription):
        gateway.suspend_grant(key.grant, by=by)
    requests.notify(
        [subscription.requested_by],
        _("%(name)s was suspended for %(team)s")
        % {"name": subscription.capability.name, "team": subscription.team},
        url=reverse("store:subscription", args=[subscription.pk]),
        body=reason.strip(),
    )


@transaction.atomic
def resume_subscription(subscription: Subscription, *, by: User) -> None:
    """Let the calls of a suspended subscription pass again."""
    require(may_suspend(by, subscription))
    Subscription.lifecycle.move(subscription, Subscription.Status.GRANTED, by=by, status_reason="")
    for key in _live_keys(subscription):
        gateway.resume_grant(key.grant, by=by)


@transaction.atomic
def cancel_subscription(subscription: Subscription, *, by: User) -> None:
    """End a subscription: its keys are refused within seconds. One that waits is withdrawn by who asked for it."""
    require(may_cancel(by, subscription))
    if subscription.status == Subscription.Status.PENDING and subscription.ticket is not None:
        requests.withdraw(subscription.ticket, by=by)
        subscription.refresh_from_db()
    else:
        _end(subscription, Subscription.Status.CANCELLED, by=by)


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


def _end(subscription: Subscription, status: str, *, by: User | None) -> None:
    Subscription.lifecycle.move(subscription, status, by=by, ended_at=timezone.now())
    for key in _live_keys(subscription):
        gateway.revoke_grant(key.grant, by=by)
    events.publish("store.subscription_ended", subscription.pk)


# Keys


def _live_keys(subscription: Subscription) -> list[SubscriptionKey]:
    keys = subscription.keys.select_related("grant").exclude(grant__status=Grant.Status.REVOKED)
    return list(keys)


@transaction.atomic
def issue_key(
    subscription: Subscription, *, by: User, label: str = "", once: str = ""
) -> tuple[SubscriptionKey, str]:
    """Make a key; the secret is returned this once and kept nowhere.

    `once` is a word that the form carries: a second click with the same word makes no second key (Conflict).
    """
    require(may_use_keys(by, subscription))
    Subscription.objects.select_for_update().get(pk=subscription.pk)
    _require_granted(subscription)
    if once and subscription.keys.filter(once=once).exists():
        raise Conflict(
            _(
                "The key was made by your first click, and is shown only there. Make another one if you lost it."
            )
        )
    if len(_live_keys(subscription)) >= MOST_KEYS:
        raise Conflict(
            _("The subscription has %(most)d keys, which is the most. Revoke one that is not used.")
            % {"most": MOST_KEYS}
        )
    return _issue(subscription, by=by, label=label, once=once or None)


def _require_granted(subscription: Subscription) -> None:
    subscription.refresh_from_db(fields=["status"])
    if subscription.status != Subscription.Status.GRANTED:
        raise Conflict(
            _("A key needs a granted subscription; this one is: %(status)s.")
            % {"status": subscription.get_status_display()}
        )


def _issue(
    subscription: Subscription, *, by: User, label: str, once: str | None
) -> tuple[SubscriptionKey, str]:
    grant, secret = gateway.create_grant(
        kind=Grant.Kind.SUBSCRIPTION,
        capability=subscription.capability,
        team=subscription.team,
        user=by,
        pool=subscription.pool,
        limits=subscription.plan.limits,
        expires_at=subscription.expires_at,
        label=label.strip()[:80],
        by=by,
    )
    key = SubscriptionKey.objects.create(subscription=subscription, grant=grant, created_by=by, once=once)
    return key, secret


@transaction.atomic
def rotate_key(
    key: SubscriptionKey, *, by: User, overlap: timedelta = OVERLAP
) -> tuple[SubscriptionKey, str]:
    """Make the successor of a key. The old one works for `overlap` more; both share the same quota."""
    subscription = key.subscription
    require(may_use_keys(by, subscription))
    Subscription.objects.select_for_update().get(pk=subscription.pk)
    _require_granted(subscription)
    key.refresh_from_db()
    if key.replaced_by_id is not None or key.grant.status != Grant.Status.ACTIVE:
        raise Conflict(_("This key was rotated or revoked already. Look at the list of keys again."))
    grant, secret = gateway.rotate_grant(key.grant, by=by, overlap=overlap)
    successor = SubscriptionKey.objects.create(subscription=subscription, grant=grant, created_by=by)
    SubscriptionKey.objects.filter(pk=key.pk).update(replaced_by=successor)
    return successor, secret


@transaction.atomic
def revoke_key(key: SubscriptionKey, *, by: User) -> None:
    """Refuse a key for good, within seconds. Revoking it again changes nothing."""
    require(may_use_keys(by, key.subscription))
    key.grant.refresh_from_db()
    if key.grant.status != Grant.Status.REVOKED:
        gateway.revoke_grant(key.grant, by=by)


# Trial


def trial_limits(capability: Capability) -> Limits:
    """What one person may try: the published trial plan's limits, else the portal's."""
    plan = Plan.objects.filter(capability=capability, trial=True, status=Plan.Status.PUBLISHED).first()
    return plan.allowed if plan else TRIAL_LIMITS


@transaction.atomic
def trial_grant(user: User, capability: Capability) -> tuple[Grant, str]:
    """The person's grant for Try it, made at first use, with its key, which is derived at need and stored nowhere."""
    require(may_try(user, capability))
    limits = trial_limits(capability).to_json()
    mark = ",".join(f"{name}={value}" for name, value in sorted(limits.items()))
    secret = "atk_" + secrets.derived(f"trial:{user.pk}:{capability.pk}:{mark}")
    grant = Grant.objects.filter(key_hash=secrets.digest(secret)).first()
    if grant is not None:
        return grant, secret
    return gateway.create_grant(
        kind=Grant.Kind.TRIAL,
        capability=capability,
        team=capability.team,
        user=user,
        pool=f"trial:{user.pk}:{capability.pk}",
        limits=limits,
        label="Try it",
        by=user,
        secret=secret,
    )
