"""A report for print: the same facts as its page, as a PDF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from apps.core import pdf
from apps.evaluation.wording import differences_in_words

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
    gates = [
        (gate["words"], gate["verdict"], gate["reason"], gate["figure"].get("n") or "–")
        for gate in content["gates"]
    ]
    heads = (_("Gate"), _("Result"), _("Why"), _("Rows"))
    yield pdf.Rows(heads, gates, numeric=frozenset({3}), widths=(4, 1.4, 5, 1))
    yield pdf.Heading(_("Figures"))
    yield pdf.Rows(
        (_("Figure"), _("Value"), _("95 % interval"), _("Against production"), "n"),
        [_figure(row) for row in told["figures"]],
        numeric=frozenset({1, 2, 3, 4}),
        widths=(3, 1.6, 2.4, 2.2, 1),
    )
    yield from _by_dataset(told["by_dataset"])
    for item in told["charts"]:
        if item["figure"] is None:
            yield pdf.Heading(str(item["title"]))
            yield pdf.Text(str(item["caption"]))
            continue
        square = any(trace.get("type") == "heatmap" for trace in item["figure"]["data"])
        yield pdf.Figure(str(item["title"]), item["figure"], height=300 if square else 190)
    yield from _lists(measured)
    yield from _groups(measured)
    yield from _differences(measured)
    yield from _wrong(measured, told["confusions"])
    yield pdf.Heading(_("Digests"))
    several = [(each["name"], each["digest"]) for each in suite.get("datasets") or []]
    digests = [(_("Report digest"), report.digest), (_("Version digest"), content["version"]["digest"]),
               *(several or [(_("Data set digest"), suite["dataset_digest"])])]  # fmt: skip
    yield pdf.Rows(("", "SHA-256"), digests, widths=(2, 6))


def _by_dataset(told: Mapping[str, Any] | None) -> Iterator[pdf.Part]:
    """A line for each data set and figure, so that many data sets are no wider than few."""
    if told is None:
        return
    yield pdf.Heading(_("By data set"))
    names = [column["name"] or _("All rows") for column in told["columns"]]
    rows = [
        (names[place], *_figure(cell | {"name": row["name"], "digits": 4, "unit": ""}))
        for place in range(len(names))
        for row in told["rows"]
        for cell in [row["cells"][place]]
    ]
    heads = (_("Data set"), _("Figure"), _("Value"), _("95 % interval"), _("Against production"), "n")
    yield pdf.Rows(heads, rows, numeric=frozenset({2, 3, 4, 5}), widths=(2.4, 2.4, 1.4, 2.2, 1.8, 1))


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


def _groups(measured: Mapping[str, Any]) -> Iterator[pdf.Part]:
    if not (fairness := measured.get("fairness")):
        return
    yield pdf.Heading(_("Groups that must be served alike"))
    heads = (
        _("Column"), _("Worst group"), _("Its figure"), _("Gap to the best"), _("95 % interval"), _("Smallest group"),
    )  # fmt: skip
    rows = [
        (entry["column"], *_worst(entry["groups"][0]), *_gap(entry["gap"]))
        for entry in fairness
        if entry["groups"]
    ]
    yield pdf.Rows(heads, rows, numeric=frozenset({2, 3, 4, 5}), widths=(2, 2, 1.4, 1.6, 2.2, 1.6))


def _worst(group: Mapping[str, Any]) -> tuple[str, str]:
    return group["group"], f"{group['value']:.4f}"


def _gap(gap: Mapping[str, Any]) -> tuple[str, str, int]:
    known = gap["low"] is not None and gap["high"] is not None
    interval = f"{gap['low']:.4f} – {gap['high']:.4f}" if known else "–"
    return f"{gap['value']:.4f}", interval, gap["n"]


def _differences(measured: Mapping[str, Any]) -> Iterator[pdf.Part]:
    if not (comparison := measured.get("comparison")):
        return
    yield pdf.Heading(_("Where it differs from production"))
    yield pdf.Text(differences_in_words(comparison))
    if apart := comparison.get("disagreements"):
        rows = [(row["id"], row["truth"], row["answer"], row["production"]) for row in apart[:_MOST_ROWS]]
        yield pdf.Rows((_("Row"), _("Right"), _("Candidate"), _("Production")), rows, widths=(1, 3, 3, 3))


def _wrong(measured: Mapping[str, Any], confusions: Sequence[Mapping[str, Any]]) -> Iterator[pdf.Part]:
    if not (errors := measured.get("errors")):
        return
    count = measured["wrong"] if measured.get("wrong") is not None else len(errors)
    yield pdf.Heading(f"{_('Wrong answers')} ({count})")
    if confusions:
        cells = [(cell["truth"], cell["answer"], cell["count"]) for cell in confusions]
        of_cells = (_("Right"), _("Answered"), _("Rows"))
        yield pdf.Rows(of_cells, cells, numeric=frozenset({2}), widths=(4, 4, 1))
    rows = [(row["id"], row["truth"], row["answer"], _how_far(row)) for row in errors[:_MOST_ROWS]]
    last = _("Confidence") if any(row.get("confidence") is not None for row in errors) else _("Error")
    heads = (_("Row"), _("Right"), _("Answered"), last)
    yield pdf.Rows(heads, rows, numeric=frozenset({3}), widths=(1, 4, 4, 1.4))


def _how_far(row: Mapping[str, Any]) -> str:
    found = row.get("confidence") if row.get("confidence") is not None else row.get("error")
    return "–" if found is None else f"{found:.4f}"


def _passed(found: Mapping[str, Any]) -> str:
    return _("Passed") if found["passed"] else _("Failed")


def _figure(row: Mapping[str, Any]) -> tuple[Any, ...]:
    digits = row["digits"]
    value = "–" if row["value"] is None else f"{row['value']:,.{digits}f} {row['unit'] or ''}".strip()
    interval = "–" if row.get("low") is None else f"{row['low']:.4f} – {row['high']:.4f}"
    difference = row.get("difference")
    return row["name"], value, interval, f"{difference['value']:+.4f}" if difference else "–", row["n"]
