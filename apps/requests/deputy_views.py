"""The page on which people say who decides while they are away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.models import User
from apps.core.errors import Invalid, NotFound
from apps.requests.deputies import end_deputy, may_name_deputy, name_deputy, possible_deputies
from apps.requests.selectors import deputies_visible_to

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

_MOMENT = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"]
MOST_SHOWN = 200


class DeputyForm(forms.Form):
    """Who, and from when until when."""

    deputy = forms.ModelChoiceField(User.objects.none(), label=gettext_lazy("Deputy"))
    since = forms.DateTimeField(
        label=gettext_lazy("From"),
        required=False,
        input_formats=_MOMENT,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text=gettext_lazy("Empty: from now on."),
    )
    until = forms.DateTimeField(
        label=gettext_lazy("Until"),
        input_formats=_MOMENT,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["deputy"].queryset = possible_deputies(user)  # type: ignore[attr-defined]


@login_required
@require_http_methods(["GET", "POST"])
def deputies(request: HttpRequest) -> HttpResponse:
    """Who stands in for me, and for whom I do."""
    user = cast("User", request.user)
    form = DeputyForm(request.POST or None, user=user)
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        try:
            name_deputy(
                user, asked["deputy"], since=asked["since"] or timezone.now(), until=asked["until"], by=user
            )
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            messages.success(
                request, _("Named. What you could decide, your deputy can too while you are away.")
            )
            return redirect("requests:deputies")
    rows = [
        {"row": row, "may_end": may_name_deputy(user, row.person)}
        for row in deputies_visible_to(user).order_by("since", "pk")[:MOST_SHOWN]
    ]
    context = {"form": form, "rows": rows, "now": timezone.now()}
    return render(request, "requests/deputies.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def end(request: HttpRequest, pk: int) -> HttpResponse:
    """The person is back."""
    user = cast("User", request.user)
    row = deputies_visible_to(user).filter(pk=pk).first()
    if row is None:
        raise NotFound(_("There is no deputy %(pk)d that you may see.") % {"pk": pk})
    end_deputy(row, by=user)
    messages.success(request, _("From now on nobody decides in that place."))
    return redirect("requests:deputies")
