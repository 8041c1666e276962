"""Who proves items of the ML Test Score: apps register in their `ready()`; what reports show is proven here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.core import audit
from apps.core.errors import Invalid
from apps.core.policy import require
from apps.evaluation import testscore
from apps.evaluation.models import Claim, Report
from apps.evaluation.policy import may_claim
from apps.evaluation.selectors import content_of
from apps.evaluation.testscore import Proof
from apps.gateway.sealed import rules_of

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Capability, Version

Prover = Callable[["Version"], "Iterator[tuple[str, Proof]]"]
_provers: dict[str, Prover] = {}


def register(name: str, prover: Prover) -> None:
    """Add who proves items: it yields (item, proof) for a version. The same name replaces."""
    _provers[name] = prover


def score_of(version: Version) -> testscore.Score:
    """The version's score as of now."""
    proofs: dict[str, list[Proof]] = {}
    for prover in [of_version, of_report, *_provers.values()]:
        for item, proof in prover(version):
            proofs.setdefault(item, []).append(proof)
    claims = {
        claim.item: (claim.by.username, Proof(claim.text, claim.at))
        for claim in Claim.objects.filter(capability=version.capability, withdrawn_at=None).select_related(
            "by"
        )
    }
    return testscore.score(proofs, claims, timezone.now())


@transaction.atomic
def claim(capability: Capability, item: str, text: str, *, by: User) -> Claim:
    """Say how an item is fulfilled that the platform cannot prove. A second claim replaces the first.

    Raises NotAllowed, Invalid.
    """
    require(may_claim(by, capability))
    if item not in testscore.ITEMS:
        raise Invalid(
            _("“%(item)s” is no item of the score.") % {"item": item}, fields={"item": _("is unknown")}
        )
    if not text.strip():
        raise Invalid(_("Say how it is done."), fields={"text": _("is empty")})
    type(capability).objects.select_for_update().get(pk=capability.pk)
    _withdraw(capability, item)
    made = Claim.objects.create(capability=capability, item=item, text=text.strip()[:2000], by=by)
    audit.record("evaluation.claim.made", capability, by=by, item=item, text=made.text)
    return made


@transaction.atomic
def withdraw_claim(capability: Capability, item: str, *, by: User) -> None:
    """Take a claim back."""
    require(may_claim(by, capability))
    if _withdraw(capability, item):
        audit.record("evaluation.claim.withdrawn", capability, by=by, item=item)


def _withdraw(capability: Capability, item: str) -> int:
    return Claim.objects.filter(capability=capability, item=item, withdrawn_at=None).update(
        withdrawn_at=timezone.now()
    )


def of_version(version: Version) -> Iterator[tuple[str, Proof]]:
    """What the version itself shows: how it was made, its signature, its age."""
    at = version.packaged_at or version.created_at
    page = reverse("catalog:version", args=[version.capability.slug, version.number])
    columns = version.signature.get("columns") or []
    if columns and all({"minimum", "maximum", "categories"} & column.keys() for column in columns):
        yield (
            "data.schema",
            Proof(_("The signature bounds each of its %(n)d columns.") % {"n": len(columns)}, at, page),
        )
    if rules_of(version.signature):
        words = _("Fields that the signature calls sensitive are encrypted or dropped in the call log.")
        yield "data.privacy", Proof(words, at, page)
    if version.dataset_version_urn and version.code_digest and "environment.lock" in version.manifest:
        words = _("Data, code and environment of the training are recorded by their digests.")
        yield "infra.reproducible", Proof(words, at, page)
    yield "monitor.stale", Proof(_("It was made on %(day)s.") % {"day": f"{at:%Y-%m-%d}"}, at, page)


def of_report(version: Version) -> Iterator[tuple[str, Proof]]:
    """What the newest passed report about exactly these bytes shows."""
    report = (
        Report.objects.filter(version=version, verdict="passed", run__version_digest=version.digest)
        .select_related("run__suite")
        .order_by("-pk")
        .first()
    )
    if report is None:
        return
    page = reverse("evaluation:report", args=[report.pk])
    content = content_of(report)
    for item, words in _shown(content["measured"], content["gates"], report.run.suite.groups):
        yield item, Proof(words, report.created_at, page)


def _shown(
    measured: dict[str, Any], gates: list[dict[str, Any]], groups: list[str]
) -> Iterator[tuple[str, str]]:
    passed = [result["gate"] for result in gates if result["verdict"] == "passed"]
    metrics = [str(gate["metric"]) for gate in passed]
    if passed:
        yield (
            "infra.validated",
            _("Gates that were passed before it could be released: %(n)d.") % {"n": len(passed)},
        )
    cases = measured.get("cases") or []
    if cases and all(case["passed"] for case in cases):
        words = _("%(n)d shipped cases hold on the served endpoint.") % {"n": len(cases)}
        yield "infra.integration", words
    parity = measured.get("parity") or []
    if parity and all(each["passed"] for each in parity):
        words = _("%(n)d fixtures have the same features in training and on the served endpoint.")
        yield "monitor.skew", words % {"n": len(parity)}
    if any(gate.get("slice") for gate in passed):
        yield "model.slices", _("Gates on slices were passed.")
    if groups and "fairness_gap" in metrics:
        words = _("A gate on the gap between the groups of %(names)s was passed.")
        yield "model.inclusion", words % {"names": ", ".join(groups)}
    robust = measured.get("robustness") or []
    if robust and all(check["passed"] for check in robust):
        yield "monitor.stable", _("It answers noise, gaps, NaN and infinity with numbers, or refuses them.")
    if any(name.startswith(("latency", "throughput", "memory")) for name in metrics):
        yield "monitor.performance", _("A gate on latency, throughput or memory was passed.")
    useful = measured.get("importance") or []
    every = measured.get("importance_of") != "tokens" and len(useful) == measured.get(
        "importance_chosen", len(useful)
    )
    if useful and every and all(each["drop"] > 0 for each in useful):
        yield "data.beneficial", _("Without any one of its features it answers worse.")
