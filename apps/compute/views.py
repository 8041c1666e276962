"""Pages of jobs and of the machines that run them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import F
from django.http import FileResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.policy import may_administer
from apps.compute import job_data, services
from apps.compute.charts import reports_chart, usage_chart
from apps.compute.engines import sandbox
from apps.compute.forms import HostForm, ScriptForm, names_sent, picked
from apps.compute.labels import LEVEL_LABELS, hold_labels, why_not
from apps.compute.ledger import CPU_SHARES_PER_CORE
from apps.compute.models import AllowedHost, Job, Node
from apps.compute.panels import panels_for
from apps.compute.policy import may_cancel_job, may_retry_job, may_see_nodes
from apps.compute.selectors import (
    advice_on,
    allowed_hosts,
    egress_records,
    job_log,
    job_output,
    job_visible_to,
    jobs_visible_to,
    kinds_visible_to,
    log_parts,
    nodes,
    queue_position,
    teams_to_submit_for,
    this_machine,
    usage_of,
    why_nothing_starts,
)
from apps.compute.services import cancel_job, retry_job, submit_script
from apps.core.errors import Invalid, NotFound
from apps.core.paging import keyset
from apps.core.policy import require

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User

FIRST_BYTES = 65_536


@login_required
@require_GET
def job_list(request: HttpRequest) -> HttpResponse:
    """Jobs of one's teams, newest first."""
    asked = {name: request.GET.get(name, "") for name in ("status", "kind", "q", "mine")}
    rows = jobs_visible_to(request.user)
    if asked["status"] in Job.Status.values:
        rows = rows.filter(status=asked["status"])
    if asked["kind"]:
        rows = rows.filter(kind=asked["kind"])
    if asked["mine"]:
        rows = rows.filter(created_by_id=request.user.pk)
    if asked["q"]:
        rows = rows.filter(title__icontains=asked["q"][:100])
    rows = rows.defer("reports", "params", "result", "outputs", "inputs", "files", "variables", "argv")
    rows = rows.annotate(told=F("result__told"))  # for the reason in the reader's language
    context = {
        "page": keyset(rows, ("-pk",), request.GET.get("cursor", ""), 30),
        "asked": asked,
        "filtered": any(asked.values()),
        "statuses": Job.Status.choices,
        "kinds": kinds_visible_to(request.user),
        "may_submit": teams_to_submit_for(request.user).exists(),
    }
    return render(request, "compute/list.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Run a script or a notebook, without a workspace."""
    user = cast("User", request.user)
    form = ScriptForm(request.POST or None, request.FILES or None, user=user)
    if request.method == "POST" and form.is_valid():
        try:
            job = submit_script(**form.facts(), by=user)
        except Invalid as error:
            wrong = (
                "file" if "notebook" in error.fields else "datasets" if "datasets" in error.fields else None
            )
            form.add_error(wrong, error.message)
        else:
            return redirect("jobs:detail", job.pk)
    status = 422 if form.errors else 200
    return render(request, "compute/new.html", {"form": form}, status=status)


@login_required
@require_GET
def data(request: HttpRequest) -> HttpResponse:
    """The list of a form's picker of data: what is chosen stays, then what the words find."""
    asked = request.GET
    field = asked.get("field", "")[:100]
    words = asked.get("words", "")[:100].replace("\0", "")
    single, optional = asked.get("single") == "1", asked.get("optional") == "1"
    names = names_sent(asked, field)
    context = picked(cast("User", request.user), field, names, words=words, single=single, optional=optional)
    return render(request, "components/_picked.html", context)


def _state_of(request: HttpRequest, job: Job) -> dict[str, Any]:
    return {
        "job": job,
        "advice": advice_on(job),
        "may_cancel": may_cancel_job(request.user, job),
        "may_retry": may_retry_job(request.user, job),
        "waits": (why_nothing_starts() or job.reason_words) if job.status == Job.Status.QUEUED else "",
        "position": queue_position(job) if job.status == Job.Status.QUEUED else None,
        "seconds": job.running_s if job.started_at else None,
        "attempts": list(job.attempts.order_by("-number")[:20]),
        "limit_mb": job.resources.get("memory_mb"),
    }


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One job with its live log."""
    job = job_visible_to(request.user, pk)
    head, _offset = job_log(job, 0, FIRST_BYTES)
    context = {**_state_of(request, job), "head": head.decode(errors="replace"), "panels": panels_for(job)}
    context |= _usage(job) | {"socket": f"/ws/jobs/{job.pk}/"}
    context["data"], context["hidden_data"] = job_data.given_to(job, reader=cast("User", request.user))
    return render(request, "compute/detail.html", context)


@login_required
@require_GET
def state(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of a job's page that changes; the page asks for it when the socket tells of a change."""
    return render(request, "compute/_state.html", _state_of(request, job_visible_to(request.user, pk)))


def _usage(job: Job) -> dict[str, Any]:
    samples = usage_of(job)
    limit = float(job.resources.get("memory_mb", 0))
    return {
        "job": job,
        "usage": usage_chart(samples, limit) if len(samples) > 1 else None,
        "reported": reports_chart(job.reports),
    }


@login_required
@require_GET
def usage(request: HttpRequest, pk: int) -> HttpResponse:
    """The chart of memory and cores; it asks for itself while the job runs."""
    return render(request, "compute/_usage.html", _usage(job_visible_to(request.user, pk)))


@login_required
@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """End a job; goes on to `next`, a page of the portal, or to the job's own."""
    job = cancel_job(job_visible_to(request.user, pk), by=cast("User", request.user))
    done = _("The job is cancelled.") if job.ended else _("The job is being stopped.")
    messages.success(request, done)
    onward = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(onward, allowed_hosts={request.get_host()})
    return redirect(onward) if safe else redirect("jobs:detail", pk)


@login_required
@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Queue a job anew."""
    retry_job(job_visible_to(request.user, pk), by=cast("User", request.user))
    messages.success(request, _("The job is queued again."))
    return redirect("jobs:detail", pk)


@login_required
@require_GET
def log(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The whole log of an attempt as a file."""
    job = job_visible_to(request.user, pk)
    asked = request.GET.get("attempt", "")
    attempt = int(asked) if re.fullmatch(r"[1-9]\d{0,4}", asked) else job.attempt
    answer = StreamingHttpResponse(log_parts(job, attempt or None), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="job-{job.pk}-{attempt}.log"'
    return answer


@login_required
@require_GET
def output(request: HttpRequest, pk: int, path: str) -> FileResponse:
    """One file that a job left."""
    handle, name = job_output(job_visible_to(request.user, pk), path)
    return FileResponse(handle, as_attachment=True, filename=name)


@login_required
@require_GET
def machine(request: HttpRequest) -> HttpResponse:
    """The sandbox, what it holds, what runs and what is left: for administrators."""
    require(may_administer(request.user))
    found = this_machine()
    weaker = why_not(found.sandbox)
    cores = _("Processor cores")
    if not settings.ATRIUM.node_cpu:
        cores = _("Processor cores, each given out %(n)d times") % {"n": CPU_SHARES_PER_CORE}
    rows = [("cpu", cores), ("memory_mb", _("Memory in MB")), ("gpu", _("Graphics cards"))]
    context = {
        "machine": found,
        "level": found.sandbox,
        "level_label": LEVEL_LABELS[found.sandbox.name],
        "levels": [
            {
                "name": name,
                "label": LEVEL_LABELS[name],
                "holds": holds,
                "why_not": weaker.get(name, ""),
            }
            for name, holds in sandbox.LEVELS.items()
        ],
        "holds": hold_labels(),
        "amounts": [
            {
                "label": label,
                "used": round(getattr(found.used, name), 1),
                "all": int(getattr(found.capacity, name)),
            }
            for name, label in rows
        ],
    }
    return render(request, "compute/machine.html", context)


MOST_NODES = 200


@login_required
@require_GET
def node_list(request: HttpRequest) -> HttpResponse:
    """The machines that run workloads, and what they bear: for operators and administrators."""
    require(may_see_nodes(request.user))
    rows = nodes()[:MOST_NODES]
    return render(request, "compute/nodes.html", {"nodes": rows, "may_change": may_administer(request.user)})


@login_required
@require_POST
def drain(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a node take nothing new."""
    node = services.drain_node(_node(request, pk), by=cast("User", request.user))
    messages.success(request, _("%(node)s takes nothing new from now on.") % {"node": node})
    return redirect("jobs:nodes")


@login_required
@require_POST
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a node take work again."""
    node = services.resume_node(_node(request, pk), by=cast("User", request.user))
    messages.success(request, _("%(node)s takes new work again.") % {"node": node})
    return redirect("jobs:nodes")


@login_required
@require_POST
def labels(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a node other labels."""
    words = re.split("[,，、]", request.POST.get("labels", ""))
    node = services.label_node(_node(request, pk), words, by=cast("User", request.user))
    messages.success(request, _("The labels of %(node)s are saved.") % {"node": node})
    return redirect("jobs:nodes")


@login_required
@require_POST
def remove_node(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget a silent node."""
    services.remove_node(_node(request, pk), by=cast("User", request.user))
    return redirect("jobs:nodes")


def _node(request: HttpRequest, pk: int) -> Node:
    require(may_see_nodes(request.user))
    found = nodes().filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no node %(pk)d.") % {"pk": pk})
    return found


@login_required
@require_http_methods(["GET", "POST"])
def network(request: HttpRequest) -> HttpResponse:
    """The hosts that sandboxes may reach, and what they asked for: for administrators."""
    require(may_administer(request.user))
    form = HostForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        try:
            made = services.allow_host(asked["pattern"], note=asked["note"], by=cast("User", request.user))
        except Invalid as error:
            form.add_error("pattern", error.message)
        else:
            messages.success(request, _("Sandboxes may reach %(host)s now.") % {"host": made})
            return redirect("jobs:network")
    refused = request.GET.get("view") == "refused"
    rows = egress_records(allowed=False if refused else None)
    page = keyset(rows, ("-last_at", "-pk"), request.GET.get("cursor", ""), 50)
    context = {"form": form, "hosts": allowed_hosts()[:2000], "page": page, "refused": refused}
    return render(request, "compute/network.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def set_host_enabled(request: HttpRequest, pk: int) -> HttpResponse:
    """Switch an entry of the list on or off."""
    services.set_host_enabled(
        _host(pk), enabled=request.POST.get("enabled") == "1", by=cast("User", request.user)
    )
    return redirect("jobs:network")


@login_required
@require_POST
def remove_host(request: HttpRequest, pk: int) -> HttpResponse:
    """Take an entry off the list."""
    services.remove_host(_host(pk), by=cast("User", request.user))
    return redirect("jobs:network")


def _host(pk: int) -> AllowedHost:
    found = AllowedHost.objects.filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no entry %(pk)d on the list.") % {"pk": pk})
    return found
