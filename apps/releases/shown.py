"""Replayed calls for reading: both answers in short, under the masking of the call log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from apps.gateway.models import Call
from apps.gateway.sealed import masked
from apps.gateway.services import documents_of

if TYPE_CHECKING:
    from apps.releases.models import ReplayedCall

SHOWN = 160
MOST_BYTES = 64 << 10


@dataclass(frozen=True)
class Pair:
    """One replayed call with what was answered then and what the candidate answers; empty where nothing is kept."""

    row: ReplayedCall
    before: str
    after: str


def pairs(rows: Sequence[ReplayedCall]) -> list[Pair]:
    """The rows with their answers, in two queries."""
    keys = [row.request_id for row in rows] + [row.answer_id for row in rows if row.answer_id]
    kept = _calls(keys)
    return [Pair(row, _answer(kept.get(row.request_id)), _answer(kept.get(row.answer_id))) for row in rows]


@dataclass(frozen=True)
class Answers:
    """Two answers to one call side by side, [(output, then, now)]; `now_known` once the log has the second one."""

    rows: list[tuple[str, str, str]]
    now_known: bool

    @property
    def differ(self) -> set[str]:
        """The outputs that are not the same."""
        return {name for name, then, now in self.rows if self.now_known and then != now}


def answers_of(request_id: UUID, answer_id: UUID | None) -> Answers:
    """The two answers of one call that was asked twice, output by output."""
    kept = _calls([key for key in (request_id, answer_id) if key])
    then, now = _outputs(kept.get(request_id)), _outputs(kept.get(answer_id))
    names = dict.fromkeys([*then, *now])
    return Answers([(name, then.get(name, ""), now.get(name, "")) for name in names], answer_id in kept)


def _calls(keys: Iterable[UUID]) -> dict[UUID | None, Call]:
    return {call.request_id: call for call in Call.objects.filter(request_id__in=list(keys))}


def _answer(call: Call | None) -> str:
    return _short(" · ".join(f"{name}: {value}" for name, value in _outputs(call).items()))


def _outputs(call: Call | None) -> dict[str, str]:
    """{output: its value in short}, empty where nothing is kept."""
    document = masked(documents_of(call, MOST_BYTES)["response"]) if call else None
    outputs = document.get("outputs") if isinstance(document, dict) else None
    if not isinstance(outputs, list):
        return {}
    return {
        str(each.get("name", "")): _short(_value(each.get("data")))
        for each in outputs
        if isinstance(each, dict)
    }


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _value(data: Any) -> str:
    """Numbers with four digits, so that two answers can be read beside each other."""
    if isinstance(data, list):
        inner = [_value(each) for each in data[:12]]
        more = ", …" if len(data) > len(inner) else ""
        return inner[0] if len(data) == 1 else f"[{', '.join(inner)}{more}]"
    if isinstance(data, float):
        return f"{data:.4g}"
    return str(data) if isinstance(data, str) else orjson.dumps(data).decode()
