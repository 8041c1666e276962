"""Versions side by side: what differs is marked, what is the same is not."""

import pytest

from apps.catalog.comparison import Side, compare, packages_of, text_difference
from apps.catalog.models import Version
from apps.core import manifests
from tests.factories import make_capability, make_packaged_version, put_files

SIGNATURE = {
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 8, 8], "minimum": 0, "maximum": 16}],
    "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1]}],
}


def side(number: str, **facts: object) -> Side:
    values: dict[str, object] = {
        "facts": {},
        "signature": SIGNATURE,
        "report": {},
        "parameters": {},
        "lineage": {},
    }
    return Side(number=number, **(values | facts))


def rows_of(sides: list[Side], name: str) -> dict[str, tuple[list[object], bool]]:
    section = next((section for section in compare(sides) if section.name == name), None)
    return {row.title: (row.values, row.differs) for row in section.rows} if section else {}


def test_a_changed_range_is_marked_and_the_rest_is_not():
    wider = {**SIGNATURE, "inputs": [{**SIGNATURE["inputs"][0], "maximum": 255}]}

    rows = rows_of([side("1.0.0"), side("2.0.0", signature=wider)], "signature")

    assert rows["input image"] == (
        ["FP32 [-1,8,8], minimum 0, maximum 16", "FP32 [-1,8,8], minimum 0, maximum 255"],
        True,
    )
    assert rows["output class"][1] is False


def test_a_tensor_that_came_new_stands_beside_nothing():
    more = {**SIGNATURE, "outputs": [*SIGNATURE["outputs"], {"name": "p", "datatype": "FP32", "shape": [-1]}]}

    rows = rows_of([side("1.0.0"), side("2.0.0", signature=more)], "signature")

    assert rows["output p"] == ([None, "FP32 [-1]"], True)


def test_packages_are_compared_by_name_whichever_way_the_lock_is_written():
    before = "numpy==2.0.0\nNumba==1.0\n"
    after = "# made by uv\nnumpy==2.1.0 \\\n    --hash=sha256:00\n"

    rows = rows_of([side("1.0.0", environment=before), side("2.0.0", environment=after)], "environment")

    assert rows == {"numba": (["1.0", None], True), "numpy": (["2.0.0", "2.1.0"], True)}
    assert packages_of("-r other.txt\nxgboost[gpu]==3.0 ; python_version > '3'\n") == {"xgboost": "3.0"}


def test_a_package_is_the_same_however_its_name_is_written():
    sides = [side("1.0.0", environment="ml_dtypes==0.6\n"), side("2.0.0", environment="ML-dtypes==0.6\n")]

    assert rows_of(sides, "environment") == {"ml-dtypes": (["0.6", "0.6"], False)}


@pytest.mark.django_db
def test_many_packages_that_one_version_lacks_hide_nothing_else(client, ada, digits):
    """On a phone they were nine screens of a page whose other rows were one."""
    locks = {"1.0.0": "numpy==2.0\n", "1.1.0": "numpy==2.1\n" + "".join(f"p{n}==1\n" for n in range(40))}
    for number, lock in locks.items():
        packaged(digits, ada, number, lock=lock)
    client.force_login(ada)

    page = client.get("/catalog/digits/compare/").content.decode()

    before, folded = page.split("<summary>40 that only some of the versions have</summary>")
    assert "numpy" in before
    assert ">p7" not in before
    assert folded.count('<th scope="row">p') == 40


@pytest.mark.django_db
def test_where_only_folded_packages_differ_no_empty_table_stands_above_them(client, ada, digits):
    locks = {"1.0.0": "numpy==2.0\n", "1.1.0": "numpy==2.0\n" + "".join(f"p{n}==1\n" for n in range(6))}
    for number, lock in locks.items():
        packaged(digits, ada, number, lock=lock)
    client.force_login(ada)

    def above(asked: str = "") -> str:
        page = client.get(f"/catalog/digits/compare/{asked}").content.decode()
        return page.partition(">Environment</h2>")[2].partition("<details")[0]

    assert "6 differ" in above()
    assert "<table" not in above()
    assert "numpy" in above("?show=all")


def test_parameters_are_compared_leaf_by_leaf():
    first = side("1.0.0", parameters={"forest": {"trees": 50, "depth": 4}, "classes": [0, 1]})
    second = side("1.1.0", parameters={"forest": {"trees": 80, "depth": 4}, "classes": [0, 1]})

    rows = rows_of([first, second], "parameters")

    assert {label: differs for label, (_, differs) in rows.items()} == {
        "forest.trees": True,
        "forest.depth": False,
        "classes": False,
    }


def test_three_versions_differ_when_one_does():
    fast = {"latency": {"after": {"p50_ms": 0.1, "p99_ms": 0.4}}}
    slow = {"latency": {"after": {"p50_ms": 4.1, "p99_ms": 9.0}}}

    rows = rows_of([side("1", report=fast), side("2", report=fast), side("3", report=slow)], "latency")

    assert rows["as served, p50"] == ([0.1, 0.1, 4.1], True)


def test_the_difference_of_two_cards_has_what_left_and_what_came():
    lines = text_difference("# Digits\n\nReads a digit\n", "# Digits\n\nReads two digits\n")

    assert [(line.kind, line.text) for line in lines if line.kind in ("added", "removed")] == [
        ("removed", "Reads a digit"),
        ("added", "Reads two digits"),
    ]
    assert text_difference("same", "same") == []


@pytest.fixture
def digits(radio, ada):
    return make_capability(radio, ada, "digits", name="Digits")


def packaged(capability, by, number: str, lock: str = "numpy==2.0.0\n", **facts: object) -> Version:
    version = make_packaged_version(capability, by, number)
    manifest = manifests.build(
        put_files({"card.md": f"# Card of {number}".encode(), "environment.lock": lock.encode()})
    )
    Version.objects.filter(pk=version.pk).update(manifest=manifest, signature=SIGNATURE, **facts)
    return version


@pytest.mark.django_db
def test_the_page_shows_the_two_newest_until_others_are_chosen(client, ada, digits):
    for number in ("1.0.0", "1.1.0", "1.2.0"):
        packaged(digits, ada, number, parameters={"trees": int(number[2])})
    client.force_login(ada)

    newest = client.get("/catalog/digits/compare/").context
    chosen = client.get("/catalog/digits/compare/?versions=1.0.0&versions=1.2.0&show=all")

    assert [side.number for side in newest["sides"]] == ["1.1.0", "1.2.0"]
    assert [side.number for side in chosen.context["sides"]] == ["1.0.0", "1.2.0"]
    text = chosen.content.decode()
    assert "Card of 1.2.0" in text
    assert "numpy" in text


@pytest.mark.django_db
def test_one_version_alone_cannot_be_compared(client, ada, digits):
    packaged(digits, ada, "1.0.0")
    client.force_login(ada)

    assert "two to 6 versions" in client.get("/catalog/digits/compare/?versions=1.0.0").content.decode()
    assert "Nothing to compare yet" in client.get("/catalog/digits/compare/").content.decode()


@pytest.mark.django_db
def test_the_api_gives_the_same_rows(client, ada, digits):
    packaged(digits, ada, "1.0.0", parameters={"trees": 50})
    packaged(digits, ada, "1.1.0", parameters={"trees": 80})
    client.force_login(ada)

    answer = client.get("/api/v1/capabilities/digits/comparison/?versions=1.0.0&versions=1.1.0")

    found = answer.json()
    section = next(section for section in found["sections"] if section["name"] == "parameters")
    assert found["versions"] == ["1.0.0", "1.1.0"]
    assert section["rows"] == [{"title": "trees", "values": [50, 80], "kind": "mono", "differs": True}]
    assert (
        client.get("/api/v1/capabilities/digits/comparison/?versions=1.0.0&versions=9.9.9").status_code == 404
    )


def test_int8_stands_beside_what_is_served_where_it_was_tried():
    twin = {
        "offered": True,
        "chosen": False,
        "reason": "int8 holds on the 5 cases",
        "outputs": {"probabilities": {"difference": 0.004}},
        "size": 1200,
        "latency": {"p50_ms": 0.02, "p99_ms": 0.05},
    }
    sides = [side("1.0.0", report={"quantisation": twin}), side("1.1.0")]

    cases, size, latency = (rows_of(sides, name) for name in ("cases", "size", "latency"))

    assert cases["Int8"] == (["offered", None], True)
    assert cases["largest difference of probabilities as int8"][0] == [0.004, None]
    assert size["Model as int8"] == ([1200, None], True)
    assert (latency["as int8, p50"][0], latency["as int8, p99"][0]) == ([0.02, None], [0.05, None])
    assert not any("int8" in title for title in rows_of([side("1.0.0"), side("1.1.0")], "size"))


@pytest.mark.parametrize(
    ("twin", "words"),
    [({"chosen": True, "offered": True}, "served as int8"), ({"reason": "no int8: a tree"}, "not offered")],
)
def test_it_is_said_whether_int8_is_served_or_cannot_be(twin, words):
    rows = rows_of([side("1.0.0", report={"quantisation": twin}), side("1.1.0")], "cases")

    assert rows["Int8"][0] == [words, None]
