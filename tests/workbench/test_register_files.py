"""A model among a workspace's files becomes a version, with where it came from."""

import shutil

import pytest

from apps.catalog.models import Capability, Version
from apps.core import lineage, objects
from apps.core.errors import Invalid, NotAllowed
from apps.datasets.services import create_version
from apps.workbench import registering, services
from apps.workbench.launch import folder_of, home_of
from tests.factories import make_capability, make_dataset, make_user, put_files

pytestmark = pytest.mark.django_db

AS_JSON = {"content_type": "application/json"}


@pytest.fixture
def workspace(ada, radio):
    """A workspace with code, a model of one file, and an MLflow model's folder."""
    made = services.create_workspace("signals", team=radio, by=ada)
    shutil.rmtree(folder_of(made), ignore_errors=True)
    home = home_of(made)
    for path, text in {
        "train.py": "fit()",
        "best.onnx": "onnx",
        "runs/one/MLmodel": "flavors: {onnx: {data: data/a.onnx}}",
        "runs/one/data/a.onnx": "inner",
        "plain/model.py": "def predict(x): return x",
        "plain/notes.txt": "mine",
        "data.csv": "a",
    }.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text)
    (home / "linked.onnx").symlink_to("/etc/passwd")
    (home / "linked").symlink_to("/etc")
    yield made
    shutil.rmtree(folder_of(made), ignore_errors=True)


def content_of(version):
    return {path: objects.path(one["sha256"]).read_text() for path, one in version.source_manifest.items()}


def test_the_page_offers_what_is_a_model_and_chooses_the_one_that_was_in_hand(client, workspace, ada):
    assert registering.models_in(workspace) == ["best.onnx", "plain", "runs/one"]
    client.force_login(ada)
    url = f"/workspaces/{workspace.pk}/register/"
    assert "selected" not in client.get(f"{url}?path=train.py").content.decode()
    for path in ("runs/one", "runs/one/data/a.onnx"):
        assert '<option value="runs/one" selected>' in client.get(url, {"path": path}).content.decode()
    shutil.rmtree(home_of(workspace))
    assert "No model among the files yet" in client.get(url).content.decode()


@pytest.mark.parametrize("by_page", [True, False])
def test_it_becomes_the_next_version_with_code_data_and_environment(client, workspace, ada, radio, by_page):
    data = create_version(make_dataset(radio, ada, "towers"), put_files({"a.csv": b"a\n1\n"}), by=ada)
    services.mount_datasets(workspace, [data], by=ada)
    client.force_login(ada)
    asked = {"capability": "cell-load", ("model" if by_page else "path"): "runs/one"}
    if by_page:
        answer = client.post(f"/workspaces/{workspace.pk}/register/", asked)
        assert answer["Location"] == "/catalog/cell-load/versions/1.0.0/"
    else:
        answer = client.post(f"/api/v1/workspaces/{workspace.pk}/register/", asked, **AS_JSON)
        assert (answer.status_code, answer.json()["number"]) == (201, "1.0.0")
    version = Version.objects.get()
    assert content_of(version) == {
        "MLmodel": "flavors: {onnx: {data: data/a.onnx}}",
        "data/a.onnx": "inner",
    }
    assert (version.status, version.capability.team, version.created_by) == ("packaging", radio, ada)
    assert version.code_digest
    kinds = {(edge.kind, edge.source.split(":")[1]) for edge in lineage.upstream(version)}
    assert {("made", "workbench.workspace"), ("trained on", "datasets.datasetversion")} <= kinds
    assert {("environment", "environment"), ("code", "code")} <= kinds

    again = registering.register_files(workspace, "best.onnx", by=ada, capability="cell-load")
    assert (again.number, content_of(again)) == ("1.1.0", {"best.onnx": "onnx"})


def test_a_version_has_the_code_of_its_own_moment_and_not_that_of_others(workspace, ada):
    def codes(version):
        return [edge.source for edge in lineage.upstream(version) if edge.kind == "code"]

    first = registering.register_files(workspace, "best.onnx", by=ada, capability="cell-load")
    (home_of(workspace) / "train.py").write_text("print('another way')")
    second = registering.register_files(workspace, "best.onnx", by=ada, capability="cell-load")

    assert (len(codes(first)), len(codes(second))) == (1, 1)
    assert codes(first) != codes(second)
    assert not lineage.upstream(workspace)


@pytest.mark.parametrize("path", ["linked.onnx", "linked", "linked/passwd", "..", ".", "", "/etc", "no.onnx"])
def test_nothing_outside_of_the_files_is_handed_in(workspace, ada, path):
    with pytest.raises(Invalid, match="no file"):
        registering.register_files(workspace, path, by=ada, capability="cell-load")
    assert not Capability.objects.exists()


def test_what_is_no_model_or_has_a_foreign_name_or_owner_is_refused(client, workspace, ada, dan, transport):
    make_capability(transport, make_user("zoe", team=transport, role="developer"), "theirs")
    with pytest.raises(Invalid, match="no model among the files"):
        registering.register_files(workspace, "data.csv", by=ada, capability="cell-load")
    with pytest.raises(NotAllowed):
        registering.register_files(workspace, "best.onnx", by=dan, capability="cell-load")
    client.force_login(ada)
    answer = client.post(
        f"/workspaces/{workspace.pk}/register/", {"model": "best.onnx", "capability": "theirs"}
    )
    assert (answer.status_code, "another team" in answer.content.decode()) == (422, True)
    assert not Version.objects.exists()
