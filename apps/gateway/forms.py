"""Forms of the call log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.datasets.forms import DatasetField
from apps.gateway.retention import MOST_DAYS
from apps.gateway.scanning import MOST_CHARACTERS

if TYPE_CHECKING:
    from apps.accounts.models import User


class RetentionForm(forms.Form):
    """For how many days calls are kept."""

    days = forms.IntegerField(label=_("Days"), min_value=1, max_value=MOST_DAYS)


class ExportForm(forms.Form):
    """Which calls go into which data set. The filters come from the list of calls."""

    dataset = DatasetField(
        label=_("Data set"),
        help_text=_("The calls become its next version, a file with one call in each line."),
    )
    where = forms.CharField(
        label=_("Condition"),
        required=False,
        max_length=MOST_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2, "class": "font-monospace", "spellcheck": "false"}),
        help_text=_("JMESPath, as in the list of calls. Empty: all that the filters leave."),
    )

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast("DatasetField", self.fields["dataset"]).offer(user)
