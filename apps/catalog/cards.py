"""Model cards: Markdown in, HTML without anything that runs out."""

from __future__ import annotations

import re
from functools import lru_cache

import nh3
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from markdown_it import MarkdownIt

_TAGS = {
    *("h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "blockquote", "pre", "code", "em", "strong", "del", "s"),
    *("ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "a"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "th": {"align"}, "td": {"align"}, "ol": {"start"}, "code": {"class"}}


_FRONT_MATTER = re.compile(r"\A---\s*\n.*?\n---\s*(\n|\Z)", re.DOTALL)


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])


@lru_cache(maxsize=256)
def _html(text: str) -> str:
    html = str(_markdown().render(_FRONT_MATTER.sub("", text, count=1)))
    html = html.replace("<h1>", "<h2>").replace("</h1>", "</h2>")  # the page's own title is the only h1
    clean = nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    # A wide table is scrolled by itself, by keys too.
    table = '<div class="table-responsive" tabindex="0"><table class="table table-sm">'
    return clean.replace("<table>", table).replace("</table>", "</table></div>")


def render(text: str) -> SafeString:
    """A card as HTML that is safe in a page: no scripts, styles, images, forms or foreign schemes."""
    return mark_safe(_html(text or ""))  # noqa: S308 - sanitised by nh3


def template() -> str:
    """What an empty card starts with: the sections of a model card."""
    sections = [
        (_("What it does"), _("One paragraph: input, output, and for whom.")),
        (_("Intended use"), _("Where it helps, and where it must not be used.")),
        (_("Training data"), _("Which data, from when, how it was chosen.")),
        (_("Quality"), _("Figures, on which data, with which gaps.")),
        (_("Limits and risks"), _("Known errors, groups that it serves worse, what a wrong answer costs.")),
        (_("Contact"), _("Who answers questions.")),
    ]
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in sections) + "\n"


# What a heading is called for the section to count, in English and Chinese; part of a heading is enough.
_SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "does",
        ("what it does", "details", "overview", "description", "summary", "用途", "概述", "做什么", "简介"),
    ),
    ("use", ("intended use", "use cases", "uses", "how to use", "适用", "使用", "预期")),
    ("data", ("data", "trained on", "数据")),
    (
        "quality",
        (
            "quality",
            "evaluation",
            "metrics",
            "performance",
            "results",
            "quantitative",
            "质量",
            "评估",
            "指标",
        ),
    ),
    ("limits", ("limit", "risk", "bias", "ethic", "trade-off", "fails", "局限", "限制", "风险")),
    ("contact", ("contact", "owner", "maintainer", "questions", "联系", "负责人")),
)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_LEAST_LETTERS = 10


def missing_sections(text: str) -> list[str]:
    """The sections of a model card that a card does not have, or has only as the empty template, by their titles."""
    parts = _HEADING.split(_FRONT_MATTER.sub("", text or "", count=1))
    written = [(title.lower(), body.strip()) for title, body in zip(parts[1::2], parts[2::2], strict=True)]
    titles = {
        "does": (_("What it does"), _("One paragraph: input, output, and for whom.")),
        "use": (_("Intended use"), _("Where it helps, and where it must not be used.")),
        "data": (_("Training data"), _("Which data, from when, how it was chosen.")),
        "quality": (_("Quality"), _("Figures, on which data, with which gaps.")),
        "limits": (
            _("Limits and risks"),
            _("Known errors, groups that it serves worse, what a wrong answer costs."),
        ),
        "contact": (_("Contact"), _("Who answers questions.")),
    }
    missing = []
    for key, words in _SECTIONS:
        title, placeholder = titles[key]
        bodies = [body for heading, body in written if any(word in heading for word in words)]
        if not any(len(body) >= _LEAST_LETTERS and body != placeholder for body in bodies):
            missing.append(title)
    return missing
