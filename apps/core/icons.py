"""Tabler's outline icons, put into the page as SVG: no icon font (500 kB), no second request, no layout shift."""

from __future__ import annotations

import re
from functools import lru_cache

from django.conf import settings
from django.utils.safestring import SafeString, mark_safe

_BODY = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)
_FRAME = re.compile(r'\s*<path stroke="none" d="M0 0h24v24H0z" fill="none"\s*/>')
_SVG = (
    '<svg class="icon {css}" width="24" height="24" viewBox="0 0 24 24" fill="none" stroke="currentColor"'
    ' stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">'
    "{body}</svg>"
)


@lru_cache(maxsize=512)
def _shape(name: str) -> str | None:
    """The inside of the SVG file of that name, or None when there is no such icon."""
    if not re.fullmatch(r"[a-z0-9-]+", name):
        return None
    path = settings.BASE_DIR / "node_modules/@tabler/icons/icons/outline" / f"{name}.svg"
    if not path.is_file():
        return None
    found = _BODY.search(path.read_text(encoding="utf-8"))
    return re.sub(r"\s*\n\s*", "", _FRAME.sub("", found[1])) if found else None


def exists(name: str) -> bool:
    """Whether Tabler has an outline icon of this name."""
    return _shape(name) is not None


def svg(name: str, css: str = "") -> SafeString:
    """The icon as inline SVG, hidden from screen readers: the words beside it carry the meaning."""
    return mark_safe(_SVG.format(css=css, body=_shape(name) or ""))  # noqa: S308 - from the icon package, not a person
