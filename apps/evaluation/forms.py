"""Forms of the evaluation pages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import Capability
from apps.compute.forms import DataField
from apps.core.errors import PortalError
from apps.core.rows import RowsField, SuggestingInput
from apps.datasets.models import DatasetVersion
from apps.datasets.selectors import version_by_name
from apps.evaluation.gates import METRICS

if TYPE_CHECKING:
    from apps.accounts.models import User

FIRST_GATES = [
    {"metric": "accuracy", "threshold": 0.9, "at_least": 100},
    {"metric": "latency_p95_ms", "threshold": 100},
    {"metric": "cases_failed", "threshold": 0},
    {"metric": "accuracy", "threshold": 0.02, "relative": True, "at_least": 100},
]


TASK_WORDS = {
    "classification": _("Classification"),
    "regression": _("Regression"),
    "forecasting": _("Forecasting"),
    "text_spans": _("Places in a text"),
}


class GateRow(forms.Form):
    """One condition; see `gates.Gate`."""

    metric = forms.CharField(label=_("Figure"), max_length=100, widget=SuggestingInput(sorted(METRICS)))
    threshold = forms.FloatField(label=_("Threshold"))
    slice = forms.CharField(
        label=_("Only in"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": "site=a"}),
    )
    at_least = forms.IntegerField(label=_("Least rows"), required=False, min_value=1)
    better = forms.ChoiceField(
        label=_("Better is"),
        required=False,
        choices=[("", _("as usual")), ("higher", _("higher")), ("lower", _("lower"))],
    )
    relative = forms.BooleanField(label=_("Vs production"), required=False)
    certain = forms.BooleanField(label=_("Whole interval"), required=False)


class SuiteForm(forms.Form):
    """What a version is asked, and what it must reach."""

    name = forms.CharField(label=_("Name"), max_length=100, initial=_("Acceptance"))
    dataset_version = DataField(
        single=True,
        label=_("Data set version"),
        help_text=_("Rows whose column “split” says “test”, a file test.csv, or all rows."),
    )
    further_data = DataField(
        label=_("Further data set versions"),
        required=False,
        help_text=_(
            "Their rows are asked, too, and told apart: a gate only in “dataset=NAME@NUMBER” holds for one of them."
        ),
    )
    target = forms.CharField(label=_("Column with the right answer"), max_length=100)
    slices = forms.CharField(
        label=_("Columns to slice by"),
        required=False,
        help_text=_("Separated by commas. The worst group is shown."),
    )
    groups = forms.CharField(
        label=_("Columns whose groups must be served alike"),
        required=False,
        help_text=_(
            "Separated by commas. The gate fairness_gap with such a column as its slice limits the gap."
        ),
    )
    task = forms.ChoiceField(
        label=_("Task"),
        required=False,
        choices=[("", _("What the signature says")), *TASK_WORDS.items()],
    )
    gates = RowsField(
        GateRow,
        label=_("Gates"),
        add=_("Add a gate"),
        help_text=_(
            "A version passes when all of them hold. With “Vs production” the figure may be worse than the "
            "production version's by the threshold at most; fewer rows than the least never pass. "
            "“Whole interval” asks that the 95 % interval lies on the good side."
        ),
    )
    scorer = forms.CharField(
        label=_("Scorer of your own"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "font-monospace", "spellcheck": "false"}),
        help_text=_(
            "Python, run in the sandbox: score(truth, answer, inputs) returns a dict of numbers for a row. "
            "A gate names such a figure score:NAME, and which way is better."
        ),
    )

    def __init__(self, capability: Capability, *args: Any, user: User, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {}).setdefault("gates", json.loads(json.dumps(FIRST_GATES)))
        super().__init__(*args, **kwargs)
        self.user = user
        for name in ("dataset_version", "further_data"):
            cast("DataField", self.fields[name]).offer(user)

    def clean_dataset_version(self) -> DatasetVersion:
        return self._versions("dataset_version")[0]

    def clean_further_data(self) -> list[DatasetVersion]:
        return self._versions("further_data")

    def _versions(self, field: str) -> list[DatasetVersion]:
        try:
            return [version_by_name(name, user=self.user) for name in self.cleaned_data[field]]
        except PortalError as error:
            raise forms.ValidationError(error.message) from error

    def clean_slices(self) -> list[str]:
        return _names(self.cleaned_data["slices"])

    def clean_groups(self) -> list[str]:
        return _names(self.cleaned_data["groups"])


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
