"""What became of a batch, in words; the columns that a file needs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from apps.compute.models import Job
from apps.store.inputs import flatten

if TYPE_CHECKING:
    from apps.store.models import Batch

ANSWERS = {"csv": "answers.csv", "parquet": "answers.parquet"}
CONTENT_TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


def why_refused(facts: Mapping[str, Any]) -> str:
    """Why a file was not used: row, column, value, and what to do."""
    values = {
        "missing": ", ".join(facts.get("missing", [])),
        "found": ", ".join(facts.get("found", [])),
        **{
            name: facts.get(name, "")
            for name in ("row", "last", "column", "value", "got", "wanted", "why", "low", "high")
        },
    }
    number = _("a number") if facts.get("wanted") == "number" else _("a whole number")
    thing = _("numbers") if facts.get("wanted") == "number" else _("texts")
    told = {
        "encoding": _("Row %(row)s is not in UTF-8. Save the file as “CSV UTF-8” and send it again."),
        "parquet": _("Parquet cannot be read here. Save the file as CSV in UTF-8 and send it again."),
        "broken": _("The file begins like Parquet but cannot be read: %(why)s. Write it again and send it."),
        "kind": _(
            "The column “%(column)s” is of the kind %(got)s, which holds no %(thing)s. Convert it and send it again."
        ),
        "letters": _(
            "Rows %(row)s to %(last)s, column “%(column)s”: a text is not in UTF-8. Write the file in UTF-8; send it."
        ),
        "spreadsheet": _("This is a spreadsheet or an archive. Save it as CSV in UTF-8 and send it again."),
        "empty": _(
            "The file has no rows. The first line names the columns; each line below is one question."
        ),
        "twice": _("The column “%(column)s” is there twice. Rename one of them."),
        "columns": _("These columns are missing: %(missing)s. The file has: %(found)s."),
        "cells": _(
            "Row %(row)s has %(got)s cells where the header has %(wanted)s. A text with commas needs quotes."
        ),
        "csv": _("Row %(row)s cannot be read as CSV: %(why)s."),
        "list": _("Row %(row)s, column “%(column)s”: “%(value)s” is no list of values like [1, 2, 3]."),
        "length": _("Row %(row)s, column “%(column)s” has %(got)s values where %(wanted)s are expected."),
        "value": _("Row %(row)s, column “%(column)s”: “%(value)s” is not %(number)s."),
        "range": _("Row %(row)s, column “%(column)s”: %(value)s is outside of %(low)s to %(high)s."),
    }
    return told.get(str(facts.get("code")), _("The file cannot be used.")) % (
        values | {"number": number, "thing": thing}
    )


def answers_of(batch: Batch, kind: str) -> str | None:
    """The digest of the rows with their answers as `csv` or `parquet`; None when there is no such file."""
    entry = (batch.job.outputs or {}).get(ANSWERS.get(kind, ""))
    return entry["sha256"] if entry else None


def state_of(batch: Batch) -> dict[str, Any]:
    """For page and API: `status` is queued, running, stopping, done, paused, refused, failed or, where no row was asked
    before it was stopped, cancelled; a sentence; how far; the kinds of `files` with answers that can be had.
    """
    job, result = batch.job, batch.job.result or {}
    facts = {"fraction": job.progress, "rows": result.get("rows", 0), "answered": result.get("answered", 0)}
    files = [kind for kind, name in ANSWERS.items() if name in (job.outputs or {})]
    facts |= {"failed": result.get("failed", 0), "ready": bool(files), "files": files}
    if job.status not in Job.ENDED:
        if batch.stopped_at is not None:
            return facts | {"status": "stopping", "message": _("What was answered is being written.")}
        waiting = job.status == Job.Status.QUEUED
        return facts | {"status": "queued" if waiting else "running", "message": job.progress_message}
    if job.status == Job.Status.CANCELLED and batch.stopped_at is not None:
        return facts | {"status": "cancelled", "message": _("You stopped it.")}
    if job.status != Job.Status.SUCCEEDED:
        return facts | {"status": "failed", "message": job.reason_words}
    if result.get("refused"):
        return facts | {
            "status": "refused",
            "message": why_refused(result["refused"]),
            "ready": False,
            "files": [],
        }
    told = _said_of_absent(result.get("absent", []))
    if result.get("stopped"):
        if batch.stopped_at is not None:
            words = _("%(answered)d of %(rows)d rows were answered; then you stopped it.")
            return facts | {"status": "paused", "message": words % facts + told}
        words = _("%(answered)d of %(rows)d rows were answered; then: %(why)s")
        return facts | {"status": "paused", "message": words % {**facts, "why": result["stopped"]} + told}
    return facts | {"status": "done", "message": _("%(answered)d rows were answered.") % facts + told}


def _said_of_absent(columns: Sequence[str]) -> str:
    """That the model went without optional columns, which may be a slip in the header."""
    words = _("These columns were not in the file and taken as missing in each row: %(names)s.")
    return " " + words % {"names": ", ".join(columns)} if columns else ""


def template_of(signature: Mapping[str, Any], examples: Sequence[Mapping[str, Any]]) -> str:
    """A CSV file with the columns that a version needs, and its example inputs as rows."""
    out = io.StringIO()
    writer = csv.writer(out)
    columns = [column["name"] for column in signature.get("columns") or []]
    names, cells = [], []
    given = {tensor["name"]: list(flatten(tensor["data"])) for tensor in examples}
    for spec in signature.get("inputs") or []:
        values = given.get(spec["name"], [])
        if columns and list(spec["shape"])[-1:] == [len(columns)]:
            names += columns
            cells += values or [""] * len(columns)
        else:
            names.append(spec["name"])
            cells.append(values[0] if len(values) == 1 else json.dumps(values) if values else "")
    writer.writerow(names)
    writer.writerow(cells)
    return out.getvalue()
