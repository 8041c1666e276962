"""Versions: immutable, numbered once, and refused by name of what is wrong."""

import pickle
import re

import pytest

from apps.catalog.models import Version
from apps.catalog.services import create_version, package_version, retire_version
from apps.core import lineage
from apps.core.errors import Invalid, NotAllowed
from apps.datasets.services import create_version as create_dataset_version
from portal.environment import ROOT
from tests.factories import make_capability, make_dataset, make_packaged_version, put_files

pytestmark = pytest.mark.django_db

MLMODEL = b"flavors:\n  sklearn:\n    pickled_model: model.pkl\n"


@pytest.fixture
def digits(radio, ada):
    return make_capability(radio, ada, "digits")


def test_an_mlflow_folder_becomes_a_draft_with_its_digest(digits, ada):
    files = put_files({"MLmodel": MLMODEL, "model.pkl": b"not opened"})

    version = create_version(digits, "1.0.0", files=files, by=ada)

    assert version.status == Version.Status.DRAFT
    assert len(version.source_digest) == 64
    assert version.size == len(MLMODEL) + len(b"not opened")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"MLmodel": MLMODEL}, "names “model.pkl”, but this file is missing"),
        ({"MLmodel": b"{"}, "no readable YAML"),
        ({"MLmodel": b"a: 1"}, "names no flavors"),
        ({"notes.md": b"# hi"}, "There is no model among the files"),
        ({"../model.onnx": b"x"}, "leaves the folder"),
        ({"/model.onnx": b"x"}, "absolute path"),
        ({"model.onnx": b"x", "model.onnx/a": b"x"}, "is a file and the folder"),
    ],
)
def test_what_is_no_model_is_refused_by_name_and_leaves_no_row(digits, ada, files, said):
    with pytest.raises(Invalid, match=said):
        create_version(digits, "1.0.0", files=put_files(files), by=ada)

    assert not Version.objects.exists()


class Trap:
    """Leaves a file behind when its pickle is opened."""

    def __init__(self, path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_pickle_is_stored_and_packaged_later_but_never_opened_here(
    digits, ada, client, tmp_path, monkeypatch
):
    monkeypatch.setattr("apps.compute.services.jobs.require", lambda verdict: None)
    sprung = tmp_path / "sprung"
    files = put_files({"MLmodel": MLMODEL, "model.pkl": pickle.dumps(Trap(sprung))})

    version = create_version(digits, "1.0.0", files=files, by=ada)
    package_version(version, by=ada)
    client.force_login(ada)
    page = client.get("/catalog/digits/versions/1.0.0/")

    assert page.status_code == 200
    assert not sprung.exists()


def test_nothing_in_web_or_worker_can_open_a_pickle():
    openers = re.compile(
        r"^\s*(?:import|from) (?:pickle|joblib|cloudpickle|dill|skops|torch|mlflow)\b", re.MULTILINE
    )
    found = [
        path
        for folder in ("apps", "portal")
        for path in (ROOT / folder).rglob("*.py")
        if openers.search(text := path.read_text()) or "read_pickle" in text or "allow_pickle=True" in text
    ]
    assert found == []


@pytest.mark.parametrize("number", ["1", "1.0", "v1.0.0", "01.0.0", "1.0.0 ", "1.0.0\n", ""])
def test_a_number_that_is_not_semantic_is_refused(digits, ada, number):
    with pytest.raises(Invalid, match="semantic"):
        create_version(digits, number, files=put_files({"m.onnx": b"x"}), by=ada)


def test_a_number_is_used_once(digits, ada):
    create_version(digits, "1.0.0", files=put_files({"m.onnx": b"x"}), by=ada)

    with pytest.raises(Invalid, match=r"has a version 1\.0\.0 already"):
        create_version(digits, "1.0.0", files=put_files({"m.onnx": b"y"}), by=ada)


def test_a_wrong_digest_is_refused(digits, ada):
    with pytest.raises(Invalid, match="as announced"):
        create_version(digits, "1.0.0", files=put_files({"m.onnx": b"x"}), by=ada, expected_digest="0" * 64)


def test_its_data_stands_in_the_lineage(digits, radio, ada):
    data = create_dataset_version(make_dataset(radio, ada), put_files({"a.csv": b"a\n1\n"}), by=ada)

    version = create_version(digits, "1.0.0", files=put_files({"m.onnx": b"x"}), by=ada, dataset_version=data)

    assert [edge.source for edge in lineage.upstream(version)] == [lineage.urn(data)]


def test_outsiders_add_nothing(digits, cy):
    with pytest.raises(NotAllowed):
        create_version(digits, "1.0.0", files=put_files({"m.onnx": b"x"}), by=cy)


def test_an_operator_retires_a_version(digits, ada, ole):
    version = make_packaged_version(digits, ada)

    retire_version(version, by=ole)

    assert version.status == Version.Status.RETIRED
