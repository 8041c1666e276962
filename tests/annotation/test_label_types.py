"""The contract of every label type, and what is particular to some."""

from __future__ import annotations

import json
import math

import pytest
from django.http import QueryDict
from django.template.loader import render_to_string

from apps.annotation.forms import ProjectForm
from apps.annotation.label_types import TYPES
from apps.annotation.label_types.base import Setting, consensus
from apps.annotation.label_types.choices import DIGIT
from apps.annotation.label_types.regions import MOST_TOLD
from apps.annotation.models import Project
from apps.annotation.services import keyed
from apps.core.errors import Invalid

KINDS = list(TYPES.values())
each = pytest.mark.parametrize("kind", KINDS, ids=list(TYPES))


@each
def test_good_values_are_clean_stay_clean_and_are_json(kind):
    for value in kind.example.good:
        clean = kind.clean(value, kind.example.setting)

        assert kind.clean(clean, kind.example.setting) == clean
        assert json.loads(json.dumps(clean)) == clean


@each
def test_bad_values_are_refused_in_words(kind):
    for value in kind.example.bad:
        with pytest.raises(Invalid) as refused:
            kind.clean(value, kind.example.setting)
        assert refused.value.message


@each
def test_likeness_is_symmetric_and_one_for_equals(kind):
    values = [kind.clean(value, kind.example.setting) for value in kind.example.good]
    for one in values:
        assert kind.likeness(one, one) == pytest.approx(1)
        for other in values:
            assert 0 <= kind.likeness(one, other) <= 1
            assert kind.likeness(one, other) == pytest.approx(kind.likeness(other, one))
            assert (kind.likeness(one, other) >= kind.agree_at) == (one == other)


@each
def test_label_studio_gives_back_what_it_was_given(kind):
    for value in kind.example.good:
        clean = kind.clean(value, kind.example.setting)
        result = json.loads(json.dumps(kind.to_label_studio(clean, kind.example.setting)))

        assert kind.clean(kind.from_label_studio(result, kind.example.setting), kind.example.setting) == clean


@each
def test_a_value_has_words_and_names_its_labels(kind):
    for value in kind.example.good:
        clean = kind.clean(value, kind.example.setting)

        assert kind.text(clean)
        assert kind.labels_in(clean) <= set(kind.example.setting.labels)


@each
def test_what_tells_two_values_apart_stands_in_words_or_places(kind):
    values = [kind.clean(value, kind.example.setting) for value in kind.example.good]
    told = {(kind.text(value), *kind.places(value, kind.example.setting)) for value in values}

    assert len(told) == len(values)


def test_the_places_of_regions_are_told_as_a_reader_looks_for_them():
    def told(slug):
        kind = TYPES[slug]
        return kind.places(kind.clean(kind.example.good[0], kind.example.setting), kind.example.setting)

    assert told("spans") == ["cell: “Cell 4711” (0–9)", "place: “Guangzhou” (13–22)"]
    assert told("ranges") == ["surge: 40–48"]
    assert told("boxes") == ["loop: x 10–70 %, y 0–50 %"]
    assert told("polygons") == ["loop: x 10–90 %, y 10–80 %, 3 points: 10/10 90/10 50/80"]


def test_outlines_of_the_same_reach_read_differently_and_the_same_ones_alike_wherever_they_begin():
    kind = TYPES["polygons"]
    up, down = [[0.1, 0.8], [0.5, 0.1], [0.9, 0.8]], [[0.1, 0.1], [0.5, 0.8], [0.9, 0.1]]
    round_ = [[0.5 + 0.4 * math.cos(n / 20), 0.5 + 0.4 * math.sin(n / 20)] for n in range(125)]
    told = [
        kind.places([{"points": points, "label": "loop"}], kind.example.setting)[0]
        for points in (up, down, up[1:] + up[:1], round_)
    ]

    assert told[0] == "loop: x 10–90 %, y 10–80 %, 3 points: 50/10 90/80 10/80"
    assert told[1] == "loop: x 10–90 %, y 10–80 %, 3 points: 10/10 50/80 90/10"
    assert told[2] == told[0]
    assert told[3].count("/") == 8


@pytest.mark.parametrize(
    ("slug", "one", "other"),
    [
        ("ranges", {"start": 1234567.0, "end": 1234570.0}, {"start": 1234568.0, "end": 1234570.0}),
        ("ranges", {"start": 1000.1234, "end": 1000.1238}, {"start": 1000.1236, "end": 1000.1244}),
        ("boxes", {"x": 0.1005, "width": 0.004}, {"x": 0.096, "width": 0.004}),
        ("boxes", {"x": 0.104, "width": 0.032}, {"x": 0.096, "width": 0.048}),
        ("boxes", {"x": 0.5, "width": 0.000001}, {"x": 0.500001, "width": 0.000001}),
    ],
)
def test_places_on_which_people_do_not_agree_read_differently(slug, one, other):
    kind = TYPES[slug]
    rest = {"label": "loop"} | ({"y": 0.1, "height": 0.5} if slug == "boxes" else {})
    values = [[each | rest] for each in (one, other)]

    assert kind.likeness(*values) < kind.agree_at
    assert kind.places(values[0], kind.example.setting) != kind.places(values[1], kind.example.setting)


def test_a_reader_is_told_how_many_places_are_left_out():
    kind = TYPES["ranges"]
    value = [{"start": float(n), "end": n + 1.0, "label": "surge"} for n in range(MOST_TOLD + 2)]

    told = kind.places(value, kind.example.setting)
    assert told[MOST_TOLD - 1 :] == [f"surge: {MOST_TOLD - 1}–{MOST_TOLD}", "… and 2 more"]
    assert kind.places(value[:MOST_TOLD], kind.example.setting) == told[:MOST_TOLD]


@each
def test_its_configuration_is_checked_and_kept(kind):
    setting = kind.example.setting
    assert kind.configure(setting.labels, setting.options) == dict(setting.options)
    if kind.fewest_labels:
        with pytest.raises(Invalid):
            kind.configure([], {})


@each
def test_a_form_without_an_answer_is_refused_or_means_nothing_marked(kind):
    value = kind.parse(QueryDict("value=%5B%5D" if kind.is_regions else ""))
    if value == []:
        value = kind.clean(value, kind.example.setting) if kind.is_regions or kind.slug == "multi" else value
    if value != [] or kind.slug in ("taxonomy", "rows"):
        with pytest.raises(Invalid):
            kind.clean(value, kind.example.setting)


@each
def test_its_fragment_can_be_answered_and_every_key_is_told(kind):
    project = Project(kind=kind.slug, question="Which?", labels=keyed(kind.example.setting.labels))
    html = render_to_string(
        f"annotation/types/{kind.slug}.html", {"project": project, "ratings": [1, 2], "table_rows": [0, 1]}
    )

    assert "name=" in html
    assert "<kbd" in html


@each
def test_the_form_offers_it(kind, db):
    assert kind.slug in dict(ProjectForm.base_fields["kind"].choices)


def test_regions_agree_when_they_nearly_cover_each_other():
    boxes = TYPES["boxes"]
    one = [{"x": 0.1, "y": 0.1, "width": 0.5, "height": 0.5, "label": "loop"}]
    near = [{"x": 0.11, "y": 0.1, "width": 0.5, "height": 0.5, "label": "loop"}]
    other = [{"x": 0.1, "y": 0.1, "width": 0.5, "height": 0.5, "label": "stroke"}]

    assert boxes.likeness(one, near) == pytest.approx(0.49 / 0.51)
    assert boxes.likeness(one, other) == 0
    assert consensus(boxes, [one, near]) == (one, True)
    assert consensus(boxes, [one, other]) == (None, False)


def test_the_best_matching_is_found_not_the_first():
    spans = TYPES["spans"]
    one = [{"start": 0, "end": 10, "label": "a"}, {"start": 10, "end": 20, "label": "a"}]
    other = [{"start": 8, "end": 20, "label": "a"}, {"start": 0, "end": 10, "label": "a"}]

    assert spans.likeness(one, other) == pytest.approx((1 + 10 / 12) / 2)


def test_polygons_overlap_by_their_area():
    polygons = TYPES["polygons"]
    square = [{"points": [[0, 0], [1, 0], [1, 1], [0, 1]], "label": "a"}]
    half = [{"points": [[0, 0], [1, 0], [1, 1]], "label": "a"}]

    assert polygons.likeness(square, half) == pytest.approx(0.5, abs=0.01)


def test_a_majority_is_found_where_not_all_agree():
    assert consensus(TYPES["multi"], [["a"], ["a"], ["b"]]) == (["a"], False)
    assert consensus(TYPES["single"], []) == (None, False)


def test_spans_end_with_the_text():
    with pytest.raises(Invalid, match="end"):
        TYPES["spans"].clean([{"start": 0, "end": 65, "label": "x"}], Setting(("x",), {}, {"t": "a" * 64}))
    assert len(DIGIT) == 64
