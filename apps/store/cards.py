"""Model cards: Markdown to HTML that is safe to show."""

from __future__ import annotations

import re
from functools import lru_cache

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

_FRONT_MATTER = re.compile(r"\A---\s*\n.*?\n---\s*\n", re.DOTALL)
_TAGS = {
    "a", "abbr", "blockquote", "br", "code", "dd", "del", "details", "dl", "dt", "em", "h2", "h3", "h4", "h5", "h6",
    "hr", "li", "ol", "p", "pre", "strong", "sub", "summary", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES = {"a": {"href", "title"}, "td": {"align"}, "th": {"align", "scope"}}
_SCHEMES = {"http", "https", "mailto"}


@lru_cache(maxsize=256)
def render_card(text: str) -> SafeString:
    """A card's Markdown as HTML; front matter is left out, headings start at h2, everything active is dropped."""
    body = _FRONT_MATTER.sub("", text.replace("\r\n", "\n"))
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(body)
    html = re.sub(r"<(/?)h1>", r"<\1h2>", html)
    clean = nh3.clean(
        html, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes=_SCHEMES, link_rel="noopener nofollow"
    )
    wrapped = clean.replace(
        "<table>", '<div class="table-responsive"><table class="table table-sm">'
    ).replace("</table>", "</table></div>")
    return mark_safe(wrapped)  # noqa: S308 - cleaned by nh3
