"""Task types are plug-ins: a class here, one line in `TASKS`, and the contract test holds for it."""

from typing import Any

from atrium.evaluation.tasks.base import Answers, Task
from atrium.evaluation.tasks.classification import Classification
from atrium.evaluation.tasks.forecasting import Forecasting
from atrium.evaluation.tasks.regression import Regression
from atrium.evaluation.tasks.spans import TextSpans
from atrium.signature import Signature

TASKS: dict[str, type[Task[Any]]] = {
    task.name: task for task in (Classification, TextSpans, Forecasting, Regression)
}


def choose(signature: Signature, name: str = "") -> type[Task[Any]]:
    """The task by name, else the first whose kind of output the signature has, else classification."""
    if name:
        return TASKS[name]
    fitting = (task for task in TASKS.values() if task.answers_with(signature) is not None)
    return next(fitting, Classification)


__all__ = ["TASKS", "Answers", "Task", "choose"]
