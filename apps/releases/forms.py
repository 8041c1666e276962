"""Forms of the release pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Role, Site
from apps.catalog.models import Version
from apps.core.rows import PercentField, RowsField
from apps.evaluation.forms import GateRow
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


class ConclusionForm(forms.Form):
    """Why a stage can be concluded on replayed calls, with the password as proof of who says so."""

    reason = forms.CharField(
        label=_("Why can it be concluded without these calls?"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class SignerRow(forms.Form):
    """How many of a role sign."""

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.QA)
    count = forms.IntegerField(label=_("How many"), min_value=1, max_value=20, initial=1)


def _sites() -> list[tuple[str, Any]]:
    there = Site.objects.filter(archived_at=None).order_by("kind", "name")
    return [("", _("all sites")), *there.values_list("slug", "name")]


class StageRow(forms.Form):
    """One stage of a gray release."""

    site = forms.ChoiceField(label=_("Where"), required=False, choices=_sites)
    weight = forms.IntegerField(label=_("Share, %"), min_value=1, max_value=99)
    worse_by = PercentField(label=_("Rise, points"), min_value=0.01, max_value=50)
    slow_ms = forms.FloatField(label=_("Slow from, ms"), required=False, min_value=0.001)
    budget = forms.BooleanField(label=_("Slow by the gates"), required=False)
    memory_mb = forms.FloatField(label=_("Most memory, MB"), required=False, min_value=1)
    server_cpu = forms.FloatField(label=_("Most busy cores"), required=False, min_value=0.001)
    costlier_by = PercentField(label=_("Costlier rows, %"), required=False, min_value=5, max_value=1000)
    metric = forms.BooleanField(label=_("Business metric"), required=False)


class MetricRow(forms.Form):
    """What a good answer is worth; see `business.Metric`."""

    name = forms.CharField(label=_("Name"), max_length=100)
    expression = forms.CharField(
        label=_("Expression"), max_length=500, widget=forms.TextInput(attrs={"class": "font-monospace"})
    )
    low = forms.FloatField(label=_("From"), initial=0)
    high = forms.FloatField(label=_("To"), initial=1)
    worse_by = forms.FloatField(label=_("Worse by at most"), initial=0.05)
    wait_minutes = forms.IntegerField(label=_("Wait, minutes"), min_value=0, initial=0)
    higher_is_better = forms.BooleanField(label=_("Higher is better"), required=False, initial=True)


class PolicyForm(forms.Form):
    """Who signs, and how a release goes on."""

    signers = RowsField(
        SignerRow,
        label=_("Who signs"),
        add=_("Add a role"),
        most=10,
        help_text=_("In the capability's team."),
    )
    gates = RowsField(
        GateRow,
        label=_("Gates"),
        required=False,
        add=_("Add a gate"),
        help_text=_(
            "What the report must reach beside the gates of its suite, whoever writes that. A release opens only when "
            "they pass, too."
        ),
    )
    stages = RowsField(
        StageRow,
        label=_("Stages"),
        required=False,
        add=_("Add a stage"),
        most=20,
        help_text=_(
            "Before a stage can pass it must be able to notice the rise of bad answers that you name, in percentage "
            "points. An answer that is slower than you say is a bad one too; “Slow by the gates” takes the "
            "latency that suite and policy allow, where you name none. A stage at one site moves the calls of "
            "its teams alone. Busy cores are what a server would need if all the calls came. “Costlier rows” is by "
            "how much more processor time a row may take than with what runs beside it; ask for it where answering "
            "keeps servers much busier than they are when idle. 100 % follows by itself."
        ),
    )
    metric = RowsField(
        MetricRow,
        label=_("Business metric"),
        required=False,
        add=_("Add a business metric"),
        most=1,
        help_text=_(
            "What a good answer is worth to you, for the stages that ask for it. The expression is JMESPath over "
            "parsed, score, logged, status, latency_ms, correct, expected and comment; feedback gets so many "
            "minutes to come."
        ),
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
    replays_stand_in = forms.BooleanField(
        label=_("Two people may conclude the last stage on replayed calls when subscribers object"),
        required=False,
        help_text=_(
            "Calls of who objects stay with the old version. Where they are the only ones, the stage would wait for "
            "ever; replayed calls must then rule out the rise that it asks about."
        ),
    )
    deadline_days = forms.IntegerField(label=_("Days to sign"), min_value=1, max_value=365, initial=14)
    stage_days = forms.IntegerField(
        label=_("Days that a stage waits for its evidence"),
        min_value=1,
        max_value=365,
        initial=14,
        required=False,
        help_text=_("Undecided after them the release pauses by itself, and its operators are told."),
    )
    four_eyes = forms.BooleanField(label=_("Each signature by another person"), required=False, initial=True)
    deputies = forms.BooleanField(label=_("Deputies may sign for who is away"), required=False, initial=True)
    promote_by_gate = forms.BooleanField(
        label=_("Go to the next stage without a person when the evidence is a success"), required=False
    )

    def clean_metric(self) -> dict[str, Any] | None:
        return next(iter(self.cleaned_data["metric"]), None)

    def clean_shadow_calls(self) -> int:
        return self.cleaned_data["shadow_calls"] or 0

    def clean_replay_calls(self) -> int:
        return self.cleaned_data["replay_calls"] or 0

    def clean_consent_hours(self) -> int:
        return self.cleaned_data["consent_hours"] or 72

    def clean_stage_days(self) -> int:
        return self.cleaned_data["stage_days"] or 14

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
