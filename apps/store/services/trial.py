"""Try it: a person's own grant, one question to one or two versions, why the answer, whether it was right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from apps.catalog.policy import may_build
from apps.core import secrets
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.policy import require
from apps.gateway import services as gateway
from apps.gateway.models import Grant
from apps.store import adapters, attribution, selectors
from apps.store.limits import Limits
from apps.store.models import Plan
from apps.store.policy import may_try
from apps.store.reading import expected_of
from atrium.oip.tensors import InvalidTensor, read_json
from atrium.signature import check_inputs, parse_signature

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Capability, Version
    from apps.instances.models import Deployment

MOST_SIDES = 2
_SOON_S = 120
TRIAL_LIMITS = Limits(rate_per_s=2, burst=5, per_day=100, concurrent=2)


def trial_limits(capability: Capability) -> Limits:
    """What one person may try: the published trial plan's limits, else the portal's."""
    plan = Plan.objects.filter(capability=capability, trial=True, status=Plan.Status.PUBLISHED).first()
    return plan.allowed if plan else TRIAL_LIMITS


def trial_pool(user: User, capability: Capability) -> str:
    """Where one person's trials of a capability are counted together."""
    return f"trial:{user.pk}:{capability.pk}"


@transaction.atomic
def trial_grant(
    user: User, capability: Capability, deployment: Deployment | None = None
) -> tuple[Grant, str]:
    """The person's grant for Try it, made at first use, with its key, which is derived at need and stored nowhere.

    With a `deployment` it reaches that one, which only those may who build the capability. One quota for all.
    """
    require(may_try(user, capability) if deployment is None else may_build(user, capability))
    limits = trial_limits(capability).to_json()
    scope = f"deployment:{deployment.pk}" if deployment else Grant.PRODUCTION
    mark = ",".join(f"{name}={value}" for name, value in sorted(limits.items()))
    mark += f":{scope}" if deployment else ""
    secret = "atk_" + secrets.derived(f"trial:{user.pk}:{capability.pk}:{mark}")
    grant = Grant.objects.filter(key_hash=secrets.digest(secret)).first()
    if grant is not None:
        return grant, secret
    return gateway.create_grant(
        kind=Grant.Kind.TRIAL,
        capability=capability,
        team=capability.team,
        user=user,
        pool=trial_pool(user, capability),
        limits=limits,
        label="Try it",
        scope=scope,
        by=user,
        secret=secret,
    )


@dataclass(frozen=True)
class Explanation:
    """What an answer rests on: weights in `unit`; none where the call failed."""

    answer: adapters.Answer
    unit: str = ""
    weights: list[attribution.Weight] = field(default_factory=list)


def version_to_try(user: User, capability: Capability) -> Version | None:
    """The version in production; before there is one, for those who build it, the newest that runs for tests."""
    answering = selectors.versions_answering([capability]).get(capability.pk)
    if answering is not None:
        return answering
    known = selectors.comparable(user, capability)
    tested = next((deployment for deployment in known.values() if deployment), None)
    return tested.version if tested else None


def ask(
    capability: Capability,
    tensors: Sequence[Mapping[str, Any]],
    *,
    by: User,
    versions: Sequence[str] = (),
) -> list[adapters.Answer]:
    """Ask as this person: production, or one or two versions by number. Each is one call of the trial's quota.

    Raises NotFound for a version that the person may not ask, Conflict where nothing answers.
    """
    require(may_try(by, capability))
    sides = _sides(capability, versions, by)
    return [_call(capability, tensors, number, deployment, by) for number, deployment in sides]


def _sides(capability: Capability, versions: Sequence[str], by: User) -> list[tuple[str, Deployment | None]]:
    known = selectors.comparable(by, capability)
    for number in versions:
        if number not in known:
            raise NotFound(
                _("%(name)s has no version %(number)s that you can try.")
                % {"name": capability.name, "number": number[:64]}
            )
    if versions:
        return [(number, known[number]) for number in list(dict.fromkeys(versions))[:MOST_SIDES]]
    if selectors.versions_answering([capability]):
        return [("", None)]
    if not known:
        raise Conflict(_("No version takes production traffic."))
    return list(known.items())[:1]


def _call(
    capability: Capability,
    tensors: Sequence[Mapping[str, Any]],
    number: str,
    deployment: Deployment | None,
    by: User,
) -> adapters.Answer:
    _grant, key = trial_grant(by, capability, deployment)
    asked = [dict(tensor) for tensor in tensors]
    return adapters.infer(capability.slug, asked, key=key, version="" if deployment else number)


def explain(capability: Capability, tensors: Sequence[Mapping[str, Any]], *, by: User) -> Explanation:
    """What the answer to one item rests on: one more call with every part of the input taken away in turn.

    Raises Invalid for what cannot be explained: more than one item, inputs that the version does not take.
    """
    require(may_try(by, capability))
    version = version_to_try(by, capability)
    if version is None or not attribution.takes_many(version.signature):
        raise Invalid(_("This input cannot be explained. Ask first, then ask why."))
    _check_one_item(version, tensors)
    try:
        asked = attribution.question(version.signature, tensors, selectors.cases_of(version))
    except ValueError as error:
        raise Invalid(_("This input is too large to be explained.")) from error
    [answer] = ask(capability, asked.tensors, by=by)
    if not answer.ok:
        return Explanation(answer)
    return Explanation(answer, *attribution.weigh(asked, version.signature, answer.body.get("outputs", [])))


def _check_one_item(version: Version, tensors: Sequence[Mapping[str, Any]]) -> None:
    try:
        check_inputs(parse_signature(version.signature), [read_json(dict(tensor)) for tensor in tensors])
    except InvalidTensor as error:
        raise Invalid(str(error)) from error
    if any(tensor["shape"][:1] != [1] for tensor in tensors):
        raise Invalid(_("One item is explained at a time; send a first size of 1."))


def report_answer(
    capability: Capability, request_id: str, *, correct: bool, by: User, label: str = "", comment: str = ""
) -> adapters.Answer:
    """Tell the gateway whether an answer was right, and what would have been; 202 where it took it."""
    require(may_try(by, capability))
    body: dict[str, Any] = {"request_id": request_id[:64], "correct": correct}
    version = selectors.versions_answering([capability]).get(capability.pk)
    if label and not correct and version is not None:
        body["expected"] = expected_of(version.signature, label) or label
    if comment:
        body["comment"] = comment[:2000]
    _grant, key = trial_grant(by, capability)
    return adapters.send_feedback(body, key=key)


def advice(answer: adapters.Answer) -> str:
    """What to do, for each way in which a trial call can fail."""
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _used_up(answer.retry_after)
    if answer.status in {401, 403}:
        return _("The gateway does not know the trial's key yet. Try again in a few seconds.")
    if answer.status in {0, 502, 503, 504}:
        return _(
            "No running copy answers at the moment. Try again; if it stays so, tell the team that provides it."
        )
    return _("Change the input as the message says and ask again.")


def _used_up(seconds: float | None) -> str:
    if seconds is None:
        return _("The trial's quota is used up for now. Wait, or subscribe to a plan with a larger one.")
    if seconds <= _SOON_S:
        return _("The trial's limit is reached. Ask again in %(seconds)d s, or subscribe to a plan.") % {
            "seconds": math.ceil(seconds)
        }
    until = timezone.localtime(timezone.now() + timedelta(seconds=seconds))
    return _(
        "The trial's quota is used up until %(until)s. Wait, or subscribe to a plan with a larger one."
    ) % {"until": date_format(until, "DATETIME_FORMAT")}
