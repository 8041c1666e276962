"""Who may offer, subscribe, use and stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.policy import is_platform_admin, may_act_as, roles_of
from apps.catalog.models import Capability, Version
from apps.catalog.policy import may_build, may_view_capability
from apps.core.policy import Verdict, allow, deny
from apps.instances.models import TrafficWeight
from apps.store.models import Batch, Plan, Review, SiteCopy, Subscription

if TYPE_CHECKING:
    from apps.accounts.models import Team, User

PROVIDERS = (Role.DEVELOPER, Role.OPERATOR)
SUBSCRIBERS = (Role.CONSUMER, Role.DEVELOPER, Role.OPERATOR, Role.QA)


def may_offer(user: User, capability: Capability) -> Verdict:
    """Whether a person may make, publish and withdraw plans of a capability."""
    return may_act_as(user, capability.team, *PROVIDERS)


def may_try(user: User, capability: Capability) -> Verdict:
    """Whether a person may send trial calls to a capability's production version."""
    return may_view_capability(user, capability)


def may_stop_batch(user: User, batch: Batch) -> Verdict:
    """Whether a person may stop a file of rows: whoever sent it."""
    if batch.user_id == user.pk:
        return allow()
    return deny(_("Only who sent a file can stop it."))


def may_subscribe(user: User, plan: Plan, team: Team) -> Verdict:
    """Whether a person may take a plan for a team."""
    capability = plan.capability
    if plan.trial:
        return deny(_("“%(plan)s” holds the limits of Try it; choose another plan.") % {"plan": plan.name})
    if plan.status != Plan.Status.PUBLISHED:
        return deny(_("The plan “%(plan)s” is not on offer. Choose another one.") % {"plan": plan.name})
    if capability.status != Capability.Status.PUBLISHED:
        return deny(
            _("“%(name)s” is not on offer: it is %(status)s.")
            % {"name": capability.name, "status": capability.get_status_display()}
        )
    seen = may_view_capability(user, capability)
    return may_act_as(user, team, *SUBSCRIBERS) if seen else seen


def may_reuse(user: User, capability: Capability, team: Team) -> Verdict:
    """Whether a person may run a capability at the site of a team of theirs; the plan and the guard come after."""
    if capability.team.site_id == team.site_id:
        return deny(_("It is made at %(site)s, so it runs there already.") % {"site": team.site})
    if capability.status != Capability.Status.PUBLISHED:
        return deny(
            _("“%(name)s” is not on offer: it is %(status)s.")
            % {"name": capability.name, "status": capability.get_status_display()}
        )
    seen = may_view_capability(user, capability)
    if not seen:
        return seen
    operates = may_act_as(user, team, Role.OPERATOR)
    return operates or deny(
        _("Only the operators of %(team)s can run it at %(site)s; ask one of them.")
        % {"team": team, "site": team.site}
    )


def may_take_bundle(user: User, version: Version) -> Verdict:
    """Whether a person may download a version to run it without the portal: who builds it any package, a subscriber
    whose plan allows it what is in production.
    """
    capability = version.capability
    if version.status != Version.Status.PACKAGED:
        return deny(_("%(version)s is not packaged.") % {"version": version})
    if may_build(user, capability):
        return allow()
    mine = Subscription.objects.filter(
        capability=capability,
        status=Subscription.Status.GRANTED,
        plan__device=True,
        team__memberships__user=user,
    )
    if not mine.exists():
        return deny(_("Only subscribers whose plan allows it may take it to a device."))
    if not TrafficWeight.objects.filter(deployment__version=version, weight__gt=0).exists():
        return deny(_("Only what is in production may be taken to a device."))
    return allow()


def may_end_copy(user: User, copy: SiteCopy) -> Verdict:
    """Whether a person may end a copy: the operators of the team that runs it, or the provider."""
    mine = may_act_as(user, copy.subscription.team, Role.OPERATOR)
    return mine or may_offer(user, copy.subscription.capability)


def may_see_usage(user: User, capability: Capability) -> Verdict:
    """The provider sees all calls; whoever has a subscription sees the own team's."""
    own = Subscription.objects.filter(capability=capability, team__memberships__user=user)
    return allow() if own.exists() else may_offer(user, capability)


def may_see_subscription(user: User, subscription: Subscription) -> Verdict:
    """Members of the subscribing team, and the providing team's developers and operators."""
    if roles_of(user, subscription.team) or is_platform_admin(user):
        return allow()
    provides = may_offer(user, subscription.capability)
    return provides or deny(_("This subscription belongs to another team."))


def may_use_keys(user: User, subscription: Subscription) -> Verdict:
    """Whether a person may make, rotate and revoke keys."""
    return may_act_as(user, subscription.team, *SUBSCRIBERS)


def may_suspend(user: User, subscription: Subscription) -> Verdict:
    """Whether a person may suspend and resume: the provider's side."""
    return may_offer(user, subscription.capability)


def may_cancel(user: User, subscription: Subscription) -> Verdict:
    """Whether a person may end a subscription: either side."""
    mine = may_use_keys(user, subscription)
    return mine or may_offer(user, subscription.capability)


def may_review(user: User, capability: Capability) -> Verdict:
    """Whether a person may rate a capability: whoever has or had a granted subscription to it, not its own team."""
    if roles_of(user, capability.team):
        return deny(_("Your own team provides it; reviews come from those who use it."))
    mine = Subscription.objects.filter(
        capability=capability, granted_at__isnull=False, team__memberships__user=user
    )
    if mine.exists():
        return allow()
    return deny(_("Only who has a subscription can review it. Subscribe first."))


def may_remove_review(user: User, review: Review) -> Verdict:
    """Whether a person may take a review away: its author, or an administrator."""
    if review.user_id == user.pk or is_platform_admin(user):
        return allow()
    return deny(_("Only its author can take a review back."))


def may_answer_review(user: User, review: Review) -> Verdict:
    """Whether a person may answer a review: the providing team."""
    return may_offer(user, review.capability)
