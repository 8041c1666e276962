"""Why to trust a capability: the signed report, and what subscribers say."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import User
from apps.catalog.models import Capability
from apps.catalog.selectors import get_capability
from apps.core.paging import keyset
from apps.store import quality, selectors, services
from apps.store.forms import ReviewForm
from apps.store.models import Review
from apps.store.policy import may_answer_review, may_remove_review, may_review
from apps.store.views.capability import context_of

_PAGE = 20


@require_safe
@login_required
def show_quality(request: HttpRequest, slug: str) -> HttpResponse:
    """The evaluation report of the version that answers: what was signed, else the newest one."""
    context = context_of(request, slug, "quality")
    version = context["answering"] or selectors.version_to_show(context["capability"])
    found = quality.report_on(version) if version else None
    context |= {"version": version, "found": found}
    if found is not None:
        context["figures"] = quality.figures_of(found.content)
        context["charts"] = quality.charts_of(found.content)
    return render(request, "store/quality.html", context)


@login_required
def reviews(request: HttpRequest, slug: str) -> HttpResponse:
    """What subscribers say; POST writes one's own review."""
    context = context_of(request, slug, "reviews")
    capability: Capability = context["capability"]
    user = cast("User", request.user)
    own = Review.objects.filter(capability=capability, user=user).first()
    form = ReviewForm(request.POST or None, instance=own)
    if request.method == "POST" and form.is_valid():
        services.write_review(capability, by=user, **form.cleaned_data)
        messages.success(request, _("Your review is published."))
        return redirect("store:reviews", slug)
    page = keyset(selectors.reviews_of(capability), ("-pk",), request.GET.get("cursor", ""), _PAGE)
    stars = selectors.stars_of(capability)
    context |= {
        "page": page,
        "reviews": [_shown(review, user) for review in page.items],
        "form": form,
        "mine": own,
        "may_review": may_review(user, capability),
        "stars": [(n, count, count / (sum(stars.values()) or 1)) for n, count in stars.items()],
    }
    return render(request, "store/reviews.html", context, status=422 if form.errors else 200)


def _shown(review: Review, user: User) -> dict[str, Any]:
    return {
        "review": review,
        "may_answer": bool(may_answer_review(user, review)),
        "may_remove": bool(may_remove_review(user, review)),
    }


@require_POST
@login_required
def review_action(request: HttpRequest, slug: str, pk: int, verb: str) -> HttpResponse:
    """Answer a review (`answer`), or take it away (`remove`)."""
    user = cast("User", request.user)
    review = selectors.get_review(get_capability(slug, user=user), pk)
    if verb == "answer":
        services.answer_review(review, text=request.POST.get("text", ""), by=user)
    elif verb == "remove":
        services.remove_review(review, by=user)
    return redirect("store:reviews", slug)
