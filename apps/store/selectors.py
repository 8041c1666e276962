"""Reads of the store, always under the viewer's rights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.db.models import Count, Prefetch, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.accounts.models import Role, Team
from apps.accounts.policy import is_platform_admin
from apps.accounts.selectors import teams_of, users_with
from apps.catalog.models import Capability, Version
from apps.catalog.policy import may_build
from apps.catalog.selectors import listed_capabilities
from apps.core.errors import NotFound
from apps.core.paging import keyset
from apps.core.search import Hit
from apps.gateway.models import Grant
from apps.instances.models import Deployment, TrafficWeight
from apps.store import openapi
from apps.store.cases import shipped_cases
from apps.store.models import (
    Batch,
    Change,
    Demand,
    Follow,
    Plan,
    Review,
    SiteCopy,
    Standing,
    Subscription,
    SubscriptionKey,
    Succession,
    TrustedTeam,
)
from apps.store.policy import PROVIDERS, SUBSCRIBERS, may_offer, may_see_subscription, may_take_bundle
from apps.store.search import Search, find
from atrium.package import CASES

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import User

_LARGEST_CASES = 4_000_000
_MOST_CASES = 12
_MOST_CONTACTS = 3


def contacts_of(capability: Capability) -> list[User]:
    """Whom a reader of a capability can write to: the team's owner and its developers with an address, a few."""
    owner = capability.team.owner
    developers = users_with(Role.DEVELOPER, capability.team).exclude(email="").order_by("last_name", "pk")
    found = [owner] if owner and owner.is_active and owner.email else []
    return [*found, *(user for user in developers[:_MOST_CONTACTS] if user != owner)][:_MOST_CONTACTS]


def plans_on_offer(capability: Capability) -> QuerySet[Plan]:
    """The plans that somebody can subscribe to, those granted at once first."""
    return Plan.objects.filter(capability=capability, status=Plan.Status.PUBLISHED, trial=False).order_by(
        "pk"
    )


def plans_visible_to(user: User) -> QuerySet[Plan]:
    """Published plans of what a person sees in the store, and all plans of what their teams provide."""
    seen = Q(status=Plan.Status.PUBLISHED, capability__in=listed_capabilities(user).order_by())
    seen |= Q(capability__team__in=teams_of(user, *PROVIDERS))
    return Plan.objects.filter(seen).select_related("capability__team", "succession", "created_by")


def plans_of(capability: Capability) -> QuerySet[Plan]:
    """All plans of a capability, the newest first, with its successor and `held`, how many hold it: for the owner."""
    held = Count("subscriptions", filter=Q(subscriptions__status__in=Subscription.HELD))
    found = Plan.objects.filter(capability=capability).annotate(held=held)
    return found.select_related("succession__successor").order_by("-pk")


def get_plan(pk: int, *, user: User) -> Plan:
    """A plan by its key. Raises NotFound for what the person may not know of."""
    plan = plans_visible_to(user).filter(pk=pk).first()
    if plan is None:
        raise NotFound(_("There is no plan %(pk)s that you may see.") % {"pk": pk})
    return plan


def subscriptions_visible_to(user: User | AnonymousUser) -> QuerySet[Subscription]:
    """Those of a person's teams, and those of what their teams provide. An administrator: all."""
    found = Subscription.objects.select_related(
        "plan__succession", "capability__team", "team__site", "requested_by", "ticket"
    ).prefetch_related("ticket__steps__decisions")
    if is_platform_admin(user):
        return found
    return found.filter(Q(team__in=teams_of(user)) | Q(capability__team__in=teams_of(user, *PROVIDERS)))


def get_subscription(pk: int, *, user: User) -> Subscription:
    """A subscription by its key. Raises NotFound for what the person may not know of."""
    subscription = (
        Subscription.objects.select_related(
            "plan__succession__successor", "capability__team", "team__site", "requested_by", "ticket"
        )
        .prefetch_related("ticket__steps__decisions")
        .filter(pk=pk)
        .first()
    )
    if subscription is None or not may_see_subscription(user, subscription):
        raise NotFound(_("There is no subscription %(pk)s that you may see.") % {"pk": pk})
    return subscription


def get_key(subscription: Subscription, pk: int) -> SubscriptionKey:
    """A key of a subscription. Raises NotFound."""
    key = (
        subscription.keys.select_related("grant", "subscription__capability__team", "subscription__team")
        .filter(pk=pk)
        .first()
    )
    if key is None:
        raise NotFound(_("This subscription has no key %(pk)s.") % {"pk": pk})
    return key


def keys_of(subscription: Subscription) -> QuerySet[SubscriptionKey]:
    """The keys, newest first."""
    return subscription.keys.select_related("grant", "created_by", "replaced_by").order_by("-pk")


def open_change(subscription: Subscription) -> Change | None:
    """What was asked for this subscription and is not decided yet."""
    return subscription.changes.filter(ended_at=None).select_related("plan", "asked_by").first()


def with_open_changes(rows: QuerySet[Subscription]) -> QuerySet[Subscription]:
    """Subscriptions with what is asked for each and is not decided yet, in one more query."""
    waiting = Change.objects.filter(ended_at=None).select_related("plan")
    return rows.prefetch_related(Prefetch("changes", waiting))


def succession_of(subscription: Subscription) -> Succession | None:
    """Which plan takes the place of a subscription's; None when its own is on offer, or the other no longer is."""
    named: Succession | None = getattr(subscription.plan, "succession", None)
    return named if named is not None and named.stands else None


def plans_to_change_to(subscription: Subscription) -> list[Plan]:
    """The other plans that a subscription could move to, with its keys."""
    return list(plans_on_offer(subscription.capability).exclude(pk=subscription.plan_id))


def scope_of(subscription: Subscription) -> str:
    """What the subscription's keys reach: production, or the copy that its team runs at its own site."""
    running = subscription.copies.filter(status=SiteCopy.Status.RUNNING).first()
    return f"deployment:{running.deployment_id}" if running else Grant.PRODUCTION


def copies_visible_to(user: User | AnonymousUser) -> QuerySet[SiteCopy]:
    """The copies that a person's teams run or provide. An administrator: all."""
    found = SiteCopy.objects.select_related(
        "site", "asked_by", "deployment__version", "successor__version",
        "subscription__capability__team", "subscription__team__site", "subscription__plan",
    )  # fmt: skip
    if is_platform_admin(user):
        return found
    mine = Q(subscription__team__in=teams_of(user))
    return found.filter(mine | Q(subscription__capability__team__in=teams_of(user, *PROVIDERS)))


def open_copies(user: User | AnonymousUser, capability: Capability) -> list[SiteCopy]:
    """Where else a capability runs or is to run, as far as this person may know."""
    if not SiteCopy.objects.filter(subscription__capability=capability, status__in=SiteCopy.OPEN).exists():
        return []
    found = copies_visible_to(user).filter(subscription__capability=capability, status__in=SiteCopy.OPEN)
    return list(found.order_by("pk")[:100])


def get_copy(capability: Capability, pk: int, *, user: User) -> SiteCopy:
    """A copy by its key. Raises NotFound for what the person may not know of."""
    copy = copies_visible_to(user).filter(subscription__capability=capability, pk=pk).first()
    if copy is None:
        raise NotFound(_("There is no copy %(pk)s that you may see.") % {"pk": pk})
    return copy


def agreed(subscription: Subscription) -> tuple[int, int]:
    """Of how many approvals that a waiting subscription needs how many are given: (given, needed)."""
    if subscription.status != Subscription.Status.PENDING or subscription.ticket is None:
        return 0, 0
    steps = subscription.ticket.steps.all()
    given = sum(sum(d.approve for d in step.decisions.all()) for step in steps)
    return given, sum(step.count for step in steps)


def trusted_teams(capability: Capability) -> list[Team]:
    """The teams that subscribe without asking."""
    ids = TrustedTeam.objects.filter(capability=capability).values("team")
    return list(Team.objects.filter(pk__in=ids).order_by("name"))


def teams_called(slugs: Iterable[str]) -> list[Team]:
    """The teams of these short names with their sites, by name; names that no team has are passed over."""
    return list(Team.objects.filter(slug__in=list(slugs)).select_related("site").order_by("name"))


def teams_found(words: str, *, most: int) -> list[Team]:
    """At most so many living teams whose name or short name has the words in it; the newest first."""
    found = Team.objects.filter(archived_at=None).select_related("site")
    for word in words.split()[:10]:
        found = found.filter(Q(name__icontains=word) | Q(slug__icontains=word))
    return list(found.order_by("-pk")[:most])


def own_subscriptions(user: User, capability: Capability) -> list[Subscription]:
    """The living subscriptions of a person's teams to one capability."""
    found = Subscription.objects.filter(
        capability=capability, team__in=teams_of(user), status__in=Subscription.OPEN
    )
    if is_platform_admin(user):
        found = Subscription.objects.filter(
            capability=capability, team__memberships__user=user, status__in=Subscription.OPEN
        ).distinct()
    return list(found.select_related("plan", "team").order_by("pk"))


def teams_to_subscribe_for(user: User) -> QuerySet[Team]:
    """The teams in whose name a person can subscribe."""
    return teams_of(user, *SUBSCRIBERS).select_related("site").order_by("name")


def subscriber_counts(capabilities: Iterable[Capability]) -> dict[int, int]:
    """{capability id: teams that use it}, in one query."""
    counted = (
        Subscription.objects.filter(
            capability__in=[capability.pk for capability in capabilities], status=Subscription.Status.GRANTED
        )
        .values("capability")
        .annotate(n=Count("team", distinct=True))
    )
    return {row["capability"]: row["n"] for row in counted}


def get_packaged(capability: Capability, number: str) -> Version:
    """A packaged version by its number. Raises NotFound."""
    found = Version.objects.select_related("capability__team").filter(
        capability=capability, number=number, status=Version.Status.PACKAGED
    )
    version = found.first()
    if version is None:
        raise NotFound(
            _("%(name)s has no version %(number)s.") % {"name": capability.name, "number": number[:64]}
        )
    return version


def versions_answering(capabilities: Iterable[Capability]) -> dict[int, Version]:
    """{capability id: the version with the largest share of production traffic}, in one query."""
    return {weight.capability_id: weight.deployment.version for weight in _weights(capabilities)}


class Shown(NamedTuple):
    """What a list shows of a version: the rest of its row is long."""

    number: str
    framework: str


def answering_on_cards(capabilities: Iterable[Capability]) -> dict[int, Shown]:
    """{capability id: what a list shows of the version that answers}, in one query."""
    version = ("deployment__version__number", "deployment__version__framework")
    return {
        key: Shown(*shown) for key, *shown in _weights(capabilities).values_list("capability_id", *version)
    }


def _weights(capabilities: Iterable[Capability]) -> QuerySet[TrafficWeight]:
    keys = [capability.pk for capability in capabilities]
    found = TrafficWeight.objects.filter(capability__in=keys).select_related("deployment__version")
    return found.order_by("weight", "deployment_id")


def comparable(user: User, capability: Capability) -> dict[str, Deployment | None]:
    """{version: its deployment, or None for one that takes production traffic} of what a person may ask by number.

    Those who build the capability may also ask versions that run for tests.
    """
    routed = TrafficWeight.objects.filter(capability=capability).order_by("-weight", "-deployment_id")
    numbers = routed.values_list("deployment__version__number", flat=True)
    found: dict[str, Deployment | None] = dict.fromkeys(numbers)
    if may_build(user, capability):
        ready = Deployment.objects.filter(capability=capability, status=Deployment.Status.READY)
        for deployment in ready.select_related("version").order_by("-pk")[:20]:
            found.setdefault(deployment.version.number, deployment)
    return found


def newest_on_cards(capabilities: Iterable[Capability]) -> dict[int, Shown]:
    """{capability id: what a list shows of the packaged version that was made last}, in one query."""
    keys = [capability.pk for capability in capabilities]
    versions = Version.objects.filter(capability__in=keys, status=Version.Status.PACKAGED)
    newest = versions.order_by("capability_id", "-packaged_at", "-pk").distinct("capability_id")
    return {key: Shown(*shown) for key, *shown in newest.values_list("capability_id", "number", "framework")}


def version_to_show(capability: Capability) -> Version | None:
    """The version that answers in production, else the newest packaged one."""
    answering = versions_answering([capability]).get(capability.pk)
    if answering is not None:
        return answering
    return (
        Version.objects.filter(capability=capability, status=Version.Status.PACKAGED)
        .order_by("-packaged_at", "-pk")
        .first()
    )


def openapi_of(capability: Capability, number: str = "") -> tuple[Version, dict[str, Any]]:
    """A version with the OpenAPI description of its calls: the one named, else the one that the store shows.

    Raises NotFound where there is none.
    """
    version = get_packaged(capability, number) if number else version_to_show(capability)
    if version is None or not version.signature:
        raise NotFound(_("%(name)s has no version that could be described.") % {"name": capability.name})
    about = openapi.About(
        slug=capability.slug,
        name=capability.name,
        summary=capability.summary,
        team=capability.team.name,
        version=version.number,
        digest=version.digest,
        gateway_url=settings.ATRIUM.gateway_url,
        deprecated=capability.status == Capability.Status.DEPRECATED or version.deprecated_at is not None,
        succeeded=version.heir is not None,
    )
    return version, openapi.document(about, version.signature, cases_of(version))


def standing_of(capability: Capability) -> Standing | None:
    """What the store has computed of a capability; None until it has."""
    return Standing.objects.filter(pk=capability.pk).first()


def reviews_of(capability: Capability) -> QuerySet[Review]:
    """What people say of a capability; page with `keyset(…, ("-pk",))`."""
    return Review.objects.filter(capability=capability).select_related(
        "user", "answered_by", "capability__team"
    )


def get_review(capability: Capability, pk: int) -> Review:
    """A review of a capability. Raises NotFound."""
    review = reviews_of(capability).filter(pk=pk).first()
    if review is None:
        raise NotFound(_("“%(name)s” has no review %(pk)s.") % {"name": capability.name, "pk": pk})
    return review


def follows_of(user: User, capability: Capability) -> tuple[bool, bool]:
    """Whether a person follows a capability, and its team."""
    rows = Follow.objects.filter(user=user).filter(Q(capability=capability) | Q(team=capability.team_id))
    found = list(rows.values_list("capability", flat=True))
    return capability.pk in found, None in found


def stars_of(capability: Capability) -> dict[int, int]:
    """{stars: how many reviews gave them}, five first."""
    counted = dict(
        Review.objects.filter(capability=capability).values_list("rating").annotate(n=Count("pk")).order_by()
    )
    return {stars: counted.get(stars, 0) for stars in (5, 4, 3, 2, 1)}


def batches_of(user: User, capability: Capability) -> QuerySet[Batch]:
    """The files that a person sent to a capability, newest first. Nobody else sees them."""
    return Batch.objects.filter(user=user, capability=capability).select_related("job").order_by("-pk")


def get_batch(pk: int, *, user: User) -> Batch:
    """A batch of this person. Raises NotFound."""
    batch = Batch.objects.select_related("job", "capability", "grant").filter(pk=pk, user=user).first()
    if batch is None:
        raise NotFound(_("There is no batch %(pk)s that you may see.") % {"pk": pk})
    return batch


def demands(status: str = "") -> QuerySet[Demand]:
    """What is wanted; everybody sees it. Withdrawn ones only when they are asked for."""
    found = Demand.objects.select_related("posted_by", "team", "capability", "version")
    found = found.annotate(others=Count("needs"))
    if status in Demand.Status.values:
        return found.filter(status=status)
    return found.exclude(status=Demand.Status.WITHDRAWN)


def get_demand(pk: int) -> Demand:
    """A demand by its key. Raises NotFound."""
    found = (
        Demand.objects.select_related("posted_by", "team__site", "capability", "version")
        .annotate(others=Count("needs"))
        .filter(pk=pk)
        .first()
    )
    if found is None:
        raise NotFound(_("There is no demand %(pk)s.") % {"pk": pk})
    return found


def cases_of(version: Version | None) -> list[dict[str, Any]]:
    """The first cases that ship with a version; empty when there are none or they are very large."""
    entry = (version.manifest or {}).get(CASES) if version else None
    if version is None or not entry or entry["size"] > _LARGEST_CASES:
        return []
    return shipped_cases(version)[:_MOST_CASES]


def bundled_versions(user: User, capability: Capability, versions: Iterable[Version]) -> set[int]:
    """Of these, what a person may take to a device: for builders all in ONNX, for others at most what is live."""
    packed = [v for v in versions if v.status == Version.Status.PACKAGED and v.runtime == "onnx"]
    if may_build(user, capability):
        return {version.pk for version in packed}
    live = TrafficWeight.objects.filter(deployment__version__in=packed, weight__gt=0)
    keys = set(live.values_list("deployment__version", flat=True))
    return {version.pk for version in packed if version.pk in keys and may_take_bundle(user, version)}


def provides(user: User, capability: Capability) -> bool:
    """Whether a person stands on the provider's side of a capability."""
    return bool(may_offer(user, capability))


def search_hits(user: User, query: str, limit: int) -> list[Hit]:
    """The store's part of the global search."""
    search = Search(words=query)
    found = keyset(find(user, search), search.order, size=limit, wide=True).items
    return [
        Hit(
            kind=str(_("Capability")),
            title=capability.name,
            url=reverse("store:capability", args=[capability.slug]),
            summary=capability.summary,
            icon="building-store",
        )
        for capability in found
    ]
