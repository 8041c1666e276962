"""Before everybody gets a new version: each subscriber sees what it answers to their own calls, and may object.

The last calls of each subscriber are asked again of the candidate while the last stage is judged. Every step can be
repeated: which calls are asked stands in rows from the start, and a round claims what it works on for a while.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import CharField, Count, Func, Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Role, User
from apps.accounts.selectors import users_with
from apps.core import audit
from apps.core.errors import Invalid, NotAllowed, Unavailable
from apps.core.policy import require
from apps.core.telling import kept
from apps.core.telling import say as _
from apps.gateway.models import Call
from apps.gateway.selectors import grants_of
from apps.gateway.selectors import usage as usage_of
from apps.instances.models import Deployment, Pin
from apps.instances.pins import end_pins, pin_caller
from apps.releases.again import NotAskable, ask_again, line_to
from apps.releases.models import Release, Replay, ReplayedCall
from apps.releases.policy import may_answer_replay, may_ask_anew
from apps.requests.services import notify
from apps.store.models import Subscription
from apps.store.policy import SUBSCRIBERS

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from apps.catalog.models import Version
    from atrium.http import Http

CLAIM = timedelta(seconds=60)
ROUND_S = 5.0
LOOK_BACK = timedelta(days=30)
LOOKED_AT = 10
"""Times as many calls are looked at as are asked again, since equal inputs are asked once."""
Outcome = ReplayedCall.Outcome
_Call = tuple["UUID", "datetime", str]
"""A logged call: its id, when it was, and the version that answered it."""


def begin(release: Release) -> None:
    """Ask every subscriber, if the policy says so; called when the last stage begins, within its transaction."""
    if release.policy.replay_calls and release.baseline is not None:
        _begin(release, _granted(release).values_list("pk", flat=True))


def begin_with_pinned(release: Release) -> None:
    """Ask those who keep an older version since they objected to a former release; called when the first stage begins.

    Their calls count for no stage before they consent. Where nobody else calls, no stage would ever get its evidence.
    """
    if not release.policy.replay_calls or release.baseline is None:
        return
    pins = Pin.objects.filter(capability=release.capability, until__gt=timezone.now())
    pinned = set(pins.values_list("caller", flat=True))
    if pinned:
        _begin(release, [each.pk for each in _granted(release) if each.pool in pinned])


def _granted(release: Release) -> QuerySet[Subscription]:
    return Subscription.objects.filter(capability=release.capability, status=Subscription.Status.GRANTED)


def _begin(release: Release, subscriptions: Iterable[int]) -> None:
    asked = [Replay(release=release, subscription_id=pk) for pk in subscriptions]
    Replay.objects.bulk_create(asked, ignore_conflicts=True)


def end(release: Release, *, by: User | None) -> None:
    """The release went back or is void: nobody is asked any more, and nobody needs a pin to what answers again.

    A pin to an older version is of an objection to a former release, and stays.
    """
    for replay in release.replays.exclude(status=Replay.Status.ENDED).select_related("subscription"):
        if replay.status == Replay.Status.OBJECTED:
            end_pins(
                release.capability, by=by, caller=replay.subscription.pool, deployment=release.baseline_id
            )
        Replay.lifecycle.move(replay, Replay.Status.ENDED, by=by)


def waiting(release: Release) -> int:
    """How many subscribers have not been asked yet, or not answered, and still have time."""
    return release.replays.filter(status__in=Replay.OPEN).count()


def counted(replays: Iterable[Replay]) -> dict[int, dict[str, int]]:
    """{replay: {outcome: calls}} in one query."""
    rows = ReplayedCall.objects.filter(replay__in=[replay.pk for replay in replays])
    found: dict[int, dict[str, int]] = {}
    for pk, outcome, count in rows.values_list("replay", "outcome").annotate(n=Count("pk")).order_by():
        found.setdefault(pk, {})[outcome] = count
    return found


# --- the work


def work(seconds: float = ROUND_S) -> None:
    """One round: replay what waits for it, for at most so long, and end what nobody answered in time."""
    until = time.monotonic() + seconds
    running = Replay.objects.filter(status=Replay.Status.RUNNING, release__status=Release.Status.ROLLING)
    for pk in list(running.order_by("release").values_list("release", flat=True).distinct()[:50]):
        _replay(pk, until)
    for replay in Replay.objects.filter(status=Replay.Status.ASKED, deadline__lte=timezone.now())[:200]:
        Replay.lifecycle.move(replay, Replay.Status.LAPSED, by=None)


def _replay(release_pk: int, until: float) -> None:
    release = Release.objects.select_related(
        "deployment__version__capability", "deployment__capability__team", "policy", "opened_by", "capability"
    ).get(pk=release_pk)
    claimed = _claim(release)
    if not claimed or release.deployment is None:
        return
    try:
        for replay in claimed:
            _collect(replay, release)
        with line_to(release.deployment, for_=f"replay {release.pk}", by=release.opened_by) as http:
            for replay in claimed:
                for called in replay.calls.filter(outcome=Outcome.PENDING).order_by("pk"):
                    if time.monotonic() > until:
                        return
                    _ask(called, http, release.deployment.version)
                _ask_subscriber(replay, release)
    except Unavailable as error:
        words, told = kept(error.message)
        release.replays.filter(pk__in=[each.pk for each in claimed]).update(waits_for=words, told=told)
    finally:
        Replay.objects.filter(pk__in=[each.pk for each in claimed]).update(claimed_until=None)


def _claim(release: Release) -> list[Replay]:
    """The replays that this round works on; a claim that a kill left behind ends by itself."""
    now = timezone.now()
    with transaction.atomic():
        free = release.replays.select_for_update(skip_locked=True, of=("self",)).filter(
            Q(claimed_until=None) | Q(claimed_until__lt=now), status=Replay.Status.RUNNING
        )
        found = list(free.select_related("subscription__capability").order_by("pk")[:50])
        Replay.objects.filter(pk__in=[each.pk for each in found]).update(claimed_until=now + CLAIM)
    return found


@transaction.atomic
def _collect(replay: Replay, release: Release) -> None:
    """Write down which calls are asked again: the last answered ones, each input once, of any version but the
    candidate.
    """
    if replay.collected:
        return
    grants = list(grants_of(replay.subscription.pool).values_list("pk", flat=True))
    since = timezone.now() - LOOK_BACK
    found: list[_Call] = []
    if grants and usage_of(since=since, grants=grants, capability=release.capability):
        rows = Call.objects.filter(
            capability_id=release.capability_id,
            at__gte=since,
            grant_id__in=grants,
            shadow=False,
            status__lt=400,
        ).exclude(deployment_id=release.deployment_id)
        asked = Func("request", function="md5", output_field=CharField())
        newest = rows.order_by("-at").values_list(asked, "request_id", "at", "version")
        most = release.policy.replay_calls
        found = _each_once(newest[: LOOKED_AT * most], most)
    ReplayedCall.objects.bulk_create(
        [
            ReplayedCall(replay=replay, request_id=request_id, at=at, version=version)
            for request_id, at, version in found
        ],
        ignore_conflicts=True,
    )
    Replay.objects.filter(pk=replay.pk).update(collected=True, waits_for="")


def _each_once(newest: Iterable[tuple[str | None, UUID, datetime, str]], most: int) -> list[_Call]:
    """The newest call of each input: the same question asked again says nothing new."""
    found: dict[str, _Call] = {}
    for asked, request_id, at, version in newest:
        found.setdefault(
            asked or str(request_id), (request_id, at, version)
        )  # without a request nothing is equal
        if len(found) == most:
            break
    return list(found.values())


def _ask(called: ReplayedCall, http: Http, candidate: Version) -> None:
    call = Call.objects.filter(request_id=called.request_id, at=called.at).first()
    if call is None:
        _note(called, Outcome.SKIPPED, _("The log does not keep this call any more."))
        return
    before = candidate.capability.versions.filter(number=called.version).first()
    try:
        said = ask_again(http, call, candidate, before)
    except NotAskable as why:
        _note(called, Outcome.SKIPPED, why.args[0])
        return
    called.answer_id = said.answer_id
    if said.difference is None:
        _note(called, Outcome.FAILED, said.failure)
        return
    called.largest = said.difference.largest
    _note(called, Outcome(said.difference.compared.value))


def _note(called: ReplayedCall, outcome: str, message: str = "") -> None:
    called.outcome = outcome
    called.message, called.told = kept(message, most=300)
    called.save(update_fields=["outcome", "message", "told", "largest", "answer_id"])


@transaction.atomic
def _ask_subscriber(replay: Replay, release: Release) -> None:
    """All its calls are through: tell the people of the subscriber, and start their time."""
    if not replay.calls.exclude(outcome=Outcome.SKIPPED).exists():
        Replay.lifecycle.move(replay, Replay.Status.SKIPPED, by=None, waits_for="")
        return
    deadline = timezone.now() + timedelta(hours=release.policy.consent_hours)
    Replay.lifecycle.move(replay, Replay.Status.ASKED, by=None, deadline=deadline, waits_for="")
    notify(
        people_of(replay),
        lambda: (
            _("%(version)s is about to answer your calls: look at the differences")
            % {"version": release.deployment.version if release.deployment else release.capability}
        ),
        url=reverse("releases:replay", args=[replay.pk]),
    )


def people_of(replay: Replay) -> list[User]:
    """Who may answer for the subscriber."""
    team = replay.subscription.team
    return list({user.pk: user for role in SUBSCRIBERS for user in users_with(role, team)}.values())


# --- what subscribers say


@transaction.atomic
def consent(replay: Replay, *, by: User, comment: str = "") -> Replay:
    """The subscriber agrees to the new version; an objection before, to this or a former release, is taken back.

    Raises NotAllowed, IllegalMove.
    """
    replay = _locked(replay)
    require(may_answer_replay(by, replay))
    end_pins(replay.release.capability, by=by, caller=replay.subscription.pool)
    _answer(replay, Replay.Status.CONSENTED, by, comment)
    return replay


@transaction.atomic
def object_to(replay: Replay, *, by: User, comment: str = "") -> Replay:
    """The subscriber keeps the version that answered so far, from now on and for as long as the policy says.

    Raises NotAllowed, IllegalMove, Conflict when the old version does not run any more.
    """
    replay = _locked(replay)
    require(may_answer_replay(by, replay))
    release = replay.release
    if release.baseline is None:
        raise NotAllowed(_("Nothing ran before this version, so there is nothing to keep."))
    until = timezone.now() + timedelta(days=release.policy.pin_days)
    kept_on = pinned_to(replay) or release.baseline
    pin_caller(release.capability, replay.subscription.pool, kept_on, until=until, by=by)
    _answer(replay, Replay.Status.OBJECTED, by, comment, keeps=kept_on)
    _tell_operators(replay, by)
    return replay


def pinned_to(replay: Replay) -> Deployment | None:
    """What answers the subscriber since an objection, to this or a former release, if it still runs."""
    pins = Pin.objects.filter(
        capability=replay.release.capability, caller=replay.subscription.pool, until__gt=timezone.now()
    )
    pin = pins.filter(deployment__desired=Deployment.Desired.RUNNING).select_related("deployment__version")
    return found.deployment if (found := pin.first()) else None


@transaction.atomic
def ask_anew(replay: Replay, *, by: User, comment: str) -> Replay:
    """The provider asks who objects to look again, and says what speaks for it. The objection holds until they consent.

    Raises NotAllowed, at most once a day for one subscriber; Invalid without words.
    """
    replay = _locked(replay)
    require(may_ask_anew(by, replay))
    words = comment.strip()[:2000]
    if not words:
        raise Invalid(_("Say why they should look again."), fields={"comment": _("is empty")})
    replay.asked_anew_by, replay.asked_anew_at, replay.asked_anew_for = by, timezone.now(), words
    replay.save(update_fields=["asked_anew_by", "asked_anew_at", "asked_anew_for"])
    audit.record(
        "releases.replay.asked_anew", replay.release, by=by, team=replay.subscription.team.slug, comment=words
    )
    told = {"who": replay.release.capability.team.name, "version": replay.release.version}
    notify(
        people_of(replay),
        lambda: _("%(who)s asks you to look at %(version)s again") % told,
        url=reverse("releases:replay", args=[replay.pk]),
        body=words,
    )
    return replay


def _answer(replay: Replay, status: str, by: User, comment: str, keeps: Deployment | None = None) -> None:
    said = {"answered_by": by, "answered_at": timezone.now(), "comment": comment.strip()[:2000]}
    Replay.lifecycle.move(replay, status, by=by, **said, kept=keeps)
    audit.record(
        f"releases.replay.{status}",
        replay.release,
        by=by,
        team=replay.subscription.team.slug,
        comment=replay.comment,
    )


def _tell_operators(replay: Replay, by: User) -> None:
    release = replay.release
    notify(
        users_with(Role.OPERATOR, release.capability.team),
        lambda: (
            _("%(team)s objects to %(version)s and keeps the old version")
            % {"team": replay.subscription.team.name, "version": release.version}
        ),
        url=f"/releases/{release.pk}/",
        body=replay.comment or by.called,
    )


def _locked(replay: Replay) -> Replay:
    rows: QuerySet[Replay] = Replay.objects.select_for_update(of=("self",))
    return rows.select_related(
        "release__capability__team",
        "release__policy",
        "release__version",
        "release__baseline__version",
        "subscription__team",
        "subscription__capability",
    ).get(pk=replay.pk)
