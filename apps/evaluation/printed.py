"""A report for print: the same facts as its page, as a PDF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from apps.core import pdf

_MOST_ROWS = 100


def report_pdf(told: Mapping[str, Any]) -> bytes:
    """The PDF of what the report's page shows (`views` gathers it)."""
    report = told["report"]
    title = _("Report on %(version)s") % {"version": report.version}
    return pdf.document(title, _parts(told), footer=f"{title} · sha256 {report.digest}")


def _parts(told: Mapping[str, Any]) -> Iterator[pdf.Part]:
    report, content, measured = told["report"], told["content"], told["measured"]
    yield pdf.Text(f"{_('Result')}: {report.get_verdict_display()}")
    suite = content["suite"]
    facts = [f"{suite['name']} #{suite['number']}", _("%(n)d rows") % {"n": measured.get("rows") or 0}]
    facts += [str(content.get(name)) for name in ("measured_at", "started_by") if content.get(name)]
    yield pdf.Text(" · ".join(facts), muted=True)
    yield pdf.Heading(_("Gates"))
    gates = [(gate["words"], gate["verdict"], gate["reason"]) for gate in content["gates"]]
    yield pdf.Rows((_("Gate"), _("Result"), _("Why")), gates, widths=(4, 1.4, 5))
    yield pdf.Heading(_("Figures"))
    yield pdf.Rows(
        (_("Figure"), _("Value"), _("95 % interval"), _("Against production"), "n"),
        [_figure(row) for row in told["figures"]],
        numeric=frozenset({1, 2, 3, 4}),
        widths=(3, 1.6, 2.4, 2.2, 1),
    )
    for item in told["charts"]:
        square = any(trace.get("type") == "heatmap" for trace in item["figure"]["data"])
        yield pdf.Figure(str(item["title"]), item["figure"], height=300 if square else 190)
    yield from _lists(measured)
    yield pdf.Heading(_("Digests"))
    digests = [(_("Report digest"), report.digest), (_("Version digest"), content["version"]["digest"]),
               (_("Data set digest"), suite["dataset_digest"])]  # fmt: skip
    yield pdf.Rows(("", "SHA-256"), digests, widths=(2, 6))


def _lists(measured: Mapping[str, Any]) -> Iterator[pdf.Part]:
    if checks := measured.get("robustness"):
        yield pdf.Heading(_("Robustness"))
        rows = [(check["check"], _passed(check), check.get("told")) for check in checks]
        yield pdf.Rows((_("Input"), _("Result"), _("What happened")), rows, widths=(3, 1.4, 5))
    if cases := measured.get("cases"):
        yield pdf.Heading(_("Shipped cases on the served endpoint"))
        rows = [(case["name"], _passed(case), case.get("message") or "") for case in cases[:_MOST_ROWS]]
        yield pdf.Rows((_("Case"), _("Result"), _("Why")), rows, widths=(3, 1.4, 5))
    if parity := measured.get("parity"):
        yield pdf.Heading(_("Features of training and serving"))
        rows = [(each["name"], _passed(each), each.get("message") or "") for each in parity[:_MOST_ROWS]]
        yield pdf.Rows((_("Fixture"), _("Result"), _("Why")), rows, widths=(3, 1.4, 5))
    if errors := measured.get("errors"):
        yield pdf.Heading(_("Wrong answers"))
        rows = [(row["id"], row["truth"], row["answer"]) for row in errors[:_MOST_ROWS]]
        yield pdf.Rows((_("Row"), _("Right"), _("Answered")), rows, widths=(1, 4, 4))


def _passed(found: Mapping[str, Any]) -> str:
    return _("Passed") if found["passed"] else _("Failed")


def _figure(row: Mapping[str, Any]) -> tuple[Any, ...]:
    digits = row["digits"]
    value = "–" if row["value"] is None else f"{row['value']:,.{digits}f} {row['unit'] or ''}".strip()
    interval = "–" if row.get("low") is None else f"{row['low']:.4f} – {row['high']:.4f}"
    difference = row.get("difference")
    return row["name"], value, interval, f"{difference['value']:+.4f}" if difference else "–", row["n"]
