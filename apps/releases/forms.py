"""Forms of the release pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import Version


class SignForm(forms.Form):
    """A signature or a refusal, with the password as proof of who gives it."""

    comment = forms.CharField(
        label=_("Comment"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )
    condition = forms.CharField(
        label=_("Condition"),
        required=False,
        max_length=4000,
        help_text=_("What has to be resolved; the release is limited until it is closed."),
    )
    most_percent = forms.IntegerField(
        label=_("Until then at most, % of the traffic"),
        required=False,
        min_value=0,
        max_value=99,
        help_text=_("0: it may not start."),
    )
    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        help_text=_("A signature asks again who you are."),
    )


class PolicyForm(forms.Form):
    """Who signs, and how a release goes on."""

    signers = forms.JSONField(
        label=_("Who signs"), help_text=_("A list of {role, count} in the capability's team.")
    )
    stages = forms.JSONField(
        label=_("Stages"),
        help_text=_(
            "A list of {weight, worse_by}: the candidate's share in percent, and the rise of bad answers "
            "(0.01 is one point) that the stage must be able to notice before it can pass. Optional: slow_ms, after "
            "which an answer is a bad one, and memory_mb, above which a replica fails the stage."
        ),
        widget=forms.Textarea(attrs={"rows": 6, "class": "font-monospace"}),
    )
    shadow_calls = forms.IntegerField(
        label=_("Mirrored calls before the first stage"),
        required=False,
        min_value=0,
        initial=0,
        help_text=_("0: no shadow stage. Answers to mirrored calls reach nobody."),
    )
    deadline_days = forms.IntegerField(label=_("Days to sign"), min_value=1, max_value=365, initial=14)
    four_eyes = forms.BooleanField(label=_("Each signature by another person"), required=False, initial=True)
    promote_by_gate = forms.BooleanField(
        label=_("Go to the next stage without a person when the evidence is a success"), required=False
    )

    def clean_shadow_calls(self) -> int:
        return self.cleaned_data["shadow_calls"] or 0


class BypassForm(forms.Form):
    """An emergency: an unsigned version into production for some hours."""

    version = forms.ModelChoiceField(label=_("Version"), queryset=Version.objects.none())
    reason = forms.CharField(label=_("What is the emergency?"), widget=forms.Textarea(attrs={"rows": 3}))
    hours = forms.IntegerField(label=_("Hours"), min_value=1, max_value=72, initial=4)
    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, versions: QuerySet[Version], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["version"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = versions
