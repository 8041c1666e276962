"""Forms of the call log."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.gateway.retention import MOST_DAYS


class RetentionForm(forms.Form):
    """For how many days calls are kept."""

    days = forms.IntegerField(label=_("Days"), min_value=1, max_value=MOST_DAYS)
