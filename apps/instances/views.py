"""Operations: what runs, one deployment, traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.catalog.policy import may_build
from apps.catalog.selectors import get_capability, get_version
from apps.compute.selectors import why_no_node
from apps.core.errors import Invalid, PortalError
from apps.core.paging import keyset
from apps.core.policy import require
from apps.core.telling import spoken
from apps.instances import services, testkeys
from apps.instances.alerts import alerts_of
from apps.instances.forms import DeployForm, PlaceForm, ScaleForm, ShadowForm, WeightsForm
from apps.instances.guard import may_be_given_by_hand, may_divide_by_hand, may_take_production_traffic
from apps.instances.models import Deployment, Replica
from apps.instances.policy import may_change, may_deploy, may_set_weights
from apps.instances.reconcile import log_tail
from apps.instances.selectors import (
    deployments,
    deployments_of,
    deployments_visible_to,
    get_deployment,
    labels_before,
    shadow_of,
    weights_of,
)

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User
    from apps.catalog.models import Capability, Version

LOG_LINES = 200


@login_required
@require_GET
def operations(request: HttpRequest) -> HttpResponse:
    """All deployments of my teams with state, replicas, load and the last error."""
    rows = deployments_visible_to(request.user)
    show = request.GET.get("show", "living")
    if show == "living":
        rows = rows.exclude(status=Deployment.Status.STOPPED)
    elif show in Deployment.Kind.values:
        rows = rows.exclude(status=Deployment.Status.STOPPED).filter(kind=show)
    page = keyset(rows, ("-pk",), request.GET.get("cursor", ""), 30)
    template = "instances/_deployments.html" if request.headers.get("HX-Request") else "instances/list.html"
    return render(request, template, {"page": page, "rows": _with_load(page.items), "show": show})


def _with_load(rows: list[Deployment]) -> list[Deployment]:
    """Each deployment with the sums over its replicas."""
    for row in rows:
        replicas = list(row.replica_set.all())
        row.ready_count = sum(each.status == "ready" for each in replicas)  # type: ignore[attr-defined]
        row.memory_sum = sum(each.memory_mb for each in replicas)  # type: ignore[attr-defined]
        row.cpu_sum = sum(each.cpu_share for each in replicas)  # type: ignore[attr-defined]
        row.restart_sum = sum(each.restarts for each in replicas)  # type: ignore[attr-defined]
        row.weight = row.traffic.weight if hasattr(row, "traffic") else 0  # type: ignore[attr-defined]
    return rows


@login_required
@require_GET
def of_version(request: HttpRequest, version: int) -> HttpResponse:
    """Where a version runs: a fragment of its page."""
    found = get_version(version, user=request.user)
    require(may_build(request.user, found.capability))
    rows = deployments_of(found).exclude(status=Deployment.Status.STOPPED)[:20]
    return render(request, "instances/_of_version.html", {"rows": _with_load(list(rows)), "version": found})


@login_required
@require_http_methods(["GET", "POST"])
def deploy(request: HttpRequest, version: int) -> HttpResponse:
    """Run a version."""
    user = cast("User", request.user)
    found = get_version(version, user=user)
    require(may_build(user, found.capability))
    form = DeployForm(request.POST if request.method == "POST" else None, initial=_first(found))
    if request.method == "POST" and form.is_valid():
        try:
            deployment = services.deploy_version(
                found,
                kind=form.cleaned_data["kind"],
                by=user,
                replicas=form.cleaned_data["replicas"],
                resources=form.resources(),
                labels=form.cleaned_data["labels"],
            )
        except PortalError as error:
            form.add_error(None, error.message)
        else:
            return redirect("instances:detail", pk=deployment.pk)
    context = {
        "form": form,
        "version": found,
        "may_test": may_deploy(user, found, Deployment.Kind.TEST),
        "may_production": may_deploy(user, found, Deployment.Kind.PRODUCTION),
    }
    return render(request, "instances/deploy.html", context)


def _first(version: Version) -> dict[str, Any]:
    """What the form proposes: to test it, where the capability's newest deployment is."""
    return {"kind": "test", "labels": labels_before(version.capability)}


def _state_of(deployment: Deployment, user: User, asked: str = "") -> dict[str, Any]:
    """`asked` names the replica whose log is shown, else, and when that has ended, it is the newest one's."""
    replicas = list(deployment.replica_set.all())
    named = [each for each in replicas if str(each.pk) == asked]
    read = (named or replicas)[-1] if replicas else None
    return {
        "deployment": _with_load([deployment])[0],
        "replicas": replicas,
        "log": log_tail(read.workload_id, LOG_LINES) if read else "",
        "read": read,
        "is_chosen": bool(named),
        "alerts": alerts_of(deployment),
        "no_node": _no_node(deployment, replicas),
        "may_change": may_change(user, deployment),
        "can_start": deployment.status == Deployment.Status.STOPPED and deployment.host_id is None,
        "has_ended": deployment.status == Deployment.Status.STOPPED,
        "is_moving": deployment.status in ("pending", "starting", "stopping", "failed"),
    }


def _no_node(deployment: Deployment, replicas: list[Replica]) -> str:
    """Which label no node has that replicas wait for, in the reader's language."""
    waits = any(replica.status == Replica.Status.STARTING and not replica.socket for replica in replicas)
    told = why_no_node(deployment.labels) if waits else None
    return spoken(told) if told else ""


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One deployment: replicas, log, and what can be done with it."""
    return _page(request, get_deployment(pk, user=cast("User", request.user)))


def _page(
    request: HttpRequest,
    deployment: Deployment,
    *,
    scale: ScaleForm | None = None,
    place: PlaceForm | None = None,
) -> HttpResponse:
    """The page with its forms, or with one that was refused."""
    user = cast("User", request.user)
    version = deployment.version
    version.capability = deployment.capability
    context = _state_of(deployment, user, request.GET.get("replica", "")) | {
        "place": place or PlaceForm(initial={"labels": deployment.labels}),
        "scale": scale or ScaleForm(initial={"replicas": deployment.replicas}),
        "may_call": testkeys.may_make(user, deployment),
        "guard": may_take_production_traffic(version)
        if weights_of(deployment.capability).get(deployment.pk)
        else may_be_given_by_hand(version),
    }
    return render(request, "instances/detail.html", context, status=422 if scale or place else 200)


@login_required
@require_GET
def state(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that changes."""
    user = cast("User", request.user)
    deployment = get_deployment(pk, user=user)
    context = _state_of(deployment, user, request.GET.get("replica", ""))
    return render(request, "instances/_state.html", context)


@login_required
@require_POST
def stop(request: HttpRequest, pk: int) -> HttpResponse:
    """End a deployment."""
    user = cast("User", request.user)
    services.stop_deployment(get_deployment(pk, user=user), by=user)
    messages.success(request, _("It is being stopped."))
    return redirect("instances:detail", pk=pk)


@login_required
@require_POST
def start(request: HttpRequest, pk: int) -> HttpResponse:
    """Run a stopped deployment again."""
    user = cast("User", request.user)
    services.start_deployment(get_deployment(pk, user=user), by=user)
    return redirect("instances:detail", pk=pk)


@login_required
@require_POST
def restart(request: HttpRequest, pk: int) -> HttpResponse:
    """Replace the replicas."""
    user = cast("User", request.user)
    services.restart_deployment(get_deployment(pk, user=user), by=user)
    messages.success(request, _("New replicas start; the old ones go when the new ones answer."))
    return redirect("instances:detail", pk=pk)


@login_required
@require_POST
def scale(request: HttpRequest, pk: int) -> HttpResponse:
    """Another number of replicas."""
    user = cast("User", request.user)
    deployment = get_deployment(pk, user=user)
    form = ScaleForm(request.POST)
    if not form.is_valid():
        require(may_change(user, deployment))
        return _page(request, deployment, scale=form)
    services.scale_deployment(deployment, form.cleaned_data["replicas"], by=user)
    return redirect("instances:detail", pk=pk)


@login_required
@require_POST
def place(request: HttpRequest, pk: int) -> HttpResponse:
    """Other nodes for what starts from now on."""
    user = cast("User", request.user)
    deployment = get_deployment(pk, user=user)
    form = PlaceForm(request.POST)
    if not form.is_valid():
        require(may_change(user, deployment))
        return _page(request, deployment, place=form)
    services.place_deployment(deployment, form.cleaned_data["labels"], by=user)
    messages.success(
        request, _("Replicas that start from now on go there; restart it to move those that run.")
    )
    return redirect("instances:detail", pk=pk)


@login_required
@require_POST
def key(request: HttpRequest, pk: int) -> HttpResponse:
    """A key to a test deployment, for somebody of its team; shown this once."""
    user = cast("User", request.user)
    deployment = get_deployment(pk, user=user)
    secret = testkeys.make(deployment, by=user)
    context = {"deployment": deployment, "secret": secret, "curl": testkeys.curl_line(deployment, secret)}
    template = "instances/_key.html" if request.headers.get("HX-Request") else "instances/key.html"
    response = render(request, template, context)
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_http_methods(["GET", "POST"])
def traffic(request: HttpRequest, slug: str) -> HttpResponse:
    """Divide a capability's production traffic."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    require(may_build(user, capability))
    rows = _production_of(capability)
    form = WeightsForm(
        request.POST if request.method == "POST" else None, deployments=rows, weights=weights_of(capability)
    )
    if request.method == "POST" and form.is_valid():
        try:
            services.set_weights(capability, form.weights(), by=user)
        except PortalError as error:
            form.add_error(None, _with_link(error))
        else:
            messages.success(
                request, _("The traffic is divided anew; it reaches the gateway within seconds.")
            )
            return redirect("instances:traffic", slug=slug)
    context = {
        "capability": capability,
        "rows": [(row, may_be_given_by_hand(row.version)) for row in rows],
        "form": form,
        "may_set": (may_set := may_set_weights(user, capability)),
        "may_divide": may_set and may_divide_by_hand(capability),
    } | _mirrored(capability)
    return render(request, "instances/traffic.html", context)


def _with_link(error: PortalError) -> str:
    """What was wrong, and the page where it can be mended if there is one."""
    url = error.facts.get("url")
    return format_html('{} <a href="{}">{}</a>', error.message, url, _("Go there")) if url else error.message


@login_required
@require_POST
def shadow(request: HttpRequest, slug: str) -> HttpResponse:
    """Mirror a share of the production calls to a deployment, or end that."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    require(may_build(user, capability))
    form = ShadowForm(request.POST, deployments=_may_mirror(capability))
    if not form.is_valid():
        raise Invalid(_("Choose a deployment that runs, and a share from 1 to 100."))
    pk = form.cleaned_data["deployment"]
    chosen = get_deployment(pk, user=user) if pk else None
    services.set_shadow(capability, chosen, form.cleaned_data["percent"], by=user)
    told = (
        _("The mirror is set; it reaches the gateway within seconds.")
        if chosen
        else _("The mirror has ended.")
    )
    messages.success(request, told)
    return redirect("instances:traffic", slug=slug)


def _mirrored(capability: Capability) -> dict[str, Any]:
    """What the traffic page shows of the mirror."""
    now = shadow_of(capability)
    initial = {"deployment": now.deployment_id, "percent": now.percent} if now else {}
    candidates = _may_mirror(capability)
    return {
        "shadow": now,
        "candidates": candidates,
        "shadow_form": ShadowForm(deployments=candidates, initial=initial),
    }


def _may_mirror(capability: Capability) -> list[Deployment]:
    """The deployments that run and answer no production calls."""
    rows = deployments().filter(capability=capability, desired=Deployment.Desired.RUNNING, host=None)
    return list(rows.filter(traffic=None).exclude(status=Deployment.Status.STOPPED).order_by("-pk")[:50])


def _production_of(capability: Capability) -> list[Deployment]:
    rows = deployments().filter(capability=capability, kind=Deployment.Kind.PRODUCTION, host=None)
    return _with_load(list(rows.exclude(status=Deployment.Status.STOPPED).order_by("-pk")[:50]))
