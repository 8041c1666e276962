"""Forms of jobs."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django import forms
from django.core.validators import MaxValueValidator
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from apps.compute import job_data
from apps.compute.environments.offered import offered_to
from apps.compute.placement import read_labels
from apps.compute.selectors import labels_of_nodes, most_to_ask, teams_to_submit_for
from apps.core.errors import Invalid
from apps.core.rows import RowsField, ValueField

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from apps.accounts.models import User

MOST_FOUND = 20
MOST_NEWEST = 5
"""So many data set versions a picker offers for words, and without any."""

EXAMPLE = """import json, time

import atrium

for step in range(10):
    atrium.progress((step + 1) / 10, f"step {step + 1} of 10")
    print("step", step + 1)
    time.sleep(0.5)

json.dump({"answer": 42}, open("result.json", "w"))
"""


class LabelsField(forms.CharField):
    """Labels with commas between them, that the node has to have; gives a list. Offers those that there are."""

    def __init__(self, **facts: Any) -> None:
        facts.setdefault("widget", forms.TextInput(attrs={"placeholder": _("such as zone=gpu")}))
        super().__init__(label=_("Node with the labels"), required=False, max_length=1500, **facts)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        try:
            return read_labels(re.split("[,，、]", super().clean(value) or ""))
        except Invalid as error:
            raise forms.ValidationError(error.message) from error

    def offer(self) -> None:
        """Name the labels that nodes have; called by the form at each request."""
        words = str(_("Only a node that has all of them takes it; commas between them."))
        if known := labels_of_nodes()[:30]:
            words += " " + _("There are: %(labels)s.") % {"labels": ", ".join(known)}
        else:
            words += " " + str(_("No node has labels yet."))
        self.help_text = words


class PriorityField(forms.IntegerField):
    """Which of the waiting jobs starts first, from 1 to 9."""

    USUAL = 5

    def __init__(self, **facts: Any) -> None:
        words = {"label": _("Priority"), "help_text": _("From 1, first, to 9, last.")}
        given: dict[str, Any] = {**words, "initial": self.USUAL, **facts}
        super().__init__(min_value=1, max_value=9, required=False, **given)

    def clean(self, value: Any) -> int:
        asked = super().clean(value)
        return self.USUAL if asked is None else int(asked)


class DataPicker(forms.Widget):
    """What is chosen, and a search for more; the page asks `jobs:data` for another list and what is chosen stays."""

    template_name = "components/picker.html"
    use_fieldset = True
    address = "jobs:data"
    search = _("Search data set versions")
    on_choice: ClassVar[Mapping[str, Any]] = {}
    """Attributes for htmx of what is to happen when something is chosen."""
    user: User

    def __init__(self, *, single: bool = False, optional: bool = False) -> None:
        super().__init__()
        self.single, self.optional = single, optional

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        return names_sent(data, name)

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False

    def id_for_label(self, id_: str, index: str | None = None) -> str:
        return ""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, None, attrs)
        context |= {"search_url": reverse(self.address), "search": self.search, "on_choice": self.on_choice}
        return context | self.listed(name, value or [])

    def listed(self, field: str, names: Sequence[str]) -> dict[str, Any]:
        """The list at first; the search brings another one."""
        return picked(self.user, field, names, single=self.single, optional=self.optional)


def names_sent(data: Any, field: str) -> list[str]:
    """The names that a picker sent, without what no name has."""
    sent = data.getlist(field) if hasattr(data, "getlist") else data.get(field, ())
    sent = [sent] if isinstance(sent, str) else sent
    return [name for each in sent if (name := str(each).replace("\0", ""))]


def picked(
    user: User, field: str, names: Sequence[str], *, words: str = "", single: bool, optional: bool = False
) -> dict[str, Any]:
    """What the list of a picker of data shows."""
    return choices(
        field,
        job_data.called(names[: job_data.MOST], user=user),
        lambda most: job_data.offered_to(user, words, most=most),
        words=words,
        single=single,
        optional=optional,
    ) | {"empty": _("There is no data set that you may read yet.")}


def choices(
    field: str,
    chosen: Sequence[job_data.Offer],
    find: Callable[[int], list[job_data.Offer]],
    *,
    words: str,
    single: bool = False,
    optional: bool = False,
) -> dict[str, Any]:
    """What the list of a picker shows: what is chosen, then what else is found, of which `find` gives so many."""
    most = MOST_FOUND if words.strip() else MOST_NEWEST
    taken = {offer.name for offer in chosen}
    found = [each for each in find(most + 1 + len(taken)) if each.name not in taken]
    return {
        "field": field,
        "single": single,
        "optional": optional,
        "words": words,
        "offers": [(offer, True) for offer in chosen] + [(offer, False) for offer in found[:most]],
        "nothing": not found,
        "more": len(found) > most,
    }


class DataField(forms.Field):
    """Data set versions by name that a job reads, found by searching; one or, usually, several. Gives the names."""

    widget: DataPicker

    def __init__(self, *, single: bool = False, **facts: Any) -> None:
        optional = single and not facts.get("required", True)
        super().__init__(widget=DataPicker(single=single, optional=optional), **facts)
        self.single = single

    def offer(self, user: User) -> None:
        """Called by the form at each request."""
        self.widget.user = user

    def clean(self, value: Any) -> Any:
        names = list(dict.fromkeys(super().clean(value) or []))
        if len(names) > job_data.MOST:
            raise forms.ValidationError(_("Choose at most %(most)d.") % {"most": job_data.MOST})
        return self.chosen(names)

    def chosen(self, names: list[str]) -> Any:
        """What the form is given for these names. May raise ValidationError."""
        return names


class CardsField(forms.FloatField):
    """How many graphics cards a job is given; `tell_limits` leaves it out where no node has one."""

    def __init__(self) -> None:
        super().__init__(
            label=_("Graphics cards"),
            min_value=0,
            max_value=1024,
            initial=0,
            required=False,
            help_text=_("A part of one, such as 0.5, is shared with others."),
        )

    def clean(self, value: Any) -> float:
        return super().clean(value) or 0.0


class AttemptsField(forms.IntegerField):
    """How often a job is tried that its code ends."""

    def __init__(self) -> None:
        super().__init__(label=_("Attempts"), min_value=1, max_value=10, initial=1, required=False)

    def clean(self, value: Any) -> int:
        return super().clean(value) or 1


def tell_limits(form: forms.Form) -> None:
    """Say at the form's `cpu` and `memory_mb` what there is, and take no more; called by the form at each request.

    Cores are given out several times, so that more can be asked for than there are. No cards: no field `gpu`.
    """
    room, cores = most_to_ask()
    if not room.gpu:
        form.fields.pop("gpu", None)
    words = _("At most %(most)d.")
    if room.cpu > cores:
        words = _("At most %(most)d, since cores are shared; more than %(cores)d make nothing faster here.")
    for name, most, told in (
        ("cpu", int(room.cpu), words % {"most": room.cpu, "cores": cores}),
        ("memory_mb", int(room.memory_mb), _("At most %(most)d.") % {"most": room.memory_mb}),
    ):
        field = form.fields[name]
        field.help_text = told
        field.widget.attrs["max"] = most
        field.validators = [each for each in field.validators if not isinstance(each, MaxValueValidator)]
        field.validators.append(MaxValueValidator(most))


def resources_in(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a form with `tell_limits` asks for."""
    return {name: given[name] for name in ("cpu", "memory_mb", "gpu") if name in given}


class ParamRow(forms.Form):
    """A parameter of a run."""

    name = forms.CharField(label=_("Name"), max_length=100)
    value = ValueField(label=_("Value"), max_length=10_000)


def by_name(rows: list[dict[str, Any]], value: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """{name: value of the row}. Raises ValidationError for a name that stands there twice."""
    found: dict[str, Any] = {}
    for row in rows:
        if row["name"] in found:
            raise forms.ValidationError(_("“%(name)s” stands there twice.") % {"name": row["name"]})
        found[row["name"]] = value(row)
    return found


class ParamsField(RowsField):
    """Parameters of a run; gives {name: value}."""

    def __init__(self, **facts: Any) -> None:
        given = {
            "label": _("Parameters"),
            "required": False,
            "add": _("Add a parameter"),
            "most": 100,
            **facts,
        }
        super().__init__(ParamRow, **given)

    def clean(self, value: Any) -> Any:
        return by_name(super().clean(value), lambda row: row["value"])


class SilentField(forms.IntegerField):
    """After how many minutes without a sign of life a notebook's cell is ended."""

    def __init__(self) -> None:
        super().__init__(
            label=_("A cell is ended after minutes without a sign of life"),
            initial=120,
            min_value=0,
            max_value=20_160,
            required=False,
            help_text=_("For notebooks: without output and without processor time. 0: never."),
        )


class CodeFileField(forms.FileField):
    """A notebook or a Python script; gives (its name, its text)."""

    LONGEST: ClassVar = {".ipynb": 8_000_000, ".py": 1_000_000}

    def __init__(self, **facts: Any) -> None:
        widget = forms.FileInput(attrs={"accept": ",".join(self.LONGEST)})
        super().__init__(required=False, widget=widget, max_length=200, **facts)

    def clean(self, data: Any, initial: Any = None) -> tuple[str, str] | None:
        if (sent := super().clean(data, initial)) is None:
            return None
        most = self.LONGEST.get(PurePath(sent.name).suffix)
        if most is None:
            words = _("“%(path)s” is neither a notebook (.ipynb) nor a Python script (.py).")
            raise forms.ValidationError(words % {"path": sent.name})
        if sent.size > most:
            raise forms.ValidationError(
                _(
                    "“%(path)s” has %(size).1f MB; at most %(most)d MB are taken. Clear the outputs of its cells."
                )
                % {"path": sent.name, "size": sent.size / 1e6, "most": most / 1e6}
            )
        try:
            return sent.name, sent.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise forms.ValidationError(_("“%(path)s” is no text in UTF-8.") % {"path": sent.name}) from error


class ScriptForm(forms.Form):
    """A Python script or a notebook to run as a job."""

    title = forms.CharField(
        label=_("Title"), max_length=200, required=False, help_text=_("Left out: the file's name.")
    )
    team: forms.ModelChoiceField[Any] = forms.ModelChoiceField(label=_("Team"), queryset=None)
    file = CodeFileField(
        label=_("Notebook or script"),
        help_text=_(
            "An .ipynb or .py file that is run in place of the script below. A notebook is kept, executed."
        ),
    )
    script = forms.CharField(
        label=_("Script"),
        max_length=1_000_000,
        required=False,
        initial=EXAMPLE,
        widget=forms.Textarea(attrs={"rows": 16, "class": "font-monospace", "spellcheck": "false"}),
        help_text=_("Writes /work/result.json and files below /work/outputs/ to keep them."),
    )
    params = ParamsField(help_text=_("A notebook gets them as variables, a script with atrium.params()."))
    environment = forms.ChoiceField(label=_("Environment"))
    datasets = DataField(
        label=_("Data sets"),
        required=False,
        help_text=_("Read-only at /datasets/NAME/VERSION; atrium.dataset(“name”) finds them."),
    )
    cpu = forms.FloatField(label=_("Processor cores"), min_value=0.1, max_value=1024, initial=1)
    memory_mb = forms.IntegerField(label=_("Memory in MB"), min_value=64, max_value=10**7, initial=1024)
    gpu = CardsField()
    timeout_s = forms.IntegerField(
        label=_("Time limit in seconds"), min_value=1, max_value=14 * 86_400, initial=3600
    )
    silent_minutes = SilentField()
    max_attempts = AttemptsField()
    priority = PriorityField()
    labels = LabelsField()

    def __init__(self, *args: Any, user: User, **facts: Any) -> None:
        super().__init__(*args, **facts)
        teams = teams_to_submit_for(user).order_by("name")
        field = self.fields["team"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset, field.initial = teams, teams.first()
        chosen = self.fields["environment"]
        assert isinstance(chosen, forms.ChoiceField)
        chosen.choices = offered_to(user)
        cast("DataField", self.fields["datasets"]).offer(user)
        cast("LabelsField", self.fields["labels"]).offer()
        tell_limits(self)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not given.get("file") and not (given.get("script") or "").strip() and not self.errors:
            self.add_error("script", _("Choose a file, or write a script."))
        return given

    def facts(self) -> dict[str, Any]:
        """What `services.submit_script` takes."""
        given = dict(self.cleaned_data)
        given["resources"] = resources_in(given)
        given = {name: value for name, value in given.items() if name not in given["resources"]}
        silent = given.pop("silent_minutes")
        given["cell_timeout_s"] = None if silent is None else silent * 60
        if sent := given.pop("file"):
            name, text = sent
            is_notebook = name.endswith(".ipynb")
            given |= {"script": "" if is_notebook else text, "notebook": text if is_notebook else ""}
            given["title"] = given["title"] or name
        return given


class HostForm(forms.Form):
    """A host that sandboxes may reach."""

    pattern = forms.CharField(
        label=_("Host"),
        max_length=262,
        help_text=_(
            "Such as packages.example.org, git.example.org:8443 or *.example.org. Without a port: 80 and 443."
        ),
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "off"}),
    )
    note = forms.CharField(label=_("What for"), max_length=200, required=False)
