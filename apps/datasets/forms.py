"""Forms about data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Role, Team
from apps.accounts.selectors import teams_of
from apps.core.archives import Upload
from apps.core.errors import Invalid
from apps.datasets.models import Dataset

if TYPE_CHECKING:
    from django.http import HttpRequest

    from apps.accounts.models import User


class DatasetForm(forms.Form):
    """What is said about a data set."""

    name = forms.CharField(label=_("Name"), max_length=100)
    description = forms.CharField(
        label=_("Description"), required=False, widget=forms.Textarea(attrs={"rows": 4})
    )
    visibility = forms.ChoiceField(label=_("Visible to"), choices=Dataset.Visibility.choices, initial="team")


class NewDatasetForm(DatasetForm):
    """The same, with its team and the short name, which never changes."""

    team = forms.ModelChoiceField(label=_("Team"), queryset=Team.objects.none())
    slug = forms.SlugField(
        label=_("Short name"), max_length=63, help_text=_("Lower-case letters, digits and hyphens.")
    )
    field_order = ["team", "slug"]

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        teams = teams_of(user, Role.DEVELOPER, Role.QA).order_by("name")
        cast("forms.ModelChoiceField[Team]", self.fields["team"]).queryset = teams
        self.fields["team"].initial = teams.first()


class DatasetVersionForm(forms.Form):
    """A new version; its files come beside the form."""

    note = forms.CharField(
        label=_("What is new"), required=False, widget=forms.Textarea(attrs={"rows": 3}), max_length=20_000
    )


def uploads_of(request: HttpRequest) -> list[Upload]:
    """What was sent as files; a folder's paths come beside them in `paths`, in the same order."""
    files = request.FILES.getlist("files")
    paths = request.POST.getlist("paths") or [file.name or "" for file in files]
    if len(paths) != len(files):
        raise Invalid(
            str(_("Some files did not arrive. Send them again.")), fields={"files": str(_("incomplete"))}
        )
    return [
        Upload(path, cast("Any", file.file), file.size or 0) for path, file in zip(paths, files, strict=True)
    ]
