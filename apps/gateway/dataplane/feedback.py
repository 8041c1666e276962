"""What a caller later knows about an answer: right or wrong, and what it should have been."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson

from apps.gateway.dataplane.problems import Refused

MOST = 1000
COMMENT_CHARACTERS = 10_000
EXPECTED_BYTES = 64 << 10
FIELDS = {"request_id", "correct", "expected", "comment"}


def parse(body: bytes) -> list[dict[str, Any]]:
    """One piece of feedback, a list of them, or `{"feedback": [...]}`. Raises Refused naming the wrong part."""
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise Refused(
            400, f"The body is not JSON: {problem}. Send one object with request_id, or a list of them."
        ) from problem
    items = raw.get("feedback", [raw]) if isinstance(raw, dict) else raw
    if not isinstance(items, list) or not items:
        raise Refused(422, "Send one object with request_id, or a list of them under feedback.")
    if len(items) > MOST:
        raise Refused(413, f"{len(items)} pieces of feedback in one call; send at most {MOST}.")
    return [_check(item, place) for place, item in enumerate(items)]


def _check(item: Any, place: int) -> dict[str, Any]:
    where = f"feedback[{place}]"
    if not isinstance(item, dict):
        raise Refused(422, f"{where} is no object; send request_id with correct, expected or comment.")
    if unknown := item.keys() - FIELDS:
        raise Refused(
            422, f"{where} has the unknown field {min(unknown)!r}; known: {', '.join(sorted(FIELDS))}."
        )
    try:
        request_id = str(UUID(item["request_id"]))
    except (KeyError, ValueError, AttributeError, TypeError):
        raise Refused(
            422, f"{where}.request_id is {item.get('request_id')!r}; send the X-Request-Id of the answer."
        ) from None
    correct, comment, expected = item.get("correct"), item.get("comment", ""), item.get("expected")
    if correct is not None and not isinstance(correct, bool):
        raise Refused(422, f"{where}.correct is {correct!r}; send true, false or leave it out.")
    if not isinstance(comment, str) or len(comment) > COMMENT_CHARACTERS:
        raise Refused(422, f"{where}.comment must be a text of at most {COMMENT_CHARACTERS} characters.")
    if len(orjson.dumps(expected)) > EXPECTED_BYTES:
        raise Refused(413, f"{where}.expected is larger than {EXPECTED_BYTES} bytes.")
    if correct is None and expected is None and not comment:
        raise Refused(422, f"{where} says nothing; add correct, expected or comment.")
    return {"request_id": request_id, "correct": correct, "expected": expected, "comment": comment}
