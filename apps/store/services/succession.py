"""A withdrawn plan and the one in its place: naming it, telling its subscribers, moving them with their keys."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from apps.catalog.models import Capability
from apps.core import audit, events
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.store.models import Change, Plan, Subscription, Succession
from apps.store.policy import may_offer
from apps.store.services.changes import put_in_force
from apps.store.services.following import told_before
from apps.store.services.subscriptions import tell_team
from apps.store.succession import NOTICE_DAYS, asks_more, earliest_day, in_words, today

if TYPE_CHECKING:
    from apps.accounts.models import User

_AT_A_TIME = 500


@transaction.atomic
def withdraw_plan(
    plan: Plan, *, by: User, successor: Plan | None = None, moves_on: date | None = None
) -> Plan:
    """Take a plan off the store. Existing subscriptions keep it; they are told, and which one takes its place."""
    require(may_offer(by, plan.capability))
    offered = plan.status == Plan.Status.PUBLISHED
    Plan.lifecycle.move(plan, Plan.Status.WITHDRAWN, by=by)
    if successor is not None:
        name_successor(plan, successor, by=by, moves_on=moves_on)
    elif moves_on is not None:
        raise Invalid(
            _("Name the plan to which subscribers are moved on that day."),
            fields={"successor": _("is empty")},
        )
    elif offered:
        events.publish("store.plan_withdrawn", plan.pk)
    return plan


@transaction.atomic
def name_successor(plan: Plan, successor: Plan, *, by: User, moves_on: date | None = None) -> Succession:
    """Say which plan takes the place of a withdrawn one. Its subscribers are told what changes, and may move.

    On `moves_on`, at least 14 days ahead, they are moved. Raises Conflict for a plan that is not withdrawn, Invalid
    for a successor that nobody can take, a day too near, or one on which approvers would have to be asked.
    """
    require(may_offer(by, plan.capability))
    if plan.status != Plan.Status.WITHDRAWN:
        raise Conflict(_("“%(plan)s” is on offer. Withdraw it first.") % {"plan": plan.name})
    _require_a_plan_to_take(plan, Plan.objects.select_for_update().get(pk=successor.pk))
    before = Succession.objects.filter(plan=plan).first()
    if before is not None and (before.successor_id, before.moves_on) == (successor.pk, moves_on):
        return before
    if moves_on is not None:
        _require_fair(plan, successor, moves_on)
    values = {"successor": successor, "moves_on": moves_on, "named_by": by, "named_at": timezone.now()}
    named, _new = Succession.objects.update_or_create(plan=plan, defaults=values)
    audit.record("store.plan.successor_named", plan, by=by, successor=successor.pk, moves_on=moves_on)
    events.publish("store.plan_withdrawn", plan.pk)
    return named


def _require_a_plan_to_take(plan: Plan, successor: Plan) -> None:
    if successor.capability_id != plan.capability_id:
        raise Invalid(
            _("“%(plan)s” is a plan of another capability.") % {"plan": successor.name},
            fields={"successor": _("belongs to another capability")},
        )
    if plan.trial or successor.trial or successor.status != Plan.Status.PUBLISHED:
        raise Invalid(
            _("Nobody can subscribe to “%(plan)s”. Name a plan that is on offer.") % {"plan": successor.name},
            fields={"successor": _("is not on offer")},
        )
    if plan.capability.status != Capability.Status.PUBLISHED:
        raise Conflict(
            _("“%(name)s” is not on offer: it is %(status)s.")
            % {"name": plan.capability.name, "status": plan.capability.get_status_display()}
        )


def _require_fair(plan: Plan, successor: Plan, day: date) -> None:
    _require_nobody_to_ask(plan, successor)
    if day < earliest_day():
        raise Invalid(
            _("Subscribers need %(days)d days to prepare: name a day from %(day)s on.")
            % {"days": NOTICE_DAYS, "day": date_format(earliest_day(), "Y-m-d")},
            fields={"moves_on": _("is too early")},
        )


def _require_nobody_to_ask(plan: Plan, successor: Plan) -> None:
    if asks_more(plan, successor):
        raise Invalid(
            _("“%(plan)s” needs an approval for each subscriber, so they have to ask for it themselves.")
            % {"plan": successor.name},
            fields={"successor": _("needs an approval")},
        )


@transaction.atomic
def move_subscribers(plan: Plan, *, by: User) -> Succession:
    """Have all subscribers of a withdrawn plan moved within a minute: only to what gives each at least as much.

    Raises Conflict without a successor on offer, or when it gives less of anything; Invalid when it needs approvals.
    """
    require(may_offer(by, plan.capability))
    named = Succession.objects.select_for_update().filter(plan=plan).first()
    if named is None or not named.stands:
        raise Conflict(_("Name the plan that takes the place of “%(plan)s” first.") % {"plan": plan.name})
    _require_nobody_to_ask(plan, named.successor)
    if named.stricter:
        raise Conflict(
            _("“%(plan)s” gives less: %(changes)s. Name a day at least %(days)d days ahead instead.")
            % {
                "plan": named.successor.name,
                "changes": in_words(plan, named.successor),
                "days": NOTICE_DAYS,
            }
        )
    named.moves_on, named.named_by = today(), by
    named.save(update_fields=["moves_on", "named_by"])
    audit.record("store.plan.subscribers_moved", plan, by=by, successor=named.successor_id)
    return named


def _left(plan: Plan, successor: Plan) -> QuerySet[Subscription]:
    """Who holds a plan and can be moved; a team that has the successor, or asks for it, keeps both."""
    own = Subscription.objects.filter(plan=successor, team=OuterRef("team"), status__in=Subscription.OPEN)
    return Subscription.objects.filter(~Exists(own), plan=plan, status__in=Subscription.HELD)


def move_due() -> int:
    """Move the subscribers of plans whose day has come, each alone. Twice at once moves each once. Returns how many."""
    due = Succession.objects.filter(
        moves_on__lte=today(),
        successor__status=Plan.Status.PUBLISHED,
        plan__capability__status=Capability.Status.PUBLISHED,
    )
    held = Subscription.objects.filter(plan=OuterRef("plan"), status__in=Subscription.HELD)
    found = due.filter(Exists(held)).select_related("plan", "successor", "named_by").order_by("pk")
    return sum(_move_all(named) for named in found)


def _move_all(named: Succession) -> int:
    moved, last = 0, 0
    while keys := list(
        _left(named.plan, named.successor)
        .filter(pk__gt=last)
        .order_by("pk")
        .values_list("pk", flat=True)[:_AT_A_TIME]
    ):
        moved += sum(_move(pk, named) for pk in keys)
        last = keys[-1]
    return moved


def _move(pk: int, named: Succession) -> bool:
    """False for one that was moved, ended, or got the successor in another way meanwhile."""
    try:
        with transaction.atomic():
            subscription = (
                Subscription.objects.select_for_update(of=("self",))
                .select_related("plan", "capability", "team")
                .filter(pk=pk, plan=named.plan, status__in=Subscription.HELD)
                .first()
            )
            if subscription is None:
                return False
            _hand_over(subscription, named)
    except IntegrityError:
        return False
    return True


def _hand_over(subscription: Subscription, named: Succession) -> None:
    change = Change.objects.create(
        subscription=subscription,
        plan=named.successor,
        asked_by=named.named_by,
        done=True,
        ended_at=timezone.now(),
    )
    until = _end_after(subscription.expires_at, named.successor)
    put_in_force(change, subscription, until=until, by=named.named_by)

    def title() -> str:
        return _("%(name)s: the subscription of %(team)s has the plan “%(plan)s” now") % {
            "name": subscription.capability.name,
            "team": subscription.team,
            "plan": named.successor.name,
        }

    tell_team(subscription, title, by=None, body=lambda: in_words(named.plan, named.successor))


def _end_after(end: datetime | None, plan: Plan) -> datetime | None:
    """When a subscription ends that is moved without having asked: no earlier than it would have."""
    if plan.valid_days is None:
        return None
    anew = timezone.now() + timedelta(days=plan.valid_days)
    return max(end, anew) if end is not None else anew


@transaction.atomic
def tell_of_withdrawal(plan_id: int) -> None:
    """Tell who holds a withdrawn plan, or waits for it, what becomes of it; once for each time a successor is named."""
    plan = Plan.objects.select_related("succession__successor").get(pk=plan_id)
    named: Succession | None = getattr(plan, "succession", None)
    if told_before(f"withdrawn:{plan.pk}:{named.named_at.isoformat() if named else ''}"):
        return
    concerned = Subscription.objects.filter(plan=plan, status__in=Subscription.OPEN)
    for subscription in concerned.select_related("capability", "team").order_by("pk").iterator(_AT_A_TIME):
        _tell(subscription, plan, named)
    waiting = Change.objects.filter(plan=plan, ended_at=None).exclude(subscription__plan=plan)
    for change in waiting.select_related("subscription__capability", "subscription__team").order_by("pk"):
        _tell_who_waits(change.subscription, plan)


def _tell_who_waits(subscription: Subscription, plan: Plan) -> None:
    """A change to a withdrawn plan was asked for: what is held stays, and nobody can grant the change."""
    facts = {"name": subscription.capability.name, "team": subscription.team, "plan": plan.name}
    tell_team(
        subscription,
        lambda: _("%(name)s: the plan “%(plan)s” was withdrawn") % facts,
        by=None,
        body=lambda: (
            _(
                "Nobody can grant %(team)s the change to it any more. Withdraw the request and ask for another plan;"
                " the present one stays."
            )
            % facts
        ),
    )


def _tell(subscription: Subscription, plan: Plan, named: Succession | None) -> None:
    facts = {"name": subscription.capability.name, "team": subscription.team, "plan": plan.name}

    def title() -> str:
        if named is None:
            return _("%(name)s: the plan “%(plan)s” was withdrawn") % facts
        words = _("%(name)s: “%(successor)s” takes the place of the plan “%(plan)s”")
        return words % (facts | {"successor": named.successor.name})

    def body() -> str:
        if subscription.status == Subscription.Status.PENDING:
            return (
                _("Nobody can grant what %(team)s asked for any more. Cancel it and ask for another plan.")
                % facts
            )
        if named is None:
            return _("The subscription of %(team)s and its keys stay as they are.") % facts
        if named.moves_on is None:
            then = _("%(team)s can move there, with its keys.") % facts
        else:
            day = date_format(named.moves_on, "Y-m-d")
            then = _("%(team)s is moved on %(day)s, with its keys.") % (facts | {"day": day})
        return f"{then} {in_words(plan, named.successor)}"

    tell_team(subscription, title, by=None, body=body)
