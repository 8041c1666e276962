"""Forms of the workbench."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Role, Team
from apps.accounts.selectors import teams_of
from apps.workbench.models import Workspace

if TYPE_CHECKING:
    from apps.accounts.models import User


class WorkspaceForm(forms.Form):
    """What a new workspace needs."""

    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("Such as “alarm-classifier”."))
    team = forms.ModelChoiceField(
        label=_("Team"), queryset=Team.objects.none(), help_text=_("Its developers may read along.")
    )
    flavour = forms.ChoiceField(label=_("Size"), choices=Workspace.Flavour.choices)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        teams = teams_of(user, Role.DEVELOPER)
        field = self.fields["team"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = teams
        field.initial = teams.first()


class SettingsForm(forms.Form):
    """What may be changed later."""

    flavour = forms.ChoiceField(
        label=_("Size"), choices=Workspace.Flavour.choices, help_text=_("Counts from the next start on.")
    )
    idle_minutes = forms.ChoiceField(
        label=_("Stop when idle"),
        choices=Workspace.IdleLimit.choices,
        help_text=_("Running cells and commands in terminals count as work."),
    )


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
