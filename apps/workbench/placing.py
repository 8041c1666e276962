"""Rows of the portal in a notebook: it is put into a workspace, and loads exactly these rows when it is run.

The notebook holds their numbers and the code that asks for them, not the rows: whoever runs it sees what they may see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.accounts.models import Role
from apps.accounts.policy import has_role
from apps.core import audit
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.policy import require
from apps.gateway.actions import Action
from apps.gateway.selectors import calls_visible_to, moment_of
from apps.workbench import files
from apps.workbench.launch import fill_home, home_of
from apps.workbench.policy import may_edit_workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.accounts.models import User
    from apps.gateway.models import Call
    from apps.workbench.models import Workspace

MOST_ROWS = 200
_LOAD = """import atrium
import pandas as pd

calls = [
IDS,
]
portal = atrium.Portal()
table = pd.DataFrame([portal.get(f"calls/{call}/") for call in calls]).set_index("request_id")
table[["at", "version", "status", "latency_ms", "score", "parsed"]]"""
_NO_NAME = re.compile(r"[^\w-]+")


@dataclass(frozen=True)
class Draft:
    """A notebook to be: `cells` are (markdown or code, source)."""

    title: str
    name: str
    cells: tuple[tuple[str, str], ...]


def put_notebook(workspace: Workspace, draft: Draft, *, by: User) -> str:
    """Put a notebook at the top of a workspace's files; its path there. Nothing is overwritten.

    Raises NotAllowed, and Conflict while the files of a copied workspace are still being made.
    """
    require(may_edit_workspace(by, workspace))
    home = home_of(workspace)
    if workspace.cloned_from_id is not None and not home.exists():
        raise Conflict(_("The files of this workspace are still being copied. Try again in a moment."))
    fill_home(workspace)
    plain = _NO_NAME.sub("-", draft.name).strip("-")[:80] or "rows"
    path = files.put_new(home, f"{plain}.ipynb", _document(draft))
    audit.record("workbench.workspace.notebook_put", workspace, by=by, path=path)
    return path


def _document(draft: Draft) -> bytes:
    cells: list[dict[str, Any]] = [
        {
            "cell_type": kind,
            "id": f"rows-{number}",
            "metadata": {},
            "source": source.splitlines(keepends=True),
        }
        | ({"execution_count": None, "outputs": []} if kind == "code" else {})
        for number, (kind, source) in enumerate(draft.cells)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    document = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def of_these_calls(user: User, calls: Sequence[Call]) -> Action | None:
    """What the list of calls offers to those who may have workspaces."""
    if not calls or not has_role(user, Role.DEVELOPER):
        return None
    n = len(calls)
    asked = urlencode({"calls": ",".join(str(call.request_id) for call in calls)}, safe=",")
    label = ngettext("Open this call in a notebook", "Open these %(n)d calls in a notebook", n) % {"n": n}
    return Action(label, f"{reverse('workbench:calls_notebook')}?{asked}", "notebook")


def calls_named(ids: Sequence[str], *, user: User) -> list[Call]:
    """The calls with these ids, in their order. Raises Invalid, and NotFound for one that the person may not see."""
    check_number(ids)
    try:
        wanted = [UUID(text) for text in dict.fromkeys(ids)]
    except ValueError as error:
        raise Invalid(_("Calls are named by their ids."), fields={"calls": _("is no id")}) from error
    moments, slack = [moment_of(number) for number in wanted], timedelta(minutes=5)
    rows = calls_visible_to(user, shadow=None).filter(
        request_id__in=wanted, at__range=(min(moments) - slack, max(moments) + slack)
    )
    found = {call.request_id: call for call in rows}
    for number in wanted:
        if number not in found:
            raise NotFound(_("There is no call %(id)s that you may see.") % {"id": number})
    return [found[number] for number in wanted]


def check_number(rows: Sequence[object]) -> None:
    """Raises Invalid for no row, or for more than a notebook is made of."""
    if not 1 <= len(rows) <= MOST_ROWS:
        raise Invalid(_("A notebook is made of 1 to %(most)d rows.") % {"most": MOST_ROWS})


def calls_draft(calls: Sequence[Call]) -> Draft:
    """Logged calls, each with its bodies and what became known of it."""
    n = len(calls)
    title = ngettext("%(n)d call", "%(n)d calls", n) % {"n": n}
    told = _("The cells below load these calls from the portal, as you may see them.")
    ids = ",\n".join(f'    "{call.request_id}"' for call in calls)
    cells = (
        ("markdown", f"# {title}\n\n{told}"),
        ("code", _LOAD.replace("IDS", ids)),
        ("code", 'table[["request", "response", "outcomes"]]'),
    )
    return Draft(title, "calls", cells)
