"""CSV that people open in a spreadsheet."""

from __future__ import annotations

import csv
import io


def harmless(cell: object) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def line(cells: tuple[object, ...]) -> str:
    """One row, each cell harmless."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([harmless(cell) for cell in cells])
    return out.getvalue()
