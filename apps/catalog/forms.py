"""Forms about capabilities and versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Role, Team
from apps.accounts.selectors import teams_of
from apps.catalog import cards
from apps.catalog.models import Capability
from apps.compute.forms import DataField
from apps.core.forms import ShortNameField

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.accounts.models import User


class CapabilityForm(forms.Form):
    """What is said about a capability."""

    name = forms.CharField(label=_("Name"), max_length=100)
    summary = forms.CharField(
        label=_("Summary"), max_length=240, required=False, help_text=_("One sentence for the store's list.")
    )
    domain = forms.CharField(
        label=_("Domain"),
        max_length=60,
        required=False,
        help_text=_("Such as network faults or customer care."),
    )
    tags = forms.CharField(label=_("Tags"), required=False, help_text=_("Separated by commas, at most 12."))
    visibility = forms.ChoiceField(
        label=_("Visible to"), choices=Capability.Visibility.choices, initial="team"
    )
    card = forms.CharField(
        label=_("Card"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 18, "class": "mono", "spellcheck": "true"}),
        help_text=_("Markdown. Say what it is for, what it was trained on, and where it fails."),
    )

    def clean_tags(self) -> list[str]:
        return [tag.strip() for tag in self.cleaned_data["tags"].replace("，", ",").split(",") if tag.strip()]


class NewCapabilityForm(CapabilityForm):
    """The same, with its team and the short name, which never changes."""

    team = forms.ModelChoiceField(label=_("Team"), queryset=Team.objects.none())
    slug = ShortNameField(
        label=_("Short name"),
        max_length=63,
        help_text=_("Lower-case letters, digits and hyphens. Callers write it; it never changes."),
    )
    field_order = ["team", "slug"]

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        teams = teams_of(user, Role.DEVELOPER).order_by("name")
        cast("forms.ModelChoiceField[Team]", self.fields["team"]).queryset = teams
        self.fields["team"].initial = teams.first()
        self.fields["card"].initial = cards.template()


class DeprecationForm(forms.Form):
    """When a capability goes, and what to use instead."""

    retires_on = forms.DateField(
        label=_("Will be retired on"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    note = forms.CharField(
        label=_("What to use instead"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=2000,
    )


class VersionDeprecationForm(DeprecationForm):
    """The same of one version, with the one that takes its place."""

    successor = forms.ChoiceField(label=_("Version in its place"), required=False)
    field_order = ["successor", "retires_on", "note"]

    def __init__(self, *args: Any, successors: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = cast("forms.ChoiceField", self.fields["successor"])
        offered.choices = [("", _("none named")), *((number, number) for number in successors)]
        self.fields["note"].label = _("What callers have to do")


class VersionForm(forms.Form):
    """A new version's number and what is new; its files come beside the form."""

    number = forms.CharField(
        label=_("Version"), max_length=64, help_text=_("Semantic, such as 1.4.0. It cannot be used again.")
    )
    changelog = forms.CharField(
        label=_("What is new"), required=False, widget=forms.Textarea(attrs={"rows": 3}), max_length=20_000
    )


class UploadForm(VersionForm):
    """The same for an upload, with where the model came from."""

    dataset_version = DataField(
        single=True,
        label=_("Data set version"),
        required=False,
        help_text=_("What it was trained on. Its rows are compared on, too."),
    )
    code_digest = forms.CharField(
        label=_("Code version"),
        required=False,
        max_length=64,
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"}),
        help_text=_("A git commit, or the SHA-256 of the code."),
    )
    training_job = forms.CharField(
        label=_("Training job"),
        required=False,
        max_length=20,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "placeholder": "42"}),
        help_text=_("The number of the job that trained it here."),
    )
    parameters = forms.CharField(
        label=_("Parameters"),
        required=False,
        widget=forms.Textarea(
            attrs={"rows": 2, "class": "mono", "spellcheck": "false", "placeholder": '{"trees": 50}'}
        ),
        max_length=64_000,
        help_text=_("What it was trained with, as a JSON object."),
    )

    def __init__(self, *args: Any, user: User, **facts: Any) -> None:
        super().__init__(*args, **facts)
        cast("DataField", self.fields["dataset_version"]).offer(user)

    def clean_dataset_version(self) -> str:
        return next(iter(self.cleaned_data["dataset_version"]), "")


class CompositeForm(VersionForm):
    """What a composite is besides its members, which come as rows beside the form."""

    shape = forms.ChoiceField(
        label=_("Shape"),
        choices=[
            ("sequence", _("Sequence: each step takes what the one before gives")),
            ("average", _("Ensemble: the scores are averaged")),
            ("vote", _("Ensemble: the classes are voted on")),
            ("switch", _("Switch: a field says which member answers")),
        ],
    )
    on = forms.CharField(
        label=_("Field to switch on"),
        required=False,
        max_length=63,
        help_text=_("Only for a switch: an input such as region, with one text per item."),
    )
    graph = forms.CharField(
        label=_("Graph as JSON"),
        required=False,
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 8, "class": "mono", "spellcheck": "false"}),
        help_text=_("Only for other shapes; it replaces the choice above. Members go by their short names."),
    )
    field_order = ["shape", "on", "graph", "number", "changelog"]
