"""Forms of the workbench."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Role, Site, Team
from apps.accounts.selectors import teams_of
from apps.compute.environments.offered import offered_to
from apps.compute.forms import (
    AttemptsField,
    CardsField,
    DataField,
    DataPicker,
    LabelsField,
    ParamsField,
    PriorityField,
    SilentField,
    by_name,
    choices,
    resources_in,
    tell_limits,
)
from apps.compute.job_data import Offer
from apps.compute.selectors import most_to_ask
from apps.core.errors import Invalid
from apps.core.forms import ShortNameField
from apps.core.rows import RowsField, ValueField, ValuesField
from apps.workbench import mounted
from apps.workbench.blueprints import Parameter, parameters_of
from apps.workbench.models import Recipe, RecipeVersion, Size, Sweep, Workspace
from apps.workbench.recordings import KEEP_DAYS, MOST_DAYS
from apps.workbench.selectors import dataset_versions_offered_to, versions_to_refine, workspaces_visible_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.accounts.models import User
    from apps.catalog.models import Version

_LONGEST_KEY = 18


def _offer_teams(form: forms.Form, user: User) -> None:
    teams = teams_of(user, Role.DEVELOPER)
    field = form.fields["team"]
    assert isinstance(field, forms.ModelChoiceField)
    field.queryset, field.initial = teams, teams.first()


def _offer_environments(form: forms.Form, user: User) -> None:
    field = form.fields["environment"]
    assert isinstance(field, forms.ChoiceField)
    field.choices = offered_to(user)


class RecordingRuleForm(forms.Form):
    """Whose terminals are recorded."""

    site = forms.ModelChoiceField(
        label=_("Site"),
        queryset=Site.objects.filter(archived_at=None).order_by("name"),
        required=False,
        empty_label="–",
    )
    team = forms.ModelChoiceField(
        label=_("Team"),
        queryset=Team.objects.filter(archived_at=None).order_by("name"),
        required=False,
        empty_label="–",
        help_text=_("With neither a site nor a team: all."),
    )
    keep_days = forms.IntegerField(
        label=_("Days to keep"), min_value=1, max_value=MOST_DAYS, initial=KEEP_DAYS
    )


class DatasetVersionsField(DataField):
    """Data set versions that a person may read; gives the versions, or the one."""

    def chosen(self, names: list[str]) -> Any:
        try:
            found = mounted.versions_named(names, user=self.widget.user)
        except Invalid as error:
            raise forms.ValidationError(error.message) from error
        if not self.single:
            return found
        return found[0] if found else None


class ModelPicker(DataPicker):
    """The same for versions of capabilities, by their keys."""

    address = "workbench:models_to_refine"
    search = _("Search models")

    def listed(self, field: str, names: Sequence[str]) -> dict[str, Any]:
        return models_picked(self.user, field, names)


def models_picked(user: User, field: str, names: Sequence[str], words: str = "") -> dict[str, Any]:
    """What the list of a picker of models shows."""
    wanted = [int(name) for name in names[:1] if name.isdecimal() and len(name) < _LONGEST_KEY]
    chosen = versions_to_refine(user).filter(pk__in=wanted)
    return choices(
        field,
        [_offer_of(version) for version in chosen],
        lambda most: [_offer_of(version) for version in versions_to_refine(user, words)[:most]],
        words=words,
        single=True,
        optional=False,
    ) | {"empty": _("You build no capability that has a version yet.")}


def _offer_of(version: Version) -> Offer:
    return Offer(str(version.pk), f"{version.capability.slug} {version.number}", version.capability.name)


class ModelField(forms.Field):
    """A version that a model is refined from, found by searching."""

    widget: ModelPicker

    def __init__(self, *, user: User, **facts: Any) -> None:
        super().__init__(widget=ModelPicker(single=True), **facts)
        self.widget.user = user

    def clean(self, value: Any) -> Version:
        name = next(iter(super().clean(value)), "")
        found = name.isdecimal() and len(name) < _LONGEST_KEY
        version = versions_to_refine(self.widget.user).filter(pk=int(name)).first() if found else None
        if version is None:
            raise forms.ValidationError(_("Choose one of the models that are found."))
        return version


class MountedDatasetsField(DatasetVersionsField):
    """Data set versions that are read-only in a workspace."""

    def __init__(self, **facts: Any) -> None:
        words = _(
            "Read-only at /datasets/NAME/VERSION from the next start on, and in jobs of this workspace; "
            "atrium.dataset(“name”) finds them."
        )
        super().__init__(**{"label": _("Data sets"), "required": False, "help_text": words, **facts})


def _offer_sizes(form: forms.Form) -> list[Size]:
    """The sizes that a node has the graphics cards for, and the one that is chosen already."""
    room, chosen = most_to_ask()[0], form.initial.get("flavour")
    offered = {
        flavour: size
        for flavour, size in Workspace.SIZES.items()
        if size.gpu <= room.gpu or flavour == chosen
    }
    field = cast("forms.ChoiceField", form.fields["flavour"])
    field.choices = [(flavour.value, flavour.label) for flavour in offered]
    return list(offered.values())


class WorkspaceForm(forms.Form):
    """What a new workspace needs."""

    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("Such as “alarm-classifier”."))
    team = forms.ModelChoiceField(
        label=_("Team"), queryset=Team.objects.none(), help_text=_("Its developers may read along.")
    )
    flavour = forms.ChoiceField(label=_("Size"), choices=Workspace.Flavour.choices)
    environment = forms.ChoiceField(label=_("Environment"))
    datasets = MountedDatasetsField()
    labels = LabelsField()

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer_teams(self, user)
        _offer_environments(self, user)
        cast("MountedDatasetsField", self.fields["datasets"]).offer(user)
        cast("LabelsField", self.fields["labels"]).offer()
        cores = most_to_ask()[1]
        if cores < max(size.cpu for size in _offer_sizes(self)):
            words = _("No node has more than %(cores)d cores; a size with more of them is no faster.")
            self.fields["flavour"].help_text = words % {"cores": cores}


class SettingsForm(forms.Form):
    """What may be changed later."""

    flavour = forms.ChoiceField(
        label=_("Size"), choices=Workspace.Flavour.choices, help_text=_("Counts from the next start on.")
    )
    environment = forms.ChoiceField(label=_("Environment"), help_text=_("Counts from the next start on."))
    labels = LabelsField()
    idle_minutes = forms.ChoiceField(
        label=_("Stop when idle"),
        choices=Workspace.IdleLimit.choices,
        help_text=_("Running cells and commands in terminals count as work."),
    )

    share_terminals = forms.BooleanField(
        label=_("Developers of the team may watch the terminals"),
        required=False,
        help_text=_(
            "They see what is on the screen and cannot type. Switching it off ends it within seconds."
        ),
    )
    datasets = MountedDatasetsField()

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer_sizes(self)
        _offer_environments(self, user)
        cast("LabelsField", self.fields["labels"]).offer()
        cast("MountedDatasetsField", self.fields["datasets"]).offer(user)


class EnvironmentForm(forms.Form):
    """Packages beside those of the base."""

    name = ShortNameField(label=_("Name"), max_length=40, help_text=_("Such as “forecasting”."))
    team = forms.ModelChoiceField(label=_("Team"), queryset=Team.objects.none())
    requirements = forms.CharField(
        label=_("Packages"),
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 8, "class": "font-monospace", "spellcheck": "false"}),
        help_text=_("One per line, such as lightgbm==4.6.0. What the base has comes along."),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer_teams(self, user)


class SaveForm(forms.Form):
    """The name of the environment that a workspace's packages become."""

    name = ShortNameField(label=_("Name of the environment"), max_length=40)


class CloneForm(forms.Form):
    """The name of a copy."""

    name = forms.CharField(label=_("Name of the copy"), max_length=80)


class PlaceForm(forms.Form):
    """Which of one's workspaces a notebook is put into."""

    workspace = forms.ModelChoiceField(
        label=_("Workspace"), queryset=Workspace.objects.none(), empty_label=None
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["workspace"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = workspaces_visible_to(user).filter(owner=user).exclude(status="archived")
        running = field.queryset.filter(status="running").first()
        field.initial = running or field.queryset.first()


class RunForm(forms.Form):
    """A notebook or script of a workspace, and how it is to run."""

    path = forms.ChoiceField(label=_("File"))
    params = ParamsField()
    environment = forms.ChoiceField(label=_("Environment"))
    datasets = MountedDatasetsField(
        help_text=_(
            "Read-only at /datasets/NAME/VERSION, beside those of the workspace; atrium.dataset(“name”) finds them."
        )
    )
    cpu = forms.FloatField(label=_("Cores"), initial=1, min_value=0.1, max_value=64)
    memory_mb = forms.IntegerField(label=_("Memory in MB"), initial=2048, min_value=128)
    gpu = CardsField()
    minutes = forms.IntegerField(label=_("Time limit in minutes"), initial=60, min_value=1, max_value=20_160)
    silent_minutes = SilentField()
    max_attempts = AttemptsField()
    priority = PriorityField()
    labels = LabelsField()

    def __init__(
        self, *args: Any, paths: list[str], user: User, cards_held: float = 0, **kwargs: Any
    ) -> None:
        """`cards_held` is how many graphics cards the workspace itself has while it runs."""
        super().__init__(*args, **kwargs)
        _offer_environments(self, user)
        cast("MountedDatasetsField", self.fields["datasets"]).offer(user)
        cast("LabelsField", self.fields["labels"]).offer()
        tell_limits(self)
        if cards_held and "gpu" in self.fields:
            self.fields["gpu"].help_text += " " + _(
                "The workspace holds %(held)g itself: where no more are free, the job waits until it stops."
            ) % {"held": cards_held}
        self.has_files = bool(paths)
        field = self.fields["path"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(path, path) for path in paths]


class RegisterForm(forms.Form):
    """Which model, of a run or of a workspace's files, becomes a version of which capability."""

    model = forms.ChoiceField(label=_("Model"))
    capability = forms.CharField(
        label=_("Capability"),
        max_length=63,
        help_text=_("The short name of a capability of the team; a new one is made as a draft."),
    )
    number = forms.CharField(
        label=_("Version"), max_length=64, required=False, help_text=_("Left out: the next minor version.")
    )

    def __init__(self, *args: Any, names: Sequence[str], **facts: Any) -> None:
        super().__init__(*args, **facts)
        cast("forms.ChoiceField", self.fields["model"]).choices = [(name, name) for name in names]


class ParameterRow(forms.Form):
    """One parameter of a recipe; see `blueprints.Parameter`."""

    name = forms.CharField(label=_("Name"), max_length=100)
    kind = forms.ChoiceField(
        label=_("Kind"),
        required=False,
        choices=[
            ("", _("as the value")), ("int", _("whole number")), ("float", _("number")), ("bool", _("yes or no")),
            ("text", _("text")), ("choice", _("choice")),
        ],
    )  # fmt: skip
    default = ValueField(label=_("At first"), required=False, max_length=10_000)
    minimum = forms.FloatField(label=_("From"), required=False)
    maximum = forms.FloatField(label=_("To"), required=False)
    choices = ValuesField(label=_("Choices"), required=False, max_length=10_000)
    help = forms.CharField(label=_("What it does"), required=False, max_length=240)


class PublishForm(forms.Form):
    """A recipe made of a job: what it is called, what it takes, who may run it."""

    slug = ShortNameField(
        label=_("Short name"),
        max_length=63,
        help_text=_("A name that your team has already gets its next version."),
    )
    name = forms.CharField(label=_("Name"), max_length=100)
    summary = forms.CharField(label=_("Summary"), max_length=240, required=False)
    visibility = forms.ChoiceField(label=_("May be run by"), choices=Recipe.Visibility.choices)
    refines = forms.BooleanField(
        label=_("It refines a model"),
        required=False,
        help_text=_(
            "Its code loads atrium.base_model() and saves the new model to atrium.outputs() / “model”."
        ),
    )
    parameters = RowsField(
        ParameterRow,
        label=_("Parameters"),
        required=False,
        add=_("Add a parameter"),
        help_text=_("What who runs it may change; without a kind it is that of the value at first."),
    )
    slots = forms.CharField(
        label=_("Data sets"),
        required=False,
        help_text=_("The names by which the code asks for data sets, separated by commas."),
    )
    labels = LabelsField()
    note = forms.CharField(
        label=_("What is new"), required=False, widget=forms.Textarea(attrs={"rows": 2}), max_length=20_000
    )

    def __init__(self, *args: Any, **facts: Any) -> None:
        super().__init__(*args, **facts)
        cast("LabelsField", self.fields["labels"]).offer()

    def clean_slots(self) -> list[str]:
        return [name.strip() for name in self.cleaned_data["slots"].split(",") if name.strip()]


class RunRecipeForm(forms.Form):
    """A run: the parameters and the data sets that the recipe asks for, and what becomes of the model."""

    team = forms.ModelChoiceField(label=_("Team"), queryset=Team.objects.none())

    def __init__(self, *args: Any, version: RecipeVersion, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer_teams(self, user)
        self.parameters = parameters_of(version.parameters)
        self.slots = list(version.slots)
        for slot in self.slots:
            newest = dataset_versions_offered_to(user).filter(dataset__slug=slot)[:1]
            self.fields[f"data_{slot}"] = field = DatasetVersionsField(
                label=_("Data set “%(name)s”") % {"name": slot},
                single=True,
                initial=[mounted.name_of(version) for version in newest],
            )
            field.offer(user)
        for parameter in self.parameters:
            self.fields[f"param_{parameter.name}"] = _field_of(parameter)
        if version.refines:
            self.fields["base"] = ModelField(label=_("Model to refine"), user=user)
        self.fields["capability"] = forms.CharField(
            label=_("Register as"),
            max_length=63,
            required=False,
            help_text=_("The short name of a capability that the model becomes a version of.")
            if not version.refines
            else _("Left out: the capability of the refined model."),
        )
        self.fields["cpu"] = forms.FloatField(label=_("Cores"), min_value=0.1, max_value=64)
        self.fields["memory_mb"] = forms.IntegerField(label=_("Memory in MB"), min_value=128)
        self.fields["gpu"] = CardsField()
        self.fields["minutes"] = forms.IntegerField(
            label=_("Time limit in minutes"), min_value=1, max_value=20_160
        )
        self.fields["max_attempts"], self.fields["priority"] = AttemptsField(), PriorityField()
        self.fields["labels"] = labels = LabelsField()
        labels.offer()
        tell_limits(self)

    def facts(self) -> dict[str, Any]:
        """What `recipes.run_recipe` takes."""
        given = self.cleaned_data
        return {
            "team": given["team"],
            "params": {one.name: given[f"param_{one.name}"] for one in self.parameters},
            "datasets": {slot: given[f"data_{slot}"] for slot in self.slots},
            "base": given.get("base"),
            "capability": given["capability"],
            "resources": resources_in(given),
            "timeout_s": given["minutes"] * 60,
            "max_attempts": given["max_attempts"],
            "priority": given["priority"],
            "labels": given["labels"],
        }


def _field_of(parameter: Parameter) -> forms.Field:
    facts: dict[str, Any] = {
        "label": parameter.name,
        "help_text": parameter.help,
        "initial": parameter.default,
    }
    limits: dict[str, Any] = {"min_value": parameter.minimum, "max_value": parameter.maximum}
    if parameter.kind == "choice":
        return forms.ChoiceField(choices=[(str(one), str(one)) for one in parameter.choices], **facts)
    if parameter.kind == "bool":
        return forms.BooleanField(required=False, **facts)
    if parameter.kind == "int":
        return forms.IntegerField(**facts, **limits)
    return forms.FloatField(**facts, **limits) if parameter.kind == "float" else forms.CharField(**facts)


class AxisRow(forms.Form):
    """The values that a sweep tries of one parameter; see `spaces`."""

    name = forms.CharField(label=_("Parameter"), max_length=100)
    values = ValuesField(label=_("Values"), required=False, max_length=10_000)
    min = forms.FloatField(label=_("or from"), required=False)
    max = forms.FloatField(label=_("to"), required=False)
    steps = forms.IntegerField(label=_("in steps"), required=False, min_value=2)
    scale = forms.ChoiceField(
        label=_("Scale"), required=False, choices=[("", _("even")), ("log", _("logarithmic"))]
    )
    type = forms.ChoiceField(
        label=_("Numbers"), required=False, choices=[("", _("any")), ("int", _("whole"))]
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        ranged = [name for name in ("min", "max", "steps") if given.get(name) is not None]
        if given.get("values") and ranged:
            raise forms.ValidationError(_("Give values or a range, not both."))
        if given.get("name") and not given.get("values") and not ranged and not self.errors:
            raise forms.ValidationError(_("Give values or a range."))
        return given


class SweepForm(forms.Form):
    """What a sweep of a job's code tries, and how it judges."""

    title = forms.CharField(label=_("Title"), max_length=200)
    method = forms.ChoiceField(label=_("Method"), choices=Sweep.Method.choices)
    space = RowsField(
        AxisRow,
        label=_("What to try"),
        add=_("Add a parameter"),
        help_text=_(
            "For each parameter some values, with commas between them, or a range; a grid needs its steps."
        ),
    )
    count = forms.IntegerField(
        label=_("How many draws"),
        min_value=1,
        max_value=500,
        initial=10,
        help_text=_("For the random method."),
    )
    metric = forms.CharField(
        label=_("Metric"), max_length=100, help_text=_("A number in what the code gives to atrium.result().")
    )
    goal = forms.ChoiceField(label=_("Goal"), choices=Sweep.Goal.choices)
    at_once = forms.IntegerField(label=_("Trials at once"), min_value=1, max_value=50, initial=2)
    labels = LabelsField()
    early_stop = forms.ChoiceField(
        label=_("End trials early"),
        choices=[("", _("no, each runs to its end")), *Sweep.EarlyStop.choices],
        required=False,
        help_text=_("The code tells how it does with atrium.report(step, metric=value)."),
    )
    first_step = forms.IntegerField(
        label=_("First rung, in steps"),
        min_value=1,
        initial=1,
        required=False,
        help_text=_("Nothing is judged before."),
    )
    factor = forms.IntegerField(
        label=_("One of so many goes on"),
        min_value=2,
        max_value=10,
        initial=3,
        required=False,
        help_text=_("Rungs stand so many times as far apart, too: 1, 3, 9, 27."),
    )

    def __init__(self, *args: Any, **facts: Any) -> None:
        super().__init__(*args, **facts)
        cast("LabelsField", self.fields["labels"]).offer()

    def clean_first_step(self) -> int:
        return self.cleaned_data["first_step"] or 1

    def clean_factor(self) -> int:
        return self.cleaned_data["factor"] or 3

    def clean_space(self) -> dict[str, Any]:
        return by_name(self.cleaned_data["space"], _axis)


def _axis(row: dict[str, Any]) -> Any:
    """A list of values, or a range as `spaces` reads it."""
    return (
        row["values"] if "values" in row else {name: value for name, value in row.items() if name != "name"}
    )
