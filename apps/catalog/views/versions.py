"""Uploading a version, and the page that shows what became of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.catalog import pictures, services
from apps.catalog.forms import UploadForm, VersionDeprecationForm
from apps.catalog.models import Capability, Version
from apps.catalog.origins import read_origin
from apps.catalog.policy import (
    may_add_version,
    may_deprecate_version,
    may_edit_parsing_rules,
    may_package_version,
    may_retire_version,
)
from apps.catalog.selectors import (
    contract_with,
    failures_of,
    next_patch,
    open_file,
    packaged_before,
    rules_of,
    successors_of,
    suggested_number,
    text_of,
)
from apps.catalog.services.locking import JOB_KIND as LOCKING
from apps.catalog.uses import QUIET_DAYS, uses_of
from apps.catalog.views.capabilities import built, show_error
from apps.compute.models import Job
from apps.compute.policy import may_cancel_job
from apps.compute.selectors import job_log
from apps.core import archives, naming
from apps.core.errors import Invalid, NotFound
from apps.core.policy import require
from apps.core.telling import in_words
from apps.core.urns import urn
from apps.datasets.forms import uploads_of
from atrium.graph import FILE as GRAPH
from atrium.graph import read_graph
from atrium.package import STEPS
from atrium.signature import columns_of, parse_signature

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User

_USES = 20
_STEP_NAMES = {
    "environment": gettext_lazy("Choose the environment"),
    "read": gettext_lazy("Find the model"),
    "signature": gettext_lazy("Read signature and rules"),
    "load": gettext_lazy("Load the model"),
    "cases": gettext_lazy("Run the cases"),
    "convert": gettext_lazy("Convert to ONNX"),
    "quantise": gettext_lazy("Try int8"),
    "measure": gettext_lazy("Measure time and size"),
    "write": gettext_lazy("Write the package"),
    "check": gettext_lazy("Load it as a runner does"),
    "store": gettext_lazy("Store the files"),
}
_LOG_BYTES = 16_000


@login_required
@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest, slug: str) -> HttpResponse:
    """Send a model: a folder, a zip or tar, one file. The script sends it with progress and reads JSON back."""
    capability = built(request, slug)
    user = cast("User", request.user)
    require(may_add_version(user, capability))
    form = UploadForm(
        request.POST if request.method == "POST" else None,
        user=user,
        initial={"number": suggested_number(capability)},
    )
    if request.method == "POST" and form.is_valid():
        try:
            version = _receive(request, capability, form.cleaned_data, user)
        except Invalid as error:
            if _by_script(request):
                return JsonResponse({"message": error.message, "fields": error.fields}, status=422)
            show_error(form, error)
        else:
            address = reverse("catalog:version", args=[slug, version.number])
            return JsonResponse({"url": address}, status=201) if _by_script(request) else redirect(address)
    elif request.method == "POST" and _by_script(request):
        fields = {name: " ".join(str(text) for text in texts) for name, texts in form.errors.items()}
        return JsonResponse({"message": " ".join(fields.values()), "fields": fields}, status=422)
    context = {"form": form, "capability": capability}
    return render(request, "catalog/upload.html", context)


def _by_script(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "") == "application/json"


def _receive(request: HttpRequest, capability: Capability, values: dict[str, Any], user: User) -> Version:
    names = ("dataset_version", "code_digest", "training_job", "parameters")
    origin = read_origin(by=user, **{name: values[name] for name in names})
    files = archives.store(uploads_of(request))
    version = services.create_version(
        capability,
        values["number"],
        files=files,
        by=user,
        changelog=values["changelog"],
        dataset_version=origin.dataset_version,
        code_digest=origin.code_digest,
        training_job_urn=origin.training_job_urn,
        parameters=origin.parameters,
    )
    services.package_version(version, by=user)
    return version


def version_of(request: HttpRequest, slug: str, number: str) -> Version:
    """The version of an address, for somebody who may see its workshop pages. Raises NotFound, NotAllowed."""
    capability = built(request, slug)
    version = capability.versions.select_related("created_by", "successor").filter(number=number).first()
    if version is None:
        raise NotFound(
            _("%(name)s has no version %(number)s.") % {"name": capability.name, "number": number[:64]}
        )
    version.capability = capability
    return version


def _state_of(version: Version, user: User) -> dict[str, Any]:
    """What the packaging fragment shows."""
    job = Job.objects.filter(pk=version.job_id).first() if version.job_id else None
    log = b""
    told = version.report.get("told") or {}
    report = in_words(version.report, told)
    retirable = bool(Version.lifecycle.can(version, "retired") and may_retire_version(user, version))
    if version.status == Version.Status.FAILED and job is not None:
        log = log_of_step(job_log(job, 0, 1 << 22)[0], str(version.failure.get("step", "")))[-_LOG_BYTES:]
    return {
        "version": version,
        "capability": version.capability,
        "failure": in_words(version.failure, told),
        "failed_step": _STEP_NAMES.get(str(version.failure.get("step", "")), version.failure.get("step", "")),
        "job": job,
        "may_stop": job is not None and not job.cancel_requested_at and may_cancel_job(user, job),
        "doing": _(job.progress_message) if job is not None and job.progress_message else "",
        "steps": _steps_of(version, job, report),
        "log": log.decode(errors="replace"),
        "may_package": may_package_version(user, version),
        "can_package": Version.lifecycle.can(version, "packaging"),
        "can_retire": retirable,
        "uses": uses_of(version)[:_USES] if retirable and version.status == Version.Status.PACKAGED else [],
        "quiet_days": QUIET_DAYS,
        "columns": columns_of(version.signature),
        "conversion": report.get("conversion") or {},
        "quantisation": report.get("quantisation") or {},
        "golden": report.get("golden") or {},
        "agreement": _agreement_of(report),
        "variants": _variants_of(report),
        "next_patch": next_patch(version),
        "cases": report.get("cases") or [],
        "notes": report.get("notes") or [],
        "environment": report.get("environment") or {},
        "can_use_base": version.status == Version.Status.FAILED
        and version.failure.get("step") == "environment",
    }


def log_of_step(log: bytes, step: str) -> bytes:
    """What a step wrote: packaging begins each with a line "<step>: …"; all of it when there is no such line."""
    at = log.find(f"\n{step}: ".encode()) if step else -1
    return log[at + 1 :] if at >= 0 else log


def _agreement_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Per output what the conversion and int8 may differ by and do differ by."""
    converted = (report.get("conversion") or {}).get("outputs") or {}
    quantised = (report.get("quantisation") or {}).get("outputs") or {}
    return [
        {"name": name, "converted": converted.get(name), "quantised": quantised.get(name)}
        for name in dict.fromkeys([*converted, *quantised])
    ]


def _variants_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Size and time of the model as handed in, as served, and as int8 where that is offered."""
    size, latency = report.get("size") or {}, report.get("latency") or {}
    quantised = report.get("quantisation") or {}
    rows = [
        {"label": _("as handed in"), "size": size.get("before"), "latency": latency.get("before") or {}},
        {"label": _("as served"), "size": size.get("after"), "latency": latency.get("after") or {}},
    ]
    if quantised.get("size") and not quantised.get("chosen"):
        rows.append(
            {"label": _("as int8"), "size": quantised["size"], "latency": quantised.get("latency") or {}}
        )
    return rows if latency else []


def _composite_of(version: Version) -> dict[str, Any] | None:
    """The picture of a composite's graph and its pinned members; None for any other version."""
    facts = version.parameters.get("composite")
    if not isinstance(facts, dict) or GRAPH not in version.source_manifest:
        return None
    pinned = facts.get("members") or {}
    found = {each.pk: each for each in Version.objects.filter(pk__in=[m["version"] for m in pinned.values()])}
    members = {name: found[entry["version"]] for name, entry in pinned.items() if entry["version"] in found}
    try:
        signatures = {name: parse_signature(member.signature) for name, member in members.items()}
        graph = read_graph(json.loads(text_of(version, GRAPH)), signatures)
    except ValueError:
        return {"members": pinned, "picture": None}
    names = {name: f"{entry['capability']} {entry['number']}" for name, entry in pinned.items()}
    return {"members": pinned, "picture": pictures.draw(graph, names)}


def _origin_of(version: Version, user: User) -> dict[str, naming.Named]:
    """Data set version and training job by name, as far as they are known."""
    known = {"dataset": version.dataset_version_urn, "job": version.training_job_urn}
    named = naming.names_of([each for each in known.values() if each], user)
    return {name: named[each] for name, each in known.items() if each}


def _steps_of(version: Version, job: Job | None, report: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps as reported, or, while the job runs, as far as its progress tells."""
    if report.get("steps"):
        return [{**step, "title": _STEP_NAMES.get(step["name"], step["name"])} for step in report["steps"]]
    if version.status != Version.Status.PACKAGING or job is None:
        return []
    done = round(job.progress * len(STEPS)) if job.progress is not None else 0
    if job.kind == LOCKING:
        done = 0
    steps = []
    for index, name in enumerate(STEPS):
        status = "done" if index < done else "running" if index == done else "waiting"
        message = _(job.progress_message) if status == "running" and job.progress_message else ""
        steps.append(
            {"name": name, "title": _STEP_NAMES[name], "status": status, "message": message, "seconds": None}
        )
    return steps


@login_required
@require_GET
def detail(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """One version: packaging, signature, cases, files, lineage, and what can be done with it."""
    version = version_of(request, slug, number)
    context = _state_of(version, cast("User", request.user)) | {
        "lineage": naming.lineage_of(version, request.user),
        "here": urn(version),
        "origin": _origin_of(version, cast("User", request.user)),
        "composite": _composite_of(version),
        "contract": contract_with(packaged_before(version), version),
        "parsing": rules_of(version),
        "rule_failures": failures_of(version),
        "may_parse": may_edit_parsing_rules(cast("User", request.user), version),
        "deprecation": _deprecation_form(version, cast("User", request.user)),
        "files": sorted((version.manifest or version.source_manifest).items())[:500],
    }
    return render(request, "catalog/version.html", context)


def _deprecation_form(version: Version, user: User) -> VersionDeprecationForm | None:
    """What a developer may tell the callers of a version, with what was told before."""
    if version.status != Version.Status.PACKAGED or not may_deprecate_version(user, version):
        return None
    named = version.successor.number if version.successor else ""
    told = {"retires_on": version.retires_on, "note": version.deprecation_note, "successor": named}
    offered = dict.fromkeys([*([named] if named else []), *successors_of(version)])
    return VersionDeprecationForm(initial=told, successors=list(offered))


@login_required
@require_GET
def state(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """The part of the page that changes while it is packaged; it asks for itself until then."""
    version = version_of(request, slug, number)
    response = render(request, "catalog/_packaging.html", _state_of(version, cast("User", request.user)))
    if version.status != Version.Status.PACKAGING:
        response["HX-Refresh"] = "true"
    return response


@login_required
@require_POST
def package(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Package it, or again after a failure."""
    version = version_of(request, slug, number)
    user = cast("User", request.user)
    if request.POST.get("environment") == "base":
        services.package_in_base(version, by=user)
    else:
        services.package_version(version, by=user)
    return redirect("catalog:version", slug=slug, number=number)


@login_required
@require_POST
def quantise(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Make the int8 version that packaging offers."""
    version = version_of(request, slug, number)
    user = cast("User", request.user)
    made = services.create_int8_version(
        version, request.POST.get("number", "").strip() or next_patch(version), by=user
    )
    services.package_version(made, by=user)
    messages.success(request, _("The int8 version is being packaged and compared once more."))
    return redirect("catalog:version", slug=slug, number=made.number)


@login_required
@require_POST
def retire(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Take it out of use."""
    services.retire_version(version_of(request, slug, number), by=cast("User", request.user))
    messages.success(request, _("The version is retired: it cannot be deployed any more."))
    return redirect("catalog:version", slug=slug, number=number)


@login_required
@require_POST
def deprecate(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Tell its callers that it will go."""
    version = version_of(request, slug, number)
    form = VersionDeprecationForm(request.POST, successors=[request.POST.get("successor", "")])
    if not form.is_valid():
        raise Invalid(_("The date cannot be read. Write it as year-month-day."))
    services.deprecate_version(version, by=cast("User", request.user), **form.cleaned_data)
    messages.success(request, _("Its callers are told, by every answer and by a notice."))
    return redirect("catalog:version", slug=slug, number=number)


@login_required
@require_POST
def keep(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Take the deprecation back."""
    services.keep_version(version_of(request, slug, number), by=cast("User", request.user))
    messages.success(request, _("The version is no longer deprecated."))
    return redirect("catalog:version", slug=slug, number=number)


@login_required
@require_GET
def file(request: HttpRequest, slug: str, number: str, path: str) -> FileResponse:
    """One file of the package, or of the upload as long as there is no package. Only ever downloaded."""
    return FileResponse(
        open_file(version_of(request, slug, number), path),
        as_attachment=True,
        filename=path.rsplit("/", 1)[-1],
        content_type="application/octet-stream",
    )
