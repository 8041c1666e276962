"""Forms of the pages of experiments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import Version
from apps.core.rows import RowsField, SuggestingInput
from apps.experiments.models import MODEL, Experiment
from apps.experiments.plans import MOST_ARMS, ArmPlan, Asked
from apps.experiments.selectors import layers_of

if TYPE_CHECKING:
    from apps.catalog.models import Capability

RATES = (Experiment.Measure.ERRORS, Experiment.Measure.QUALITY)
PERCENT = 100


class ParametersField(forms.JSONField):
    """Values by their names as JSON; empty is none."""

    def prepare_value(self, value: Any) -> Any:
        return super().prepare_value(value) if value else ""

    def clean(self, value: Any) -> dict[str, Any]:
        given = super().clean(value) or {}
        if not isinstance(given, Mapping):
            raise forms.ValidationError(
                _("Write an object, such as {“threshold”: 0.4} with straight quotes.")
            )
        return dict(given)


class ArmRow(forms.Form):
    """One arm; its version is chosen among those of the capability."""

    name = forms.CharField(label=_("Name"), max_length=60)
    share = forms.IntegerField(label=_("Share, %"), min_value=1, max_value=99)
    version = forms.ChoiceField(label=_("Version"), required=False)
    parameters = ParametersField(
        label=_("Parameters"),
        required=False,
        widget=forms.TextInput(attrs={"class": "font-monospace", "placeholder": '{"threshold": 0.4}'}),
    )


class ExperimentForm(forms.Form):
    """A plan. Rates are written in percentage points here, and as parts of 1 everywhere else."""

    name = forms.CharField(label=_("Name"), max_length=100)
    hypothesis = forms.CharField(
        label=_("Hypothesis"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("What you expect and why, in a sentence: it is what the result is held against."),
    )
    layer = forms.CharField(
        label=_("Layer"),
        max_length=40,
        initial=MODEL,
        help_text=_(
            "In “model” arms are signed versions. In any other layer, such as “threshold”, they give parameters to "
            "calls that have none of that name; the model's code reads them with atrium.parameters(). Layers do not "
            "disturb each other."
        ),
    )
    size = forms.IntegerField(label=_("Share of the callers, %"), min_value=1, max_value=PERCENT, initial=20)
    begins = forms.IntegerField(
        label=_("From, % of the layer"),
        required=False,
        min_value=0,
        max_value=PERCENT - 1,
        help_text=_("Empty: the first place that is free."),
    )
    measure = forms.ChoiceField(
        label=_("Measure that decides"),
        choices=Experiment.Measure.choices,
        help_text=_("The business metric is the one of the capability's release policy."),
    )
    effect = forms.FloatField(
        label=_("Smallest difference worth knowing"),
        min_value=0.000001,
        help_text=_("Percentage points for errors and quality, ms for latency, else the metric's unit."),
    )

    def __init__(self, capability: Capability, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = sorted({MODEL, *layers_of(capability)})
        self.fields["layer"].widget = SuggestingInput(words)
        numbers = Version.objects.filter(capability=capability, status=Version.Status.PACKAGED).order_by(
            "-pk"
        )
        choices = [
            ("", "–"),
            *((number, number) for number in numbers.values_list("number", flat=True)[:100]),
        ]
        row = type(
            "ArmRow",
            (ArmRow,),
            {"version": forms.ChoiceField(label=_("Version"), required=False, choices=choices)},
        )
        self.fields["arms"] = RowsField(
            row,
            label=_("Arms"),
            add=_("Add an arm"),
            most=MOST_ARMS,
            help_text=_("The first one is the control and changes nothing: production answers as ever."),
        )

    def asked(self) -> Asked:
        """The plan as the services take it. The form is valid."""
        told = dict(self.cleaned_data)
        if told["measure"] in RATES:
            told["effect"] = round(told["effect"] / PERCENT, 10)
        arms = [ArmPlan(**arm) for arm in told.pop("arms")]
        return Asked(**told, arms=arms)


def initial_of(experiment: Experiment) -> dict[str, Any]:
    """What the form shows of a draft."""
    names = ("name", "hypothesis", "layer", "size", "begins", "measure")
    factor = PERCENT if experiment.measure in RATES else 1
    arms = [
        {
            "name": arm.name,
            "share": arm.share,
            "version": arm.version.number if arm.version else "",
            "parameters": arm.parameters,
        }
        for arm in experiment.arms.all()
    ]
    return {name: getattr(experiment, name) for name in names} | {
        "effect": round(experiment.effect * factor, 10),
        "arms": arms,
    }


def initial_arms() -> list[dict[str, Any]]:
    """Two arms of equal size, to begin with."""
    return [{"name": str(_("as now")), "share": 50}, {"name": str(_("new")), "share": 50}]
