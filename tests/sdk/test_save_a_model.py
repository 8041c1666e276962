"""What people's code leaves behind: model folders, archives, data sets, job files."""

import json
import os

import pytest

import atrium
from atrium.portal import collect
from atrium.signature import InvalidSignature

SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1]}],
    "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class"}],
}


def predict(x):
    return {"class": x[:, 0] > 0}


def test_a_function_is_saved_with_its_source(tmp_path):
    folder = atrium.save_model(predict, tmp_path / "m", signature=SIGNATURE, card="# Sign")
    assert json.loads((folder / "atrium.json").read_text()) == {"module": "model", "function": "predict"}
    assert "def predict" in (folder / "model.py").read_text()
    assert (folder / "card.md").read_text() == "# Sign"


def test_a_wrong_signature_is_refused_before_anything_is_sent(tmp_path):
    with pytest.raises(InvalidSignature, match=r"signature\.outputs is empty"):
        atrium.save_model(predict, tmp_path, signature={**SIGNATURE, "outputs": []})


def test_something_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(TypeError, match="a dict is no model"):
        atrium.save_model({}, tmp_path)


def test_a_folder_is_collected_by_digest_without_caches(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_text("x")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "c.pyc").write_text("x")
    files = collect(tmp_path)
    assert list(files) == ["a/b.txt"]
    assert (files["a/b.txt"]["size"], files["a/b.txt"]["sha256"][:8]) == (1, "2d711642")


def test_a_link_is_not_pushed(tmp_path):
    (tmp_path / "secret").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="secret is a link"):
        collect(tmp_path)


def test_progress_and_result_are_left_in_the_work_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ATRIUM_WORK", str(tmp_path))
    atrium.progress(1.7, "nearly")
    atrium.result({"accuracy": 0.5})
    atrium.report(1, f1=0.25)
    atrium.report(2, f1=0.5)
    assert json.loads((tmp_path / "progress.json").read_text()) == {"fraction": 1.0, "message": "nearly"}
    assert json.loads((tmp_path / "result.json").read_text()) == {"accuracy": 0.5}
    assert (tmp_path / "reports.jsonl").read_text() == '{"step": 1, "f1": 0.25}\n{"step": 2, "f1": 0.5}\n'
    assert atrium.params() == {}


def test_a_mounted_data_set_is_found_newest_first(tmp_path, monkeypatch):
    monkeypatch.setenv("ATRIUM_DATASETS", str(tmp_path))
    monkeypatch.setenv("MLFLOW_RUN_CONTEXT", "{}")
    for version in ("2", "10"):
        (tmp_path / "digits" / version).mkdir(parents=True)
    assert atrium.dataset_path("digits").name == "10"
    assert atrium.dataset_path("digits", 2).name == "2"
    with pytest.raises(FileNotFoundError, match="'faces' is not mounted here; mounted are digits"):
        atrium.dataset_path("faces")


def test_runs_say_which_data_sets_were_read(tmp_path, monkeypatch):
    monkeypatch.setenv("ATRIUM_DATASETS", str(tmp_path))
    monkeypatch.setenv("MLFLOW_RUN_CONTEXT", json.dumps({"mine": "kept"}))
    for name in ("digits", "faults"):
        (tmp_path / name / "3").mkdir(parents=True)
        atrium.dataset(name)
    atrium.dataset("digits", 3)
    assert json.loads(os.environ["MLFLOW_RUN_CONTEXT"]) == {
        "mine": "kept",
        "atrium.datasets": "digits/3,faults/3",
    }
