"""Types whose value is chosen or written: one label, several, a path, one per row, text, a rating, a preference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.utils.translation import gettext_lazy

from apps.annotation.label_types.base import Example, LabelType, Setting, one_of, wrong
from apps.core.errors import Invalid
from apps.core.telling import say as _

ANYTHING = ("image", "text", "row", "series", "table", "pair")
DIGIT = [0, 0, 8, 8, 8, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 8, 8, 0, 0, 0,
         0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 0, 8, 8, 8, 0, 0, 0]  # fmt: skip
TICKET = "Cell 4711 in Guangzhou lost power at 03:12; the battery held for two hours."
_LONGEST_TEXT = 20_000
_PATH = " / "


def _result(kind: str, value: Any) -> list[dict[str, Any]]:
    return [{"from_name": "label", "to_name": "input", "type": kind, "value": value}]


def _of(result: Sequence[Mapping[str, Any]], kind: str) -> Any:
    for part in result:
        if part.get("type") == kind and isinstance(part.get("value"), Mapping):
            return part["value"].get(kind)
    raise wrong(_("the result holds no “%(kind)s”") % {"kind": kind})


class Single(LabelType):
    """Exactly one label. Value: the label."""

    slug, title, shows = "single", gettext_lazy("One label"), ANYTHING
    is_nominal = True

    def parse(self, posted: Any) -> Any:
        return posted.get("label", "")

    def clean(self, value: Any, setting: Setting) -> str:
        return one_of(value, setting.labels)

    def text(self, value: Any) -> str:
        return str(value)

    def to_label_studio(self, value: Any, setting: Setting) -> list[dict[str, Any]]:
        return _result("choices", {"choices": [value]})

    def from_label_studio(self, result: Sequence[Mapping[str, Any]], setting: Setting) -> Any:
        found = _of(result, "choices")
        return found[0] if isinstance(found, list) and len(found) == 1 else found

    @property
    def example(self) -> Example:
        return Example(
            Setting(("3", "8"), {}, {"image": DIGIT}), ("3", "8"), ("9", "", None, ["3"], 3), "image"
        )


class Multi(LabelType):
    """Any number of labels, none included. Value: the labels in the project's order."""

    slug, title, shows = "multi", gettext_lazy("Several labels"), ANYTHING
    begins_from_value = True

    def parse(self, posted: Any) -> Any:
        return posted.getlist("choice")

    def clean(self, value: Any, setting: Setting) -> list[str]:
        if not isinstance(value, list):
            raise wrong(_("A list of labels is needed."))
        chosen = {one_of(label, setting.labels) for label in value}
        return [label for label in setting.labels if label in chosen]

    def text(self, value: Any) -> str:
        return ", ".join(value) or "–"

    def labels_in(self, value: Any) -> set[str]:
        return set(value)

    def to_label_studio(self, value: Any, setting: Setting) -> list[dict[str, Any]]:
        return _result("choices", {"choices": value})

    def from_label_studio(self, result: Sequence[Mapping[str, Any]], setting: Setting) -> Any:
        return _of(result, "choices") if result else []

    @property
    def example(self) -> Example:
        setting = Setting(("power", "transmission", "weather"), {}, {"text": TICKET})
        return Example(setting, (["power"], [], ["power", "weather"]), (["cold"], "power", None, [1]), "text")


class Taxonomy(LabelType):
    """A path down a tree. Labels are paths like “Radio / Antenna”. Value: the path as a list."""

    slug, title, shows = "taxonomy", gettext_lazy("A place in a tree"), ANYTHING
    is_nominal = True

    def parse(self, posted: Any) -> Any:
        return [part for part in posted.get("path", "").split(_PATH) if part]

    def clean(self, value: Any, setting: Setting) -> list[str]:
        if not isinstance(value, list) or not value or not all(isinstance(part, str) for part in value):
            raise wrong(_("A path is needed, like Radio / Antenna."))
        one_of(_PATH.join(value), setting.labels)
        return list(value)

    def text(self, value: Any) -> str:
        return _PATH.join(value)

    def labels_in(self, value: Any) -> set[str]:
        return {_PATH.join(value)}

    def likeness(self, one: Any, other: Any) -> float:
        """The share of the longer path that both go together; only equal paths agree."""
        common = 0
        for left, right in zip(one, other, strict=False):
            if left != right:
                break
            common += 1
        return common / max(len(one), len(other))

    def to_label_studio(self, value: Any, setting: Setting) -> list[dict[str, Any]]:
        return _result("taxonomy", {"taxonomy": [value]})

    def from_label_studio(self, result: Sequence[Mapping[str, Any]], setting: Setting) -> Any:
        found = _of(result, "taxonomy")
        return found[0] if isinstance(found, list) and len(found) == 1 else None

    @property
    def example(self) -> Example:
        labels = ("Power", "Power / Battery", "Power / Mains", "Radio / Antenna")
        good = (["Power", "Battery"], ["Power"], ["Radio", "Antenna"])
        return Example(
            Setting(labels, {}, {"text": TICKET}), good, (["Radio"], [], "Power", None, [1]), "text"
        )


class Text(LabelType):
    """Free text. Value: the text, without spaces around it."""

    slug, title, shows, fewest_labels = "text", gettext_lazy("Free text"), ANYTHING, 0
    begins_from_value = True

    def parse(self, posted: Any) -> Any:
        return posted.get("text", "")

    def clean(self, value: Any, setting: Setting) -> str:
        if not isinstance(value, str) or not value.strip() or "\x00" in value:
            raise wrong(_("Write something, or skip it with a reason."))
        if len(value) > _LONGEST_TEXT:
            raise wrong(_("At most %(n)d letters can be kept.") % {"n": _LONGEST_TEXT})
        return value.strip().replace("\r\n", "\n")

    def text(self, value: Any) -> str:
        return str(value)

    def labels_in(self, value: Any) -> set[str]:
        return set()

    def likeness(self, one: Any, other: Any) -> float:
        return float(" ".join(one.split()).casefold() == " ".join(other.split()).casefold())

    def to_label_studio(self, value: Any, setting: Setting) -> list[dict[str, Any]]:
        return _result("textarea", {"text": [value]})

    def from_label_studio(self, result: Sequence[Mapping[str, Any]], setting: Setting) -> Any:
        for part in result:
            if part.get("type") == "textarea":
                found = part.get("value", {}).get("text")
                return "\n".join(found) if isinstance(found, list) else found
        raise wrong(_("the result holds no “%(kind)s”") % {"kind": "textarea"})

    @property
    def example(self) -> Example:
        setting = Setting((), {}, {"text": TICKET})
        return Example(setting, ("power failure", "loss of mains"), ("", "  ", None, 3, "a\x00"), "text")


class Rating(LabelType):
    """A whole number from 1 to `most`. Value: the number."""

    slug, title, shows, fewest_labels = "rating", gettext_lazy("A rating"), ANYTHING, 0
    is_nominal = True

    def configure(self, labels: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
        most = options.get("most", 5)
        if isinstance(most, bool) or not isinstance(most, int) or not 2 <= most <= 9:
            raise Invalid(_("A rating goes from 1 to at most 9."), fields={"options": _("out of range")})
        return {"most": most}

    def parse(self, posted: Any) -> Any:
        text = posted.get("rating", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else text

    def clean(self, value: Any, setting: Setting) -> int:
        most = setting.options.get("most", 5)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise wrong(
                _("“%(value)s” is no rating from 1 to %(most)d.") % {"value": str(value)[:20], "most": most}
            )
        return value

    def text(self, value: Any) -> str:
        return str(value)

    def to_label_studio(self, value: Any, setting: Setting) -> list[dict[str, Any]]:
        return _result("rating", {"rating": value})

    def from_label_studio(self, result: Sequence[Mapping[str, Any]], setting: Setting) -> Any:
        return _of(result, "rating")

    @property
    def example(self) -> Example:
        setting = Setting((), {"most": 5}, {"text": TICKET})
        return Example(setting, (1, 5), (0, 6, "5", None, True, 2.5), "text")


class Pairwise(LabelType):
    """Which of two answers is better. Value: left, right or tie."""

    slug, title, shows, fewest_labels = "pairwise", gettext_lazy("The better of two"), ("pair",), 0
    is_nominal = True

    def parse(self, posted: Any) -> Any:
        return posted.get("label", "")

    def clean(self, value: Any, setting: Setting) -> str:
        return one_of(value, ("left", "right", "tie"))

    def text(self, value: Any) -> str:
        return str(value)

    def labels_in(self, value: Any) -> set[str]:
        return set()

    def to_label_studio(self, value: Any, setting: Setting) -> list[dict[str, Any]]:
        if value == "tie":
            return _result("choices", {"choices": ["tie"]})
        return _result("pairwise", {"selected": value})

    def from_label_studio(self, result: Sequence[Mapping[str, Any]], setting: Setting) -> Any:
        for part in result:
            if part.get("type") == "pairwise":
                return part.get("value", {}).get("selected")
        found = _of(result, "choices")
        return found[0] if isinstance(found, list) and found else None

    @property
    def example(self) -> Example:
        inputs = {"left": "Power failure at a cell.", "right": "The battery of cell 4711 held two hours."}
        return Example(Setting((), {}, inputs), ("left", "right", "tie"), ("both", "", None, 1), "pair")


class Rows(LabelType):
    """One label for each row of a table. Value: a list as long as the table."""

    slug, title, shows = "rows", gettext_lazy("A label for each row"), ("table",)
    begins_from_value = True

    def parse(self, posted: Any) -> Any:
        return posted.getlist("row")

    def clean(self, value: Any, setting: Setting) -> list[str]:
        rows = setting.first if isinstance(setting.first, list) else []
        if not isinstance(value, list) or len(value) != len(rows):
            raise wrong(_("Each of the %(n)d rows needs a label.") % {"n": len(rows)})
        return [one_of(label, setting.labels) for label in value]

    def text(self, value: Any) -> str:
        return ", ".join(value)

    def labels_in(self, value: Any) -> set[str]:
        return set(value)

    def proposed(
        self, answer: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]], setting: Setting
    ) -> Any:
        """The class of each row, where the model named one for each."""
        for spec in outputs:
            said, names = answer.get(str(spec.get("name"))), spec.get("labels") or []
            if spec.get("kind") != "class" or not isinstance(said, list):
                continue
            value = [
                str(names[each]) if isinstance(each, int) and 0 <= each < len(names) else each
                for each in said
            ]
            try:
                return self.clean(value, setting)
            except Invalid:
                return None
        return None

    def likeness(self, one: Any, other: Any) -> float:
        if len(one) != len(other) or not one:
            return float(one == other)
        return float(sum(a == b for a, b in zip(one, other, strict=True)) / len(one))

    def to_label_studio(self, value: Any, setting: Setting) -> list[dict[str, Any]]:
        return _result("textarea", {"text": [orjson.dumps(value).decode()]})

    def from_label_studio(self, result: Sequence[Mapping[str, Any]], setting: Setting) -> Any:
        for part in result:
            if part.get("type") == "textarea":
                found = part.get("value", {}).get("text")
                return orjson.loads(found[0]) if isinstance(found, list) and found else None
        raise wrong(_("the result holds no “%(kind)s”") % {"kind": "textarea"})

    @property
    def example(self) -> Example:
        table = [{"cell": "4711", "drop rate": 0.4}, {"cell": "4712", "drop rate": 9.1}]
        setting = Setting(("normal", "fault"), {}, {"rows": table})
        return Example(
            setting,
            (["normal", "fault"], ["normal", "normal"]),
            (["fault"], [], "fault", None, [1, 2]),
            "table",
        )
