"""A right answer and what was answered, as a reader would say it. Pure computation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

_CHECKS = {
    "not a number": gettext_lazy("not a number"),
    "infinity": gettext_lazy("infinity"),
    "far out of range": gettext_lazy("far out of range"),
    "empty text": gettext_lazy("empty text"),
    "very long text": gettext_lazy("very long text"),
    "other scripts": gettext_lazy("other scripts"),
    "noise": gettext_lazy("noise"),
    "missing values": gettext_lazy("missing values"),
    "columns in another order": gettext_lazy("columns in another order"),
    "typos": gettext_lazy("typos"),
    "dropped words": gettext_lazy("dropped words"),
    "upper case": gettext_lazy("upper case"),
    "one row at a time": gettext_lazy("one row at a time"),
}
"""What `atrium.evaluation` calls its checks of robustness: the bytes of a report are English."""
_TOLD = (
    (re.compile(r"answered"), gettext_lazy("answered")),
    (re.compile(r"answered with NaN or infinity"), gettext_lazy("answered with NaN or infinity")),
    (re.compile(r"the same answers"), gettext_lazy("the same answers")),
    (re.compile(r"the main figure gets worse by (\S+)"), gettext_lazy("the main figure gets worse by {0}")),
    (
        re.compile(r"(\d+) of (\d+) rows get another answer"),
        gettext_lazy("{0} of {1} rows get another answer"),
    ),
)


def in_words(value: Any) -> Any:
    """`site 0–9, time 29–34` for marked stretches, `1.5, 2` for a series; anything else as it is."""
    if not isinstance(value, list):
        return value
    if not value:
        return "–"
    if all(isinstance(each, dict) and {"start", "end", "label"} <= each.keys() for each in value):
        return ", ".join(f"{each['label']} {each['start']}–{each['end']}" for each in value)
    return ", ".join(f"{each:.5g}" if isinstance(each, float) else str(each) for each in value)


def rows_in_words(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a report with their answers in words."""
    names = ("truth", "answer", "production")
    return [row | {name: in_words(row[name]) for name in names if name in row} for row in rows]


def checks_in_words(checks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Checks of robustness for a reader; what the model itself said when it refused stays as it said it."""
    return [
        {**check, "check": str(_CHECKS.get(check["check"], check["check"])), "told": _told(check["told"])}
        for check in checks
    ]


def _told(said: str) -> str:
    for pattern, words in _TOLD:
        if found := pattern.fullmatch(said):
            return str(words).format(*found.groups())
    return said


def differences_in_words(comparison: Mapping[str, Any]) -> str:
    """On how many rows two versions disagree, and who is right there."""
    if test := comparison.get("mcnemar"):
        told = {
            "n": comparison["disagreeing"], "better": test["only_candidate_right"],
            "worse": test["only_production_right"], "p": f"{test['p_value']:.4f}",
        }  # fmt: skip
        return (
            _(
                "The two versions disagree on %(n)s rows: only the candidate is right on %(better)s, only production on"
                " %(worse)s (McNemar's exact test: p = %(p)s)."
            )
            % told
        )
    told = {"n": comparison["disagreeing"], "better": comparison["better"], "worse": comparison["worse"]}
    return (
        _(
            "The two versions disagree on %(n)s rows: the candidate is closer on %(better)s, production on %(worse)s."
        )
        % told
    )
