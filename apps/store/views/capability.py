"""A capability's pages in the store: overview, code, versions, usage, plans."""

from __future__ import annotations

import csv
import io
from dataclasses import astuple
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import User
from apps.catalog.models import Capability, Version
from apps.catalog.selectors import get_capability
from apps.compute.forms import names_sent
from apps.core.errors import Invalid, NotFound
from apps.core.paging import keyset
from apps.core.policy import require
from apps.store import panels, selectors, services, snippets, usage_report
from apps.store.checklist import checklist_of
from apps.store.forms import PlanForm, SuccessorForm, TrustedTeamsForm, teams_picked
from apps.store.models import Plan, Subscription
from apps.store.openapi import operations
from apps.store.origins import origins_of
from apps.store.policy import may_offer, may_see_usage, may_try
from apps.store.reusing import reuses
from apps.store.search import similar_to
from apps.store.standing import badges_shown
from apps.store.succession import earliest_day
from atrium.signature import columns_of

_CALLERS = 25
_PLANS = 25
_SHOWN = ("signed", "evaluated", "available", "fresh")


def context_of(request: HttpRequest, slug: str, tab: str) -> dict[str, Any]:
    """What every tab of a capability shows around itself."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    own = selectors.own_subscriptions(user, capability)
    version = selectors.versions_answering([capability]).get(capability.pk)
    return {
        "capability": capability,
        "tab": tab,
        f"tab_{tab}": True,
        "own": own,
        "standing": (standing := selectors.standing_of(capability)),
        "badges": badges_shown(standing, _SHOWN),
        "answering": version,
        "follows": selectors.follows_of(user, capability),
        "may_try": may_try(user, capability),
        "may_offer": may_offer(user, capability),
        "may_see_usage": may_see_usage(user, capability),
    }


@require_safe
@login_required
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """The card, the plans, and the facts at the side."""
    user = cast("User", request.user)
    context = context_of(request, slug, "overview")
    capability: Capability = context["capability"]
    context |= {
        "plans": _offers(capability, context["own"]),
        "version": context["answering"] or selectors.version_to_show(capability),
        "panels": panels.panels_of(request, capability),
        "contacts": selectors.contacts_of(capability),
        "similar": similar_to(capability, user),
        "reuses": reuses(user, capability, context["answering"]),
        "copies": selectors.open_copies(user, capability),
        "teams": selectors.subscriber_counts([capability]).get(capability.pk, 0),
    }
    return render(request, "store/overview.html", context)


@require_POST
@login_required
def follow(request: HttpRequest, slug: str, what: str, verb: str) -> HttpResponse:
    """Follow a capability or its team, or stop."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    verbs = {
        ("capability", "start"): lambda: services.follow_capability(capability, by=user),
        ("capability", "stop"): lambda: services.unfollow_capability(capability, by=user),
        ("team", "start"): lambda: services.follow_team(capability.team, by=user),
        ("team", "stop"): lambda: services.unfollow_team(capability.team, by=user),
    }
    if (what, verb) not in verbs:
        raise NotFound(_("There is nothing here that you may see."))
    verbs[what, verb]()
    if verb == "start":
        messages.success(request, _("You are told of new versions and of the end in time."))
    return redirect("store:capability", slug)


def _offers(capability: Capability, own: list[Subscription]) -> list[tuple[Plan, Subscription | None]]:
    taken = {subscription.plan_id: subscription for subscription in own}
    return [(plan, taken.get(plan.pk)) for plan in selectors.plans_on_offer(capability)]


@require_safe
@login_required
def api(request: HttpRequest, slug: str) -> HttpResponse:
    """Code that calls it, filled in."""
    context = context_of(request, slug, "api")
    capability: Capability = context["capability"]
    version = context["answering"] or selectors.version_to_show(capability)
    key = _a_key(context["own"])
    if version is not None and version.signature:
        inputs = snippets.inputs_of(version.signature, selectors.cases_of(version))
        shown = f"{key}…" if key else "$ATRIUM_KEY"
        context["snippets"] = snippets.snippets(settings.ATRIUM.gateway_url, capability.slug, inputs, shown)
        context |= {"signature": version.signature, "columns": columns_of(version.signature)}
        context["operations"] = operations(selectors.openapi_of(capability, version.number)[1])
    context |= {"version": version, "key_prefix": key, "gateway_url": settings.ATRIUM.gateway_url}
    return render(request, "store/api.html", context)


@require_safe
@login_required
def openapi_file(request: HttpRequest, slug: str) -> HttpResponse:
    """The OpenAPI description of its calls, to be saved or opened by a tool."""
    capability = get_capability(slug, user=cast("User", request.user))
    version, described = selectors.openapi_of(capability, request.GET.get("version", ""))
    response = JsonResponse(described, json_dumps_params={"ensure_ascii": False, "indent": 2})
    response["Content-Disposition"] = f'attachment; filename="{slug}-{version.number}-openapi.json"'
    return response


def _a_key(own: list[Subscription]) -> str:
    """The prefix of a living key of the reader's own subscriptions; empty without one."""
    for subscription in own:
        for key in selectors.keys_of(subscription):
            if key.grant.status == "active":
                return key.grant.prefix
    return ""


@require_safe
@login_required
def versions(request: HttpRequest, slug: str) -> HttpResponse:
    """What there is, since when, and what changed."""
    context = context_of(request, slug, "versions")
    found = Version.objects.filter(capability=context["capability"], status__in=["packaged", "retired"])
    listed = found.order_by("-packaged_at", "-pk").select_related("created_by", "successor")
    wide = ("manifest", "source_manifest", "report")
    shown = list(listed.defer(*wide, *(f"successor__{name}" for name in wide))[:100])
    user = cast("User", request.user)
    origins = origins_of(shown, user=user)
    context["bundled"] = selectors.bundled_versions(user, context["capability"], shown)
    context["versions"] = [(version, origins[version.pk]) for version in shown]
    return render(request, "store/versions.html", context)


@require_safe
@login_required
def usage(request: HttpRequest, slug: str) -> HttpResponse:
    """How much it is called: all of it for the provider, the own teams' calls for a subscriber."""
    context = context_of(request, slug, "usage")
    require(context["may_see_usage"])
    span = usage_report.span_of(request.GET.get("span", ""))
    report = usage_report.for_capability(cast("User", request.user), context["capability"], span)
    context |= {"report": report, "span": span, "spans": usage_report.SPANS}
    if context["may_offer"]:
        callers = usage_report.callers(context["capability"], span)
        context |= {"callers": callers[:_CALLERS], "more_callers": max(0, len(callers) - _CALLERS)}
        context["deprecated"] = context["capability"].status == Capability.Status.DEPRECATED
    return render(request, "store/usage.html", context)


@require_safe
@login_required
def callers_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """Who calls which version, for the provider."""
    context = context_of(request, slug, "usage")
    require(context["may_offer"])
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["team", "site", "version", "calls", "failed", "last", "subscription", "plan"])
    span = usage_report.span_of(request.GET.get("span", ""))
    for caller in usage_report.callers(context["capability"], span):
        facts = astuple(caller)
        writer.writerow([*facts[:5], caller.last.isoformat(), *facts[6:]])
    response = HttpResponse(out.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slug}-callers.csv"'
    return response


@require_POST
@login_required
def retire(request: HttpRequest, slug: str) -> HttpResponse:
    """Take a deprecated capability away for good, once nobody has called it for so many days."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    days = request.POST.get("quiet_days", "")
    services.retire_capability(capability, quiet_days=int(days) if days.isdecimal() else 0, by=user)
    messages.success(request, _("It is retired: calls are refused from now on."))
    return redirect("store:list")


@require_safe
@login_required
def usage_csv(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The numbers behind the charts."""
    context = context_of(request, slug, "usage")
    require(context["may_see_usage"])
    span = usage_report.span_of(request.GET.get("span", ""))
    report = usage_report.for_capability(cast("User", request.user), context["capability"], span)
    return csv_response(report, f"{slug}-usage.csv", request.GET.get("by", ""))


def csv_response(report: usage_report.Report, name: str, by: str = "") -> HttpResponse:
    """A report as a file, by time, version or site."""
    response = HttpResponse(report.csv(by), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@login_required
def plans(request: HttpRequest, slug: str) -> HttpResponse:
    """The provider's page: make plans, publish and withdraw them."""
    context = context_of(request, slug, "plans")
    require(context["may_offer"])
    form = PlanForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.create_plan(context["capability"], by=cast("User", request.user), **form.cleaned_plan())
        except Invalid as error:
            form.show(error)
        else:
            messages.success(request, _("The plan is drafted. Publish it to offer it."))
            return redirect("store:plans", slug)
    found = keyset(selectors.plans_of(context["capability"]), ("-pk",), request.GET.get("cursor", ""), _PLANS)
    context["offered"] = list(selectors.plans_on_offer(context["capability"]))
    context["earliest"] = earliest_day()
    standing = context["standing"]
    shown = context["answering"] or selectors.version_to_show(context["capability"])
    items = checklist_of(context["capability"], shown, standing)
    context |= {"items": items, "lacking": sum(not item.done for item in items)}
    trusted = TrustedTeamsForm(
        initial={"teams": [team.slug for team in selectors.trusted_teams(context["capability"])]}
    )
    context |= {"form": form, "page": found, "trusted": trusted}
    return render(request, "store/plans.html", context, status=422 if form.errors else 200)


@require_safe
@login_required
def teams(request: HttpRequest) -> HttpResponse:
    """The list of a form's picker of teams: what is chosen stays, then what the words find."""
    asked = request.GET
    field, words = asked.get("field", "")[:100], asked.get("words", "")[:100]
    return render(request, "components/_picked.html", teams_picked(field, names_sent(asked, field), words))


@require_POST
@login_required
def trust_teams(request: HttpRequest, slug: str) -> HttpResponse:
    """Say which teams subscribe without asking."""
    user = cast("User", request.user)
    form = TrustedTeamsForm(request.POST)
    if form.is_valid():
        try:
            services.set_trusted_teams(get_capability(slug, user=user), form.cleaned_data["teams"], by=user)
        except Invalid as error:
            messages.error(request, error.message)
        else:
            messages.success(request, _("Saved."))
    else:
        messages.error(request, " ".join(str(each) for each in form.errors["teams"]))
    return redirect("store:plans", slug)


def _plan_of(capability: Capability, pk: int) -> Plan:
    plan = Plan.objects.select_related("capability__team").filter(capability=capability, pk=pk).first()
    if plan is None:
        raise NotFound(_("There is no such plan."))
    return plan


@login_required
def edit_plan(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Change a draft before anybody relies on it."""
    context = context_of(request, slug, "plans")
    require(context["may_offer"])
    plan = _plan_of(context["capability"], pk)
    if plan.status != Plan.Status.DRAFT:
        return redirect("store:plans", slug)
    form = PlanForm.of(plan, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            services.edit_plan(plan, by=cast("User", request.user), **form.cleaned_plan())
        except Invalid as error:
            form.show(error)
        else:
            messages.success(request, _("Saved."))
            return redirect("store:plans", slug)
    context |= {"form": form, "plan": plan}
    return render(request, "store/plan.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def move_plan(request: HttpRequest, slug: str, pk: int, verb: str) -> HttpResponse:
    """Publish, withdraw or throw away a plan, say which one takes its place, move its subscribers there."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    plan = _plan_of(capability, pk)
    if verb not in ("publish", "withdraw", "remove", "successor", "move"):
        raise NotFound(_("There is no such plan."))
    if verb == "publish":
        services.publish_plan(plan, by=user)
    elif verb == "remove":
        services.remove_plan(plan, by=user)
        messages.success(request, _("The draft is removed."))
    elif verb == "withdraw":
        services.withdraw_plan(plan, by=user, **_successor_in(request, capability))
    elif verb == "successor":
        _name_successor(request, plan)
    else:
        services.move_subscribers(plan, by=user)
        messages.success(request, _("They are moved within a minute, and told what changes."))
    return redirect("store:plans", slug)


def _successor_in(request: HttpRequest, capability: Capability) -> dict[str, Any]:
    """The plan and the day that a form names; either may be None."""
    form = SuccessorForm(request.POST, plans=selectors.plans_on_offer(capability))
    if not form.is_valid():
        raise Invalid(" ".join(str(text) for texts in form.errors.values() for text in texts))
    return form.cleaned_data


def _name_successor(request: HttpRequest, plan: Plan) -> None:
    asked = _successor_in(request, plan.capability)
    if asked["successor"] is None:
        raise Invalid(_("Choose the plan that takes its place."), fields={"successor": _("is empty")})
    services.name_successor(plan, by=cast("User", request.user), **asked)
    messages.success(request, _("Its subscribers are told what changes."))
