"""Forms of the annotation pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from django import forms
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.annotation.label_types import TYPES
from apps.annotation.models import Project, PullRule
from apps.annotation.selectors import capabilities_to_ask_about, capability_to_ask_about
from apps.catalog.models import Capability
from apps.compute.forms import DataPicker, choices
from apps.compute.job_data import Offer
from apps.core.rows import RowsField
from apps.datasets.forms import DatasetField


def _only_for(kinds: str, widget: type[forms.Widget]) -> forms.Widget:
    """A control that the page shows for these kinds alone (static/js/shell.js)."""
    return widget(attrs={"data-only-for": f"kind:{kinds}"})


class CapabilityPicker(DataPicker):
    """A search for capabilities that a person may ask about; what is known of the chosen one fills the form."""

    address = "annotation:capabilities"
    search = _("Search capabilities")
    on_choice: ClassVar[Mapping[str, Any]] = {
        "hx-get": reverse_lazy("annotation:create"),
        "hx-trigger": "change target:[type=radio]",
        "hx-target": "#project-form",
        "hx-select": "#project-form",
        "hx-swap": "outerHTML",
        "hx-include": "closest form",
        "hx-params": "not csrfmiddlewaretoken",
        "hx-disabled-elt": "#project-form :is(input:not([name=capability]), textarea, button, select)",
    }

    def listed(self, field: str, names: Sequence[str]) -> dict[str, Any]:
        return capabilities_picked(self.user, field, names)


def capabilities_picked(user: User, field: str, names: Sequence[str], words: str = "") -> dict[str, Any]:
    """What the list of a picker of capabilities shows."""
    chosen = [found for name in names[:1] if (found := capability_to_ask_about(user, name))]
    return choices(
        field,
        [_offer_of(capability) for capability in chosen],
        lambda most: [_offer_of(found) for found in capabilities_to_ask_about(user, words)[:most]],
        words=words,
        single=True,
    ) | {
        "empty": _("Your teams build no capability yet."),
        "unknown": _("No other capability of your teams is called so."),
    }


def _offer_of(capability: Capability) -> Offer:
    return Offer(str(capability.pk), capability.name, f"{capability.slug}, {capability.team.name}")


class CapabilityField(forms.Field):
    """A capability that a person may ask about, found by searching."""

    widget: CapabilityPicker

    def __init__(self, **facts: Any) -> None:
        super().__init__(widget=CapabilityPicker(single=True), **facts)

    def offer(self, user: User) -> None:
        """Called by the form at each request."""
        self.widget.user = user

    def prepare_value(self, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    def clean(self, value: Any) -> Capability:
        found = capability_to_ask_about(self.widget.user, next(iter(super().clean(value)), ""))
        if found is None:
            raise forms.ValidationError(_("Choose one of the capabilities that are found."))
        return found


class ProjectForm(forms.Form):
    """A question about a capability's calls."""

    capability = CapabilityField(
        label=_("Capability"), help_text=_("What is known of it fills the fields below; each can be changed.")
    )
    name = forms.CharField(label=_("Name"), max_length=100)
    question = forms.CharField(
        label=_("Question"), max_length=200, help_text=_("What the annotator is asked.")
    )
    kind = forms.ChoiceField(
        label=_("Kind of answer"),
        choices=[(slug, kind.title) for slug, kind in TYPES.items()],
        initial="single",
    )
    show = forms.ChoiceField(label=_("Input shown as"), choices=Project.Show.choices)
    labels = forms.CharField(
        label=_("Labels"),
        required=False,
        widget=_only_for(
            " ".join(slug for slug, kind in TYPES.items() if kind.fewest_labels), forms.TextInput
        ),
        help_text=_(
            "Separated by commas; the first gets the key 1. A place in a tree is written Radio / Antenna."
        ),
    )
    most = forms.IntegerField(
        label=_("Best rating"), min_value=2, max_value=9, initial=5, required=False,
        widget=_only_for("rating", forms.NumberInput),
    )  # fmt: skip
    overlap = forms.IntegerField(label=_("People per task"), min_value=1, max_value=9, initial=2)
    dataset = DatasetField(label=_("Data set that grows"), help_text=_("Accepted labels are added to it."))
    target = forms.CharField(label=_("Column for the label"), max_length=100)
    guideline = forms.CharField(
        label=_("Guideline"), required=False, widget=forms.Textarea(attrs={"rows": 4})
    )
    blind = forms.BooleanField(label=_("Hide the model's answer while labelling"), required=False)
    near = forms.BooleanField(
        label=_("Put almost equal inputs into one task"), required=False,
        help_text=_("One in twenty is labelled by itself all the same, to see whether that is right."),
    )  # fmt: skip

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast("CapabilityField", self.fields["capability"]).offer(user)
        cast("DatasetField", self.fields["dataset"]).offer(user)

    def clean_labels(self) -> list[str]:
        return split_labels(self.cleaned_data["labels"])

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        most = values.pop("most", None)
        return values | {"options": {"most": most} if values.get("kind") == "rating" and most else {}}


def split_labels(text: str) -> list[str]:
    """Labels as people write them in one line."""
    return [label.strip() for label in text.split(",") if label.strip()]


class LabelRow(forms.Form):
    """A label and the key that chooses it."""

    label = forms.CharField(label=_("Label"), max_length=200)
    key = forms.CharField(label=_("Shortcut"), max_length=1, required=False)


class LabelsForm(forms.Form):
    """The labels of a project, in their order."""

    labels = RowsField(
        LabelRow,
        label=_("Labels"),
        required=False,
        most=200,
        add=_("Add a label"),
        help_text=_("Without a key it gets the next one that is free."),
    )


class RuleForm(forms.Form):
    """Which calls become tasks."""

    kind = forms.ChoiceField(
        label=_("Calls that are"),
        choices=[choice for choice in PullRule.Kind.choices if choice[0] != "uploaded"],
    )
    measure = forms.ChoiceField(
        label=_("Certainty"), choices=PullRule.Measure.choices, required=False,
        widget=_only_for("uncertain", forms.Select),
        help_text=_("Only for uncertain calls; the last two need probabilities for each class."),
    )  # fmt: skip
    below = forms.FloatField(
        label=_("Limit"),
        widget=_only_for("uncertain confident rare", forms.NumberInput),
        required=False,
        min_value=0.01,
        max_value=1,
        initial=0.6,
        help_text=_("Uncertain and rare is what lies below it, sure what reaches it."),
    )
    share = forms.FloatField(
        label=_("Share"),
        min_value=0.0001,
        max_value=1,
        initial=1.0,
        help_text=_("1 takes every one, 0.1 a tenth."),
    )
    quota = forms.IntegerField(
        label=_("Calls of each site and hour"), required=False, min_value=1, max_value=10_000,
        widget=_only_for("stratified", forms.NumberInput),
        help_text=_("Only for the control that takes so many of each site."),
    )  # fmt: skip
    every_s = forms.ChoiceField(
        label=_("Looks"), required=False, initial=30,
        choices=[
            (30, _("every half minute")), (300, _("every five minutes")), (3600, _("every hour")),
            (21_600, _("every six hours")), (86_400, _("every day")),
        ],
    )  # fmt: skip
    event = forms.ChoiceField(
        label=_("And at once when"), required=False, choices=[("", "–"), *PullRule.Event.choices]
    )

    def clean_every_s(self) -> int:
        return int(self.cleaned_data["every_s"] or 30)

    def clean_measure(self) -> str:
        return self.cleaned_data["measure"] or PullRule.Measure.CONFIDENCE


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """What may change while people label."""

    class Meta:
        model = Project
        fields = ["name", "question", "guideline", "blind", "near", "pseudonymous"]
        widgets = {"guideline": forms.Textarea(attrs={"rows": 6})}
        help_texts = {
            "question": _("What the annotator is asked."),
            "guideline": _("Shown beside every task from now on; labels that were given stay."),
            "near": _("For calls that are pulled from now on."),
            "pseudonymous": _(
                "Data set versions made from now on name who labelled by a pseudonym of this project."
            ),
        }


class QueueForm(forms.Form):
    """How the queue hands out tasks, and when it stops."""

    order = forms.ChoiceField(label=_("Order"), choices=Project.Order.choices)
    per_person = forms.IntegerField(label=_("Tasks per person at most"), required=False, min_value=1)
    golden_every = forms.IntegerField(
        label=_("One task in so many is a golden one"), required=False, min_value=2, max_value=1000,
        help_text=_("Golden ones are accepted tasks on which all agreed; they show how often each person is right."),
    )  # fmt: skip
    gate = forms.FloatField(
        label=_("Stop when it is decided whether accuracy reaches"),
        required=False, min_value=0.01, max_value=0.999,
        help_text=_("0.9, say; rests on random controls. Empty: it does not stop by itself."),
    )  # fmt: skip
    assignees = forms.ModelMultipleChoiceField(
        label=_("Only these people"), required=False, queryset=User.objects.none(),
        help_text=_("None chosen: everybody of the team."),
    )  # fmt: skip

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["assignees"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = User.objects.filter(memberships__team=project.team).distinct().order_by("username")


class RetrainingRuleForm(forms.Form):
    """When a capability is trained anew, and what becomes of the result."""

    project = forms.ModelChoiceField(
        label=_("Measured by"), queryset=Project.objects.none(), empty_label=None,
        help_text=_("Its random controls say how right production is, and its accepted labels are what is learnt."),
    )  # fmt: skip
    least_quality = forms.FloatField(
        label=_("Least accuracy in production"), min_value=0.01, max_value=0.999, initial=0.9,
        help_text=_("0.9, say. Poor is what lies below it with its whole interval; one that spans it decides nothing."),
    )  # fmt: skip
    days = forms.IntegerField(
        label=_("Over the last days"), min_value=1, max_value=365, initial=14,
        help_text=_("Only calls of these days count, and only those that the version in production answered."),
    )  # fmt: skip
    least_labels = forms.IntegerField(
        label=_("New labels at least"), min_value=1, max_value=1_000_000, initial=50,
        help_text=_("Accepted labels that no training has seen. With fewer, another training would teach little."),
    )  # fmt: skip
    cool_down_h = forms.IntegerField(
        label=_("Hours between two retrainings"), min_value=1, max_value=8760, initial=24,
        help_text=_("Counted from the last one, also where it failed or a person began it."),
    )  # fmt: skip
    opens_release = forms.BooleanField(
        label=_("Open the release of a retrained version that is better"), required=False, initial=True,
        help_text=_("Once its report passes and it is surely better than production. It is signed as any other."),
    )  # fmt: skip
    active = forms.BooleanField(
        label=_("Active"), required=False, initial=True,
        help_text=_("It looks once a minute, and acts in the name of whoever saved it last."),
    )  # fmt: skip

    def __init__(self, capability: Capability, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["project"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Project.objects.filter(capability=capability).order_by("-pk")

    def clean_project(self) -> int:
        project: Project = self.cleaned_data["project"]
        return project.pk
