"""Lists in forms: rows are read back as dicts, empty ones are none, and a wrong one says where it is."""

from __future__ import annotations

from django import forms

from apps.core.rows import PercentField, RowsField
from tests.factories import rows_of


class Stage(forms.Form):
    weight = forms.IntegerField(min_value=1)
    worse_by = PercentField(label="Rise", max_value=50)
    note = forms.CharField(required=False)
    metric = forms.BooleanField(required=False)
    kept = forms.BooleanField(required=False, initial=True)


class Policy(forms.Form):
    stages = RowsField(Stage, add="Add a stage", most=3)


def sent(*rows):
    return Policy(rows_of("stages", *rows))


def test_rows_become_dicts_without_what_is_empty():
    form = sent(
        {"weight": "5", "worse_by": "2.5", "kept": "on"}, {"weight": "50", "worse_by": "1", "metric": "on"}
    )

    assert form.is_valid(), form.errors
    assert form.cleaned_data["stages"] == [
        {"weight": 5, "worse_by": 0.025, "kept": True},
        {"weight": 50, "worse_by": 0.01, "metric": True, "kept": False},
    ]


def test_removed_and_untouched_rows_are_none_and_one_is_needed():
    form = sent({"weight": "5", "worse_by": "1", "DELETE": "on"}, {"kept": "on"})

    assert form.errors["stages"] == ["Add at least one row."]


def test_a_wrong_row_says_where_and_keeps_what_was_typed():
    form = sent({"weight": "5", "worse_by": "1"}, {"weight": "0", "worse_by": "80", "note": "why"})

    assert form.errors["stages"] == [
        "Row 2, Weight: Ensure this value is greater than or equal to 1.",
        "Row 2, Rise: Ensure this value is less than or equal to 50.",
    ]
    assert 'value="why"' in str(form["stages"])


def test_more_rows_than_allowed_and_a_missing_count_are_refused():
    row = {"weight": "5", "worse_by": "1"}

    assert "at most 3" in str(sent(*[row] * 4).errors["stages"])
    assert Policy({"stages-0-weight": "5"}).errors["stages"]


def test_what_is_there_is_shown_in_percent():
    shown = str(Policy(initial={"stages": [{"weight": 5, "worse_by": 0.025}]})["stages"])

    assert 'value="2.5"' in shown
    assert "__prefix__" in shown
