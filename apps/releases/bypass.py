"""The emergency bypass: two people, hours, and back by itself unless the version is signed meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.utils import timezone, translation

from apps.accounts.models import Role
from apps.accounts.policy import may_act_as
from apps.accounts.selectors import users_with
from apps.catalog.models import Capability
from apps.core import audit, events
from apps.core.errors import Conflict, IllegalMove, Invalid, PortalError, StaleWrite
from apps.core.policy import require
from apps.core.telling import say as _
from apps.evaluation.selectors import production_of
from apps.instances.models import Deployment
from apps.instances.selectors import weights_of
from apps.instances.services import deploy_version, set_weights, stop_deployment
from apps.releases.findings import most_percent_of
from apps.releases.models import Bypass, Release
from apps.releases.order import in_gray
from apps.releases.policy import may_agree_to_bypass, may_ask_for_bypass, may_end_bypass
from apps.releases.rollout import adopt, give_back
from apps.releases.signing import is_signed, prove
from apps.requests.services import notify

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Version

log = logging.getLogger(__name__)
MOST_HOURS = 72
FULL = 100


@transaction.atomic
def ask_for_bypass(version: Version, *, by: User, reason: str, hours: int, password: str) -> Bypass:
    """Ask that an unsigned version answers production calls for some hours. Nothing moves before a second person.

    Raises NotAllowed, Invalid, Conflict when one is under way or a release is in gray.
    """
    require(may_ask_for_bypass(by, version))
    prove(by, password)
    if not reason.strip():
        raise Invalid(_("Say what the emergency is."), fields={"reason": _("is empty")})
    if not 1 <= hours <= MOST_HOURS:
        raise Invalid(
            _("A bypass lasts 1 to %(most)d hours.") % {"most": MOST_HOURS}, fields={"hours": str(hours)}
        )
    _nothing_in_gray(version)
    try:
        with transaction.atomic():
            bypass = Bypass.objects.create(
                version=version,
                version_digest=version.digest,
                capability=version.capability,
                reason=reason.strip()[:4000],
                hours=hours,
                asked_by=by,
            )
    except IntegrityError as error:
        raise Conflict(_("There is an emergency bypass of this capability already.")) from error
    audit.record("releases.bypass.asked", bypass, by=by, version=version.number, reason=reason, hours=hours)
    told = {"who": by.called, "version": version}
    _tell(bypass, lambda: _("Emergency: %(who)s asks to bypass sign-off for %(version)s") % told)
    return bypass


@transaction.atomic
def agree_to_bypass(bypass: Bypass, *, by: User, password: str) -> Bypass:
    """The second person: the version is brought up and takes all the traffic when it answers, until it expires."""
    bypass = _locked(bypass)
    require(may_agree_to_bypass(by, bypass))
    prove(by, password)
    if bypass.version.digest != bypass.version_digest:
        raise Conflict(_("The version has other bytes now than were asked for. Ask again."))
    Capability.objects.select_for_update().get(pk=bypass.capability_id)  # as a release that is started
    _nothing_in_gray(bypass.version)
    operator = next(
        person
        for person in (bypass.asked_by, by)
        if may_act_as(person, bypass.capability.team, Role.OPERATOR)
    )
    running = Deployment.objects.filter(
        version=bypass.version, kind=Deployment.Kind.PRODUCTION, desired="running", host=None
    ).first()
    deployment = running or deploy_version(bypass.version, kind=Deployment.Kind.PRODUCTION, by=operator)
    Bypass.lifecycle.move(
        bypass,
        Bypass.Status.ACTIVE,
        by=by,
        agreed_by=by,
        expires_at=timezone.now() + timedelta(hours=bypass.hours),
        deployment=deployment,
        baseline=production_of(bypass.capability),
    )
    _tell(bypass, lambda: _("Emergency bypass in force: %(version)s") % {"version": bypass.version})
    return bypass


@transaction.atomic
def withdraw_bypass(bypass: Bypass, *, by: User) -> Bypass:
    """Take back what nobody has agreed to, or end one in force: traffic goes back at once."""
    bypass = _locked(bypass)
    require(may_end_bypass(by, bypass))
    if bypass.status == Bypass.Status.ACTIVE:
        _end(bypass, by=by, why=lambda: _("Ended by %(who)s.") % {"who": by.called})
    else:
        Bypass.lifecycle.move(bypass, Bypass.Status.WITHDRAWN, by=by, ended_at=timezone.now())
    return bypass


def proceed_all() -> None:
    """Look at every bypass in force: bring traffic over, end what expired, keep what was signed.

    Each fails on its own.
    """
    for bypass in Bypass.objects.filter(status=Bypass.Status.ACTIVE)[:100]:
        try:
            proceed(bypass)
        except Exception:
            log.exception("bypass %s: this look failed", bypass.pk)


def proceed(bypass: Bypass) -> None:
    """Take the step that is due. Harmless when repeated."""
    try:
        with transaction.atomic():
            locked = _locked(bypass)
            if locked.status == Bypass.Status.ACTIVE:
                _step(locked)
    except (StaleWrite, IllegalMove):
        log.info("bypass %s was moved by somebody else", bypass.pk)
    except PortalError as error:
        log.warning("bypass %s cannot go on: %s", bypass.pk, error.message)


def _step(bypass: Bypass) -> None:
    assert bypass.deployment is not None
    assert bypass.expires_at is not None
    # A signature on a condition leaves less than a bypass takes; it goes on as a release once the bypass has ended.
    if is_signed(bypass.version) and most_percent_of(bypass.version) == FULL:
        Bypass.lifecycle.move(bypass, Bypass.Status.SIGNED, by=None, ended_at=timezone.now())
        signed = Release.objects.filter(version=bypass.version, status=Release.Status.SIGNED).first()
        if signed is not None:
            adopt(signed, bypass.deployment, bypass.baseline)
        return
    if bypass.expires_at <= timezone.now():
        _end(
            bypass,
            by=None,
            why=lambda: _("The emergency bypass expired and the version was not signed for all the traffic."),
        )
        return
    if bypass.version.digest != bypass.version_digest:
        _end(bypass, by=None, why=lambda: _("The version has other bytes now than were agreed to."))
        return
    if bypass.deployment.status == Deployment.Status.FAILED:
        told = {"why": bypass.deployment.why}
        _end(bypass, by=None, why=lambda: _("The version did not start: %(why)s") % told)
        return
    there = weights_of(bypass.capability).get(bypass.deployment.pk, 0)
    if bypass.deployment.status == Deployment.Status.READY and there != FULL:
        set_weights(bypass.capability, {bypass.deployment.pk: FULL}, by=None)


def _end(bypass: Bypass, *, by: User | None, why: Callable[[], str]) -> None:
    assert bypass.deployment is not None
    back = bypass.baseline if bypass.baseline_id != bypass.deployment_id else None
    if bypass.deployment.pk in weights_of(bypass.capability):
        give_back(bypass.capability, back)
    if bypass.deployment.desired == Deployment.Desired.RUNNING:
        stop_deployment(bypass.deployment, by=None, reason=why())
    Bypass.lifecycle.move(bypass, Bypass.Status.ENDED, by=by, ended_at=timezone.now())
    with translation.override("en"):  # what programs and auditors read does not depend on who ended it
        audit.record("releases.bypass.back", bypass, by=by, why=why())
        events.publish("releases.bypass_ended", bypass.pk, why=why())
    _tell(bypass, lambda: _("%(version)s: %(why)s") % {"version": bypass.version, "why": why()})


def _nothing_in_gray(version: Version) -> None:
    if in_gray(version.capability).exists():
        raise Conflict(_("A release of this capability is in gray. Roll it back first."))


def _tell(bypass: Bypass, title: Callable[[], str]) -> None:
    """Operators, QA and the version's author, each in their own language."""
    team = bypass.capability.team
    people = {user.pk: user for role in (Role.OPERATOR, Role.QA) for user in users_with(role, team)}
    author = bypass.version.created_by
    if may_act_as(author, team, Role.DEVELOPER):
        people[author.pk] = author
    notify(list(people.values()), title, url="/releases/emergency/", body=bypass.reason)


def _locked(bypass: Bypass) -> Bypass:
    return (
        Bypass.objects.select_for_update(of=("self",))
        .select_related("version__created_by", "capability__team", "deployment", "baseline", "asked_by")
        .get(pk=bypass.pk)
    )
