"""`atrium.dataset`: parts of a version that was split, as they are mounted."""

import json
import os
import subprocess

import pytest

from apps.compute import environments
from atrium import data
from portal.environment import ROOT


@pytest.fixture
def mounted(tmp_path, monkeypatch):
    monkeypatch.setenv("ATRIUM_DATASETS", str(tmp_path))
    monkeypatch.delenv("MLFLOW_RUN_CONTEXT", raising=False)

    def lay_out(content, **told):
        folder = tmp_path / "faults" / "3"
        for path, text in content.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        (tmp_path / "faults" / "3.split.json").write_text(json.dumps(told))

    return lay_out


ASK = """
import atrium
part = atrium.dataset("faults", split="test")
print(part["x"].tolist(), part.attrs["version"])
"""


def test_a_part_of_rows_is_a_data_frame_over_all_tables(mounted):
    mounted({"b.csv": "x\n3\n", "a.csv": "x\n1\n2\n"}, unit="rows", parts=["train", "test"], of="011")
    environments.build("base", say=lambda words: None)
    python = environments.path("base") / "bin" / "python"
    env = {"PYTHONPATH": str(ROOT / "sdk"), "ATRIUM_DATASETS": os.environ["ATRIUM_DATASETS"]}

    said = subprocess.run([python, "-c", ASK], env=env, capture_output=True, text=True, check=True).stdout

    assert said == "[2, 3] faults/3\n"


def test_a_part_of_files_is_their_paths(mounted):
    mounted(
        {"a/1.png": "", "b/2.png": ""},
        unit="files",
        parts=["train", "test"],
        of="01",
        files=["a/1.png", "b/2.png"],
    )

    assert [path.name for path in data.dataset("faults", split="test")] == ["2.png"]


def test_an_unknown_part_is_refused_with_those_that_there_are(mounted):
    mounted({"a.csv": "x\n1\n"}, unit="rows", parts=["train", "test"], of="0")

    with pytest.raises(ValueError, match="split into train, test"):
        data.dataset("faults", split="val")
