"""Tasks in a notebook: what its cells load and show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.annotation.models import Project, Task
from apps.annotation.selectors import tasks_visible_to
from apps.core.errors import Invalid, NotFound
from apps.workbench.placing import MOST_ROWS, Draft, check_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.accounts.models import User

_LOAD = """import atrium
import pandas as pd

tasks = {tasks}
found = atrium.Portal().get("tasks/", ids=",".join(map(str, tasks)), page_size={most})["results"]
table = pd.DataFrame(found).set_index("id").loc[tasks]
table[["status", "label", "predicted", "confidence", "suggested", "reason"]]"""
_INPUTS = """inputs = pd.DataFrame(list(table["inputs"]), index=table.index)
inputs"""
_IMAGES = """import matplotlib.pyplot as plt
import numpy as np

pixels = inputs.iloc[:, 0].map(np.ravel)
figure, axes = plt.subplots((len(pixels) + 9) // 10, 10, figsize=(12, 1.5 * ((len(pixels) + 9) // 10)), squeeze=False)
for place in axes.flat:
    place.axis("off")
for place, (number, flat) in zip(axes.flat, pixels.items()):
    side = round(len(flat) ** 0.5)
    place.imshow(flat[: side * side].reshape(side, side), cmap="gray_r")
    place.set_title(f"{number}: {table.label[number] or table.predicted[number]}", fontsize=8)"""


def tasks_named(project: Project, ids: Sequence[str], *, user: User) -> list[Task]:
    """The project's tasks with these numbers, in their order. Raises Invalid, NotFound for one that is not there."""
    check_number(ids)
    if not all(text.isascii() and text.isdigit() and len(text) < 19 for text in ids):
        raise Invalid(_("Tasks are named by their numbers."), fields={"tasks": _("is no number")})
    wanted = [int(text) for text in dict.fromkeys(ids)]
    found = tasks_visible_to(user, project).in_bulk(wanted)
    for number in wanted:
        if number not in found:
            raise NotFound(_("There is no task %(pk)d that you may see.") % {"pk": number})
    return [found[number] for number in wanted]


def tasks_draft(project: Project, tasks: Sequence[Task]) -> Draft:
    """A notebook that loads these tasks with their inputs, and draws them where they are images of pixels."""
    n = len(tasks)
    title = ngettext("%(n)d task of “%(project)s”", "%(n)d tasks of “%(project)s”", n) % {
        "n": n,
        "project": project.name,
    }
    told = _("The cells below load these tasks from the portal, as you may see them.")
    numbers = [task.pk for task in tasks]
    cells = [
        ("markdown", f"# {title}\n\n{project.question}\n\n{told}"),
        ("code", _LOAD.format(tasks=numbers, most=MOST_ROWS)),
        ("code", _INPUTS),
    ]
    first = next(iter(tasks[0].inputs.values()), None)
    if project.show == Project.Show.IMAGE and isinstance(first, list):
        cells.append(("code", _IMAGES))
    return Draft(title, f"{project.name}-tasks", tuple(cells))
