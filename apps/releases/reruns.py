"""A logged call, run again on the version that answered it or on another one, which is brought up for it if need be."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.catalog.models import Version
from apps.core import audit
from apps.core.errors import Conflict, NotFound, PortalError, Unavailable
from apps.core.policy import require
from apps.core.telling import kept
from apps.core.telling import say as _
from apps.gateway.models import Call
from apps.instances.models import Deployment
from apps.instances.services import deploy_version, stop_deployment
from apps.releases.again import NotAskable, ask_again, line_to
from apps.releases.models import Rerun
from apps.releases.policy import may_run_again

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.accounts.models import User

CLAIM = timedelta(seconds=60)
MOST_AT_ONCE = 5


@transaction.atomic
def run_again(call: Call, *, on: str = "", by: User) -> Rerun:
    """Ask the same again: the very version that answered a logged call, or the one that has the number `on`.

    Whoever calls may see the call. Raises NotFound when a version is gone, NotAllowed, Conflict when too many run
    already.
    """
    then = version_of(call)
    version = _numbered(then, on) if on else then
    require(may_run_again(by, version))
    waiting = Rerun.objects.filter(version__capability=version.capability, status=Rerun.Status.WAITING)
    if waiting.count() >= MOST_AT_ONCE:
        raise Conflict(
            _("%(most)d calls of this capability are being run again already. Wait for one of them.")
            % {"most": MOST_AT_ONCE}
        )
    running = Deployment.objects.filter(
        version=version, desired=Deployment.Desired.RUNNING, status=Deployment.Status.READY
    ).order_by("-pk")
    there = running.first()
    rerun = Rerun.objects.create(
        request_id=call.request_id,
        at=call.at,
        version=version,
        answered_by=None if version == then else then,
        deployment=there or deploy_version(version, kind=Deployment.Kind.TEST, by=by),
        own_deployment=there is None,
        asked_by=by,
    )
    audit.record(
        "releases.call.run_again", version, by=by, call=str(call.request_id), answered_by=then.number
    )
    return rerun


def _numbered(then: Version, number: str) -> Version:
    found = Version.objects.filter(capability=then.capability_id, number=number)
    version = found.select_related("capability__team").first()
    if version is None:
        raise NotFound(
            _("%(capability)s has no version “%(number)s”.")
            % {"capability": then.capability, "number": number[:64]}
        )
    return version


def others_to_ask(version: Version) -> QuerySet[Version]:
    """The versions besides this one that its calls can be run again on, the newest first."""
    packaged = Version.objects.filter(capability=version.capability_id, status=Version.Status.PACKAGED)
    return packaged.exclude(pk=version.pk).order_by("-pk")


def version_of(call: Call) -> Version:
    """The version that answered a call. Raises NotFound."""
    found = (
        Version.objects.filter(capability=call.capability_id, number=call.version)
        .select_related("capability__team")
        .first()
    )
    if found is None:
        raise NotFound(_("No version answered this call."))
    return found


def proceed_all() -> None:
    """Take the step that is due for each rerun; harmless when repeated or done twice at the same time."""
    now = timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    waiting = Rerun.objects.filter(free, status=Rerun.Status.WAITING).order_by("pk")
    due = list(waiting.values_list("pk", flat=True)[:20])
    if not due:
        return
    known = Rerun.objects.select_related(
        "version__capability", "answered_by", "deployment__capability__team", "asked_by"
    )
    for rerun in known.filter(pk__in=due).order_by("pk"):
        if Rerun.objects.filter(free, pk=rerun.pk).update(claimed_until=now + CLAIM):
            try:
                _proceed(rerun)
            finally:
                Rerun.objects.filter(pk=rerun.pk).update(claimed_until=None)


def _proceed(rerun: Rerun) -> None:
    deployment = rerun.deployment
    if deployment.status == Deployment.Status.FAILED or deployment.desired != Deployment.Desired.RUNNING:
        _end(rerun, Rerun.Status.FAILED, deployment.why or _("The version could not be started."))
    elif deployment.status == Deployment.Status.READY:
        _ask(rerun)


def _ask(rerun: Rerun) -> None:
    call = Call.objects.filter(request_id=rerun.request_id, at=rerun.at).first()
    if call is None:
        _end(rerun, Rerun.Status.FAILED, _("The log does not keep this call any more."))
        return
    try:
        with line_to(rerun.deployment, for_=f"run again {rerun.pk}", by=rerun.asked_by) as http:
            said = ask_again(http, call, rerun.version, rerun.then)
    except NotAskable as why:
        _end(rerun, Rerun.Status.FAILED, why.args[0])
        return
    except Unavailable:
        return  # the gateway is away: the next round asks
    rerun.answer_id = said.answer_id
    if said.difference is None:
        _end(rerun, Rerun.Status.FAILED, said.failure)
        return
    rerun.outcome, rerun.largest = said.difference.compared, said.difference.largest
    _end(rerun, Rerun.Status.ANSWERED)


@transaction.atomic
def _end(rerun: Rerun, status: str, message: str = "") -> None:
    words, told = kept(message, most=300)
    Rerun.lifecycle.move(
        rerun,
        status,
        by=None,
        message=words,
        told=told,
        outcome=rerun.outcome,
        largest=rerun.largest,
        answer_id=rerun.answer_id,
        ended_at=timezone.now(),
    )
    if not rerun.own_deployment:
        return
    others = Rerun.objects.filter(deployment=rerun.deployment, status=Rerun.Status.WAITING)
    if not others.exists():
        try:
            with transaction.atomic():
                stop_deployment(rerun.deployment, by=None, reason=_("The call has been run again."))
        except PortalError:
            return  # somebody uses it for more meanwhile, so it stays
