"""Looking through logged calls with a JMESPath condition: newest first, a bounded number at a time.

The log has no index for a free condition, so a page reads some thousand calls and says how far it came.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import jmespath
from django.utils.translation import gettext as _
from jmespath.exceptions import JMESPathError

from apps.core.errors import Invalid
from apps.core.paging import keyset
from apps.gateway.models import Call
from apps.gateway.sealed import masked, masked_values
from apps.gateway.services import documents_of

if TYPE_CHECKING:
    from django.db.models import QuerySet

MOST_LOOKED_AT = 2000
MOST_CHARACTERS = 1000
_PAGE = 200
_ORDER = ("-at", "-request_id")


def expression_of(asked: Mapping[str, str]) -> str:
    """The condition that `where`, and a parsed `field` with its `value`, make together; empty without any of them.

    A number is found by how it is written; without a value the field has to be there. Raises Invalid.
    """
    where, name, value = (asked.get(key, "") for key in ("where", "field", "value"))
    if value and not name:
        raise Invalid(_("Name the field that has this value."), fields={"field": _("is missing")})
    if not name:
        return where
    field = f"parsed.{json.dumps(name)}"
    wanted = json.dumps(value).replace("`", "\\`")
    of_field = f"to_string({field}) == `{wanted}`" if value else f"{field} != `null`"
    if not where:
        return of_field
    Condition(where)
    return f"{of_field} && ({where})"


class Condition:
    """A compiled condition. Raises Invalid when it cannot be read."""

    def __init__(self, expression: str) -> None:
        if len(expression) > MOST_CHARACTERS:
            raise Invalid(_("A condition has at most %(most)d characters.") % {"most": MOST_CHARACTERS})
        try:
            self._compiled = jmespath.compile(expression)
        except (JMESPathError, RecursionError) as error:
            told = (
                _("it is nested too deeply")
                if isinstance(error, RecursionError)
                else str(error).splitlines()[0]
            )
            raise Invalid(
                _("The condition cannot be read: %(why)s") % {"why": told}, fields={"where": told}
            ) from error

    def holds(self, document: dict[str, Any]) -> bool:
        """Whether the condition gives something that JMESPath takes for true (any number is); an error is a no."""
        try:
            found = self._compiled.search(document)
        except (JMESPathError, RecursionError):
            return False
        return bool(found) or (isinstance(found, int | float) and not isinstance(found, bool))


def document_of(call: Call) -> dict[str, Any]:
    """What a condition sees and an export writes; encrypted fields are masked.

    `inputs` and `outputs` are the tensors' values by name, a single one as itself.
    """
    bodies = documents_of(call)
    return {
        "request_id": str(call.request_id),
        "at": call.at.isoformat(),
        "version": call.version,
        "status": call.status,
        "error": call.error_kind,
        "latency_ms": call.latency_ms,
        "score": call.score,
        "parsed": call.parsed or {},
        "logged": masked_values(call.logged) if call.logged else {},
        "inputs": _named(masked(bodies["request"]), "inputs"),
        "outputs": _named(masked(bodies["response"]), "outputs"),
    }


def _named(body: Any, key: str) -> dict[str, Any]:
    tensors = body.get(key) if isinstance(body, dict) else None
    if not isinstance(tensors, list):
        return {}
    return {
        str(tensor.get("name", "")): _single(tensor.get("data"))
        for tensor in tensors
        if isinstance(tensor, dict)
    }


def _single(data: Any) -> Any:
    return data[0] if isinstance(data, list) and len(data) == 1 else data


@dataclass(frozen=True)
class Looked:
    """What was found, how many calls were read for it, back to when, and where to go on (empty: at the end)."""

    items: list[Call]
    looked_at: int
    back_to: datetime | None
    next_cursor: str


def walk(rows: QuerySet[Call], cursor: str = "") -> Iterator[tuple[list[Call], str]]:
    """Pages of calls with their bodies, newest first, each with the cursor behind it."""
    whole = rows.defer(None)
    while True:
        page = keyset(whole, _ORDER, cursor, _PAGE)
        cursor = page.next_cursor
        yield page.items, cursor
        if not cursor:
            return


def look(rows: QuerySet[Call], condition: Condition, cursor: str = "", size: int = 50) -> Looked:
    """Read at most MOST_LOOKED_AT calls for at most about `size` that match; whole pages of 200 are read."""
    found: list[Call] = []
    looked_at, back_to = 0, None
    for page, behind in walk(rows, cursor):
        cursor = behind
        looked_at += len(page)
        found += [call for call in page if condition.holds(document_of(call))]
        back_to = page[-1].at if page else back_to
        if len(found) >= size or looked_at >= MOST_LOOKED_AT:
            break
    return Looked(found, looked_at, back_to, cursor)
