"""Who may do what with suites, evaluations and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.urls import reverse

from apps.accounts.models import Role
from apps.accounts.policy import may_act_as
from apps.catalog.models import Version
from apps.core.policy import Verdict, allow, deny
from apps.core.telling import say as _
from apps.evaluation.demands import demands_of, judged
from apps.evaluation.gates import Verdict as Gates
from apps.evaluation.selectors import latest_report, latest_suite
from apps.instances.selectors import production_versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apps.accounts.models import User
    from apps.catalog.models import Capability
    from apps.evaluation.demands import Demand
    from apps.evaluation.models import Report, Run, Suite


def may_see_evaluations(actor: User, capability: Capability) -> Verdict:
    """The team's developers, QA and operators."""
    return may_act_as(actor, capability.team, Role.DEVELOPER, Role.QA, Role.OPERATOR)


def may_write_suite(actor: User, capability: Capability) -> Verdict:
    """QA of the team: who builds a version does not say alone what it has to reach."""
    return may_act_as(actor, capability.team, Role.QA)


def may_evaluate(actor: User, version: Version) -> Verdict:
    """Developers and QA, once the version is packaged."""
    if version.status != Version.Status.PACKAGED:
        return deny(
            _("Version %(number)s is %(status)s. Only a packaged version can be evaluated.")
            % {"number": version.number, "status": version.get_status_display().lower()}
        )
    return may_act_as(actor, version.capability.team, Role.DEVELOPER, Role.QA)


def decides(report: Report | None, version: Version, demands: Sequence[Demand] | None = None) -> Verdict:
    """Whether a release of a version can be opened on a report, with why not and where to evaluate it.

    It is by the capability's newest suite, about the version's very bytes, passed, and, where gates are against
    production, compared with what is in production now. It also passes what is asked beside the suite: the given
    `demands`, or all that there are now.
    """
    suite = latest_suite(version.capability)
    page = reverse("evaluation:start", args=[version.pk])
    if report is None or suite is None:
        return deny(_why_no_report(version, suite), url=page)
    if report.run.suite_id != suite.pk:
        return deny(
            _(
                "This report is by suite %(suite)s, for comparison. The capability's newest one is %(newest)s, and only"
                " a report by it opens a release. Evaluate the version with that."
            )
            % {"suite": report.run.suite, "newest": suite},
            url=page,
        )
    if report.version_id != version.pk or report.run.version_digest != version.digest:
        return deny(
            _("The report is about other bytes than the version has now. Evaluate it again."), url=page
        )
    if report.verdict != Gates.PASSED:
        return deny(
            _("The report's gates are %(verdict)s. Only a passed report opens a release.")
            % {"verdict": report.verdict}
        )
    demands = demands_of(version.capability) if demands is None else demands
    against = [*report.run.suite.gates, *(gate for demand in demands for gate in demand.gates)]
    compared = _compared_with_the_present(report, version, page, against)
    return _meets(report, demands) if compared else compared


def _meets(report: Report, demands: Sequence[Demand]) -> Verdict:
    """Whether the report passes each gate that is asked beside its suite; the first that it does not is named."""
    for demand in demands:
        for result in judged(report, demand):
            if result.verdict != Gates.PASSED:
                told = {"by": demand.by, "gate": result.gate.words(), "why": result.reason}
                return deny(_("%(by)s asks for %(gate)s, beside the suite. The report says: %(why)s.") % told)
    return allow()


def _compared_with_the_present(
    report: Report, version: Version, page: str, gates: Sequence[Mapping[str, Any]]
) -> Verdict:
    """Where it matters: what it was compared with answers calls still, or nothing else does."""
    present = [each for each in production_versions(version.capability) if each.pk != version.pk]
    before = report.run.production.version if report.run.production else None
    against = any(gate.get("relative") for gate in gates)
    if not against or not present or before in present:
        return allow()
    told = {"present": present[0].number, "before": before.number if before else ""}
    if before is None:
        words = _(
            "Gates compare with production. Nothing was there when this report was made, and %(present)s is now."
            " Evaluate the version again."
        )
    else:
        words = _(
            "Gates compare with production. This report does with %(before)s, and %(present)s is there now."
            " Evaluate the version again."
        )
    return deny(words % told, url=page)


def _why_no_report(version: Version, suite: Suite | None) -> str:
    """None at all, or none by the suite that counts."""
    if suite is None or latest_report(version) is None:
        return _("There is no evaluation report about this version yet. Evaluate it first.")
    return _(
        "The capability's newest suite is %(suite)s, and there is no report by it about exactly these bytes."
        " Evaluate it first."
    ) % {"suite": suite}


def may_cancel(actor: User, run: Run) -> Verdict:
    """Whoever may start one may end it."""
    return may_act_as(actor, run.version.capability.team, Role.DEVELOPER, Role.QA)


def may_claim(actor: User, capability: Capability) -> Verdict:
    """The team's developers, QA and operators speak for how their capability is made."""
    return may_see_evaluations(actor, capability)
