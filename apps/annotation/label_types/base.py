"""The interface of a label type."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from apps.core.errors import Invalid
from apps.core.telling import say as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

LONGEST_LABEL = 200


@dataclass(frozen=True)
class Setting:
    """What a value is checked against: the project's labels and options, and the task's inputs."""

    labels: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first(self) -> Any:
        """The input that is shown: the first one."""
        return next(iter(self.inputs.values()), None)


@dataclass(frozen=True)
class Example:
    """What a type is tried and previewed on: a setting, values that are good, and values that are not."""

    setting: Setting
    good: tuple[Any, ...]
    bad: tuple[Any, ...]
    show: str


class LabelType(ABC):
    """One way to answer. Values are JSON; `clean` makes equal answers equal."""

    slug: ClassVar[str]
    title: ClassVar[str | _StrPromise]
    shows: ClassVar[tuple[str, ...]]
    """The ways of showing an input (`Project.Show`) on which this can be asked."""
    fewest_labels: ClassVar[int] = 2
    agree_at: ClassVar[float] = 1.0
    """Two values mean the same from this likeness on."""
    is_regions: ClassVar[bool] = False
    begins_from_value: ClassVar[bool] = False
    """The screen begins from a value that is proposed, so that whoever agrees has nothing to do."""
    is_nominal: ClassVar[bool] = False
    """Each answer is one of a list that the project knows, so how often which is taken for which can be told."""

    def configure(self, labels: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
        """The options as they are kept. Raises Invalid for labels or options with which nobody could answer."""
        if len(labels) < self.fewest_labels:
            raise Invalid(
                _("Give at least %(n)d labels to choose from.") % {"n": self.fewest_labels},
                fields={"labels": _("too few")},
            )
        if any(len(label) > LONGEST_LABEL for label in labels):
            raise Invalid(
                _("A label may have at most %(n)d letters.") % {"n": LONGEST_LABEL},
                fields={"labels": _("too long")},
            )
        return {}

    def parse(self, posted: Any) -> Any:
        """The value that a page's form sends (a QueryDict), not yet checked."""
        try:
            return orjson.loads(posted.get("value", "null"))
        except orjson.JSONDecodeError:
            return None

    @abstractmethod
    def clean(self, value: Any, setting: Setting) -> Any:
        """The value in its canonical form. Raises Invalid that says what is wrong."""

    @abstractmethod
    def text(self, value: Any) -> str:
        """The value in words, for tables and for files with one column for it."""

    def places(self, value: Any, setting: Setting) -> list[str]:
        """What tells two values apart that have the same words: the places of regions; empty where the words do."""
        return []

    def labels_in(self, value: Any) -> set[str]:
        """The labels that a value uses, so that one in use is not taken away."""
        return {value} if isinstance(value, str) else set()

    def likeness(self, one: Any, other: Any) -> float:
        """How alike two clean values are, from 0 to 1; symmetric, and 1 for equal ones."""
        return float(one == other)

    def proposed(
        self, answer: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]], setting: Setting
    ) -> Any:
        """The model's answer as a value to begin from, by the outputs of its signature; None where it is no such value.

        Single labels need none: their screen names the class.
        """
        return None

    @abstractmethod
    def to_label_studio(self, value: Any, setting: Setting) -> list[dict[str, Any]]:
        """The value as Label Studio's `result`."""

    @abstractmethod
    def from_label_studio(self, result: Sequence[Mapping[str, Any]], setting: Setting) -> Any:
        """The value of Label Studio's `result`, to be cleaned. Raises Invalid."""

    @property
    @abstractmethod
    def example(self) -> Example:
        """What the preview shows and the contract test tries."""


def short(text: str) -> str:
    """At most as long as a label's column."""
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"


def wrong(message: str) -> Invalid:
    """An answer that cannot be taken."""
    return Invalid(message, fields={"value": _("cannot be taken")})


def one_of(value: Any, labels: Sequence[str]) -> str:
    """The label, if it is one. Raises Invalid."""
    if not isinstance(value, str) or value not in labels:
        raise Invalid(
            _("“%(label)s” is none of the labels: %(labels)s.")
            % {"label": str(value)[:60], "labels": ", ".join(labels)},
            fields={"label": _("is none of the labels")},
        )
    return value


def consensus(kind: LabelType, values: Sequence[Any]) -> tuple[Any, bool]:
    """The value that more than half of the people mean (else None), and whether they all mean the same."""
    best, most = None, 0
    for value in values:
        like = sum(kind.likeness(value, other) >= kind.agree_at for other in values)
        if like > most:
            best, most = value, like
    if most * 2 <= len(values):
        return None, False
    return best, most == len(values)
