"""Forms of the call log."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.datasets.models import Dataset
from apps.gateway.retention import MOST_DAYS
from apps.gateway.scanning import MOST_CHARACTERS


class RetentionForm(forms.Form):
    """For how many days calls are kept."""

    days = forms.IntegerField(label=_("Days"), min_value=1, max_value=MOST_DAYS)


class ExportForm(forms.Form):
    """Which calls go into which data set. The filters come from the list of calls."""

    dataset = forms.ModelChoiceField(
        label=_("Data set"),
        queryset=Dataset.objects.none(),
        to_field_name="slug",
        help_text=_("The calls become its next version, a file with one call in each line."),
    )
    where = forms.CharField(
        label=_("Condition"),
        required=False,
        max_length=MOST_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2, "class": "font-monospace", "spellcheck": "false"}),
        help_text=_("JMESPath, as in the list of calls. Empty: all that the filters leave."),
    )

    def __init__(self, datasets: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["dataset"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = datasets
