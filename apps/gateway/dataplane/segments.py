"""The call log's file format: what the gateway appends and what the ingester reads.

A segment is a row of records. A record is a header of 24 bytes (magic, CRC-32 of the rest, three lengths,
reserved), then a JSON object of facts, then the request's body, then the answer's body, as they went over
the wire. The place of a record, (segment, offset), is its identity.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"ATR1"
HEADER = struct.Struct("<4sIIIII")
LARGEST = 1 << 30


class Damaged(ValueError):
    """Bytes that no gateway wrote; the message has the offset."""


@dataclass(slots=True)
class Record:
    """One call or one piece of feedback, with the place right after it."""

    offset: int
    end: int
    facts: dict[str, Any]
    request: bytes
    answer: bytes


def pack(facts: dict[str, Any] | bytes, request: bytes = b"", answer: bytes = b"") -> bytes:
    """The bytes of one record; the facts as they are, or already as JSON."""
    head = facts if isinstance(facts, bytes) else orjson.dumps(facts)
    body = b"".join((head, request, answer))
    return HEADER.pack(MAGIC, crc32(body), len(head), len(request), len(answer), 0) + body


def read(data: bytes | memoryview, base: int = 0) -> Iterator[Record]:
    """The complete records in `data`, which starts at offset `base` of its segment.

    Stops without a word at a record that is not complete yet. Raises Damaged at bytes that are none.
    """
    view = memoryview(data)
    at = 0
    while len(view) - at >= HEADER.size:
        magic, checksum, facts, request, answer, _ = HEADER.unpack_from(view, at)
        size = facts + request + answer
        if magic != MAGIC or size > LARGEST:
            raise Damaged(f"no record at offset {base + at}")
        start = at + HEADER.size
        body = view[start : start + size]
        if len(body) < size:
            return
        if crc32(body) != checksum:
            raise Damaged(f"the record at offset {base + at} does not match its checksum")
        yield Record(
            offset=base + at,
            end=base + start + size,
            facts=orjson.loads(body[:facts]),
            request=bytes(body[facts : facts + request]),
            answer=bytes(body[facts + request :]),
        )
        at = start + size


def whole(data: bytes) -> int:
    """How many bytes of `data` are complete records, judged by their headers alone."""
    at = 0
    while len(data) - at >= HEADER.size:
        magic, _, facts, request, answer, _ = HEADER.unpack_from(data, at)
        size = HEADER.size + facts + request + answer
        if magic != MAGIC or size > LARGEST:
            return len(data)  # for `read` to complain about
        if at + size > len(data):
            break
        at += size
    return at
