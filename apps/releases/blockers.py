"""What stands between a version and production: each with where to go, and a cell that does it."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _

from apps.catalog.models import Version
from apps.evaluation.demands import demands_of, judged
from apps.evaluation.gates import Verdict, in_words
from apps.evaluation.models import Report, Run
from apps.evaluation.selectors import content_of, deciding_report, latest_suite
from apps.releases import replays
from apps.releases.content import present_digest
from apps.releases.findings import EVERYTHING, most_percent
from apps.releases.models import Conclusion, Release, Replay, Stage
from apps.releases.rollout import active_stage
from apps.requests.services import who_can_still_decide


@dataclass(frozen=True)
class Blocker:
    """`code` for programs, `words` for people, `url` of the page, `cell` as a line of Python or empty."""

    code: str
    words: str
    url: str
    cell: str = ""


def blockers_of(version: Version) -> list[Blocker]:
    """In the order in which they have to be removed; empty when the version is released."""
    if version.status != Version.Status.PACKAGED:
        words = _("Version %(number)s is %(status)s; it has to be packaged.") % {
            "number": version.number,
            "status": version.get_status_display().lower(),
        }
        page = reverse("catalog:version", args=[version.capability.slug, version.number])
        return [Blocker("packaging", words, page)]
    release = Release.objects.filter(version=version).order_by("-pk").select_related("request").first()
    if release is not None and release.status not in (Release.Status.REJECTED, Release.Status.VOIDED):
        return _of_release(release)
    return _of_report(version, release)


def _of_report(version: Version, release: Release | None) -> list[Blocker]:
    start = reverse("evaluation:start", args=[version.pk])
    again = f'atrium.Portal().post("evaluations/", {{"version": {version.pk}}})'
    suite, report = latest_suite(version.capability), deciding_report(version)
    if suite is None:
        words = _("The capability has no suite: nobody has said what its versions must reach.")
        return [Blocker("suite", words, reverse("evaluation:suites", args=[version.capability.slug]))]
    if report is None:
        run = Run.objects.filter(version=version, suite=suite).order_by("-pk").first()
        if run is not None and run.status in (Run.Status.DEPLOYING, Run.Status.MEASURING):
            return [
                Blocker(
                    "evaluating", _("The evaluation is under way."), reverse("evaluation:run", args=[run.pk])
                )
            ]
        words = _("There is no report by suite %(suite)s about exactly these bytes.") % {"suite": suite}
        return [Blocker("evaluation", words, start, again)]
    if report.verdict != Verdict.PASSED:
        page = reverse("evaluation:report", args=[report.pk])
        return [
            Blocker(f"gate-{gate['verdict']}", f"{gate['words']}: {gate['reason']}", page)
            for gate in in_words(content_of(report))
            if gate["verdict"] != Verdict.PASSED
        ]
    if lacking := _of_demands(version, report):
        return lacking
    words = _("No release is open.")
    if release is not None:
        words = _("The last release was %(status)s: %(why)s") % {
            "status": release.get_status_display().lower(),
            "why": release.reason_words,
        }
    page = reverse("evaluation:report", args=[report.pk])
    return [
        Blocker("release", words, page, f'atrium.Portal().post("releases/", {{"version": {version.pk}}})')
    ]


def _of_demands(version: Version, report: Report) -> list[Blocker]:
    """Gates that the release policy asks for beside the suite's, and this report does not pass."""
    page = reverse("evaluation:report", args=[report.pk])
    return [
        Blocker(f"gate-{result.verdict}", f"{demand.by}: {result.gate.words()}: {result.reason}", page)
        for demand in demands_of(version.capability)
        for result in judged(report, demand)
        if result.verdict != Verdict.PASSED
    ]


def _of_release(release: Release) -> list[Blocker]:
    page = reverse("releases:detail", args=[release.pk])
    found = [
        Blocker(
            "finding",
            _("%(who)s found: %(text)s (at most %(most)d %% of the traffic)")
            % {"who": finding.raised_by.called, "text": finding.text, "most": finding.most_percent},
            page,
        )
        for finding in release.findings.filter(closed_at=None).select_related("raised_by")
    ]
    if release.status == Release.Status.SIGNING:
        return [_signatures(release, page), *found]
    if release.status == Release.Status.SIGNED:
        if present_digest(release) != release.content_digest:
            return [Blocker("void", _("What was signed has changed; the signature is void."), page)]
        cell = f'atrium.Portal().post("releases/{release.pk}/start/", {{}})'
        return [*found, Blocker("start", _("Signed. An operator has to start it."), page, cell)]
    if release.status in (Release.Status.ROLLING, Release.Status.PAUSED):
        asked = replays.waiting(release)
        words = _("Subscribers that may still object to what it answers to their calls: %(n)d.") % {
            "n": asked
        }
        found += [_stage(release, page), *([Blocker("consent", words, page)] if asked else [])]
        objecting = release.replays.filter(status=Replay.Status.OBJECTED).count()
        if objecting and any(each.code == "samples" for each in found):
            words = _("Calls of subscribers who object go to the old version and do not count here: %(n)d.")
            found.append(Blocker("objections", words % {"n": objecting}, f"{page}#objections"))
            if Conclusion.objects.filter(stage__release=release, status=Conclusion.Status.ASKED).exists():
                words = _("A second person has to agree that the stage is concluded on replayed calls.")
                found.append(Blocker("conclusion", words, f"{page}#objections"))
        return found
    if release.status == Release.Status.ROLLED_BACK:
        return [
            Blocker("rolled-back", _("It was rolled back: %(why)s") % {"why": release.reason_words}, page)
        ]
    return found if most_percent(release) < EVERYTHING else []


def _signatures(release: Release, page: str) -> Blocker:
    people = who_can_still_decide(release.request) if release.request else []
    there = release.signatures.count()
    wanted = sum(int(item.get("count", 1)) for item in release.policy.signers)
    words = _("%(there)d of %(wanted)d signatures; these can still sign: %(people)s") % {
        "there": there,
        "wanted": wanted,
        "people": ", ".join(user.called for user in people) or _("nobody"),
    }
    return Blocker("signatures", words, page)


def _stage(release: Release, page: str) -> Blocker:
    stage = active_stage(release)
    if release.status == Release.Status.PAUSED:
        cell = f'atrium.Portal().post("releases/{release.pk}/resume/", {{}})'
        return Blocker("paused", release.reason_words or _("The release is paused."), page, cell)
    if stage is None:
        return Blocker("starting", _("The candidate is starting."), page)
    if stage.outcome == "success":
        words = _("The shadow stage is a success; an operator promotes it.")
        if stage.weight:
            told = {"weight": stage.weight}
            words = _("The stage of %(weight)d %% is a success; an operator promotes it.") % told
        return Blocker(
            "promote", words, page, f'atrium.Portal().post("releases/{release.pk}/promote/", {{}})'
        )
    return Blocker("samples", _still_missing(stage), page)


def _still_missing(stage: Stage) -> str:
    told = {"weight": stage.weight, "missing": stage.evidence.get("missing")}
    if told["missing"] is None:
        counted = _("Stage of %(weight)d %%: its calls are being counted") % told
        return counted if stage.weight else _("Shadow stage: its calls are being counted")
    if stage.weight:
        return _("Stage of %(weight)d %%: %(missing)s more calls") % told
    return _("Shadow stage: %(missing)s more mirrored calls") % told
