"""Forms of the release pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import Version
from apps.store.models import Subscription


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
    metric = forms.JSONField(
        label=_("Business metric"),
        required=False,
        help_text=_(
            "What a good answer is worth to you, for stages with “metric”: true. An object like {name, expression, "
            "low, high, higher_is_better, worse_by, wait_minutes}; the expression is JMESPath over parsed, score, "
            "logged, status, latency_ms, correct, expected and comment."
        ),
        widget=forms.Textarea(attrs={"rows": 4, "class": "font-monospace"}),
    )
    shadow_calls = forms.IntegerField(
        label=_("Mirrored calls before the first stage"),
        required=False,
        min_value=0,
        initial=0,
        help_text=_("0: no shadow stage. Answers to mirrored calls reach nobody."),
    )
    replay_calls = forms.IntegerField(
        label=_("Calls of each subscriber to replay before 100 %"),
        required=False,
        min_value=0,
        max_value=500,
        initial=0,
        help_text=_(
            "0: subscribers are not asked. Else each one's last calls are answered by the candidate too, on nobody's "
            "quota; subscribers see the differences and consent or object."
        ),
    )
    consent_hours = forms.IntegerField(
        label=_("Hours to object"),
        min_value=1,
        max_value=720,
        initial=72,
        required=False,
        help_text=_("Silence counts as consent after them."),
    )
    pin_days = forms.IntegerField(
        label=_("Days that who objects keeps the old version"),
        min_value=1,
        max_value=365,
        initial=30,
        required=False,
    )
    deadline_days = forms.IntegerField(label=_("Days to sign"), min_value=1, max_value=365, initial=14)
    four_eyes = forms.BooleanField(label=_("Each signature by another person"), required=False, initial=True)
    deputies = forms.BooleanField(label=_("Deputies may sign for who is away"), required=False, initial=True)
    promote_by_gate = forms.BooleanField(
        label=_("Go to the next stage without a person when the evidence is a success"), required=False
    )

    def clean_shadow_calls(self) -> int:
        return self.cleaned_data["shadow_calls"] or 0

    def clean_replay_calls(self) -> int:
        return self.cleaned_data["replay_calls"] or 0

    def clean_consent_hours(self) -> int:
        return self.cleaned_data["consent_hours"] or 72

    def clean_pin_days(self) -> int:
        return self.cleaned_data["pin_days"] or 30


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


class SubscriberField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A subscription by its team and plan."""

    def label_from_instance(self, obj: Subscription) -> str:
        return f"{obj.team.name} · {obj.plan.name} #{obj.pk}"


class MomentForm(forms.Form):
    """When, and whose calls."""

    at = forms.DateTimeField(
        label=_("At"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}),
        input_formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"],
        help_text=_("In your time zone; empty is now."),
    )
    subscription = SubscriberField(
        label=_("Subscriber"), queryset=Subscription.objects.none(), required=False, empty_label=_("all")
    )
    end_user = forms.CharField(
        label=_("End user"),
        required=False,
        max_length=200,
        help_text=_("As the system names it in Atrium-Caller."),
    )

    def __init__(self, subscriptions: QuerySet[Subscription], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["subscription"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = subscriptions
