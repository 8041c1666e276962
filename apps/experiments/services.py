"""What moves callers: start, pause, resume, end; and what the portal does with experiments by itself."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.selectors import users_with
from apps.core import audit
from apps.core.errors import Conflict, IllegalMove, NotAllowed, PortalError, StaleWrite
from apps.core.policy import require
from apps.experiments import analysis, checks, counting
from apps.experiments.models import Arm, Experiment
from apps.experiments.plans import locked, told
from apps.experiments.policy import may_steer
from apps.experiments.selectors import arms_of, experiments, taken, waiting
from apps.experiments.slices import WHOLE, Slice
from apps.gateway.services import announce_capability
from apps.instances.guard import may_be_given_by_hand, most_percent
from apps.instances.models import Deployment
from apps.instances.selectors import weights_of
from apps.instances.services import deploy_version, stop_deployment
from apps.releases.models import Release
from apps.releases.order import UNDER_WAY
from apps.requests.notifications import notify

if TYPE_CHECKING:
    from apps.accounts.models import User

log = logging.getLogger(__name__)
LISTENED = timedelta(days=2)
"""So long after its end feedback on its calls still counts."""


@transaction.atomic
def start_experiment(experiment: Experiment, *, by: User) -> Experiment:
    """Deal callers to the arms from now on, or again after a pause.

    Raises NotAllowed with the guard's reason, Conflict when the slice is taken, when a release is in gray and would
    change the control, or when production was divided otherwise meanwhile.
    """
    experiment = locked(experiment)
    require(may_steer(by, experiment))
    _check_place(experiment)
    fields: dict[str, Any] = {"why": ""}
    if experiment.moves:
        _check_production(experiment)
        for arm in arms_of(experiment):
            if arm.version is not None:
                _ready_arm(experiment, arm, by)
    if experiment.started_at is None:
        fields |= {"started_at": timezone.now(), "production": checks.production(experiment.capability)}
    again = experiment.status == Experiment.Status.PAUSED
    Experiment.lifecycle.move(experiment, Experiment.Status.RUNNING, by=by, **fields)
    audit.record(
        "experiments.experiment.resumed" if again else "experiments.experiment.started",
        experiment,
        by=by,
        **told(experiment),
    )
    announce_capability(experiment.capability_id)
    return experiments().get(pk=experiment.pk)


def _check_place(experiment: Experiment) -> None:
    mine = Slice(experiment.begins, experiment.ends)
    for place, other in taken(experiment.capability, experiment.layer, but=experiment.pk):
        if mine.overlaps(place):
            raise Conflict(
                _("%(begins)d–%(ends)d %% of the layer “%(layer)s” belong to “%(name)s” until that ends.")
                % {
                    "begins": place.begins,
                    "ends": place.ends,
                    "layer": experiment.layer,
                    "name": other.name,
                }
            )


def _check_production(experiment: Experiment) -> None:
    """The control has to be there, and stay what it was."""
    capability = experiment.capability
    waits = waiting([capability.pk])
    if capability.pk in waits:
        raise Conflict(
            _(
                "A release of %(version)s is in gray, which changes what the arms are compared with. Let it end first."
            )
            % {"version": waits[capability.pk]}
        )
    now = checks.production(capability)
    if not now["everywhere"]:
        raise Conflict(_("Nothing takes production traffic, so there is nothing to compare with."))
    if experiment.production is not None and now != experiment.production:
        raise Conflict(
            _("Production is divided otherwise than when this experiment began. End it and plan a new one.")
        )


def _ready_arm(experiment: Experiment, arm: Arm, by: User) -> None:
    """Ask the guard for an arm's version, and see that it runs; brought up when it does not."""
    assert arm.version is not None
    require(may_be_given_by_hand(arm.version))
    share, most = checks.share_of_all(experiment, arm), most_percent(arm.version)
    if share > most:
        raise NotAllowed(
            _(
                "The arm “%(arm)s” would get %(share)g %% of all the calls; a finding leaves %(version)s %(most)d %%."
            )
            % {"arm": arm.name, "share": share, "version": arm.version.number, "most": most}
        )
    there = Deployment.objects.filter(
        version=arm.version, kind=Deployment.Kind.PRODUCTION, desired=Deployment.Desired.RUNNING, host=None
    ).exclude(status=Deployment.Status.FAILED)
    found = there.first()
    if found is not None and weights_of(experiment.capability).get(found.pk) == WHOLE:
        raise Conflict(
            _("%(version)s takes all the production traffic already: it is the control.")
            % {"version": arm.version.number}
        )
    if found is not None and arm.deployment_id == found.pk:
        return
    arm.own_deployment = found is None
    arm.deployment = found or deploy_version(arm.version, kind=Deployment.Kind.PRODUCTION, by=by)
    arm.save(update_fields=["deployment", "own_deployment"])


@transaction.atomic
def pause_experiment(experiment: Experiment, *, by: User) -> Experiment:
    """Let all callers follow production for a while; the slice stays taken."""
    experiment = locked(experiment)
    require(may_steer(by, experiment))
    return _leave(experiment, Experiment.Status.PAUSED, by=by)


@transaction.atomic
def end_experiment(experiment: Experiment, *, by: User) -> Experiment:
    """Let all callers follow production from now on; what was seen stays."""
    experiment = locked(experiment)
    require(may_steer(by, experiment))
    return _leave(experiment, Experiment.Status.ENDED, by=by)


def _leave(experiment: Experiment, status: str, *, by: User | None, why: str = "") -> Experiment:
    """The shared way out of running, by a person or by the portal itself."""
    fields: dict[str, Any] = {"why": why}
    if status == Experiment.Status.ENDED:
        fields["ended_at"] = timezone.now()
    Experiment.lifecycle.move(experiment, status, by=by, **fields)
    announce_capability(experiment.capability_id)
    if status == Experiment.Status.ENDED:
        for arm in arms_of(experiment):
            if arm.own_deployment and arm.deployment is not None:
                _stop(arm.deployment)
    if why:
        people = list(users_with(Role.OPERATOR, experiment.capability.team))
        url = f"/ab-experiments/{experiment.pk}/"
        notify(people, lambda: f"{experiment.name}: {experiment.why_words}", url=url)
    return experiment


def _stop(deployment: Deployment) -> None:
    """Stop what was brought up for an arm, unless it has become of use otherwise."""
    if Release.objects.filter(deployment=deployment, status__in=UNDER_WAY).exists():
        return
    try:
        with transaction.atomic():
            stop_deployment(
                deployment, by=None, reason=_("The experiment that it was brought up for has ended.")
            )
    except PortalError as error:
        log.info("deployment %s stays: %s", deployment.pk, error.message)


def look_at_all() -> None:
    """Check and count every experiment that runs, and listen a while for feedback on those that do not any more."""
    now = timezone.now()
    running = experiments().filter(status=Experiment.Status.RUNNING)
    for experiment in running.order_by("pk")[:500]:
        try:
            check(experiment)
            if counting.due(experiment, now):
                look(experiment)
        except (StaleWrite, IllegalMove):
            log.info("experiment %s was moved by somebody else", experiment.pk)
    late = experiments().filter(status=Experiment.Status.ENDED, ended_at__gte=now - LISTENED)
    paused = experiments().filter(status=Experiment.Status.PAUSED, counted_at__isnull=False)
    for experiment in [*late.order_by("pk")[:200], *paused.order_by("pk")[:200]]:
        if experiment.counted_at is None or experiment.counted_at <= now - counting.RECOUNT_EVERY:
            look(experiment)


def check_capability(pk: int) -> None:
    """Look at a capability's running experiments now: its traffic or its signatures have changed."""
    for experiment in experiments().filter(capability=pk, status=Experiment.Status.RUNNING):
        check(experiment)


@transaction.atomic
def check(experiment: Experiment) -> None:
    """Pause an experiment whose arms may not answer any more; end one whose control is another one now."""
    experiment = locked(experiment)
    if experiment.status != Experiment.Status.RUNNING:
        return
    why = checks.refused(experiment)
    if why is not None:
        _leave(experiment, Experiment.Status.PAUSED, by=None, why=why)
    elif (
        experiment.moves
        and not waiting([experiment.capability_id])
        and checks.production(experiment.capability) != experiment.production
    ):
        _leave(experiment, Experiment.Status.ENDED, by=None, why=Experiment.Why.CHANGED)


def look(experiment: Experiment) -> None:
    """Count what the log has, and keep what it says."""
    if not counting.count(experiment):
        return
    evidence = analysis.analyse(experiment)
    looks = analysis.noted(experiment.looks, evidence)
    Experiment.objects.filter(pk=experiment.pk).update(evidence=evidence, looks=looks)
    experiment.evidence, experiment.looks = evidence, looks
