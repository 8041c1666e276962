"""Pages of webhooks: which there are, what was sent, and again."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import Team, User
from apps.accounts.selectors import teams_of
from apps.core.errors import Invalid, NotFound
from apps.core.paging import keyset
from apps.requests import webhooks
from apps.requests.models import Delivery

_PAGE = 25


class WebhookForm(forms.Form):
    """Which team, where, what."""

    team = forms.ModelChoiceField(Team.objects.none(), label=gettext_lazy("For the team"), empty_label=None)
    url = forms.URLField(label=gettext_lazy("Address"), max_length=500, assume_scheme="https")
    events = forms.MultipleChoiceField(label=gettext_lazy("Tell about"), widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["team"].queryset = teams_of(user, *webhooks.KEEPERS)  # type: ignore[attr-defined]
        self.fields["events"].choices = webhooks.event_choices()  # type: ignore[attr-defined]


@login_required
def list_webhooks(request: HttpRequest) -> HttpResponse:
    """The webhooks of one's teams; POST makes one and shows its secret, this once."""
    user = cast("User", request.user)
    form = WebhookForm(request.POST or None, user=user)
    context: dict[str, Any] = {"form": form}
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            made, secret = webhooks.create_webhook(values["team"], values["url"], values["events"], by=user)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            context |= {"made": made, "secret": secret, "form": WebhookForm(user=user)}
    context["webhooks"] = list(webhooks.webhooks_visible_to(user).order_by("-pk")[:200])
    context["events"] = webhooks.all_events()
    context["may_make"] = teams_of(user, *webhooks.KEEPERS).exists()
    response = render(request, "requests/webhooks.html", context, status=422 if form.errors else 200)
    if "secret" in context:
        response["Cache-Control"] = "no-store"
    return response


@require_safe
@login_required
def show_webhook(request: HttpRequest, pk: int) -> HttpResponse:
    """One webhook with the log of its messages."""
    webhook = webhooks.get_webhook(pk, user=cast("User", request.user))
    page = keyset(webhook.deliveries.all(), ("-pk",), request.GET.get("cursor", ""), _PAGE)
    labels = dict(webhooks.event_choices())
    names = [labels.get(name, name) for name in webhook.events]
    return render(request, "requests/webhook.html", {"webhook": webhook, "page": page, "names": names})


@require_POST
@login_required
def webhook_action(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """ping, off, on, remove."""
    user = cast("User", request.user)
    webhook = webhooks.get_webhook(pk, user=user)
    if verb == "remove":
        webhooks.remove_webhook(webhook, by=user)
        messages.success(request, _("The webhook is removed."))
        return redirect("requests:webhooks")
    if verb == "ping":
        webhooks.ping(webhook, by=user)
        messages.info(request, _("A test message is on its way."))
    elif verb in {"on", "off"}:
        webhooks.switch_webhook(webhook, on=verb == "on", by=user)
    return redirect("requests:webhook", pk)


@require_POST
@login_required
def redeliver(request: HttpRequest, pk: int, delivery: int) -> HttpResponse:
    """Send a message again."""
    user = cast("User", request.user)
    webhook = webhooks.get_webhook(pk, user=user)
    found = Delivery.objects.select_related("webhook__team").filter(webhook=webhook, pk=delivery).first()
    if found is None:
        raise NotFound(_("This webhook has no message %(pk)s.") % {"pk": delivery})
    webhooks.redeliver(found, by=user)
    messages.info(request, _("It is sent again, with the same id."))
    return redirect("requests:webhook", pk)
