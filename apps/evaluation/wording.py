"""A right answer and what was answered, as a reader would say it. Pure computation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _


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
