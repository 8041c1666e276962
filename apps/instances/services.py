"""What people want to run. Everything here writes rows only; the reconciler makes them true."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import Site
from apps.catalog.models import Capability, Version
from apps.compute.placement import read_labels
from apps.core import audit, background
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.events import publish
from apps.core.policy import require
from apps.core.telling import kept
from apps.core.telling import say as _
from apps.instances import guard, routes
from apps.instances.guard import may_take_production_traffic
from apps.instances.models import Deployment, Shadow, TrafficWeight
from apps.instances.policy import may_change, may_deploy, may_host, may_set_weights
from apps.instances.selectors import labels_before

if TYPE_CHECKING:
    from apps.accounts.models import Team, User

RECONCILE = "instances.reconcile_deployment"
MOST_REPLICAS = 32
DEFAULT_RESOURCES = {"cpu": 0.25, "memory_mb": 768}


@transaction.atomic
def deploy_version(
    version: Version,
    *,
    kind: str,
    by: User,
    replicas: int = 1,
    site: Site | None = None,
    host: Team | None = None,
    resources: Mapping[str, float] | None = None,
    labels: Sequence[str] | None = None,
) -> Deployment:
    """Ask for a version to run. A production deployment answers nobody until `set_weights` lets traffic in.

    With a `host`, that team runs it at its site, for keys bound to it; the caller has checked under which terms,
    and the guard and the order are asked here, since no share of the capability's traffic will ever go there.
    Only nodes with all `labels` take its replicas; left out, they are those of the newest deployment that the
    capability's team runs, so that a release stays where the version before it was.
    Raises NotAllowed, Invalid.
    """
    if kind not in Deployment.Kind.values:
        raise Invalid(
            _("“%(kind)s” is no kind of deployment: use test or production.") % {"kind": kind},
            fields={"kind": _("must be test or production")},
        )
    _check_replicas(replicas)
    version.refresh_from_db()
    if host is None:
        require(may_deploy(by, version, kind))
    else:
        require(may_host(by, version, host))
        require(guard.may_be_given_by_hand(version))
    deployment = Deployment.objects.create(
        capability=version.capability,
        version=version,
        kind=kind,
        site=site or (host or version.capability.team).site,
        host=host,
        replicas=replicas,
        resources=_resources(resources),
        labels=_labels(labels, version, host),
        created_by=by,
    )
    audit.record(
        "instances.deployment.created",
        deployment,
        by=by,
        version=str(version),
        kind=kind,
        replicas=replicas,
        **({"host": host.slug} if host else {}),
    )
    _wanted(deployment)
    return deployment


@transaction.atomic
def stop_deployment(deployment: Deployment, *, by: User | None, reason: str = "") -> Deployment:
    """Ask for a deployment to end. Refused while production traffic goes to it. `by=None`: the portal itself."""
    deployment = _locked(deployment)
    if by is not None:
        require(may_change(by, deployment))
    if TrafficWeight.objects.filter(deployment=deployment).exists():
        raise Conflict(
            _("%(percent)d %% of the production calls go to this deployment. Move them to another one first.")
            % {"percent": deployment.traffic.weight}
        )
    pinned = deployment.pins.filter(until__gt=timezone.now()).order_by("until")
    if (last := pinned.last()) is not None:
        raise Conflict(
            _("%(count)d subscribers are pinned to this deployment, the last one until %(until)s.")
            % {"count": pinned.count(), "until": f"{last.until:%Y-%m-%d %H:%M} UTC"}
        )
    if deployment.desired == Deployment.Desired.STOPPED:
        return deployment
    for shadow in Shadow.objects.filter(deployment=deployment):
        _end_shadow(shadow, by)
    deployment.desired = Deployment.Desired.STOPPED
    deployment.save(update_fields=["desired"])
    if Deployment.lifecycle.can(deployment, "stopping"):
        words, told = kept(reason)
        Deployment.lifecycle.move(deployment, "stopping", by=by, status_reason=words, told=told)
        publish("instances.deployment_stopping", deployment.pk, version=deployment.version_id)
    _wanted(deployment)
    return deployment


@transaction.atomic
def start_deployment(deployment: Deployment, *, by: User) -> Deployment:
    """Run a stopped deployment again."""
    deployment = _locked(deployment)
    _refuse_hosted(deployment)
    require(may_deploy(by, deployment.version, deployment.kind))
    Deployment.lifecycle.move(
        deployment,
        "pending",
        by=by,
        desired=Deployment.Desired.RUNNING,
        status_reason="",
        told={},
        generation=deployment.generation + 1,
        ready_at=None,
        stopped_at=None,
    )
    _wanted(deployment)
    return deployment


@transaction.atomic
def restart_deployment(deployment: Deployment, *, by: User) -> Deployment:
    """Replace every replica by a new one; an old one goes only when a new one answers."""
    deployment = _locked(deployment)
    require(may_change(by, deployment))
    if deployment.desired != Deployment.Desired.RUNNING:
        raise Conflict(_("This deployment is stopped. Start it instead."))
    deployment.generation += 1
    deployment.save(update_fields=["generation"])
    audit.record("instances.deployment.restarted", deployment, by=by, generation=deployment.generation)
    _wanted(deployment)
    return deployment


@transaction.atomic
def scale_deployment(deployment: Deployment, replicas: int, *, by: User | None) -> Deployment:
    """Ask for another number of replicas."""
    deployment = _locked(deployment)
    if by is not None:
        require(may_change(by, deployment))
    _check_replicas(replicas)
    before, deployment.replicas = deployment.replicas, replicas
    deployment.save(update_fields=["replicas"])
    audit.record("instances.deployment.scaled", deployment, by=by, before=before, after=replicas)
    _wanted(deployment)
    return deployment


@transaction.atomic
def place_deployment(deployment: Deployment, labels: Sequence[str], *, by: User) -> Deployment:
    """Ask for nodes with these labels from now on. What runs goes on where it is until it is restarted."""
    deployment = _locked(deployment)
    require(may_change(by, deployment))
    before, deployment.labels = deployment.labels, read_labels(labels)
    if before != deployment.labels:
        deployment.save(update_fields=["labels"])
        after = deployment.labels
        audit.record("instances.deployment.placed", deployment, by=by, before=before, after=after)
        _wanted(deployment)
    return deployment


@transaction.atomic
def set_weights(
    capability: Capability,
    weights: Mapping[int, int],
    *,
    by: User | None,
    going_back: bool = False,
    at_sites: Mapping[str, Mapping[int, int]] | None = None,
) -> dict[int, int]:
    """Divide a capability's production traffic: {deployment id: percent}, 100 together, or {} for none.

    `at_sites` divides it otherwise for the callers of single sites: {site's short name: the same}.
    Every version that gains traffic passes the guard. `by=None` is the portal itself (gray stages, roll-back),
    which passes the same guard; `going_back` lets what ran before have all of it whatever finding is open about it.
    A person divides only while no release does, and lets nothing gain that has not gone the whole way before.
    Raises NotAllowed with the guard's reason, Invalid, Conflict.
    """
    if by is not None:
        require(may_set_weights(by, capability))
    Capability.objects.select_for_update().get(pk=capability.pk)
    if by is not None:
        require(guard.may_divide_by_hand(capability))
    wanted = _whole(weights)
    elsewhere = {site: _whole(shares) for site, shares in (at_sites or {}).items()}
    _check_sites(elsewhere)
    most = dict(wanted)
    for shares in elsewhere.values():
        most |= {pk: max(percent, most.get(pk, 0)) for pk, percent in shares.items()}
    found = {
        row.pk: row
        for row in Deployment.objects.select_related("version__capability").filter(
            pk__in=most, capability=capability
        )
    }
    rows = TrafficWeight.objects.filter(capability=capability)
    before = dict(rows.values_list("deployment_id", "weight"))
    had = {row.deployment_id: max([row.weight, *row.at_sites.values()]) for row in rows}
    for pk, percent in most.items():
        _check_target(pk, found.get(pk), already=pk in before)
        if by is not None and percent > had.get(pk, 0):
            require(guard.has_gone_the_whole_way(found[pk].version))
        if not going_back:
            _check_share(found[pk], percent, had.get(pk, 0))
    salt = _write_weights(capability, wanted, elsewhere, by)
    for shadow in Shadow.objects.filter(deployment_id__in=most):
        _end_shadow(shadow, by)
    # With the versions and the salt one can tell for ever who was answered by what.
    versions = {pk: row.version.number for pk, row in found.items()}
    facts = {"before": before, "after": wanted, "versions": versions, "salt": salt}
    audit.record(
        "instances.weights.set",
        capability,
        by=by,
        **facts,
        **({"at_sites": elsewhere} if elsewhere else {}),
    )
    publish("instances.weights_changed", capability.pk, before=before, after=wanted)
    routes.changed(capability.pk)
    return wanted


def _whole(weights: Mapping[int, int]) -> dict[int, int]:
    """The shares without those of nothing; refused unless they are 100 together, or none."""
    wanted = {int(key): _percent(value) for key, value in weights.items() if value}
    if wanted and sum(wanted.values()) != 100:
        raise Invalid(
            _("The shares add up to %(sum)d %%. They must add up to 100 %%.") % {"sum": sum(wanted.values())},
            fields={"weights": _("must add up to 100")},
        )
    return wanted


def _check_sites(elsewhere: Mapping[str, Mapping[int, int]]) -> None:
    known = set(Site.objects.filter(slug__in=elsewhere).values_list("slug", flat=True))
    for site, shares in elsewhere.items():
        if site not in known or not shares:
            raise Invalid(
                _("There is no site “%(site)s”, or it is given no shares.") % {"site": site},
                fields={"at_sites": site},
            )


@transaction.atomic
def set_shadow(
    capability: Capability, deployment: Deployment | None, percent: int = 100, *, by: User | None
) -> Shadow | None:
    """Mirror a share of a capability's production calls to a deployment, or to none.

    Its answers are logged as shadows and returned to nobody, so it needs no sign-off; it must run, and must not
    answer production calls already. Raises NotAllowed, Invalid, Conflict.
    """
    if by is not None:
        require(may_set_weights(by, capability))
    Capability.objects.select_for_update().get(pk=capability.pk)
    before = Shadow.objects.filter(capability=capability).first()
    if deployment is None:
        if before is not None:
            _end_shadow(before, by)
        return None
    _check_shadow(capability, _locked(deployment), percent)
    shadow, _created = Shadow.objects.update_or_create(
        capability=capability, defaults={"deployment": deployment, "percent": percent, "set_by": by}
    )
    audit.record(
        "instances.shadow.set",
        capability,
        by=by,
        deployment=deployment.pk,
        percent=percent,
        before=before.deployment_id if before else None,
    )
    routes.changed(capability.pk)
    return shadow


def _end_shadow(shadow: Shadow, by: User | None) -> None:
    audit.record("instances.shadow.ended", shadow.capability, by=by, deployment=shadow.deployment_id)
    routes.changed(shadow.capability_id)
    shadow.delete()


def _check_shadow(capability: Capability, deployment: Deployment, percent: int) -> None:
    if not 1 <= _percent(percent) <= 100:
        raise Invalid(
            _("A shadow gets 1 to 100 percent of the calls; to end it, choose no deployment."),
            fields={"percent": _("must be 1 to 100")},
        )
    if deployment.capability_id != capability.pk:
        raise Invalid(
            _("There is no deployment %(pk)d of this capability.") % {"pk": deployment.pk},
            fields={"deployment": str(deployment.pk)},
        )
    if deployment.host_id is not None:
        raise Conflict(
            _("Deployment %(pk)d runs at another team's site for that team alone. Choose one of your own.")
            % {"pk": deployment.pk}
        )
    if deployment.desired != Deployment.Desired.RUNNING:
        raise Conflict(_("Deployment %(pk)d is stopped. Start it first.") % {"pk": deployment.pk})
    if TrafficWeight.objects.filter(deployment=deployment).exists():
        raise Conflict(
            _("Deployment %(pk)d answers production calls already; a shadow must be another one.")
            % {"pk": deployment.pk}
        )


def _labels(asked: Sequence[str] | None, version: Version, host: Team | None) -> list[str]:
    if asked is not None:
        return read_labels(asked)
    return labels_before(version.capability) if host is None else []


def _refuse_hosted(deployment: Deployment) -> None:
    """What another team ran at its site ended with its terms; they are asked anew on the store's page."""
    if deployment.host_id is not None:
        raise Conflict(
            _(
                "%(team)s ran this copy at its own site, and it has ended. Run it there anew from its store page."
            )
            % {"team": deployment.run_by}
        )


def _locked(deployment: Deployment) -> Deployment:
    return (
        Deployment.objects.select_for_update(of=("self",))
        .select_related("version", "capability__team", "host")
        .get(pk=deployment.pk)
    )


def _wanted(deployment: Deployment) -> None:
    """Tell the data plane, and the reconciler, at once instead of at its next round."""
    routes.changed(deployment.capability_id)
    pk = deployment.pk
    transaction.on_commit(lambda: background.enqueue(RECONCILE, pk, priority=0))


def _check_replicas(replicas: int) -> None:
    if not 1 <= replicas <= MOST_REPLICAS:
        raise Invalid(
            _("%(count)s replicas are not possible: ask for 1 to %(most)d.")
            % {"count": replicas, "most": MOST_REPLICAS},
            fields={"replicas": _("must be 1 to %(most)d") % {"most": MOST_REPLICAS}},
        )


def _resources(asked: Mapping[str, float] | None) -> dict[str, float]:
    resources = DEFAULT_RESOURCES | dict(asked or {})
    if not 0 < resources["cpu"] <= 64 or not 64 <= resources["memory_mb"] <= 1_000_000:
        raise Invalid(
            _("The resources are not possible: up to 64 CPUs and at least 64 MB of memory."),
            fields={"resources": _("out of range")},
        )
    return resources


def _percent(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
        raise Invalid(
            _("“%(value)s” is no share: use whole percents from 0 to 100.") % {"value": value},
            fields={"weights": _("must be whole percents")},
        )
    return value


def _check_share(deployment: Deployment, percent: int, before: int) -> None:
    """What has more than its limit already may keep or lose share, but gain none."""
    most = guard.most_percent(deployment.version)
    if percent > max(most, before):
        raise NotAllowed(
            _("Version %(number)s may have at most %(most)d %% of the traffic: a finding about it is open.")
            % {"number": deployment.version.number, "most": most}
        )


def _check_target(pk: int, deployment: Deployment | None, *, already: bool) -> None:
    if deployment is None:
        raise Invalid(
            _("There is no deployment %(pk)d of this capability.") % {"pk": pk}, fields={"weights": str(pk)}
        )
    if deployment.host_id is not None:
        raise Conflict(
            _("Deployment %(pk)d runs at another team's site for that team alone. Choose one of your own.")
            % {"pk": pk}
        )
    if deployment.kind != Deployment.Kind.PRODUCTION:
        raise Conflict(
            _("Deployment %(pk)d is a test deployment. Deploy the version for production first.") % {"pk": pk}
        )
    if deployment.desired != Deployment.Desired.RUNNING:
        raise Conflict(_("Deployment %(pk)d is stopped. Start it first.") % {"pk": pk})
    verdict = may_take_production_traffic(deployment.version)
    if not verdict:
        raise NotAllowed(verdict.reason)
    if not already and deployment.status != Deployment.Status.READY:
        raise Conflict(
            _(
                "Deployment %(pk)d is %(status)s: traffic can only go to one that answers. Wait until it is ready."
            )
            % {"pk": pk, "status": deployment.get_status_display().lower()}
        )


def _write_weights(
    capability: Capability,
    wanted: Mapping[int, int],
    elsewhere: Mapping[str, Mapping[int, int]],
    by: User | None,
) -> str:
    first = TrafficWeight.objects.filter(capability=capability).first()
    salt = first.salt if first else secrets.token_hex(8)
    keys = set(wanted).union(*elsewhere.values())
    TrafficWeight.objects.filter(capability=capability).exclude(deployment_id__in=keys).delete()
    for pk in sorted(keys):
        TrafficWeight.objects.update_or_create(
            deployment_id=pk,
            defaults={
                "capability": capability,
                "weight": wanted.get(pk, 0),
                "at_sites": {site: shares.get(pk, 0) for site, shares in elsewhere.items()},
                "salt": salt,
                "set_by": by,
            },
        )
    return salt
