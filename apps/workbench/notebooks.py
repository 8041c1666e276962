"""A notebook as people read it, without a server and without running anything that is in it.

Markdown goes through the sanitiser of model cards; of outputs only text and pictures of known kinds are shown, never
HTML, SVG or scripts: at the portal's origin they could act as whoever reads.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from apps.catalog.cards import render
from apps.core.errors import Invalid

LARGEST = 32 << 20
MOST_CELLS = 1000
_LONGEST_TEXT = 100_000
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PICTURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}


@dataclass(frozen=True)
class Output:
    """What a cell showed: a text, or a picture as a data URI."""

    text: str = ""
    picture: str = ""
    is_error: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell. `html` is set for Markdown and is safe, `source` for everything else."""

    kind: str
    source: str = ""
    html: str = ""
    number: int | None = None
    outputs: list[Output] = field(default_factory=list)


def check_size(data: bytes) -> bytes:
    """The notebook, unless it is too large to be read here. Raises Invalid."""
    if len(data) > LARGEST:
        raise Invalid(_("The notebook is larger than 32 MB. Open it in JupyterLab."))
    return data


def cells_of(data: bytes) -> list[Cell]:
    """The cells of a notebook in nbformat 4. Raises Invalid when it is none."""
    try:
        rows = json.loads(data)["cells"]
        return [_cell(row) for row in rows[:MOST_CELLS]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(_("This file is no notebook of format 4, or it is damaged.")) from error


def sources_of(data: bytes) -> list[str]:
    """The sources of a notebook's cells, in order. Raises Invalid when it is none."""
    try:
        return [_text(row.get("source")) for row in json.loads(data)["cells"][:MOST_CELLS]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(_("This file is no notebook of format 4, or it is damaged.")) from error


def _cell(row: dict[str, Any]) -> Cell:
    kind, source = str(row.get("cell_type")), _text(row.get("source"))
    if kind == "markdown":
        return Cell(kind, html=render(source))
    number = row.get("execution_count")
    outputs = list(_outputs(row)) if kind == "code" else []
    return Cell(kind, source=source, number=number if isinstance(number, int) else None, outputs=outputs)


def _outputs(row: dict[str, Any]) -> Iterator[Output]:
    for output in row.get("outputs") or []:
        kind = output.get("output_type")
        if kind == "stream":
            yield Output(text=_text(output.get("text")))
        elif kind == "error":
            yield Output(text="\n".join(_text(line) for line in output.get("traceback") or []), is_error=True)
        else:
            yield _shown(output.get("data") or {})


def _shown(data: dict[str, Any]) -> Output:
    for kind, begins in _PICTURES.items():
        text = "".join(_raw(data.get(kind)).split())
        try:
            if text and base64.b64decode(text, validate=True).startswith(begins):
                return Output(picture=f"data:{kind};base64,{text}")
        except binascii.Error:
            continue
    return Output(text=_text(data.get("text/plain")) or _("(an output that is shown in JupyterLab only)"))


def _raw(value: Any) -> str:
    return "".join(str(part) for part in value) if isinstance(value, list) else str(value or "")


def _text(value: Any) -> str:
    text = _ANSI.sub("", _raw(value))
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "\n…"
