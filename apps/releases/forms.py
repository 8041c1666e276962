"""Forms of the release pages."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class SignForm(forms.Form):
    """A signature or a refusal, with the password as proof of who gives it."""

    comment = forms.CharField(
        label=_("Comment"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
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
            "(0.01 is one point) that the stage must be able to notice before it can pass."
        ),
        widget=forms.Textarea(attrs={"rows": 6, "class": "font-monospace"}),
    )
    four_eyes = forms.BooleanField(label=_("Each signature by another person"), required=False, initial=True)
    promote_by_gate = forms.BooleanField(
        label=_("Go to the next stage without a person when the evidence is a success"), required=False
    )
