"""Running another site's capability at one's own site, under the terms of a plan: the same bytes, for the own keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone, translation

from apps.core import audit
from apps.core.errors import Conflict, Invalid, PortalError
from apps.core.policy import Verdict, allow, deny, require
from apps.core.telling import kept, sentence
from apps.core.telling import say as _
from apps.gateway import services as gateway
from apps.gateway.models import Grant
from apps.instances.guard import (
    has_gone_the_whole_way,
    may_be_given_by_hand,
    may_take_production_traffic,
)
from apps.instances.models import Deployment
from apps.instances.selectors import production_versions
from apps.instances.services import deploy_version, stop_deployment
from apps.requests import services as requests
from apps.store.models import Plan, SiteCopy, Subscription
from apps.store.policy import may_end_copy, may_reuse
from apps.store.services.subscriptions import subscribe

if TYPE_CHECKING:
    from collections.abc import Callable

    from apps.accounts.models import Team, User
    from apps.catalog.models import Capability, Version


@transaction.atomic
def reuse_at_site(
    capability: Capability, team: Team, *, by: User, plan: Plan | None = None, use_case: str = ""
) -> SiteCopy:
    """Run what answers in production at the site of `team`: at once, or when the plan's approvers have agreed.

    A team without a subscription whose plan allows it takes `plan`, or the first that does. A second click returns
    the same copy. Raises NotAllowed with the policy's or the guard's reason, Conflict, Invalid.
    """
    require(may_reuse(by, capability, team))
    require(may_be_given_by_hand(_answering(capability)))
    subscription = _subscription(capability, team, plan, by=by, use_case=use_case)
    try:
        with transaction.atomic():
            copy = SiteCopy.objects.create(subscription=subscription, site=team.site, asked_by=by)
    except IntegrityError:
        return SiteCopy.objects.get(subscription=subscription, status__in=SiteCopy.OPEN)
    audit.record("store.copy.asked", copy, by=by, subscription=subscription.pk, site=team.site.slug)
    if subscription.status == Subscription.Status.GRANTED:
        _start(copy, by=by)
    return copy


def _answering(capability: Capability) -> Version:
    """What answers most production calls; never what a release still tries, since all calls would go to it here."""
    versions = production_versions(capability)
    if not versions:
        raise Conflict(
            _("No version of “%(name)s” is in production, so there is none to run elsewhere.")
            % {"name": capability.name}
        )
    return next((version for version in versions if has_gone_the_whole_way(version)), versions[0])


def _subscription(
    capability: Capability, team: Team, plan: Plan | None, *, by: User, use_case: str
) -> Subscription:
    """The terms: a living subscription under a plan that allows it, else a new one."""
    living = Subscription.objects.filter(capability=capability, team=team, status__in=Subscription.OPEN)
    held = living.filter(plan__reuse=True).order_by("-granted_at").first() if plan is None else None
    if held is not None:
        if held.status == Subscription.Status.SUSPENDED:
            raise Conflict(
                _("The subscription of %(team)s is suspended: %(why)s")
                % {"team": team, "why": held.status_reason}
            )
        return held
    offered = Plan.objects.filter(capability=capability, status=Plan.Status.PUBLISHED, reuse=True)
    chosen = plan or offered.order_by("pk").first()
    if chosen is None or not chosen.reuse or chosen.capability_id != capability.pk:
        raise Invalid(
            _("The plan “%(plan)s” does not let others run it at their own site.")
            % {"plan": chosen.name if chosen else "–"},
            fields={"plan": _("does not allow it")},
        )
    return subscribe(chosen, team, by=by, use_case=use_case)


def _start(copy: SiteCopy, *, by: User) -> None:
    copy.deployment = deploy_version(
        _answering(copy.subscription.capability),
        kind=Deployment.Kind.PRODUCTION,
        by=by,
        host=copy.subscription.team,
    )
    SiteCopy.lifecycle.move(copy, SiteCopy.Status.STARTING, by=by, deployment=copy.deployment)


@transaction.atomic
def update_copy(copy: SiteCopy, *, by: User) -> SiteCopy:
    """Run the version that answers in production now; it takes over once it is ready, without an interruption."""
    copy = _locked(copy.pk)
    capability, team = copy.subscription.capability, copy.subscription.team
    require(may_reuse(by, capability, team))
    if copy.status != SiteCopy.Status.RUNNING or copy.deployment is None:
        raise Conflict(_("Only a copy that runs can be brought up to date."))
    version = _answering(capability)
    if copy.successor is not None or version.pk == copy.deployment.version_id:
        return copy
    copy.successor = deploy_version(version, kind=Deployment.Kind.PRODUCTION, by=by, host=team)
    copy.save(update_fields=["successor"])
    audit.record("store.copy.updated", copy, by=by, version=version.number)
    return copy


@transaction.atomic
def end_copy(copy: SiteCopy, *, by: User | None, reason: str = "") -> None:
    """Stop it; the keys are answered by the provider again. Ending it twice changes nothing. `by=None`: the portal."""
    copy = _locked(copy.pk)
    if by is not None:
        require(may_end_copy(by, copy))
    if copy.status == SiteCopy.Status.ENDED:
        return
    subscription = copy.subscription
    gateway.change_scope(subscription.pool, subscription.capability, Grant.PRODUCTION, by=by)
    for deployment in (copy.deployment, copy.successor):
        if deployment is not None:
            stop_deployment(deployment, by=None, reason=reason)
    words, told = kept(reason, most=500)
    SiteCopy.lifecycle.move(
        copy, SiteCopy.Status.ENDED, by=by, reason=words, ended_at=timezone.now(), successor=None
    )
    if by is None:
        _tell(copy, lambda: _("%(name)s ended at %(site)s"), lambda: sentence(words, told))


def _locked(pk: int) -> SiteCopy:
    found = SiteCopy.objects.select_for_update(of=("self",))
    related = ("subscription__capability__team", "subscription__team__site", "subscription__plan", "site")
    return found.select_related(*related, "deployment", "successor", "asked_by").get(pk=pk)


def _tell(copy: SiteCopy, title: Callable[[], str], body: str | Callable[[], str] = "") -> None:
    names = {"name": copy.subscription.capability.name, "site": copy.site.name}
    url = reverse("store:subscription", args=[copy.subscription_id])
    requests.notify([copy.asked_by], lambda: title() % names, url=url, body=body)


def settle_copies(subscription: int | None = None, deployment: int | None = None) -> None:
    """Make copies follow what became of their subscription, of their deployment and of the signature.

    Called by events for one of them, and in turn for all, so that no missed event leaves a key without an answer.
    """
    found = SiteCopy.objects.filter(status__in=SiteCopy.OPEN)
    if subscription is not None:
        found = found.filter(subscription=subscription)
    if deployment is not None:
        found = found.filter(deployment=deployment) | found.filter(successor=deployment)
    for pk in found.order_by("pk").values_list("pk", flat=True)[:500]:
        _settle(pk)


@transaction.atomic
def _settle(pk: int) -> None:
    copy = _locked(pk)
    if copy.status == SiteCopy.Status.ENDED:
        return
    verdict = _holds(copy)
    if not verdict:
        end_copy(copy, by=None, reason=verdict.reason)
    elif copy.status == SiteCopy.Status.WAITING:
        _start_granted(copy)
    elif copy.successor is not None and copy.successor.status == Deployment.Status.READY:
        _take_over(copy)
    elif copy.status == SiteCopy.Status.STARTING and copy.deployment.status == Deployment.Status.READY:  # type: ignore[union-attr]
        _bind(copy)
        SiteCopy.lifecycle.move(copy, SiteCopy.Status.RUNNING, by=None)
        _tell(copy, lambda: _("%(name)s runs at %(site)s: your keys are answered there"))


def _holds(copy: SiteCopy) -> Verdict:
    """Whether the terms still let the copy run; with the reason when they do not."""
    subscription = copy.subscription
    if subscription.status not in Subscription.OPEN:
        with translation.override("en"):  # the pattern of the status' own words
            status = subscription.get_status_display()
        return deny(_("The subscription is: %(status)s.") % {"status": _(status)})
    if not subscription.plan.reuse:
        return deny(
            _("The plan “%(plan)s” does not let others run it at their own site.")
            % {"plan": subscription.plan.name}
        )
    if copy.deployment is None:
        return allow()
    if copy.deployment.desired == Deployment.Desired.STOPPED:
        return deny(_("Its deployment was stopped."))
    return may_take_production_traffic(copy.deployment.version)


def _start_granted(copy: SiteCopy) -> None:
    if copy.subscription.status != Subscription.Status.GRANTED:
        return
    try:
        with transaction.atomic():
            _start(copy, by=copy.asked_by)
    except PortalError as error:  # whoever asked may not any more, or nothing is in production now
        end_copy(copy, by=None, reason=error.message)


def _take_over(copy: SiteCopy) -> None:
    before, copy.deployment, copy.successor = copy.deployment, copy.successor, None
    copy.save(update_fields=["deployment", "successor"])
    _bind(copy)
    if before is not None:
        stop_deployment(before, by=None, reason=_("A newer version took over."))


def _bind(copy: SiteCopy) -> None:
    subscription = copy.subscription
    scope = f"deployment:{copy.deployment_id}"
    gateway.change_scope(subscription.pool, subscription.capability, scope, by=None)
