"""Forms of the pages of experiments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import Version
from apps.core.rows import RowsField, SuggestingInput
from apps.experiments.models import MODEL, Experiment
from apps.experiments.plans import MOST_ARMS, ArmPlan, Asked
from apps.experiments.selectors import layers_of
from apps.releases.policies import policy_for

if TYPE_CHECKING:
    from apps.catalog.models import Capability

RATES = (Experiment.Measure.ERRORS, Experiment.Measure.TYPICAL, Experiment.Measure.QUALITY)
PERCENT = 100
VERSIONS, PARAMETERS = "versions", "parameters"
KINDS = ((VERSIONS, _("Versions")), (PARAMETERS, _("Values of parameters")))
CHOOSE = _("Choose the version that is compared with production.")
HALF = [{"share": 50}]
ORDER = (
    "name",
    "hypothesis",
    "kind",
    "layer",
    "control",
    "versions",
    "values",
    "size",
    "begins",
    "measure",
    "effect",
)


_PAIR = re.compile(r'\s*([\w.-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^,"]+?)\s*(?:,|$)')
"""`name = value`; a value with commas or quotes in it stands in quotes, as in JSON."""


class ParametersField(forms.JSONField):
    """Values by their names, as pages show them (`threshold = 0.4, mode = fast`) or as JSON; empty is none."""

    def prepare_value(self, value: Any) -> Any:
        return super().prepare_value(value) if value else ""

    def clean(self, value: Any) -> dict[str, Any]:
        given = _pairs(value) if isinstance(value, str) else None
        if given is None:
            try:
                given = super().clean(value) or {}
            except forms.ValidationError as error:
                if getattr(error, "code", "") != "invalid":
                    raise
        if not isinstance(given, Mapping):
            raise forms.ValidationError(
                _("Write values by their names, such as threshold = 0.4, or as a JSON object.")
            )
        return dict(given)


def _pairs(text: str) -> dict[str, Any] | None:
    """The values of `name = value, …`; None for anything else. What is no JSON value is a word."""
    found: dict[str, Any] = {}
    at = 0
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None:
            return None
        try:
            found[pair[1]] = json.loads(pair[2])
        except ValueError:
            found[pair[1]] = pair[2]
        at = pair.end()
    return found or None


def _named(otherwise: Any) -> forms.CharField:
    return forms.CharField(
        label=_("Name"),
        max_length=60,
        required=False,
        widget=forms.TextInput(attrs={"placeholder": otherwise}),
    )


class ArmRow(forms.Form):
    """What all arms beside the control have."""

    share = forms.IntegerField(label=_("Share, %"), min_value=1, max_value=99)


class VersionRow(ArmRow):
    """An arm that another version answers; without a name it is called by its number."""

    version = forms.ChoiceField(label=_("Version"))
    name = _named(_("its number"))
    field_order = ("version", "share", "name")


class ParametersRow(ArmRow):
    """An arm that gives values to parameters; without a name it is called by them."""

    parameters = ParametersField(
        label=_("Parameters"),
        widget=forms.TextInput(attrs={"class": "font-monospace", "placeholder": "threshold = 0.4"}),
    )
    name = _named(_("its values"))
    field_order = ("parameters", "share", "name")


class ExperimentForm(forms.Form):
    """A plan. Rates are written in percentage points here, and as parts of 1 everywhere else.

    The control gets what the other arms leave. Of `versions` and `values` the page shows what `kind` asks for.
    """

    name = forms.CharField(label=_("Name"), max_length=100)
    hypothesis = forms.CharField(
        label=_("Hypothesis"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("What you expect and why, in a sentence: it is what the result is held against."),
    )
    kind = forms.ChoiceField(
        label=_("Compared are"),
        choices=KINDS,
        initial=VERSIONS,
        widget=forms.RadioSelect,
    )
    layer = forms.CharField(
        label=_("Layer"),
        max_length=40,
        error_messages={"required": _("Name the layer, such as “threshold”.")},
        help_text=_(
            "A word for the kind of change, such as “threshold”. Experiments of one layer share no caller; layers do "
            "not disturb each other."
        ),
    )
    control = forms.CharField(
        label=_("Name of the control"),
        max_length=60,
        initial=_("as now"),
        help_text=_(
            "The control changes nothing: production answers as ever. It gets what the other arms leave."
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
    measure = forms.ChoiceField(label=_("Measure that decides"))
    effect = forms.FloatField(
        label=_("Smallest difference worth knowing"),
        min_value=0.000001,
        help_text=_(
            "Percentage points for errors and quality, percent for typical latency, else the metric's unit."
        ),
    )

    def __init__(self, capability: Capability, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = [layer for layer in layers_of(capability) if layer != MODEL]
        self.fields["layer"].widget = SuggestingInput(words)
        cast("forms.ChoiceField", self.fields["measure"]).choices = _measures(capability, self.initial)
        self.fields["versions"] = RowsField(
            _version_row(capability),
            label=_("Other arms"),
            add=_("Add an arm"),
            most=MOST_ARMS - 1,
            error_messages={"required": CHOOSE},
        )
        self.fields["values"] = RowsField(
            ParametersRow,
            label=_("Other arms"),
            add=_("Add an arm"),
            most=MOST_ARMS - 1,
            error_messages={"required": _("Give the value that is compared with what counts otherwise.")},
            help_text=_(
                "They give these values to calls that have none of that name; the model's code reads them with "
                "<code>atrium.parameters()</code>."
            ),
        )
        self.order_fields(ORDER)

    def clean(self) -> dict[str, Any]:
        """The layer, and the arms that `kind` asks for: what the page does not show is not asked for."""
        told = super().clean() or {}
        if told.get("kind") == VERSIONS:
            told["layer"] = MODEL
            hidden = ["layer", "values"]
        else:
            hidden = ["versions"]
            if told.get("layer", "").strip() == MODEL:
                self.add_error("layer", _("“model” is the layer of versions; take another word."))
        for name in hidden:
            self.errors.pop(name, None)
        shares = sum(arm["share"] for arm in told.get(self.arms_name, []))
        if shares >= PERCENT:
            words = _("Together they have %(sum)d %%; leave at least 1 %% to the control.")
            self.add_error(self.arms_name, words % {"sum": shares})
        return told

    @property
    def arms_name(self) -> str:
        """The field whose arms count."""
        return "values" if self.cleaned_data.get("kind") == PARAMETERS else "versions"

    def asked(self) -> Asked:
        """The plan as the services take it. The form is valid."""
        told = dict(self.cleaned_data)
        if told["measure"] in RATES:
            told["effect"] = round(told["effect"] / PERCENT, 10)
        others = [_planned(arm) for arm in told[self.arms_name]]
        control = ArmPlan(told.pop("control"), PERCENT - sum(arm.share for arm in others))
        for name in ("kind", "versions", "values"):
            told.pop(name, None)
        return Asked(**told, arms=[control, *others])


def _measures(capability: Capability, initial: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Without a business metric in the policy nobody is offered it; mean latency only where a plan has it already."""
    metric = policy_for(capability).metric
    left_out = {Experiment.Measure.LATENCY, *(() if metric else (Experiment.Measure.BUSINESS,))}
    return [
        (value, f"{label}: {metric['name']}" if value == Experiment.Measure.BUSINESS and metric else label)
        for value, label in Experiment.Measure.choices
        if value == initial.get("measure") or value not in left_out
    ]


def _version_row(capability: Capability) -> type[forms.Form]:
    packaged = Version.objects.filter(capability=capability, status=Version.Status.PACKAGED).order_by("-pk")
    numbers = packaged.values_list("number", flat=True)[:100]
    field = forms.ChoiceField(
        label=_("Version"),
        choices=[("", "–"), *((number, number) for number in numbers)],
        error_messages={"required": CHOOSE},
    )
    return type("VersionRow", (VersionRow,), {"version": field})


def _planned(arm: Mapping[str, Any]) -> ArmPlan:
    version, parameters = arm.get("version", ""), arm.get("parameters", {})
    otherwise = version or ", ".join(f"{name} = {value}" for name, value in parameters.items())
    return ArmPlan(arm.get("name", "").strip() or otherwise[:60], arm["share"], version, parameters)


def initial_of(experiment: Experiment) -> dict[str, Any]:
    """What the form shows of a plan."""
    names = ("name", "hypothesis", "size", "begins", "measure")
    factor = PERCENT if experiment.measure in RATES else 1
    control, *others = experiment.arms.all()
    arms = [
        {"name": arm.name, "share": arm.share, "version": arm.version.number if arm.version else ""}
        | {"parameters": arm.parameters}
        for arm in others
    ]
    return {name: getattr(experiment, name) for name in names} | {
        "kind": VERSIONS if experiment.moves else PARAMETERS,
        "layer": "" if experiment.moves else experiment.layer,
        "control": control.name,
        "effect": round(experiment.effect * factor, 10),
        "versions": arms if experiment.moves else HALF,
        "values": HALF if experiment.moves else arms,
    }


def initial_again(experiment: Experiment) -> dict[str, Any]:
    """The same plan once more, at the first place that is free."""
    return initial_of(experiment) | {"begins": None}


def initial_new() -> dict[str, Any]:
    """One arm beside the control, with half of the callers."""
    return {"versions": HALF, "values": HALF}
