"""The packaging job: what comes in, what comes out, and what an author is told when it cannot be."""

import json
from importlib import metadata

import pytest

from atrium.package import digest, manifest, open_package
from atrium.packaging.job import environment_differences
from atrium.packaging.job import package as package_here
from tests.sdk.conftest import package

STEPS = (
    "environment",
    "read",
    "signature",
    "load",
    "cases",
    "convert",
    "quantise",
    "measure",
    "write",
    "check",
)

KINDS = {
    "forest": ("sklearn", "onnx"),
    "joblib": ("sklearn", "onnx"),
    "bare-estimator": ("sklearn", "onnx"),
    "bare-onnx": ("onnx", "onnx"),
    "columns": ("sklearn", "onnx"),
    "network": ("sklearn", "onnx"),
    "twice": ("python", "python"),
    "pyfunc": ("mlflow", "python"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_is_packaged(packages, kind):
    packaged = packages[kind]
    assert packaged.code == 0, packaged.log
    result = packaged.result
    assert (result["framework"], result["runtime"]) == KINDS[kind], result["conversion"]
    assert [step["status"] for step in result["steps"]] == ["done"] * len(STEPS)
    assert all(case["passed"] for case in result["cases"])


def test_a_package_holds_what_the_result_says(packages):
    packaged = packages["forest"]
    files = manifest(packaged.folder)
    assert packaged.result["manifest"] == files
    assert packaged.result["digest"] == digest(files)
    assert {"package.json", "model.onnx", "cases.json", "card.md", "environment.lock"} <= set(files)
    opened = open_package(packaged.folder)
    assert (opened.capability, opened.version, opened.runtime) == ("forest", "1.0.0", "onnx")


def test_a_job_queued_by_an_earlier_release_tells_its_packages_as_they_came(tmp_path, monkeypatch):
    """They came in words; now they come with what the base has."""
    monkeypatch.chdir(tmp_path)  # a job writes its progress where it runs
    packages = ["lightgbm==4.6.0 (the base has none)", {"package": "onnx<1.20", "base": "1.22.0"}]

    result = package_here(tmp_path, tmp_path / "package", {"own_packages": packages})

    first, second = result["steps"][:2]
    words = "for lightgbm==4.6.0 (the base has none); onnx<1.20 (the base has 1.22.0); "
    assert words in first["message"]
    assert (first["status"], second["status"]) == ("done", "failed")  # no model lies there


def test_a_conversion_says_how_far_the_answers_lie_apart(packages):
    conversion = packages["forest"].result["conversion"]
    assert conversion["converted"] is True
    assert conversion["differences"]["class"] == 0
    assert 0 <= conversion["differences"]["probabilities"] < 1e-4
    latency = packages["forest"].result["latency"]
    assert latency["after"]["p50_ms"] < latency["before"]["p50_ms"]


def test_a_table_with_texts_becomes_one_input_per_column(packages):
    inputs = packages["columns"].result["signature"]["inputs"]
    assert [(spec["name"], spec["datatype"], spec["shape"]) for spec in inputs] == [
        ("site", "BYTES", [-1]),
        ("load", "FP64", [-1]),
    ]


def test_an_author_may_keep_the_own_framework(base, sources, tmp_path):
    packaged = package(base, sources / "joblib", tmp_path, convert=False)
    assert packaged.result["runtime"] == "python"
    assert "asked to keep" in packaged.result["conversion"]["reason"]


def failure(base, folder, tmp_path):
    packaged = package(base, folder, tmp_path / "work")
    assert packaged.code == 1
    assert packaged.result["status"] == "failed"
    steps = {step["name"]: step["status"] for step in packaged.result["steps"]}
    assert steps[packaged.result["failure"]["step"]] == "failed"
    assert packaged.result["failure"]["advice"]
    return packaged.result["failure"]


def test_a_folder_without_a_model_is_refused_by_its_files(base, tmp_path):
    folder = tmp_path / "nothing"
    folder.mkdir()
    (folder / "notes.txt").write_text("hello")
    found = failure(base, folder, tmp_path)
    assert found["step"] == "read"
    assert "no model was recognised among notes.txt" in found["message"]
    assert "MLflow model folder" in found["advice"]


def test_a_file_that_is_no_onnx_model_is_refused(base, tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"not a model")
    assert "model.onnx is no model that onnxruntime can load" in failure(base, folder, tmp_path)["message"]


def test_a_pickle_of_something_else_is_refused(base, tmp_path):
    folder = tmp_path / "pickle"
    folder.mkdir()
    base.run("-c", "import pickle; pickle.dump({}, open('model.pkl', 'wb'))", cwd=folder)
    assert "model.pkl holds a dict, which has no predict" in failure(base, folder, tmp_path)["message"]


def test_a_shipped_case_that_fails_is_named(base, sources, tmp_path):
    folder = tmp_path / "twice"
    folder.mkdir()
    for name in ("model.py", "signature.json", "cases.json"):
        (folder / name).write_text((sources / "twice" / name).read_text())
    cases = json.loads((folder / "cases.json").read_text())
    cases[0]["expected"][0]["data"] = [2, 5]
    (folder / "cases.json").write_text(json.dumps(cases))
    found = failure(base, folder, tmp_path)
    assert found["step"] == "cases"
    assert "'one and two': output 'twice' differs by 1, more than the tolerance" in found["message"]


def test_a_wrong_signature_is_refused_by_place(base, sources, tmp_path):
    folder = tmp_path / "twice"
    folder.mkdir()
    (folder / "model.py").write_text((sources / "twice" / "model.py").read_text())
    (folder / "signature.json").write_text('{"inputs": [{"name": "x", "datatype": "FLOAT"}], "outputs": []}')
    found = failure(base, folder, tmp_path)
    assert found["step"] == "signature"
    assert "signature.inputs[0].datatype is 'FLOAT'" in found["message"]


SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1], "minimum": 0, "maximum": 9, "unit": "dB"}]
}
SIGNATURE["outputs"] = [{"name": "y", "datatype": "FP64", "shape": [-1]}]
GOOD = "def predict(x):\n    return {'y': x}\n"
# what an author got wrong: the files beside a signature, the step that says so, its message and what to do
WRONG = {
    "syntax": ({"model.py": "def predict(x):\n    return 1 +\n"}, "load", "SyntaxError", "Correct the code"),
    "module": (
        {"model.py": f"import acme\n{GOOD}"},
        "load",
        "No module named 'acme'",
        "Add the line `acme` to the requirements.txt",
    ),
    "late-module": (
        {"model.py": "def predict(x):\n    import cv2.dnn\n"},
        "cases",
        "No module named 'cv2'",
        "Add the line `opencv-python-headless` to the requirements.txt",
    ),
    "exit": (
        {"model.py": f"import sys\nsys.exit('no')\n{GOOD}"},
        "load",
        "SystemExit: no",
        "Correct the code",
    ),
    "late-exit": (
        {"model.py": "def predict(x):\n    raise SystemExit(3)\n"},
        "cases",
        "ends the program: exit 3",
        "sys.exit",
    ),
    "raises": (
        {"model.py": "def predict(x):\n    raise ValueError('no weights')\n"},
        "cases",
        "ValueError: no weights",
        "Your code raises it at line 2 of model.py",
    ),
    "unsigned": (
        {"model.py": GOOD, "signature.json": ""},
        "load",
        "needs a signature.json",
        "Add signature.json",
    ),
    "cut": (
        {"model.py": GOOD, "signature.json": '{"inputs": ['},
        "signature",
        "is not JSON",
        "Correct signature",
    ),
    "rules": (
        {"model.py": GOOD, "parsing.json": '{"score": "max("}'},
        "signature",
        "rule 'score'",
        "JMESPath",
    ),
    "example": (
        {
            "model.py": GOOD,
            "signature.json": json.dumps(SIGNATURE).replace('"maximum"', '"example": 12, "maximum"'),
        },
        "signature",
        "the example 12 is above the largest allowed value 9 dB",
        "Correct signature.json",
    ),
    "range": (
        {
            "model.py": GOOD,
            "cases.json": '[{"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [10]}]}]',
        },
        "cases",
        "10.0 is above the largest allowed value 9 dB",
        "Correct cases.json",
    ),
}
PACKAGE_ALL = """
import json, sys
from pathlib import Path
from atrium.packaging import package
told = {folder.name: package(folder, Path("out") / folder.name, {}) for folder in sorted(Path("in").iterdir())}
Path("told.json").write_text(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(base, tmp_path_factory):
    """What packaging says of each of them, from one process."""
    place = tmp_path_factory.mktemp("wrong")
    for name, (files, *_) in WRONG.items():
        (place / "in" / name).mkdir(parents=True)
        for file, text in {"signature.json": json.dumps(SIGNATURE), **files}.items():
            if text:
                (place / "in" / name / file).write_text(text)
    done = base.run("-c", PACKAGE_ALL, cwd=place)
    assert done.returncode == 0, done.stderr
    return json.loads((place / "told.json").read_text())


LYING = """
import json
import numpy as np
from pathlib import Path
from sklearn.linear_model import LogisticRegression
import joblib
from atrium.packaging import package
joblib.dump(LogisticRegression().fit(np.eye(2), [0, 1]), "lies/model.joblib")
told = {name: package(Path(name), Path("out") / name, {"convert": False}) for name in ("lies", "nan")}
Path("notes.json").write_text(json.dumps({name: (each["status"], each.get("notes")) for name, each in told.items()}))
"""


def test_a_signature_that_lies_and_answers_of_nan_are_noted(base, tmp_path):
    (tmp_path / "nan").mkdir()
    (tmp_path / "nan" / "model.py").write_text("def predict(x):\n    return {'y': x * float('nan')}\n")
    (tmp_path / "nan" / "signature.json").write_text(json.dumps(SIGNATURE))
    (tmp_path / "lies").mkdir()
    x = {"name": "x", "datatype": "FP64", "shape": [-1, 2]}
    lie = {"inputs": [x], "outputs": [{"name": "price", "datatype": "FP64", "shape": [-1]}]}
    (tmp_path / "lies" / "signature.json").write_text(json.dumps(lie))
    done = base.run("-c", LYING, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    notes = json.loads((tmp_path / "notes.json").read_text())

    assert (notes["lies"][0], notes["nan"][0]) == ("packaged", "packaged")
    assert "declares the outputs price FP64 [-1], but the model gives class INT64 [-1]" in notes["lies"][1][0]
    assert "The output 'y' is nothing but NaN" in notes["nan"][1][0]


@pytest.mark.parametrize("name", WRONG)
def test_each_thing_that_is_wrong_is_named_with_its_step_and_what_to_do(told, name):
    _files, step, message, advice = WRONG[name]
    failure = told[name]["failure"]

    assert failure["step"] == step
    assert message in failure["message"]
    assert advice in failure["advice"]
    assert {entry["status"] for entry in told[name]["steps"]} <= {"done", "failed", "skipped"}


@pytest.mark.parametrize(
    ("code", "step"),
    [
        ("def halve(x):\n    raise ValueError('odd')\n\ndef predict(x):\n    return halve(x)\n", "cases"),
        ("def load(folder):\n    open(folder / 'words')\n\ndef predict(x):\n    return x\n", "load"),
    ],
)
def test_the_log_shows_where_in_the_models_own_code_it_failed(base, tmp_path, code, step):
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "model.py").write_text(code)
    numbers = {"datatype": "FP64", "shape": [-1]}
    signature = {"inputs": [{"name": "x", **numbers}], "outputs": [{"name": "y", **numbers}]}
    (folder / "signature.json").write_text(json.dumps(signature))

    packaged = package(base, folder, tmp_path / "work")

    assert packaged.result["failure"]["step"] == step
    told = packaged.log[packaged.log.index(f"{step}: ") :]
    assert 'model.py", line 2, in ' in told
    assert "frameworks/python.py" not in told


def test_a_leaner_package_with_the_same_code_is_no_other_version(monkeypatch, tmp_path):
    here = {"xgboost-cpu": "3.2.0", "numpy": "2.3.0"}

    def version(name):
        if name not in here:
            raise metadata.PackageNotFoundError(name)
        return here[name]

    monkeypatch.setattr(metadata, "version", version)
    wanted = tmp_path / "requirements.txt"
    wanted.write_text("xgboost==3.2.0\nnumpy==2.4.1\nshap==0.50\n")

    assert environment_differences(wanted) == ["numpy 2.4.1 (here: 2.3.0)", "shap 0.50 (here: absent)"]
