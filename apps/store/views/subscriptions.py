"""Subscribing, and what a subscription shows: state, quota, keys, usage."""

from __future__ import annotations

import secrets
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import Team, User
from apps.core.errors import Invalid
from apps.core.paging import keyset
from apps.store import panels, selectors, services, snippets, usage_report
from apps.store.figures import replay_figure
from apps.store.forms import KeyForm, SubscribeForm
from apps.store.models import Plan, Subscription
from apps.store.policy import may_cancel, may_suspend, may_use_keys
from apps.store.views.capability import context_of, csv_response

_PAGE = 25


@login_required
def subscribe(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose a team for a plan; granted at once or asked for."""
    user = cast("User", request.user)
    context = context_of(request, slug, "overview")
    plans = list(selectors.plans_on_offer(context["capability"]))
    wanted = request.POST.get("plan") or request.GET.get("plan") or ""
    plan = next((each for each in plans if str(each.pk) == wanted), None)
    if plan is None:
        return redirect("store:capability", slug)
    teams = selectors.teams_to_subscribe_for(user)
    must_explain = plan.approval != Plan.Approval.AUTO and not _all_trusted(plan, list(teams))
    form = SubscribeForm(request.POST or None, teams=teams, must_explain=must_explain)
    if request.method == "POST" and form.is_valid():
        try:
            made = services.subscribe(
                plan, form.cleaned_data["team"], by=user, use_case=form.cleaned_data["use_case"]
            )
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            _say(request, made)
            return redirect("store:subscription", made.pk)
    context |= {"form": form, "plan": plan, "no_team": not teams.exists(), "must_explain": must_explain}
    return render(request, "store/subscribe.html", context, status=422 if form.errors else 200)


def _all_trusted(plan: Plan, teams: list[Team]) -> bool:
    """Whether whatever team is chosen, nobody has to be asked."""
    return bool(teams) and all(services.grants_at_once(plan, team) for team in teams)


def _say(request: HttpRequest, subscription: Subscription) -> None:
    if subscription.status == Subscription.Status.GRANTED:
        messages.success(request, _("Granted. Make a key to call it."))
    elif subscription.status == Subscription.Status.PENDING:
        messages.info(request, _("Asked. You are told as soon as it is decided."))


@require_safe
@login_required
def list_subscriptions(request: HttpRequest) -> HttpResponse:
    """What one's teams use, and who uses what one's teams provide."""
    user = cast("User", request.user)
    found = selectors.subscriptions_visible_to(user)
    status = request.GET.get("status", "")
    if status in Subscription.Status.values:
        found = found.filter(status=status)
    page = keyset(found, ("-pk",), request.GET.get("cursor", ""), _PAGE)
    context = {"page": page, "status": status, "statuses": Subscription.Status.choices}
    return render(request, "store/subscriptions.html", context)


def _context(request: HttpRequest, subscription: Subscription) -> dict[str, Any]:
    user = cast("User", request.user)
    span = usage_report.span_of(request.GET.get("span", ""))
    granted = subscription.status == Subscription.Status.GRANTED
    return {
        "subscription": subscription,
        "capability": subscription.capability,
        "keys": list(selectors.keys_of(subscription)),
        "may_use_keys": may_use_keys(user, subscription),
        "may_suspend": may_suspend(user, subscription),
        "may_cancel": may_cancel(user, subscription),
        "granted": granted,
        "open": subscription.status in Subscription.OPEN,
        "agreed": selectors.agreed(subscription),
        "change": selectors.open_change(subscription),
        "over": services.why_not_grantable(subscription),
        "succession": selectors.succession_of(subscription),
        "all_plans": list(selectors.plans_on_offer(subscription.capability)),
        "other_plans": selectors.plans_to_change_to(subscription) if granted else [],
        "renewable": granted and _renewable(subscription),
        "quotas": usage_report.quotas_of(subscription),
        "report": usage_report.for_subscription(subscription, span),
        "span": span,
        "spans": usage_report.SPANS,
        "once": secrets.token_urlsafe(12),
        "overlaps": KeyForm.OVERLAPS,
        "today": timezone.localdate(),
        "links": panels.links_of(subscription),
    }


def _renewable(subscription: Subscription) -> bool:
    ends = subscription.expires_at
    return bool(ends and subscription.plan.valid_days and ends - timezone.now() <= services.RENEWABLE)


@require_POST
@login_required
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for another plan, or for the same one longer."""
    user = cast("User", request.user)
    subscription = selectors.get_subscription(pk, user=user)
    reason, wanted = request.POST.get("comment", "").strip()[:2000], request.POST.get("plan", "")
    if wanted.isdecimal():
        plan = selectors.get_plan(int(wanted), user=user)
        made = services.change_plan(subscription, plan, by=user, reason=reason)
    else:
        made = services.renew_subscription(subscription, by=user, reason=reason)
    asked = _("Asked. You are told as soon as it is decided.")
    messages.success(request, _("Done. The keys stay the same.") if made.done else asked)
    return redirect("store:subscription", pk)


@require_safe
@login_required
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One subscription."""
    subscription = selectors.get_subscription(pk, user=cast("User", request.user))
    return render(request, "store/subscription.html", _context(request, subscription))


@require_safe
@login_required
def what_if(request: HttpRequest, pk: int) -> HttpResponse:
    """The last 30 days under another plan, as a fragment of the subscription's page."""
    user = cast("User", request.user)
    subscription = selectors.get_subscription(pk, user=user)
    wanted = request.GET.get("plan", "")
    plan = selectors.get_plan(int(wanted), user=user) if wanted.isdecimal() else subscription.plan
    if plan.capability_id != subscription.capability_id:
        raise Invalid(_("“%(plan)s” is a plan of another capability.") % {"plan": plan.name})
    found = usage_report.what_if(subscription, plan.allowed)
    days = usage_report.replay_days(found)
    context = {
        "plan": plan,
        "found": found,
        "words": usage_report.replay_words(found),
        "figure": replay_figure(days) if days else None,
    }
    return render(request, "store/_what_if.html", context)


@require_safe
@login_required
def usage_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """The numbers behind the charts."""
    subscription = selectors.get_subscription(pk, user=cast("User", request.user))
    report = usage_report.for_subscription(subscription, usage_report.span_of(request.GET.get("span", "")))
    return csv_response(report, f"subscription-{pk}-usage.csv", request.GET.get("by", ""))


def _show_key(request: HttpRequest, subscription: Subscription, secret: str) -> HttpResponse:
    """The page with the fresh key on it, this once, and a call that is ready to run."""
    version = selectors.version_to_show(subscription.capability)
    context = _context(request, subscription) | {"secret": secret}
    if version is not None and version.signature:
        inputs = snippets.inputs_of(version.signature, selectors.cases_of(version))
        context["curl"] = snippets.curl(
            settings.ATRIUM.gateway_url, subscription.capability.slug, inputs, secret
        )
    fragment = request.headers.get("HX-Target") == "keys"
    response = render(request, "store/_keys.html" if fragment else "store/subscription.html", context)
    response["Cache-Control"] = "no-store"
    return response


def _key_form(request: HttpRequest) -> KeyForm:
    form = KeyForm(request.POST)
    if not form.is_valid():
        raise Invalid(" ".join(str(text) for texts in form.errors.values() for text in texts))
    return form


@require_POST
@login_required
def issue(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a key."""
    user = cast("User", request.user)
    subscription = selectors.get_subscription(pk, user=user)
    _key, secret = services.issue_key(
        subscription,
        by=user,
        label=request.POST.get("label", ""),
        once=request.POST.get("once", ""),
        addresses=request.POST.get("addresses", "").replace(",", " ").split(),
        expires_at=_key_form(request).end_for(subscription),
    )
    return _show_key(request, subscription, secret)


@require_POST
@login_required
def rotate(request: HttpRequest, pk: int, key: int) -> HttpResponse:
    """Make the successor of a key."""
    user = cast("User", request.user)
    subscription = selectors.get_subscription(pk, user=user)
    form = _key_form(request)
    _key, secret = services.rotate_key(
        selectors.get_key(subscription, key),
        by=user,
        overlap=form.overlap,
        expires_at=form.end_for(subscription),
    )
    return _show_key(request, subscription, secret)


@require_POST
@login_required
def revoke(request: HttpRequest, pk: int, key: int) -> HttpResponse:
    """Refuse a key for good."""
    user = cast("User", request.user)
    subscription = selectors.get_subscription(pk, user=user)
    services.revoke_key(selectors.get_key(subscription, key), by=user)
    messages.success(request, _("The key is revoked: calls with it are refused within seconds."))
    return redirect("store:subscription", pk)


@require_POST
@login_required
def suspend(request: HttpRequest, pk: int) -> HttpResponse:
    """Refuse a subscription's calls for a while."""
    user = cast("User", request.user)
    subscription = selectors.get_subscription(pk, user=user)
    services.suspend_subscription(subscription, by=user, reason=request.POST.get("comment", ""))
    return redirect("store:subscription", pk)


@require_POST
@login_required
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a subscription's calls pass again."""
    user = cast("User", request.user)
    subscription = selectors.get_subscription(pk, user=user)
    services.resume_subscription(subscription, by=user)
    return redirect("store:subscription", pk)


@require_POST
@login_required
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """End a subscription."""
    user = cast("User", request.user)
    subscription = selectors.get_subscription(pk, user=user)
    services.cancel_subscription(subscription, by=user)
    return redirect("store:subscription", pk)
