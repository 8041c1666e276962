"""Lists in forms: rows are read back as dicts, empty ones are none, and a wrong one says where it is."""

from __future__ import annotations

from django import forms

from apps.core.rows import PercentField, RowsField, ValueField, ValuesField
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


class Parameter(forms.Form):
    name = forms.CharField()
    value = ValueField(required=False)
    choices = ValuesField(required=False)
    least = forms.FloatField(required=False)


class Recipe(forms.Form):
    stages = RowsField(Parameter, add="Add")


def test_values_are_what_json_takes_them_for_else_text_and_nought_is_something():
    rows = [
        {"value": "5"},
        {"value": "false"},
        {"value": "mse"},
        {"value": "[1]", "least": "0"},
        {"choices": "a, 2"},
    ]
    form = Recipe(rows_of("stages", *[row | {"name": "n"} for row in rows]))

    assert form.is_valid()
    assert form.cleaned_data["stages"] == [
        {"name": "n", "value": 5},
        {"name": "n", "value": False},
        {"name": "n", "value": "mse"},
        {"name": "n", "value": [1], "least": 0.0},
        {"name": "n", "choices": ["a", 2]},
    ]
    shown = str(Recipe(initial={"stages": [{"name": "n", "value": True, "choices": ["a", 2]}]})["stages"])
    assert 'value="true"' in shown
    assert 'value="a, 2"' in shown


class Signer(forms.Form):
    role = forms.CharField(initial="qa")
    count = forms.IntegerField(initial=1)


class Signers(forms.Form):
    signers = RowsField(Signer, add="Add a role")


def test_a_row_that_is_left_as_it_was_offered_counts():
    form = Signers(rows_of("signers", {"role": "qa", "count": "1"}))

    assert form.is_valid(), form.errors
    assert form.cleaned_data["signers"] == [{"role": "qa", "count": 1}]
