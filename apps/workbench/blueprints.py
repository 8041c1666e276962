"""What a recipe or a sweep runs again and again, and the parameters that it takes. Nothing here asks the database."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from django.utils.translation import gettext as _

from apps.compute.placement import read_labels
from apps.core.errors import Invalid

KINDS = ("int", "float", "bool", "text", "choice")
MOST_PARAMETERS = 40
_NAME = re.compile(r"[A-Za-z_]\w{0,59}")
_TYPES: dict[str, type] = {"int": int, "float": float, "bool": bool, "text": str}


@dataclass(frozen=True)
class Blueprint:
    """A command with its files by digest, its environment, what it is given of the machine and the labels of its node.

    `datasets` are the "<data set>/<number>" that it had; a recipe's run brings its own instead.
    """

    kind: str
    argv: list[str]
    environment: str = "base"
    inputs: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    datasets: list[str] = field(default_factory=list)
    resources: dict[str, Any] = field(default_factory=dict)
    timeout_s: float = 3600
    max_attempts: int = 1
    labels: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Blueprint:
        """As it was kept."""
        return cls(**document)

    def placed(self, labels: Sequence[str] | None) -> Blueprint:
        """For a node with these labels in place of its own; None leaves them. Raises Invalid."""
        return self if labels is None else replace(self, labels=read_labels(labels))


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name, kind, default, and the limits that hold for it."""

    name: str
    kind: str
    default: Any = None
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: list[Any] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    def taken(self, value: Any) -> Any:
        """The value as the code gets it. Raises Invalid that names the parameter and what it may be."""
        if self.kind == "choice":
            found = next((choice for choice in self.choices if str(choice) == str(value)), None)
            if found is None:
                raise self._wrong(value, _("one of %(names)s") % {"names": ", ".join(map(str, self.choices))})
            return found
        if self.kind == "bool" or isinstance(value, bool):
            if self.kind != "bool" or not isinstance(value, bool):
                raise self._wrong(value, _("true or false"))
            return value
        if self.kind == "text":
            return str(value)
        return self._number(value)

    def _number(self, value: Any) -> int | float:
        try:
            number = float(value)
            if self.kind == "int" and number != int(number):
                raise ValueError
        except (TypeError, ValueError, OverflowError) as error:
            words = _("a whole number") if self.kind == "int" else _("a number")
            raise self._wrong(value, words) from error
        low, high = self.minimum, self.maximum
        if not (low is None or number >= low) or not (high is None or number <= high) or number != number:
            shown = {"low": "–" if low is None else low, "high": "–" if high is None else high}
            raise self._wrong(value, _("between %(low)s and %(high)s") % shown)
        return int(number) if self.kind == "int" else number

    def _wrong(self, value: Any, words: str) -> Invalid:
        message = _("The parameter %(name)s is %(value)s; it must be %(what)s.") % {
            "name": self.name,
            "value": str(value)[:80],
            "what": words,
        }
        return Invalid(message, fields={self.name: message})


def parameters_of(documents: Any) -> list[Parameter]:
    """Parameters as somebody wrote them. Raises Invalid that names the one that is wrong."""
    if not isinstance(documents, Sequence) or isinstance(documents, str) or len(documents) > MOST_PARAMETERS:
        raise Invalid(_("The parameters must be a list of at most %(most)d.") % {"most": MOST_PARAMETERS})
    return [_parameter(document) for document in documents]


def _parameter(document: Any) -> Parameter:
    if not isinstance(document, Mapping) or not _NAME.fullmatch(str(document.get("name", ""))):
        raise Invalid(
            _("Each parameter needs a name of letters, digits and underscores: %(one)s") % {"one": document}
        )
    known = {"name", "kind", "default", "help", "minimum", "maximum", "choices"}
    if unknown := set(document) - known:
        raise Invalid(_("A parameter has no “%(name)s”.") % {"name": sorted(unknown)[0]})
    try:
        made = Parameter(**{"kind": kind_of(document.get("default")), **document})
    except TypeError as error:
        raise Invalid(_("The parameter %(name)s cannot be read.") % {"name": document["name"]}) from error
    if made.kind not in KINDS or (made.kind == "choice" and not made.choices):
        raise Invalid(
            _("The kind of %(name)s must be one of %(kinds)s; a choice needs its choices.")
            % {"name": made.name, "kinds": ", ".join(KINDS)}
        )
    if made.default is not None:
        made.taken(made.default)
    return made


def kind_of(value: Any) -> str:
    """The kind of parameter that a value of a job's parameters looks like."""
    return next((kind for kind in ("bool", "int", "float") if isinstance(value, _TYPES[kind])), "text")


def values_for(parameters: Sequence[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is given: the defaults with the given values in their place. Raises Invalid."""
    names = {parameter.name for parameter in parameters}
    if unknown := set(given) - names:
        raise Invalid(
            _("There is no parameter %(name)s; there are: %(names)s.")
            % {"name": sorted(unknown)[0], "names": ", ".join(sorted(names)) or _("none")}
        )
    values = {}
    for parameter in parameters:
        value = given.get(parameter.name)
        value = parameter.default if value is None or value == "" else value
        if value is None:
            raise Invalid(
                _("The parameter %(name)s has no default: give a value.") % {"name": parameter.name},
                fields={parameter.name: _("missing")},
            )
        values[parameter.name] = parameter.taken(value)
    return values
