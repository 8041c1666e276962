"""Splits: the same on every machine, in proportion, without a group in two parts, made once; and tags."""

import json
import random
from collections import Counter

import pytest

from apps.core import objects
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.datasets import splitting
from apps.datasets.models import Split
from apps.datasets.selectors import version_by_name
from apps.datasets.services import create_version, split_version, tag_version
from tests.factories import make_dataset, put_files

SHARES = [0.8, 0.1, 0.1]
PIXEL = b"\x89PNG\r\n\x1a\n"


def test_each_value_is_divided_in_proportion_and_the_whole_too():
    draw = random.Random(5)
    for _round in range(50):
        values = [draw.choice("aaaaaabbbc") for _ in range(draw.randint(20, 400))]
        parts = splitting.stratified(values, SHARES, seed=draw.randint(0, 99))

        for value, total in Counter(values).items():
            for part, share in enumerate(SHARES):
                found = sum(p == part for p, v in zip(parts, values, strict=True) if v == value)
                assert abs(found - total * share) <= 1
        for part, share in enumerate(SHARES):
            assert abs(parts.count(part) - len(values) * share) <= 2


def test_a_split_is_the_same_everywhere_and_another_with_another_seed():
    values = ["x"] * 30

    assert "".join(map(str, splitting.stratified(values, SHARES, 7))) == "020000000000001100000001020002"
    assert splitting.stratified(values, SHARES, 7) != splitting.stratified(values, SHARES, 8)


def test_a_group_is_never_in_two_parts():
    draw = random.Random(6)
    values = [f"site-{draw.randint(1, 40)}" for _ in range(1000)]
    parts = splitting.grouped(values, SHARES, seed=1)

    assert len({(value, part) for value, part in zip(values, parts, strict=True)}) == len(set(values))
    assert abs(parts.count(0) - 800) < 30


@pytest.fixture
def faults(radio, ada):
    return make_dataset(radio, ada, "faults")


@pytest.fixture
def version(faults, ada):
    rows = "".join(f"{n},{'a' if n % 4 else 'b'}\n" for n in range(40))
    return create_version(faults, put_files({"a.csv": f"x,label\n{rows}".encode()}), by=ada)


@pytest.mark.django_db
def test_a_version_is_split_once_and_keeps_who_did_it(version, ada):
    split = split_version(version, by=ada, stratify_by="label")

    assert split.counts == {"train": 32, "val": 4, "test": 4}
    assert split.by_value == {"a": {"train": 24, "val": 3, "test": 3}, "b": {"train": 8, "val": 1, "test": 1}}
    told = json.loads(objects.open_object(split.assignment).read())
    assert Counter(told["of"]) == {"0": 32, "1": 4, "2": 4}
    assert AuditEntry.objects.filter(action="datasets.version.split", actor_name="ada").exists()
    with pytest.raises(Conflict, match="never changes"):
        split_version(version, by=ada)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"shares": {"train": 1.0}}, "2 to 10 parts"),
        ({"shares": {"train": 1.0, "Te st": 1.0}}, "no name of a part"),
        ({"shares": {"train": 1.0, "test": 0.0}}, "above 0"),
        ({"stratify_by": "colour"}, "There are: x, label"),
        ({"stratify_by": "x", "group_by": "label"}, "not both"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_a_split_is_refused_with_the_reason(version, ada, asked, said):
    with pytest.raises(Invalid, match=said):
        split_version(version, by=ada, **asked)

    assert not Split.objects.exists()


@pytest.mark.django_db
def test_files_named_as_parts_are_the_split(faults, ada):
    tables = create_version(faults, put_files({"train.csv": b"x\n1\n2\n", "test.csv": b"x\n3\n"}), by=ada)
    pictures = {
        f"{part}/{kind}/{n}.png": PIXEL for part in ("train", "valid") for kind in "ab" for n in (1, 2)
    }
    images = create_version(faults, put_files(pictures), by=ada)

    assert (tables.split.unit, tables.split.counts) == ("rows", {"train": 2, "test": 1})
    assert (images.split.unit, images.split.counts) == ("files", {"train": 4, "val": 4})
    assert images.split.by_value["a"] == {"train": 2, "val": 2}


@pytest.mark.django_db
def test_a_column_called_split_is_the_split_where_each_row_says_its_part(faults, ada):
    told = create_version(faults, put_files({"a.csv": b"x,split\n1,train\n2,validation\n3,train\n"}), by=ada)
    for text in (b"x,split\n1,train\n2,\n3,test\n", b"x,split\n1,left\n2,right\n", b"x,split\n1,train\n"):
        assert not hasattr(create_version(faults, put_files({"a.csv": text}), by=ada), "split")

    assert told.split.counts == {"train": 2, "val": 1}
    assert json.loads(objects.open_object(told.split.assignment).read())["of"] == "010"


@pytest.mark.django_db
def test_only_the_owning_team_splits_and_tags(version, cy):
    for refused in (split_version, lambda v, by: tag_version(v, "golden", by=by)):
        with pytest.raises(NotAllowed):
            refused(version, by=cy)


@pytest.mark.django_db
def test_a_tag_moves_to_another_version_and_names_it(faults, version, ada):
    second = create_version(faults, put_files({"a.csv": b"x\n1\n"}), by=ada)
    tag_version(version, "golden", by=ada)
    tag_version(second, "golden", by=ada)

    assert version_by_name("faults/golden", user=ada) == second
    assert AuditEntry.objects.filter(action="datasets.tag.moved").last().facts["before"] == 1
    with pytest.raises(Invalid, match="Begin with a letter"):
        tag_version(second, "2", by=ada)
