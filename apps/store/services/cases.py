"""Cases: what a team asks its test deployments again and again, and what it expects as the answer."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.catalog import services as catalog
from apps.catalog.models import Version
from apps.catalog.policy import may_build
from apps.catalog.selectors import next_patch
from apps.core import audit, objects, secrets
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.core.telling import kept
from apps.core.telling import say as _
from apps.gateway import sealed
from apps.gateway import services as gateway
from apps.gateway.models import Grant
from apps.instances import testkeys
from apps.store import adapters
from apps.store.cases import MOST_CASES, shipped_cases
from apps.store.limits import Limits
from apps.store.models import CaseResult, SavedCase
from atrium.oip.tensors import InvalidTensor, read_json
from atrium.package import CASES, DEFAULT_TOLERANCE

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Capability
    from apps.instances.models import Deployment
    from atrium.oip.tensors import Tensor

LARGEST_CASE = 262_144
SHOWN_VALUES = 6
LONGEST_S = 60
TEST_LIMITS = Limits(rate_per_s=100, burst=200, concurrent=4)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one case went. `status` is passed, failed, answered where nothing is expected, or skipped.

    `difference` is the largest absolute one over its outputs; None where values are no numbers or none came.
    """

    name: str
    status: str
    message: str = ""
    difference: float | None = None
    took_ms: float = 0.0
    request_id: str = ""


def save_case(
    capability: Capability,
    *,
    name: str,
    inputs: Sequence[Mapping[str, Any]],
    expected: Sequence[Mapping[str, Any]],
    by: User,
    tolerance: float = DEFAULT_TOLERANCE,
) -> SavedCase:
    """Keep an input with its expected outputs. Raises Invalid for tensors that cannot be, a name that is taken."""
    require(may_build(by, capability))
    name = name.replace("\x00", "").strip()
    if not 1 <= len(name) <= 100:
        raise Invalid(_("Give the case a name of 1 to 100 characters."), fields={"name": _("is missing")})
    if not isinstance(tolerance, int | float) or not 0 <= tolerance < math.inf:
        raise Invalid(_("The tolerance is a number from 0."), fields={"tolerance": _("is no such number")})
    if not inputs:
        raise Invalid(_("The case has no input."), fields={"inputs": _("is missing")})
    named = {tensor.name for tensor in [*_read(inputs), *_read(expected)]}
    if hidden := sorted(_sensitive(capability) & named):
        raise Invalid(
            _("%(names)s is sensitive and is not kept. Ship cases with made-up values in cases.json instead.")
            % {"names": ", ".join(hidden)}
        )
    if len(json.dumps([inputs, expected])) > LARGEST_CASE:
        raise Invalid(_("The case is larger than %(most)d kB.") % {"most": LARGEST_CASE // 1024})
    if capability.saved_cases.count() >= MOST_CASES:
        raise Conflict(_("%(most)d cases are the most. Remove one first.") % {"most": MOST_CASES})
    try:
        with transaction.atomic():
            case = SavedCase.objects.create(
                capability=capability,
                name=name,
                inputs=list(inputs),
                expected=list(expected),
                tolerance=tolerance,
                created_by=by,
            )
            audit.record("store.case.saved", case, by=by, name=name)
    except IntegrityError as error:
        raise Invalid(
            _("There is a case “%(name)s” already. Choose another name.") % {"name": name},
            fields={"name": _("is taken")},
        ) from error
    return case


def _read(documents: Sequence[Any]) -> list[Tensor]:
    """Tensors with their values in JSON. Raises Invalid with what is wrong."""
    try:
        tensors = [read_json(document) for document in documents]
    except InvalidTensor as error:
        raise Invalid(str(error)) from error
    for tensor in tensors:
        if tensor.values is None:
            raise Invalid(
                _("The tensor %(name)s has no data; send its values as a list.") % {"name": tensor.name}
            )
    return tensors


def _sensitive(capability: Capability) -> set[str]:
    """The tensors that hold something which the call log does not keep as it is, in any of the newest versions."""
    packaged = capability.versions.filter(status=Version.Status.PACKAGED).order_by("-pk")
    rules = [sealed.rules_of(signature) for signature in packaged.values_list("signature", flat=True)[:20]]
    return {name for rule in rules for tensors in rule.values() for name in tensors}


@transaction.atomic
def remove_case(case: SavedCase, *, by: User) -> None:
    """Forget a case; what shipped with a version stays there."""
    require(may_build(by, case.capability))
    audit.record("store.case.removed", case, by=by, name=case.name)
    case.delete()


@transaction.atomic
def ship_cases(version: Version, number: str = "", *, by: User) -> Version:
    """A new version of the same upload whose shipped cases are the present ones and those saved with an answer.

    A saved case takes the place of a shipped one of its name. It is packaged like every other version, so that a
    case that the model does not pass fails it. Raises Conflict when nothing would be new, Invalid.
    """
    capability = version.capability
    require(may_build(by, capability))
    saved = [case.to_json() for case in capability.saved_cases.order_by("pk") if case.expected]
    before = shipped_cases(version)
    names = {case["name"] for case in saved}
    cases = [case for case in before if case.get("name") not in names] + saved
    if cases == before:
        raise Conflict(_("There is no saved case with an expected answer that does not ship yet."))
    sha256, _size = objects.put([json.dumps(cases, ensure_ascii=False, indent=1).encode()])
    files = {path: entry["sha256"] for path, entry in version.source_manifest.items()}
    made = catalog.create_derived_version(
        version,
        number or next_patch(version),
        files=files | {CASES: sha256},
        changelog=_("%(number)s with %(count)d shipped cases.")
        % {"number": version.number, "count": len(cases)},
        how="tested further",
        by=by,
    )
    catalog.package_version(made, by=by)
    return made


@transaction.atomic
def test_grant(user: User, deployment: Deployment) -> str:
    """This person's key to one test deployment, made at first use, derived at need and stored nowhere."""
    require(testkeys.may_make(user, deployment))
    secret = "atk_" + secrets.derived(f"test:{user.pk}:{deployment.pk}")
    if not Grant.objects.filter(key_hash=secrets.digest(secret)).exists():
        gateway.create_grant(
            kind=Grant.Kind.TEST,
            capability=deployment.capability,
            team=deployment.capability.team,
            user=user,
            limits=TEST_LIMITS.to_json(),
            scope=f"deployment:{deployment.pk}",
            label=_("Test page of deployment %(pk)d") % {"pk": deployment.pk},
            by=user,
            secret=secret,
        )
    return secret


def run_cases(deployment: Deployment, cases: Sequence[Mapping[str, Any]], *, by: User) -> list[Outcome]:
    """Ask a test deployment each case over the gateway, one after the other, and keep how it went. Raises NotAllowed.

    Nobody waits for a model that hangs: what is not asked within LONGEST_S, or after no copy answered, is skipped.
    """
    key, until = test_grant(by, deployment), time.monotonic() + LONGEST_S
    outcomes: list[Outcome] = []
    why = ""
    for case in cases[:MOST_CASES]:
        if not why and time.monotonic() > until:
            why = _("Not asked: those before it took %(seconds)d s.") % {"seconds": LONGEST_S}
        if why:
            outcomes.append(Outcome(str(case.get("name", "")), "skipped", why))
            continue
        outcome, answered = run_case(deployment.capability.slug, case, key)
        outcomes.append(outcome)
        if not answered:
            why = _("Not asked: the one before it got no answer.")
    _keep(deployment, cases, outcomes, by)
    return outcomes


def _keep(
    deployment: Deployment, cases: Sequence[Mapping[str, Any]], outcomes: Sequence[Outcome], by: User
) -> None:
    """In the place of the last results; a case that was removed meanwhile has none."""
    saved = [case["saved"].pk for case in cases if case["saved"]]
    there = set(SavedCase.objects.filter(pk__in=saved).values_list("pk", flat=True))
    now, rows = timezone.now(), []
    for case, outcome in zip(cases, outcomes, strict=False):
        if case["saved"] and case["saved"].pk not in there:
            continue
        words, told = kept(outcome.message)
        rows.append(
            CaseResult(
                deployment=deployment,
                key=case["key"],
                saved=case["saved"],
                status=outcome.status,
                message=words,
                told=told,
                difference=outcome.difference,
                took_ms=outcome.took_ms,
                request_id=outcome.request_id,
                by=by,
                at=now,
            )
        )
    CaseResult.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["deployment", "key"],
        update_fields=[
            "saved", "status", "message", "told", "difference", "took_ms", "request_id", "by", "at",
        ],
    )  # fmt: skip


def run_case(capability: str, case: Mapping[str, Any], key: str) -> tuple[Outcome, bool]:
    """One question, how far its answer lies from the expected one, and whether anybody was there to answer."""
    answer = adapters.infer(capability, list(case["inputs"]), key=key)
    status, message, apart = _verdict(case, answer)
    name = str(case.get("name", ""))
    outcome = Outcome(name, status, message, apart, answer.took_ms, answer.request_id)
    return outcome, answer.status not in {0, 502, 503, 504}


def _verdict(case: Mapping[str, Any], answer: adapters.Answer) -> tuple[str, str, float | None]:
    if not answer.ok:
        return "failed", answer.error or _("No answer."), None
    if not case.get("expected"):
        return "answered", "", None
    try:
        given = {tensor.name: tensor for tensor in map(read_json, answer.body.get("outputs", []))}
    except InvalidTensor as error:
        return "failed", str(error), None
    tolerance, worst = float(case.get("tolerance", DEFAULT_TOLERANCE)), 0.0
    for expected in map(read_json, case["expected"]):
        if expected.name not in given:
            told = _("The output %(name)s is missing in the answer.") % {"name": expected.name}
            return "failed", told, None
        apart = difference(expected, given[expected.name])
        if apart > tolerance:
            apart_words = _mismatch(expected, given[expected.name], apart, tolerance)
            return "failed", apart_words, apart if math.isfinite(apart) else None
        worst = max(worst, apart)
    return "passed", "", worst


def difference(left: Tensor, right: Tensor) -> float:
    """As `atrium.cases.difference`, without arrays: infinite for another shape or text; NaN equals NaN."""
    if left.shape != right.shape:
        return math.inf
    worst = 0.0
    for one, other in zip(left.flat(), right.flat(), strict=True):
        if one == other or (one != one and other != other):
            continue
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in (one, other)):
            return math.inf
        apart = abs(float(one) - float(other))
        worst = max(worst, math.inf if math.isnan(apart) else apart)
    return worst


def _mismatch(expected: Tensor, given: Tensor, apart: float, tolerance: float) -> str:
    if math.isfinite(apart) and expected.count > SHOWN_VALUES:
        return _("%(name)s differs by %(apart)s; allowed is %(tolerance)s.") % {
            "name": expected.name,
            "apart": f"{apart:.3g}",
            "tolerance": f"{tolerance:g}",
        }
    return _("%(name)s is %(given)s; expected is %(expected)s.") % {
        "name": expected.name,
        "given": in_short(given.flat()),
        "expected": in_short(expected.flat()),
    }


def in_short(values: Sequence[Any]) -> str:
    """The first values of a tensor, for a sentence or a table."""
    shown = []
    for value in values[:SHOWN_VALUES]:
        text = value.decode(errors="replace") if isinstance(value, bytes) else value
        shown.append(f"{text:.4g}" if isinstance(text, float) else str(text)[:60])
    return ", ".join(shown) + (" …" if len(values) > SHOWN_VALUES else "")
