"""The call log into the database, beside a bare COPY of the same rows in thousands."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import Result
from tests.benchmarks._processes import FOLDER, median

ROWS = int(os.environ.get("ATRIUM_BENCH_ROWS", "50000"))
ROUNDS = int(os.environ.get("ATRIUM_BENCH_ROUNDS", "5"))


def measure() -> Iterator[Result]:
    os.environ["ATRIUM_DATA_DIR"] = str(FOLDER / "data")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    os.environ.setdefault("ATRIUM_SAMPLES", "0")
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from portal.supervisor.postgres import Postgres

    settings.ATRIUM.make_directories()
    postgres = Postgres.of(settings.ATRIUM)
    postgres.start()
    try:
        call_command("migrate", verbosity=0, skip_checks=True)
        yield from _measured(FOLDER / "calllog-ingest")
    finally:
        postgres.stop()


def _measured(folder: Path) -> Iterator[Result]:
    from apps.gateway.dataplane import segments
    from apps.gateway.ingest import ingest_once

    data = [_record() for _ in range(ROWS)]
    records = list(segments.read(b"".join(data)))
    ours, bare = [], []
    for _ in range(ROUNDS):
        _empty()
        log = folder / "0-bench"
        log.mkdir(parents=True, exist_ok=True)
        (log / "000001.seg").write_bytes(b"".join(data))
        began = time.perf_counter()
        assert ingest_once(folder) == ROWS
        ours.append(ROWS / (time.perf_counter() - began))
        _empty()
        bare.append(ROWS / _bare_copy(records))
    _empty()
    yield Result("ingest.rows_per_s", round(median(ours)), "rows/s", "", f"{ROWS} calls with bodies")
    yield Result(
        "ingest.rows_per_s.vs_copy", round(median(ours) / median(bare), 3), "ratio", ">= 0.7",
        f"COPY of 1,000 into the same table: {median(bare):.0f} rows/s",
    )  # fmt: skip


def _record() -> bytes:
    from apps.gateway.dataplane import segments
    from apps.gateway.dataplane.call import new_id

    pixels = b",".join([b"0.0"] * 64)
    request = b'{"inputs":[{"name":"x","shape":[1,64],"datatype":"FP32","data":[' + pixels + b"]}]}"
    answer = b'{"model_name":"digits","outputs":[{"name":"class","shape":[1],"datatype":"INT64","data":[5]}]}'
    facts = {"kind": "call", "id": new_id(), "at": time.time(), "grant": 1, "subject": "bench", "capability": 1,
             "deployment": "1", "version": "1.0.0", "status": 200, "error": "", "ms": 1.5, "stage": 100.0}  # fmt: skip
    return segments.pack(facts, request, answer)


def _empty() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE gateway_call, gateway_usage, gateway_segment")
        cursor.execute("CHECKPOINT")


def _bare_copy(records: list) -> float:
    """Seconds for the rows, made beforehand, in transactions of a thousand."""
    from django.db import connection, transaction

    from apps.gateway.ingest import COLUMNS, TYPES, _row

    rows = [_row(record) for record in records]
    began = time.perf_counter()
    for at in range(0, len(rows), 1000):
        with (
            transaction.atomic(),
            connection.cursor() as cursor,
            cursor.copy(f"COPY gateway_call ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types(TYPES)
            for row in rows[at : at + 1000]:
                copy.write_row(row)
    return time.perf_counter() - began
