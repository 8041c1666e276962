"""The page of the rule by which a capability is trained anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.forms.models import model_to_dict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from apps.annotation import deciding
from apps.annotation.forms import RetrainingRuleForm
from apps.annotation.models import Project
from apps.annotation.policy import may_see_retraining_rule, may_write_retraining_rule
from apps.annotation.selectors import decisions_by, retraining_rules_visible_to
from apps.catalog.selectors import get_capability
from apps.core.paging import keyset
from apps.core.policy import require

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User

PAGE_SIZE = 30


@login_required
@require_http_methods(["GET", "POST"])
def rule_of(request: HttpRequest, slug: str) -> HttpResponse:
    """What the rule asks for, what it sees now, and what it decided."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    require(may_see_retraining_rule(user, capability))
    rule = retraining_rules_visible_to(user).filter(capability=capability).first()
    kept = model_to_dict(rule, list(RetrainingRuleForm.base_fields)) if rule else None
    form = RetrainingRuleForm(capability, request.POST or None, initial=kept)
    may_write = may_write_retraining_rule(user, capability)
    if request.method == "POST":
        require(may_write)
        if form.is_valid():
            deciding.write_rule(capability, by=user, **form.cleaned_data)
            messages.success(request, _("The rule was saved; it looks within a minute."))
            return redirect("annotation:retraining-rule", slug)
    cursor = request.GET.get("cursor", "")
    context = {
        "capability": capability,
        "rule": rule,
        "form": form,
        "may_write": may_write,
        "measurable": Project.objects.filter(capability=capability).exists(),
        "quality": deciding.quality_of(rule) if rule else None,
        "new_labels": deciding.new_labels(rule) if rule else None,
        "page": keyset(decisions_by(rule), ("-pk",), cursor, PAGE_SIZE) if rule else None,
    }
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "annotation/retraining_rule.html", context, status=status)
