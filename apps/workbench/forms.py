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
