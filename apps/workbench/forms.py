"""Forms of the workbench."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Role, Team
from apps.accounts.selectors import teams_of
from apps.compute.environments.offered import offered_to
from apps.datasets.models import DatasetVersion
from apps.workbench.models import Workspace
from apps.workbench.selectors import dataset_versions_offered_to

if TYPE_CHECKING:
    from apps.accounts.models import User


def _offer_teams(form: forms.Form, user: User) -> None:
    teams = teams_of(user, Role.DEVELOPER)
    field = form.fields["team"]
    assert isinstance(field, forms.ModelChoiceField)
    field.queryset, field.initial = teams, teams.first()


def _offer_environments(form: forms.Form, user: User) -> None:
    field = form.fields["environment"]
    assert isinstance(field, forms.ChoiceField)
    field.choices = offered_to(user)


class WorkspaceForm(forms.Form):
    """What a new workspace needs."""

    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("Such as “alarm-classifier”."))
    team = forms.ModelChoiceField(
        label=_("Team"), queryset=Team.objects.none(), help_text=_("Its developers may read along.")
    )
    flavour = forms.ChoiceField(label=_("Size"), choices=Workspace.Flavour.choices)
    environment = forms.ChoiceField(label=_("Environment"))

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer_teams(self, user)
        _offer_environments(self, user)


class SettingsForm(forms.Form):
    """What may be changed later."""

    flavour = forms.ChoiceField(
        label=_("Size"), choices=Workspace.Flavour.choices, help_text=_("Counts from the next start on.")
    )
    environment = forms.ChoiceField(label=_("Environment"), help_text=_("Counts from the next start on."))
    idle_minutes = forms.ChoiceField(
        label=_("Stop when idle"),
        choices=Workspace.IdleLimit.choices,
        help_text=_("Running cells and commands in terminals count as work."),
    )

    share_terminals = forms.BooleanField(
        label=_("Developers of the team may watch the terminals"),
        required=False,
        help_text=_(
            "They see what is on the screen and cannot type. Switching it off ends it within seconds."
        ),
    )
    datasets = forms.ModelMultipleChoiceField(
        label=_("Data sets"),
        required=False,
        queryset=DatasetVersion.objects.none(),
        help_text=_(
            "Read-only at /datasets/<name>/<version> from the next start on, and in jobs of this workspace; "
            "atrium.dataset(“name”) finds them."
        ),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer_environments(self, user)
        field = self.fields["datasets"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = dataset_versions_offered_to(user)


class EnvironmentForm(forms.Form):
    """Packages beside those of the base."""

    name = forms.SlugField(label=_("Name"), max_length=40, help_text=_("Such as “forecasting”."))
    team = forms.ModelChoiceField(label=_("Team"), queryset=Team.objects.none())
    requirements = forms.CharField(
        label=_("Packages"),
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 8, "class": "font-monospace", "spellcheck": "false"}),
        help_text=_("One per line, such as lightgbm==4.6.0. What the base has comes along."),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer_teams(self, user)


class SaveForm(forms.Form):
    """The name of the environment that a workspace's packages become."""

    name = forms.SlugField(label=_("Name of the environment"), max_length=40)


class CloneForm(forms.Form):
    """The name of a copy."""

    name = forms.CharField(label=_("Name of the copy"), max_length=80)


class RunForm(forms.Form):
    """A notebook or script of a workspace, and how it is to run."""

    path = forms.ChoiceField(label=_("File"))
    params = forms.JSONField(
        label=_("Parameters"),
        required=False,
        initial=dict,
        widget=forms.Textarea(attrs={"rows": 3, "class": "font-monospace"}),
        help_text=_('A JSON object, such as {"epochs": 5}.'),
    )
    cpu = forms.FloatField(label=_("Cores"), initial=1, min_value=0.1, max_value=64)
    memory_mb = forms.IntegerField(label=_("Memory in MB"), initial=2048, min_value=128)
    minutes = forms.IntegerField(label=_("Time limit in minutes"), initial=60, min_value=1, max_value=20_160)

    def __init__(self, *args: Any, paths: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.has_files = bool(paths)
        field = self.fields["path"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(path, path) for path in paths]

    def clean_params(self) -> dict[str, Any]:
        value = self.cleaned_data["params"]
        if value in (None, ""):
            return {}
        if not isinstance(value, dict):
            raise forms.ValidationError(_("This must be a JSON object in braces."))
        return value
