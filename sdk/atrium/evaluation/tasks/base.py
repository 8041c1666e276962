"""What a task type is: how truth and answers are read, scored and told. One contract test holds for all."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from atrium.evaluation.resampling import Statistic
from atrium.evaluation.table import UnusableTable
from atrium.signature import Signature, TensorSpec

Array = NDArray[Any]


class Answers(Protocol):
    """What a version said, by row."""

    def __len__(self) -> int: ...

    def take(self, rows: Array) -> Self:
        """Only some rows."""
        ...


A = TypeVar("A", bound=Answers)


class Task(ABC, Generic[A]):
    """A kind of question: its truth, its answers, its figures. `main` is the figure that sums a version up."""

    name: ClassVar[str]
    main: ClassVar[str]
    higher_is_better: ClassVar[bool]

    @abstractmethod
    def __init__(self, signature: Signature, truth: Array) -> None:
        """`truth`: the cells of the target column. Raises UnusableTable naming a cell that cannot be read."""

    @classmethod
    @abstractmethod
    def answers_with(cls, signature: Signature) -> TensorSpec | None:
        """The output that this task scores; None when the signature is for another task."""

    @abstractmethod
    def read(self, batches: Sequence[dict[str, Array]]) -> A:
        """What came back, batch after batch, as one."""

    @abstractmethod
    def statistic(self, answers: A, rows: Array) -> Statistic:
        """Figures of these rows as a function of the weights that they get; `answers` are those rows' alone."""

    @abstractmethod
    def wrong(self, answers: A) -> Array:
        """Row numbers of the answers worth looking at, the worst first."""

    @abstractmethod
    def same(self, mine: A, other: A) -> Array:
        """By row: whether two versions gave the same answer."""

    @abstractmethod
    def row(self, answers: A, row: int) -> dict[str, Any]:
        """One row for a reader: `truth`, `answer`, and `error` (0 is right)."""

    @abstractmethod
    def errors(self, answers: A) -> Array:
        """By row: how wrong the answer is; 0 is right."""

    @abstractmethod
    def detail(self, answers: A) -> dict[str, Any]:
        """What the charts are drawn from."""

    def gain(self, plain: float, changed: float) -> float:
        """How much worse the main figure became, positive for worse, whatever its direction."""
        return plain - changed if self.higher_is_better else changed - plain


def numbers(truth: Array) -> Array:
    """Cells of a column as finite numbers."""
    try:
        values = np.array([float(cell) for cell in truth.tolist()])
    except (TypeError, ValueError) as error:
        raise UnusableTable(f"the right answers must be numbers: {error}") from error
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise UnusableTable(f"the right answer of row {row} is {truth[row]!r}; give a finite number")
    return values


def by_kind(specs: Sequence[TensorSpec], *kinds: str) -> TensorSpec | None:
    """The first output of one of these kinds."""
    return next((spec for spec in specs if spec.kind in kinds), None)
