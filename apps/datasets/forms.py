"""Forms about data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Role, Team
from apps.accounts.selectors import teams_of
from apps.compute.forms import DataPicker, choices
from apps.compute.job_data import Offer
from apps.core.archives import Upload
from apps.core.errors import Invalid
from apps.core.forms import ShortNameField
from apps.datasets.models import Dataset
from apps.datasets.selectors import datasets_found_to_build, datasets_of_builder

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    slug = ShortNameField(
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


class DatasetPicker(DataPicker):
    """A search for data sets that a person may add a version to, by their short names."""

    address = "datasets:to_add_to"
    search = _("Search data sets")

    def listed(self, field: str, names: Sequence[str]) -> dict[str, Any]:
        return datasets_picked(self.user, field, names)


def datasets_picked(user: User, field: str, names: Sequence[str], words: str = "") -> dict[str, Any]:
    """What the list of a picker of data sets shows."""
    return choices(
        field,
        [_offer_of(dataset) for dataset in datasets_of_builder(user).filter(slug__in=names[:1])],
        lambda most: [_offer_of(dataset) for dataset in datasets_found_to_build(user, words)[:most]],
        words=words,
        single=True,
    ) | {
        "empty": _("There is no data set yet that you may add to. Make one first."),
        "unknown": _("No other data set that you may add to is called so."),
    }


def _offer_of(dataset: Dataset) -> Offer:
    return Offer(dataset.slug, dataset.name, f"{dataset.slug}, {dataset.team.name}")


class DatasetField(forms.Field):
    """A data set that a person may add a version to, found by searching."""

    widget: DatasetPicker

    def __init__(self, **facts: Any) -> None:
        super().__init__(widget=DatasetPicker(single=True), **facts)

    def offer(self, user: User) -> None:
        """Called by the form at each request."""
        self.widget.user = user

    def prepare_value(self, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    def clean(self, value: Any) -> Dataset:
        name = next(iter(super().clean(value)), "")
        found = datasets_of_builder(self.widget.user).filter(slug=name).first()
        if found is None:
            raise forms.ValidationError(
                _("There is no data set “%(name)s” that you may add to."), params={"name": name[:80]}
            )
        return found


class ReaderForm(forms.Form):
    """Somebody outside the team who shall read a data set."""

    username = forms.CharField(
        label=_("User name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


class SplitForm(forms.Form):
    """How a version is divided into parts for training, validation and the test."""

    train = forms.FloatField(label=_("Training, %"), min_value=0, max_value=100, initial=80)
    val = forms.FloatField(label=_("Validation, %"), min_value=0, max_value=100, initial=10)
    test = forms.FloatField(label=_("Test, %"), min_value=0, max_value=100, initial=10)
    how = forms.ChoiceField(
        label=_("How"),
        choices=[
            ("", _("by chance")),
            ("stratify_by", _("in proportion by a column")),
            ("group_by", _("groups of a column together")),
        ],
        required=False,
    )
    column = forms.ChoiceField(label=_("Column"), required=False)
    seed = forms.IntegerField(
        label=_("Seed"),
        min_value=0,
        initial=0,
        help_text=_("The same version, shares, column and seed give the same split, on any machine."),
    )

    def __init__(self, *args: Any, columns: list[str], label: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast("forms.ChoiceField", self.fields["column"])
        field.choices = [("", "–"), *((name, name) for name in columns)]
        if label:
            self.fields["how"].initial, field.initial = "stratify_by", label

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("how") and not given.get("column"):
            self.add_error("column", _("Choose the column."))
        shares = [given.get(name) for name in ("train", "val", "test")]
        if not self.errors and abs(sum(share or 0 for share in shares) - 100) > 0.01:
            raise forms.ValidationError(_("The parts must add up to 100 %."))
        return given

    def facts(self) -> dict[str, Any]:
        """What `split_version` takes; a part of nothing is left out."""
        given = self.cleaned_data
        shares = {name: given[name] / 100 for name in ("train", "val", "test") if given[name]}
        how = {given["how"]: given["column"]} if given["how"] else {}
        return {"shares": shares, "seed": given["seed"], **how}


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
