"""What changed between two versions."""

import random

import pytest

from apps.core.errors import Invalid
from apps.datasets import services
from apps.datasets.models import Comparison
from apps.datasets.services import compare_versions, create_version
from apps.datasets.services import comparisons as at_work
from tests.factories import make_dataset, put_files

pytestmark = pytest.mark.django_db


@pytest.fixture
def faults(radio, ada):
    return make_dataset(radio, ada, "faults")


@pytest.fixture
def make(faults, ada):
    return lambda text, name="a.csv": create_version(faults, put_files({name: text.encode()}), by=ada)


def test_rows_are_recognised_by_a_column_that_tells_them_apart(make):
    before, after = make("id,y\n1,a\n2,b\n3,c\n"), make("id,y\n1,a\n3,d\n4,e\n5,f\n")

    rows = compare_versions(before, after).result["rows"]

    assert rows["key"] == "id"
    assert {name: rows[name] for name in ("added", "removed", "changed", "unchanged")} == {
        "added": 2, "removed": 1, "changed": 1, "unchanged": 1,
    }  # fmt: skip
    assert rows["changed_rows"] == [{"key": "3", "cells": {"y": {"before": "c", "after": "d"}}}]
    assert rows["removed_rows"] == [{"id": "2", "y": "b"}]


def test_without_such_a_column_rows_are_a_multiset(make):
    before, after = make("x\n1\n1\n2\n"), make("x\n1\n3\n3\n")

    rows = compare_versions(before, after).result["rows"]

    assert (rows["key"], rows["added"], rows["removed"], rows["unchanged"]) == ("", 2, 2, 1)


def test_rows_agree_with_a_count_by_hand_whatever_they_are(make):
    draw = random.Random(3)
    old = {n: draw.randint(0, 3) for n in draw.sample(range(300), 200)}
    new = {n: draw.randint(0, 3) for n in draw.sample(range(300), 200)}
    text = ["id,y\n" + "".join(f"{n},{y}\n" for n, y in side.items()) for side in (old, new)]

    rows = compare_versions(make(text[0]), make(text[1]), key="id").result["rows"]

    assert rows["added"] == len(new.keys() - old.keys())
    assert rows["removed"] == len(old.keys() - new.keys())
    assert rows["changed"] == sum(old[n] != new[n] for n in old.keys() & new.keys())


def test_schema_and_distribution_are_told(make):
    before = make("age,label,old\n" + "1,a,x\n" * 8 + "2,b,x\n" * 2)
    after = make("age,label,new\n" + "1.5,a,x\n" * 5 + "2,b,x\n" * 5)

    result = compare_versions(before, after).result

    assert result["schema"] == {
        "added": [{"name": "new", "type": "text"}],
        "removed": [{"name": "old", "type": "text"}],
        "changed": [{"name": "age", "before": "integer", "after": "number"}],
    }
    label = next(one for one in result["columns"] if one["name"] == "label")
    assert label["shift"] == pytest.approx(0.3)
    assert label["values"][0] == {"value": "a", "before": 0.8, "after": 0.5}


def test_a_column_that_cannot_be_the_key_is_refused(make):
    before, after = make("x\n1\n1\n"), make("x\n1\n")

    for key in ("x", "nothing"):
        with pytest.raises(Invalid, match="Choose another column"):
            compare_versions(before, after, key=key)


def test_large_versions_are_compared_by_a_task_and_once(make, monkeypatch):
    before, after = make("x\n1\n"), make("x\n2\n")
    monkeypatch.setattr(at_work, "AT_ONCE_ROWS", 1)

    assert compare_versions(before, after).result is None
    at_work.work_out_waiting()

    assert compare_versions(before, after).result["rows"]["added"] == 1
    assert Comparison.objects.count() == 1


def test_the_page_and_rest_show_it(make, client, ada):
    make("id,label\n1,a\n2,b\n"), make("id,label\n1,a\n2,a\n")
    services.tag_version(at_work.DatasetVersion.objects.get(number=1), "first", by=ada)
    client.force_login(ada)

    page = client.get("/datasets/faults/compare/").content.decode()
    told = client.get("/api/v1/datasets/faults/comparison/", {"before": "first", "after": "2"}).json()

    assert "Rows changed" in page
    assert "data-chart" in page
    assert told["result"]["rows"]["changed"] == 1
