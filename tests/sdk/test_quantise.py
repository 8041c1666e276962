"""Int8: offered where the answers hold, served when its author asks for it, refused where it changes answers."""

import json

from atrium.package import open_package
from tests.sdk.conftest import package, running


def test_a_network_is_offered_as_int8_with_its_figures(base, sources, packages, tmp_path):
    packaged = package(base, sources / "network", tmp_path, golden=sources / "golden")

    found = packaged.result["quantisation"]
    assert packaged.code == 0, packaged.log
    assert (found["offered"], found["chosen"]) == (True, False), found
    assert found["outputs"]["class"]["same"] == 1
    assert 0 < found["outputs"]["probabilities"]["difference"] <= found["outputs"]["probabilities"]["allowed"]
    assert 0 < found["size"] < packaged.result["size"]["after"]
    assert found["latency"]["p50_ms"] > 0
    assert "50 golden rows" in packaged.result["conversion"]["reason"]
    assert not (packaged.folder / "model.int8.onnx").exists()
    assert open_package(packaged.folder).entry.get("onnx") is None


def test_its_author_chooses_int8_and_the_runner_serves_it(base, sources, tmp_path):
    packaged = package(base, sources / "network", tmp_path, quantise=True)

    assert packaged.result["quantisation"]["chosen"] is True, packaged.result["quantisation"]
    opened = open_package(packaged.folder)
    assert opened.entry["onnx"] == "model.int8.onnx"
    assert not (packaged.folder / "model.onnx").exists()
    assert all(case.tolerance >= 0.02 for case in opened.cases)
    image = {"name": "image", "datatype": "FP32", "shape": [1, 4, 4], "data": [16, 16, 0, 0] * 4}
    with running(base, packaged.folder) as runner:
        assert runner.wait_ready()[0] == 200
        status, answer = runner.infer("network", image)
    assert (status, answer["outputs"][0]["data"]) == (200, [1])


def test_a_forest_has_nothing_that_could_be_int8(packages):
    found = packages["forest"].result["quantisation"]
    assert (found["offered"], found["chosen"]) == (False, False)
    assert "no matrix product" in found["reason"]


def test_int8_is_refused_where_it_changes_the_answers(base, sources, tmp_path):
    packaged = package(base, sources / "network", tmp_path, quantise=True, quantise_tolerance=1e-9)

    assert packaged.code == 1
    assert packaged.result["failure"]["step"] == "quantise"
    assert "int8 changes the answers" in packaged.result["failure"]["message"]
    assert packaged.result["failure"]["advice"]


def test_a_table_that_is_no_input_of_the_model_is_told_and_left_out(base, sources, tmp_path):
    table = tmp_path / "golden"
    table.mkdir()
    (table / "rows.csv").write_text("a,b\n1,2\n")

    packaged = package(base, sources / "forest", tmp_path / "work", golden=table)

    assert packaged.code == 0
    assert packaged.result["golden"] == {
        "rows": 0,
        "message": "no golden rows: input 'image' takes 16 values per row; the table has 2",
    }
    json.dumps(packaged.result)
