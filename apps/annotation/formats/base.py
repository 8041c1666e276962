"""What every file format can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar

from apps.annotation.label_types import LabelType, Setting
from apps.core.errors import Invalid
from apps.core.telling import say as _

NOTHING = object()


@dataclass(frozen=True)
class Said:
    """What one person said."""

    pk: int
    user: str
    value: Any
    skipped: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Item:
    """A task as files hold it. `value` is what was decided; NOTHING while nothing is."""

    pk: int
    inputs: dict[str, Any]
    value: Any = NOTHING
    predicted: str = ""
    confidence: float | None = None
    version: str = ""
    said: tuple[Said, ...] = field(default=())
    proposed: Any = None

    @property
    def decided(self) -> bool:
        """Whether there is a value."""
        return self.value is not NOTHING


@dataclass(frozen=True)
class Shape:
    """The project's side of a file: its label type, its labels and options."""

    kind: LabelType
    labels: tuple[str, ...]
    options: dict[str, Any]

    def setting(self, inputs: dict[str, Any]) -> Setting:
        """What a value of these inputs is checked against."""
        return Setting(self.labels, self.options, inputs)


class Format(ABC):
    """One file format. `write` may go through the items more than once; memory stays flat in both directions."""

    slug: ClassVar[str]
    title: ClassVar[str]
    suffix: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]] = ()
    """The label types it can carry; empty for all."""

    def carries(self, kind: LabelType) -> bool:
        """Whether values of this label type can stand in it."""
        return not self.kinds or kind.slug in self.kinds

    @abstractmethod
    def write(self, items: Callable[[], Iterable[Item]], shape: Shape, out: IO[bytes]) -> int:
        """Write the file and return how many items stand in it."""

    @abstractmethod
    def read(self, source: IO[bytes], shape: Shape) -> Iterator[Any]:
        """Rows as `adding.add_tasks` takes them, `value` with them where the file has labels.

        A row that cannot be read is an Invalid in its place; a file that is none raises Invalid.
        """


def whole_number(value: Any) -> bool:
    """Whether it is an integer, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def no_file(what: str, why: object) -> Invalid:
    """The file as a whole cannot be read."""
    return Invalid(
        _("This is no %(format)s file: %(why)s") % {"format": what, "why": why}, fields={"file": str(why)}
    )
