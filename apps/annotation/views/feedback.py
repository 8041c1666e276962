"""Pages of feedback: what became of what was said about answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from apps.annotation import receipts
from apps.core.errors import Invalid, NotFound
from apps.core.paging import keyset
from apps.gateway.selectors import grants_of
from apps.store.selectors import get_subscription

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User
    from apps.store.models import Subscription

_PAGE_SIZE = 30


@login_required
@require_GET
def list_feedback(request: HttpRequest) -> HttpResponse:
    """Feedback on the calls that one may see, or on those of a subscription, each with its receipt."""
    user, subscription = cast("User", request.user), _subscription(request)
    keys = list(grants_of(subscription.pool).values_list("pk", flat=True)) if subscription else None
    page = keyset(receipts.feedback_of(user, keys), ("-at", "-pk"), request.GET.get("cursor", ""), _PAGE_SIZE)
    found = receipts.receipts(page.items)
    context = {
        "page": page,
        "receipts": found,
        "subscription": subscription,
        "asking": any(item.asking for item in found),
    }
    fragment = request.headers.get("HX-Request")
    return render(request, f"annotation/{'_receipts' if fragment else 'feedback'}.html", context)


def _subscription(request: HttpRequest) -> Subscription | None:
    asked = request.GET.get("subscription", "")
    if not asked:
        return None
    if not (asked.isascii() and asked.isdigit() and len(asked) < 19):
        raise Invalid(_("subscription is “%(value)s”; it must be a number.") % {"value": asked[:50]})
    return get_subscription(int(asked), user=cast("User", request.user))


@login_required
@require_POST
def ask_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the version in production the same input again."""
    user = cast("User", request.user)
    outcome = receipts.feedback_of(user).filter(pk=pk).first()
    if outcome is None:
        raise NotFound(_("There is no feedback %(pk)s that you may see.") % {"pk": pk})
    receipts.ask_again(outcome, by=user)
    subscription = _subscription(request)
    narrowed = f"?subscription={subscription.pk}" if subscription else ""
    return redirect(f"{reverse('annotation:feedback')}{narrowed}")
