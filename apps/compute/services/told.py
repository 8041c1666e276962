"""What the code of a job tells while it runs, read from the files that it writes: progress, and values step by step."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from apps.compute.adapters import engine
from apps.core.texts import keepable

if TYPE_CHECKING:
    from apps.compute.models import Job

MOST_REPORTS = 300
MOST_REPORTED_BYTES = 4 << 20


def told_by(job: Job) -> dict[str, Any]:
    """The fields of the job that its code has something new for."""
    return {name: keepable(value) for name, value in (_progress(job) | _reports(job)).items()}


def _progress(job: Job) -> dict[str, Any]:
    raw = engine().read(job.workload_id, "progress.json", limit=10_000)
    try:
        told = json.loads(raw) if raw else {}
        fraction = told.get("fraction")
        return {
            "progress": min(1.0, max(0.0, float(fraction))) if fraction is not None else job.progress,
            "progress_message": str(told.get("message", job.progress_message))[:300],
        }
    except (ValueError, TypeError, OverflowError, AttributeError, RecursionError):
        return {}  # half-written, or the code writes something else there


def _reports(job: Job) -> dict[str, Any]:
    """What the code reported step by step; thinned where that is much."""
    raw = engine().read(job.workload_id, "reports.jsonl", limit=MOST_REPORTED_BYTES)
    rows = []
    for line in raw.splitlines() if raw else ():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue  # half-written
        if isinstance(row, dict) and isinstance(row.get("step"), int) and as_number(row["step"]) is not None:
            rows.append(
                {
                    str(name)[:100]: value
                    for name, value in list(row.items())[:20]
                    if as_number(value) is not None
                }
            )
    if not rows:
        return {}
    every = -(-len(rows) // MOST_REPORTS)
    return {"reports": [*rows[:-1:every], rows[-1]]}


def as_number(value: object) -> float | None:
    """A number that code has told; None for what is none, has no end, or is too large for a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
