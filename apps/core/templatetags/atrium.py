"""The template vocabulary of the portal: icons, badges, times, quantities, fields, charts, tabs."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from django import forms, template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.forms.boundfield import BoundField
from django.template.base import Parser, Token
from django.template.context import Context
from django.template.defaultfilters import capfirst
from django.template.loader_tags import BLOCK_CONTEXT_KEY
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from apps.core import charts, icons, statuses
from apps.core.rows import RowsWidget

register = template.Library()
_FAR = timedelta(days=14)
_numbers = count(1)
_DJANGOS_ROWS = "10"
_SCRIPT_ESCAPES = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}


class ReuseNode(template.Node):
    """Renders a block of the page a second time."""

    def __init__(self, name: str) -> None:
        self.name = name

    def render(self, context: Context) -> SafeString:
        blocks = context.render_context.get(BLOCK_CONTEXT_KEY)
        block = blocks.get_block(self.name) if blocks else None
        return block.render(context) if block else mark_safe("")


@register.tag
def reuse(parser: Parser, token: Token) -> ReuseNode:
    """The content of another block of this page: `{% reuse "title" %}`."""
    return ReuseNode(token.split_contents()[1].strip("'\""))


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """A Tabler outline icon: `{% icon "bell" %}`."""
    return icons.svg(name, css)


@register.filter
def without_scheme(urn: str) -> str:
    """A URN as people read it in a list: `instances.deployment:14`."""
    return urn.removeprefix("urn:").removeprefix("atrium:")


@register.filter
def fact(value: object) -> str:
    """A value as it stands in JSON; words without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


@register.filter
def sentence_case(text: str) -> str:
    """The first letter large, unless the sentence begins with a name such as `model.onnx`: names stay as they are."""
    first = str(text or "").split(" ", 1)[0]
    return str(text or "") if re.search(r"[^a-z]", first.rstrip(",:;")) else capfirst(text)


@register.simple_tag
def badge(status: Any, label: Any = "") -> SafeString:
    """A status as word, colour and icon: `{% badge job.status job.get_status_display %}`."""
    look = statuses.look_of(status)
    words = label or _(str(status).replace("_", " ").capitalize())
    return format_html(
        '<span class="tone tone-{}">{}<span>{}</span></span>', look.tone, icons.svg(look.icon), words
    )


@register.simple_tag
def status(obj: Any) -> SafeString:
    """The badge of an object with a `status` that has choices: `{% status version %}`."""
    display = getattr(obj, "get_status_display", None)
    return badge(obj.status, display() if display else "")


@register.simple_tag
def ago(moment: datetime | None, empty: str = "–") -> SafeString:
    """How long ago, with the exact time in the tooltip: `{% ago job.created_at %}`. The day, when it is far ahead."""
    if moment is None:
        return format_html("{}", empty)
    local = timezone.localtime(moment)
    return format_html(
        '<time class="text-nowrap" datetime="{}" title="{}">{}</time>',
        moment.isoformat(timespec="seconds"),
        f"{local:%Y-%m-%d %H:%M:%S} {_offset(local)}",
        f"{local:%Y-%m-%d}" if moment > timezone.now() + _FAR else naturaltime(moment),
    )


@register.filter
def zoned(moment: datetime | None, form: str = "Y-m-d H:i:s") -> str:
    """A moment in the reader's zone, which it names: `{{ call.at|zoned }}`, "2026-11-29 10:45:06 UTC+8"."""
    if moment is None:
        return "–"
    local = timezone.localtime(moment)
    return f"{formats.date_format(local, form)} {_offset(local)}"


@register.simple_tag
def zone() -> SafeString:
    """The reader's zone, for the heading of a column of times: `{% translate "Time" %} {% zone %}`."""
    title = _("Your time zone, %(zone)s; your profile changes it") % {
        "zone": timezone.get_current_timezone_name()
    }
    return format_html('<small class="zone" title="{}">{}</small>', title, _offset(timezone.localtime()))


def _offset(local: datetime) -> str:
    """As "UTC+8" or "UTC-3:30": abbreviations such as CST mean several zones."""
    minutes = int((local.utcoffset() or timedelta()).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    if not minutes:
        return "UTC"
    return f"UTC{'+' if minutes > 0 else '-'}{hours}" + (f":{rest:02}" if rest else "")


@register.simple_tag
def quantity(value: Any, unit: str = "", digits: int | str | None = None) -> SafeString:
    """A number in the reader's notation with its unit: `{% quantity call.latency_ms "ms" 1 %}`; a dash for None."""
    if value is None or value == "":
        return mark_safe("–")
    shown = value
    if not isinstance(value, str):
        places = digits if isinstance(digits, int) else None
        value = value if places is None else round(value, places)  # number_format would cut
        shown = formats.number_format(value, places, use_l10n=True, force_grouping=True)
    return (
        format_html('<span class="num">{}</span>', shown)
        if not unit
        else format_html('<span class="num">{}</span>&nbsp;<span class="unit">{}</span>', shown, unit)
    )


@register.simple_tag
def bytes_size(value: int | None) -> SafeString:
    """A size in bytes with a fitting unit: `{% bytes_size file.size %}`."""
    if not isinstance(value, int | float):
        return mark_safe("–")
    size, unit = float(value), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return quantity(size, unit, 0 if unit == "B" else 1)


@register.simple_tag
def duration(seconds: float | None) -> SafeString:
    """A span of time in its two largest units: `{% duration job.seconds %}` gives `3 min 20 s`."""
    if not isinstance(seconds, int | float):
        return mark_safe("–")
    if seconds < 1:
        return quantity(seconds * 1000, "ms", 0)
    if seconds < 60:
        return quantity(seconds, "s", 1)
    whole, parts = int(seconds), []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        amount, whole = divmod(whole, size)
        if amount:
            parts.append(quantity(amount, unit))
    return mark_safe("&nbsp;".join(parts[:2]))  # noqa: S308 - made of numbers and units above


@register.filter
def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage: `{{ 0.954|percent }}` gives `95.4 %`."""
    return "–" if value is None else f"{formats.number_format(round(value * 100, digits), digits)} %"


@register.filter(name="is")
def is_(value: Any, other: Any) -> bool:
    """Whether two values are equal, for an argument: `{% tab url label view|is:"mine" %}`."""
    return bool(value == other)


@register.filter
def capped(count: int) -> str:
    """A count that stops at a hundred, as `waiting_count` does: 7, or 99+."""
    return str(count) if count < 100 else "99+"


@register.filter
def short(digest: str | None) -> str:
    """The first 12 characters of a digest."""
    return (digest or "")[:12]


@register.filter
def pretty_json(value: Any) -> str:
    """JSON with indentation, Chinese left readable."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _css_of(widget: forms.Widget) -> str:
    if isinstance(widget, forms.CheckboxInput | forms.RadioSelect | forms.CheckboxSelectMultiple):
        return "form-check-input"
    if isinstance(widget, forms.Select):
        return "form-select"
    return "form-control"


@register.simple_tag
def widget(field: BoundField) -> SafeString:
    """A form field's control with Tabler's classes; used by components/field.html."""
    control = field.field.widget
    css = f"{control.attrs.get('class', '')} {_css_of(control)}".strip()
    attrs: dict[str, str | bool] = {"class": f"{css} is-invalid" if field.errors else css}
    if isinstance(control, forms.Textarea) and str(control.attrs.get("rows")) == _DJANGOS_ROWS:
        attrs["rows"] = "4"
    return field.as_widget(attrs=attrs)


@register.filter
def widget_kind(field: BoundField) -> str:
    """check, choices, rows or plain: decides where the label stands."""
    inner = field.field.widget
    if isinstance(inner, RowsWidget):
        return "rows"
    if inner.use_fieldset:
        return "choices"
    return "check" if isinstance(inner, forms.CheckboxInput) else "plain"


@register.inclusion_tag("components/field.html")
def field(bound: BoundField) -> dict[str, Any]:
    """One form field with label, help and errors: `{% field form.name %}`."""
    return {"field": bound}


@register.inclusion_tag("components/progress.html")
def progress(fraction: float | None, message: str = "") -> dict[str, Any]:
    """A bar with its words: `{% progress job.fraction job.message %}`; without a fraction it only moves."""
    value = None if fraction is None else round(min(max(fraction, 0), 1) * 100)
    return {"value": value, "message": message}


@register.inclusion_tag("components/tab.html")
def tab(
    url: str, label: str, active: Any = False, icon: str = "", count: int | str | None = None
) -> dict[str, Any]:
    """One tab inside `<nav class="tabs" aria-label="…">`: `{% tab url label active=… icon="…" count=3 %}`."""
    return {"url": url, "label": label, "active": active, "icon_name": icon, "count": count}


@register.inclusion_tag("components/chart.html")
def chart(figure: Any, title: str, height: int = 280, caption: str = "") -> dict[str, Any]:
    """A Plotly figure (or `{"data": […], "layout": {…}}`) with its table behind it: `{% chart figure "Calls" %}`."""
    plain = charts.figure_of(figure)
    return {
        "figure": mark_safe(json.dumps(plain, ensure_ascii=False).translate(_SCRIPT_ESCAPES)),  # noqa: S308 - escaped here
        "table": charts.table_of(plain),
        "title": title,
        "height": height,
        "caption": caption,
        "chart_id": f"chart-{next(_numbers)}",
    }


@register.simple_tag
def unique_id(prefix: str = "id") -> str:
    """An id that no other element of the page has: `{% unique_id "dialog" as dialog %}`."""
    return f"{prefix}-{next(_numbers)}"


@register.filter
def person_name(user: Any) -> str:
    """How a person is called: `{{ job.owner|person_name }}`; the portal itself for None."""
    return str(user.get_full_name() or user.get_username()) if user else "Atrium"


@register.filter
def initials(user: Any) -> str:
    """One or two letters for a person's disc."""
    name = (user.get_full_name() or user.get_username()).strip()
    words = name.split()
    return str(words[0][:1] + words[-1][:1] if len(words) > 1 else name[:2]).upper()
