"""Brings the data plane's log into the database, each record exactly once.

How far a segment has been read is written in the transaction that writes its rows, so a kill at any moment
loses none and doubles none. A segment is deleted when its writer has let go of it and all of it is committed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.utils import timezone
from psycopg.types.json import Jsonb

from apps.gateway import feedback, late, overloads, partitions, payloads, rollups
from apps.gateway.dataplane import segments
from apps.gateway.dataplane.sealing import plain
from apps.gateway.histogram import bucket
from apps.gateway.models import SEALED_VALUES, Segment
from apps.gateway.sealed import with_steps
from atrium.oip import InvalidTensor, Tensor, decode_request, decode_response, write_json

log = logging.getLogger(__name__)

BATCH_BYTES = 8 << 20
COLUMNS = (
    "request_id",
    "at",
    "grant_id",
    "capability_id",
    "deployment_id",
    "version",
    "subject",
    "status",
    "error_kind",
    "latency_ms",
    "stage_weight",
    "shadow",
    "request",
    "response",
    "sizes",
    "digested",
    "logged",
    "unit",
    "arms",
)
TYPES = [
    "uuid",
    "timestamptz",
    "int8",
    "int8",
    "int8",
    "text",
    "text",
    "int2",
    "text",
    "float8",
    "float8",
    "bool",
    "bytea",
    "bytea",
    "jsonb",
    "bool",
    "jsonb",
    "int8",
    "int8[]",
]

USUAL = 12
"""Facts that every record has, beside arms of experiments; more of them means bodies that have to be looked at, or
values that were logged.
"""


def ingest_once(folder: Path) -> int:
    """Read everything that stands in the log now; returns how many records were committed."""
    return sum(ingest_segment(path) for path in sorted(folder.glob("*/*.seg")))


def state_of(folder: Path) -> dict[Path, tuple[int, bool]]:
    """Of each segment, how long it is and whether its writer has let go of it: unchanged while nothing is new."""
    found = {}
    for path in folder.glob("*/*.seg"):
        with suppress(FileNotFoundError):
            found[path] = (path.stat().st_size, _let_go(path))
    return found


def ingest_segment(path: Path) -> int:
    """Commit a segment's new records in batches, and delete it when nothing more can come."""
    name = f"{path.parent.name}/{path.name}"
    total = 0
    finished = _let_go(path)  # asked before reading: what is written later is read next time
    position = _position(name)
    try:
        for data in _chunks(path, position):
            records, problem = _read(data, position)
            if records:
                _commit(name, position, records)
                position, total = records[-1].end, total + len(records)
            if problem:
                _set_aside(path, name, position, problem)
                return total
    except FileNotFoundError:
        return total
    if finished:
        _finish(path, name, position)
    return total


def _read(data: bytes, position: int) -> tuple[list[segments.Record], segments.Damaged | None]:
    """The records in a piece, and what is wrong after the last of them."""
    records: list[segments.Record] = []
    try:
        records.extend(segments.read(data, position))
    except segments.Damaged as problem:
        return records, problem
    return records, None


def _position(name: str) -> int:
    row = Segment.objects.filter(name=name).values_list("position", flat=True).first()
    return row or 0


def _let_go(path: Path) -> bool:
    """Whether the writer is gone or has moved on: it holds a lock for as long as more may come."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True


def _chunks(path: Path, position: int) -> Iterator[bytes]:
    """The file from a position, in pieces of whole records where the caller says how far it got."""
    with path.open("rb") as file:
        size = BATCH_BYTES
        while True:
            file.seek(position)
            data = file.read(size)
            if len(data) < segments.HEADER.size:
                return
            end = position + segments.whole(data)
            if end == position:
                if len(data) < size:
                    return  # the tail is not complete
                size *= 2  # one record is larger than the piece
                continue
            yield data[: end - position]
            position, size = end, BATCH_BYTES


@transaction.atomic
def _commit(name: str, position: int, records: list[segments.Record]) -> None:
    """Write a batch and how far it got, or nothing."""
    Segment.objects.get_or_create(name=name)
    row = Segment.objects.select_for_update().get(name=name)
    if row.position != position:
        return  # another ingester has been here
    calls = [record for record in records if record.facts["kind"] != "feedback"]
    for day in {_at(record).date() for record in calls}:
        partitions.make(day)
    _copy(calls)
    _add_usage(calls)
    overloads.note(record.facts for record in calls)
    late.note(_late(calls))
    feedback.hear(feedback.from_log(record.facts for record in records if record.facts["kind"] == "feedback"))
    row.position, row.rows = records[-1].end, row.rows + len(records)
    row.save(update_fields=["position", "rows"])


def _late(records: Iterable[segments.Record]) -> list[tuple[int | None, datetime]]:
    """Those that are not the newest, as a cheap first look: (capability, when)."""
    before = time.time() - late.LATE.total_seconds()
    return [(record.facts["capability"], _at(record)) for record in records if record.facts["at"] < before]


def _at(record: segments.Record) -> datetime:
    return datetime.fromtimestamp(record.facts["at"], UTC)


def _copy(records: Iterable[segments.Record]) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY gateway_call ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(TYPES)
        for record in records:
            copy.write_row(_row(record))


def _row(record: segments.Record) -> tuple[Any, ...]:
    facts = record.facts
    request, answer = record.request, record.answer
    sizes: dict[str, Any] | None = None
    logged: Any = None
    unit, *arms = facts.get("arms") or [None]
    if len(facts) > USUAL + bool(arms):
        request, answer, sizes = _bodies(record)
        logged = _values(facts.get("values"))
        if hidden := (facts.get("sealed") or {}).get("values"):
            logged = {**(logged or {}), SEALED_VALUES: hidden}
    return (
        UUID(facts["id"]),
        datetime.fromtimestamp(facts["at"], UTC),
        facts["grant"],
        facts["capability"],
        int(facts["deployment"]) if facts["deployment"] else None,
        facts["version"],
        facts["subject"],
        facts["status"],
        facts["error"],
        facts["ms"],
        facts["stage"],
        facts["kind"] == "shadow",
        request or None,
        answer or None,
        Jsonb(sizes) if sizes else None,
        not (answer and facts["status"] == 200),
        None if logged is None else Jsonb(logged),
        unit,
        arms or None,
    )


def _values(text: str | None) -> Any:
    """What the model's code logged; nothing when it is no JSON, or holds what jsonb cannot."""
    if not text or "\\u0000" in text:
        return None
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return with_steps(values)


def _bodies(record: segments.Record) -> tuple[bytes, bytes, dict[str, Any]]:
    """Both bodies as the row keeps them, and what is left to say of those that went into files."""
    facts = record.facts
    sizes: dict[str, Any] = {}
    request = _unpacked(record.request, facts.get("request_coding", ""))
    request = _as_json(request, facts.get("request_json_bytes"), answer=False)
    answer = _as_json(record.answer, facts.get("answer_json_bytes"), answer=True)
    sealed = facts.get("sealed") or {}
    request = _with_sealed(request, "inputs", sealed.get("inputs"))
    answer = _with_sealed(answer, "outputs", sealed.get("outputs"))
    bodies = {"request": request, "answer": answer}
    for name, body in bodies.items():
        if "limit" in facts and len(body) > facts["limit"]:
            sizes[f"{name}_sha256"] = payloads.keep(facts["capability"], _at(record), body)
            sizes[f"{name}_bytes"] = len(body)
            bodies[name] = b""
    return bodies["request"], bodies["answer"], sizes


def _unpacked(body: bytes, coding: str) -> bytes:
    try:
        return plain(body, coding.encode("latin-1"))
    except ValueError:
        return b""  # the runner has refused it


def _with_sealed(body: bytes, key: str, tensors: list[dict[str, Any]] | None) -> bytes:
    """The body with its sensitive tensors in their places' stead: encrypted, or named as dropped."""
    if not tensors or not body:
        return body
    document = orjson.loads(body)
    document[key] = [*document.get(key, []), *tensors]
    return orjson.dumps(document)


def _as_json(body: bytes, json_length: str | None, *, answer: bool) -> bytes:
    """A body with binary tensors, as the JSON that says the same; unchanged when it has none."""
    if not json_length or not body:
        return body
    try:
        if answer:
            response = decode_response(body, int(json_length))
            document = {
                "model_name": response.model_name,
                "model_version": response.model_version,
                "parameters": response.parameters,
                "outputs": _written(response.outputs),
            }
        else:
            request = decode_request(body, int(json_length))
            document = {
                "id": request.id,
                "parameters": request.parameters,
                "inputs": _written(request.inputs),
            }
    except (InvalidTensor, ValueError):
        return b""  # the runner has refused it, and a body that cannot be read says nothing
    return orjson.dumps({name: value for name, value in document.items() if value})


def _written(tensors: list[Tensor]) -> list[dict[str, Any]]:
    return [write_json(tensor) for tensor in tensors]


def _add_usage(records: Iterable[segments.Record]) -> None:
    tallies: dict[rollups.Key, rollups.Tally] = {}
    used: dict[int, float] = {}
    hours: dict[int, datetime] = {}
    for record in records:
        facts = record.facts
        stamp = int(facts["at"]) // 3600
        hour = hours.get(stamp) or hours.setdefault(stamp, datetime.fromtimestamp(stamp * 3600, UTC))
        shadow = facts["kind"] == "shadow"
        grant = 0 if shadow else facts["grant"] or 0
        key = (
            grant,
            hour,
            facts["capability"] or 0,
            int(facts["deployment"] or 0),
            facts["error"],
            facts["version"],
        )
        tally = tallies.get(key)
        if tally is None:
            tally = tallies[key] = rollups.Tally()
        tally.count += 1
        tally.ms += facts["ms"]
        tally.histogram[bucket(facts["ms"])] += 1
        if not shadow and grant:
            used[grant] = max(used.get(grant, 0.0), facts["at"])
    rollups.add(tallies)
    if used:
        _write_last_used(used)


def _write_last_used(used: dict[int, float]) -> None:
    pks = sorted(used)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE gateway_grant g SET last_used_at = to_timestamp(u.at) "
            "FROM unnest(%s::bigint[], %s::float8[]) AS u(id, at) "
            "WHERE g.id = u.id AND (g.last_used_at IS NULL OR g.last_used_at < to_timestamp(u.at))",
            [pks, [used[pk] for pk in pks]],
        )


def _finish(path: Path, name: str, position: int) -> None:
    """Delete a segment that has been read to its end. A cut last record was never acknowledged."""
    cut = path.stat().st_size - position
    if cut:
        log.warning("%s ends in the middle of a record, %d bytes that nobody was told of", name, cut)
    Segment.objects.update_or_create(name=name, defaults={"done_at": timezone.now()})
    path.unlink(missing_ok=True)
    _remove_empty(path.parent)


def _remove_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


def _set_aside(path: Path, name: str, position: int, problem: Exception) -> None:
    """Keep a damaged segment under another name, so that the others go on; somebody has to look at it."""
    log.error("%s cannot be read after offset %d: %s; it is kept as .damaged", name, position, problem)
    path.rename(path.with_suffix(".damaged"))
