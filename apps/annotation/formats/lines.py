"""Formats of lines: JSONL and CSV for every label type, CoNLL-2003 for stretches of text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import orjson

from apps.annotation.formats.base import Format, Item, Shape, no_file
from apps.core.errors import Invalid
from apps.core.telling import say as _

_MARK = "label"
_OWN = (_MARK, "id", "predicted", "confidence")
_TOKEN = re.compile(r"\S+")


class Jsonl(Format):
    """One JSON object for each task: {id, inputs, label?, predicted?, confidence?, annotations?}."""

    slug, title, suffix = "jsonl", "JSONL", "jsonl"

    def write(self, items: Callable[[], Iterable[Item]], shape: Shape, out: IO[bytes]) -> int:
        count = 0
        for item in items():
            row: dict[str, Any] = {"id": item.pk, "inputs": item.inputs}
            if item.decided:
                row[_MARK] = item.value
            if item.predicted:
                row["predicted"] = item.predicted
            if item.confidence is not None:
                row["confidence"] = item.confidence
            if item.said:
                row["annotations"] = [
                    {"user": said.user, "value": said.value, "skipped": said.skipped} for said in item.said
                ]
            out.write(orjson.dumps(row) + b"\n")
            count += 1
        return count

    def read(self, source: IO[bytes], shape: Shape) -> Iterator[Any]:
        for line in source:
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield Invalid(_("it is no JSON: %(why)s") % {"why": error})
                continue
            if isinstance(row, dict) and _MARK in row:
                row["value"] = row.pop(_MARK)
            yield row


class Csv(Format):
    """One line for each task: its inputs as columns, then `label`. What is no text stands there as JSON."""

    slug, title, suffix = "csv", "CSV", "csv"

    def write(self, items: Callable[[], Iterable[Item]], shape: Shape, out: IO[bytes]) -> int:
        columns = list(dict.fromkeys(name for item in items() for name in item.inputs))
        text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", *columns, "predicted", "confidence", _MARK])
        count = 0
        for item in items():
            plain = isinstance(item.value, str)  # a text is a text, so it is not told from other JSON
            label = (item.value if plain else _cell(item.value)) if item.decided else ""
            cells = [_cell(item.inputs.get(name, "")) for name in columns]
            confidence = "" if item.confidence is None else item.confidence
            writer.writerow([item.pk, *cells, item.predicted, confidence, label])
            count += 1
        text.detach()
        return count

    def read(self, source: IO[bytes], shape: Shape) -> Iterator[Any]:
        text = io.TextIOWrapper(source, encoding="utf-8-sig", newline="", errors="strict")
        reader = csv.DictReader(text)
        try:
            names = reader.fieldnames
            if not names:
                raise no_file("CSV", _("it has no header"))
            for row in reader:
                yield _row(row, names, shape)
        except (csv.Error, UnicodeDecodeError) as error:
            raise no_file("CSV", error) from error


def _row(row: dict[str, Any], names: Any, shape: Shape) -> Any:
    if None in row or None in row.values():
        return Invalid(_("it has another number of columns than the header"))
    told: dict[str, Any] = {"inputs": {name: _read(row[name]) for name in names if name not in _OWN}}
    told["predicted"] = row.get("predicted", "")
    if row.get("confidence"):
        told["confidence"] = _read(row["confidence"])
    if row.get(_MARK):
        plain = isinstance(shape.kind.example.good[0], str)
        told["value"] = row[_MARK] if plain else _read(row[_MARK])
    return told


def _cell(value: Any) -> str:
    """A text as it is, unless it could be taken for JSON when it is read again; anything else as JSON."""
    if isinstance(value, str) and _read(value) == value:
        return value
    return orjson.dumps(value).decode()


def _read(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


class Conll(Format):
    """CoNLL-2003 as Label Studio writes it: a token and its tag (B-, I-, O) for each line, documents apart."""

    slug, title, suffix, kinds = "conll", "CoNLL 2003", "conll", ("spans",)

    def write(self, items: Callable[[], Iterable[Item]], shape: Shape, out: IO[bytes]) -> int:
        count = 0
        for item in items():
            if not item.decided:
                continue
            out.write(b"-DOCSTART- -X- O\n")
            text = str(next(iter(item.inputs.values()), ""))
            out.writelines(f"{token} -X- _ {tag}\n".encode() for token, tag in _tags(text, item.value))
            out.write(b"\n")
            count += 1
        return count

    def read(self, source: IO[bytes], shape: Shape) -> Iterator[Any]:
        tokens: list[tuple[str, str]] = []
        for line in source:
            try:
                words = line.decode("utf-8").split()
            except UnicodeDecodeError as error:
                raise no_file("CoNLL", error) from error
            if words and words[0] == "-DOCSTART-":
                continue
            if words:
                tokens.append((words[0], words[-1]))
            elif tokens:
                yield _document(tokens)
                tokens = []
        if tokens:
            yield _document(tokens)


def _tags(text: str, regions: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Tokens between spaces; a token has the tag of the region that covers it, the first one where several do."""
    before = None
    for match in _TOKEN.finditer(text):
        over = next((r for r in regions if r["start"] < match.end() and r["end"] > match.start()), None)
        if over is None:
            yield match[0], "O"
        else:
            yield match[0], f"{'I' if over is before else 'B'}-{over['label']}"
        before = over


def _document(tokens: list[tuple[str, str]]) -> Any:
    regions: list[dict[str, Any]] = []
    at, inside = 0, ""
    for token, tag in tokens:
        mark, _dash, label = tag.partition("-")
        if mark not in ("B", "I", "O") or (mark != "O" and not label):
            return Invalid(_("“%(tag)s” is no tag; there are B-…, I-… and O") % {"tag": tag[:40]})
        if mark == "I" and label == inside:
            regions[-1]["end"] = at + len(token)
        elif mark != "O":
            regions.append({"start": at, "end": at + len(token), "label": label})
        inside = label if mark != "O" else ""
        at += len(token) + 1
    return {"inputs": {"text": " ".join(token for token, _tag in tokens)}, "value": regions}
