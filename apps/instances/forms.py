"""Forms about deployments and traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.compute.forms import LabelsField, tell_limits
from apps.instances.models import Deployment
from apps.instances.services import MOST_REPLICAS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class DeployForm(forms.Form):
    """What to run, how often, with how much."""

    kind = forms.ChoiceField(label=_("Kind"), choices=Deployment.Kind.choices, widget=forms.RadioSelect)
    replicas = forms.IntegerField(label=_("Replicas"), min_value=1, max_value=MOST_REPLICAS, initial=1)
    cpu = forms.FloatField(
        label=_("Processor cores for each"), min_value=0.05, max_value=64, initial=0.25, required=False
    )
    memory_mb = forms.IntegerField(
        label=_("Memory for each (MB)"), min_value=64, max_value=1_000_000, initial=768, required=False
    )

    labels = LabelsField()

    def __init__(self, *args: Any, **facts: Any) -> None:
        super().__init__(*args, **facts)
        cast("LabelsField", self.fields["labels"]).offer()
        tell_limits(self)

    def resources(self) -> dict[str, float]:
        """What was asked for, without what was left empty."""
        return {name: self.cleaned_data[name] for name in ("cpu", "memory_mb") if self.cleaned_data.get(name)}


class ScaleForm(forms.Form):
    """How many replicas."""

    replicas = forms.IntegerField(label=_("Replicas"), min_value=1, max_value=MOST_REPLICAS)


class PlaceForm(forms.Form):
    """Which nodes."""

    labels = LabelsField()

    def __init__(self, *args: Any, **facts: Any) -> None:
        super().__init__(*args, **facts)
        cast("LabelsField", self.fields["labels"]).offer()


class WeightsForm(forms.Form):
    """A share in percent for each production deployment of a capability."""

    def __init__(
        self, *args: Any, deployments: Iterable[Deployment], weights: Mapping[int, int], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        for deployment in deployments:
            self.fields[f"d{deployment.pk}"] = forms.IntegerField(
                label=_("%(number)s (deployment %(pk)d, %(status)s)")
                % {
                    "number": deployment.version.number,
                    "pk": deployment.pk,
                    "status": deployment.get_status_display(),
                },
                min_value=0,
                max_value=100,
                initial=weights.get(deployment.pk, 0),
                required=False,
                widget=forms.NumberInput(attrs={"class": "num"}),
            )

    def weights(self) -> dict[int, int]:
        """The shares that were written, by deployment."""
        return {int(name[1:]): value or 0 for name, value in self.cleaned_data.items()}


class ShadowForm(forms.Form):
    """Which deployment gets a copy of the production calls, and of how many."""

    deployment = forms.TypedChoiceField(label=_("Deployment"), coerce=int, empty_value=None, required=False)
    percent = forms.IntegerField(label=_("Share of the calls (%)"), min_value=1, max_value=100, initial=100)

    def __init__(self, *args: Any, deployments: Iterable[Deployment], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [
            (row.pk, f"{row.version.number} #{row.pk} ({row.get_kind_display()})") for row in deployments
        ]
        field = self.fields["deployment"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = [("", _("None")), *choices]
