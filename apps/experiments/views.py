"""Pages of experiments: the list with its layers, plans, and what an experiment shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.catalog.selectors import get_capability
from apps.core.errors import Invalid, NotFound
from apps.core.paging import keyset
from apps.core.policy import require
from apps.experiments import plans, services, shown
from apps.experiments.analysis import is_uneven, verdict_of, worth_knowing
from apps.experiments.checks import refusals
from apps.experiments.conclusion import conclusion_of
from apps.experiments.forms import ExperimentForm, initial_again, initial_new, initial_of
from apps.experiments.models import Experiment
from apps.experiments.planning import needed_by, planned
from apps.experiments.policy import may_change_draft, may_see_experiments, may_steer, may_write_experiment
from apps.experiments.selectors import experiments_visible_to, get_experiment, holding, room_of, waiting
from apps.experiments.slices import WHOLE, Slice
from apps.instances.models import Deployment
from apps.releases.policies import policy_for

if TYPE_CHECKING:
    from django.http import HttpRequest

    from apps.accounts.models import User
    from apps.catalog.models import Capability
    from apps.experiments.plans import Asked

PAGE_SIZE = 30
STEERING = {
    "start": (services.start_experiment, gettext_noop("Callers are dealt to the arms from now on.")),
    "pause": (
        services.pause_experiment,
        gettext_noop("All callers follow production again; the slice stays taken."),
    ),
    "end": (services.end_experiment, gettext_noop("Ended: all callers follow production.")),
}


@login_required
@require_GET
def list_experiments(request: HttpRequest) -> HttpResponse:
    """Experiments of my teams, newest first; of one capability with a picture of its layers."""
    user = cast("User", request.user)
    rows, capability = experiments_visible_to(user), None
    if slug := request.GET.get("capability", ""):
        capability = get_capability(slug, user=user)
        require(may_see_experiments(user, capability))
        rows = rows.filter(capability=capability)
    state = request.GET.get("status", "")
    if state in Experiment.Status.values:
        rows = rows.filter(status=state)
    page = keyset(rows, ("-pk",), request.GET.get("cursor", ""), PAGE_SIZE)
    context: dict[str, Any] = {
        "page": page,
        "rows": [(row, verdict_of(row.evidence) if row.started_at else "") for row in page.items],
        "states": Experiment.Status.choices,
        "state": state,
        "capability": capability,
    }
    if capability is not None:
        context |= {
            "layers": _layers(capability),
            "may_write": may_write_experiment(user, capability),
            "waits_for": waiting([capability.pk]).get(capability.pk),
        }
    return render(request, "experiments/list.html", context)


def _layers(capability: Capability) -> dict[str, list[shown.Piece]]:
    """{layer: its bar} for the layers of which something is taken."""
    by_layer: dict[str, list[tuple[Slice, Experiment]]] = {}
    for row in holding(capability):
        by_layer.setdefault(row.layer, []).append((Slice(row.begins, row.ends), row))
    return {layer: shown.bar(there) for layer, there in by_layer.items()}


@login_required
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest, slug: str) -> HttpResponse:
    """Plan an experiment; `?like=` takes over what another one of the capability asked."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    require(may_write_experiment(user, capability))
    like = _number(request.GET.get("like", ""))
    before = experiments_visible_to(user).filter(capability=capability, pk=like).first() if like else None
    initial = initial_again(before) if before else initial_new()
    form = ExperimentForm(capability, request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            made = plans.create_experiment(capability, form.asked(), by=user)
        except Invalid as error:
            _tell(form, error)
        else:
            messages.success(request, _("Planned. Nothing moves until an operator starts it."))
            return redirect("experiments:detail", made.pk)
    return _planning(request, capability, form)


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Write a draft anew."""
    user = cast("User", request.user)
    experiment = get_experiment(pk, user=user)
    require(may_change_draft(user, experiment))
    form = ExperimentForm(experiment.capability, request.POST or None, initial=initial_of(experiment))
    if request.method == "POST" and form.is_valid():
        try:
            plans.change_experiment(experiment, form.asked(), by=user)
        except Invalid as error:
            _tell(form, error)
        else:
            messages.success(request, _("Saved."))
            return redirect("experiments:detail", pk)
    return _planning(request, experiment.capability, form, experiment)


def _tell(form: ExperimentForm, error: Invalid) -> None:
    for name, words in error.fields.items():
        field = form.arms_name if name == "arms" else name
        form.add_error(field if field in form.fields else None, str(words))


def _planning(
    request: HttpRequest, capability: Capability, form: ExperimentForm, experiment: Experiment | None = None
) -> HttpResponse:
    context = {
        "capability": capability,
        "form": form,
        "experiment": experiment,
        "has_metric": policy_for(capability).metric is not None,
    }
    return render(request, "experiments/plan.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def check(request: HttpRequest, slug: str) -> HttpResponse:
    """What the plan of the form would take of its layer, and how many calls it needs; a fragment beside the form."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    require(may_write_experiment(user, capability))
    form = ExperimentForm(capability, request.POST)
    context: dict[str, Any] = {"capability": capability}
    if form.is_valid():
        context |= _checked(capability, form.asked(), but=_number(request.POST.get("experiment", "")))
    return render(request, "experiments/_check.html", context)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _checked(capability: Capability, asked: Asked, *, but: int | None) -> dict[str, Any]:
    room = room_of(capability, asked.layer, size=asked.size, begins=asked.begins, but=but)
    unit = shown.unit_for(Experiment.Measure(asked.measure), policy_for(capability).metric)
    plan = needed_by(capability, asked)
    return {
        "checked": True,
        "layer": asked.layer,
        "mine": room.mine,
        "pieces": shown.bar(room.taken, room.mine),
        "clashes": room.clashes,
        "shares": [(arm.name, arm.share, arm.share * asked.size / WHOLE) for arm in asked.arms],
        "refused": refusals(capability, [arm.version for arm in asked.arms if arm.version]),
        "plan": plan,
        "shown_as": unit,
        "mean": None if plan.mean is None else unit.mean(plan.mean),
    }


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One experiment: its arms, the effect with its interval, and the buttons. htmx asks for the live part alone."""
    user = cast("User", request.user)
    experiment = get_experiment(pk, user=user)
    unit = shown.unit_of(experiment)
    context = {
        "experiment": experiment,
        "arms": shown.arms_shown(experiment),
        "shown_as": unit,
        "worth": round(unit.difference(worth_knowing(experiment)), 6),
        "planned": planned(experiment) if experiment.status == Experiment.Status.DRAFT else None,
        "figure": shown.figure(experiment),
        "verdict": verdict_of(experiment.evidence),
        "starting": [
            arm.name
            for arm in experiment.arms.all()
            if arm.deployment is not None and arm.deployment.status != Deployment.Status.READY
        ],
        "uneven": is_uneven(experiment.evidence),
        "conclusion": conclusion_of(experiment),
        "waits_for": waiting([experiment.capability_id]).get(experiment.capability_id),
        "callers": sum(each["units"] for each in experiment.evidence.get("arms", [])),
        "calls": sum(each["calls"] for each in experiment.evidence.get("arms", [])),
    }
    if request.headers.get("HX-Request"):
        return render(request, "experiments/_live.html", context)
    context |= {"may_steer": may_steer(user, experiment), "may_change": may_change_draft(user, experiment)}
    return render(request, "experiments/detail.html", context)


@login_required
@require_POST
def steer(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Start, pause, end; or throw a draft away."""
    user = cast("User", request.user)
    experiment = get_experiment(pk, user=user)
    if verb == "delete":
        plans.delete_draft(experiment, by=user)
        messages.success(request, _("The draft is gone."))
        return redirect("experiments:list")
    if verb not in STEERING:
        raise NotFound(_("An experiment knows no “%(verb)s”.") % {"verb": verb})
    act, words = STEERING[verb]
    act(experiment, by=user)
    messages.success(request, _(words))
    return redirect("experiments:detail", pk)
