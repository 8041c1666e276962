"""Translations without GNU gettext: Babel reads the code, Django's own `templatize` turns templates into code."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from portal.environment import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCALE = ROOT / "portal" / "locale"
# Of no use to translators, and the cause of a conflict between any two changes.
CHANGING = (b'"POT-Creation-Date', b'"PO-Revision-Date', b'"Generated-By')
SOURCES = ("apps", "portal", "sdk/atrium")
KEYWORDS: dict[str, tuple[object, ...] | None] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "tell": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}


def _files() -> Iterator[tuple[Path, bytes]]:
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path, path.read_bytes()
    for path in sorted((ROOT / "templates").rglob("*.html")):
        yield path, templatize(path.read_text(encoding="utf-8"), origin=str(path)).encode()


def extracted() -> Catalog:
    """Every string of the code and the templates that is marked for translation, with where it stands."""
    catalog = Catalog(charset="utf-8", project="Atrium", fuzzy=False)
    for path, code in _files():
        for line, message, _comments, context in extract("python", io.BytesIO(code), keywords=KEYWORDS):  # type: ignore[arg-type]
            if message and (message if isinstance(message, str) else message[0]):
                catalog.add(message, locations=[(str(path.relative_to(ROOT)), line)], context=context)
    return catalog


def path_of(locale: str) -> Path:
    """The file of a language, such as `zh_Hans`."""
    return LOCALE / locale / "LC_MESSAGES" / "django.po"


def read(locale: str) -> Catalog:
    """A language's catalog as it lies here; an empty one at first."""
    path = path_of(locale)
    if not path.exists():
        return Catalog(locale=locale, charset="utf-8", project="Atrium", fuzzy=False)
    with path.open("rb") as text:
        return read_po(text, locale=locale)


def _first(identifier: str | tuple[str, ...] | list[str]) -> str:
    """A message's English text; the singular where it has a plural."""
    return identifier if isinstance(identifier, str) else identifier[0]


def update(locale: str, translations: dict[str, str] | None = None) -> Catalog:
    """Bring a language's file up to date with the code: new strings empty, unused ones gone."""
    catalog, template = read(locale), extracted()
    catalog.update(template, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    for message in catalog:
        given = (translations or {}).get(_first(message.id))
        if message.id and given:
            several = isinstance(message.id, tuple | list)
            message.string = (given,) * catalog.num_plurals if several else given
            message.flags.discard("fuzzy")
    path = path_of(locale)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = io.BytesIO()
    write_po(written, catalog, width=110, sort_output=True, no_location=True, ignore_obsolete=True)
    path.write_bytes(
        b"".join(line for line in written.getvalue().splitlines(True) if not line.startswith(CHANGING))
    )
    return catalog


def lacking(locale: str) -> list[str]:
    """Strings of the code that the language's file does not translate, or only guesses."""
    catalog = read(locale)
    missing = []
    for message in extracted():
        if not message.id:
            continue
        found = catalog.get(_first(message.id), message.context)
        strings = found.string if found else ""
        complete = all(strings) if isinstance(strings, tuple | list) else bool(strings)
        if not complete or (found and found.fuzzy):
            missing.append(_first(message.id))
    return missing
