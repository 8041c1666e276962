"""Data set versions: immutable, described, and refused with the line that is wrong."""

import pytest

from apps.core import lineage
from apps.core.errors import Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.datasets.models import DatasetVersion
from apps.datasets.selectors import datasets_visible_to, preview
from apps.datasets.services import create_dataset, create_version
from tests.factories import make_dataset, put_files

pytestmark = pytest.mark.django_db

TABLE = b"age,name,ok\n1,ann,true\n2,ben,false\n4,,true\n"


@pytest.fixture
def faults(radio, ada):
    return make_dataset(radio, ada, "faults")


def test_a_table_is_described_by_what_stands_in_it(faults, ada):
    version = create_version(faults, put_files({"train.csv": TABLE}), by=ada)

    assert version.rows == 3
    assert [(c["name"], c["type"]) for c in version.schema["columns"]] == [
        ("age", "integer"),
        ("name", "text"),
        ("ok", "boolean"),
    ]
    age = version.statistics["columns"]["age"]
    assert (age["minimum"], age["maximum"], round(age["mean"], 3)) == (1, 4, 2.333)
    assert version.statistics["columns"]["name"]["missing"] == 1
    assert preview(version, rows=1) == [{"age": "1", "name": "ann", "ok": "true"}]


def test_json_lines_are_read_too(faults, ada):
    version = create_version(
        faults, put_files({"a.jsonl": b'{"x": 1.5, "image": [1, 2]}\n{"x": 2}\n'}), by=ada
    )

    assert version.rows == 2
    assert {c["name"]: c["type"] for c in version.schema["columns"]} == {"x": "number", "image": "json"}


def test_versions_count_up_and_point_back(faults, ada):
    first = create_version(faults, put_files({"a.csv": TABLE}), by=ada)
    second = create_version(
        faults, put_files({"a.csv": TABLE + b"9,eve,true\n"}), by=ada, parent=first, sources=["atrium:x.y:7"]
    )

    assert (first.number, second.number) == (1, 2)
    assert first.digest != second.digest
    sources = {edge.source for edge in lineage.upstream(second)}
    assert sources == {lineage.urn(first), "atrium:x.y:7"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1\n", "line 2: has 1 cells, the header has 2"),
        (b"a,a\n1,2\n", "names the column “a” twice"),
        (b"", "must name the columns"),
        (b"a\n\xff\xfe\n", "is not UTF-8"),
    ],
)
def test_a_broken_table_is_refused_with_its_line_and_leaves_nothing(faults, ada, content, said):
    with pytest.raises(Invalid, match=said):
        create_version(faults, put_files({"a.csv": content}), by=ada)

    assert not DatasetVersion.objects.exists()


@pytest.mark.parametrize("path", ["../a.csv", "/etc/passwd", "a//b.csv", "c:\\x.csv", "a/./b.csv"])
def test_a_path_that_escapes_is_refused(faults, ada, path):
    with pytest.raises(Invalid):
        create_version(faults, put_files({path: TABLE}), by=ada)


def test_files_that_were_never_uploaded_are_refused(faults, ada):
    with pytest.raises(Invalid, match="not stored"):
        create_version(faults, {"a.csv": "0" * 64}, by=ada)


def test_outsiders_neither_see_nor_add(faults, ada, cy):
    assert faults not in datasets_visible_to(cy)
    with pytest.raises(NotAllowed):
        create_version(faults, put_files({"a.csv": TABLE}), by=cy)


def test_the_organisation_sees_what_is_open_to_it(radio, ada, cy):
    dataset = make_dataset(radio, ada, visibility="organisation")

    assert dataset in datasets_visible_to(cy)


def test_a_taken_short_name_is_refused(faults, radio, ada):
    with pytest.raises(Invalid, match="taken"):
        create_dataset("faults", team=radio, by=ada)


def test_creation_is_audited(faults):
    assert AuditEntry.objects.get(action="datasets.dataset.created").actor_name == "ada"
