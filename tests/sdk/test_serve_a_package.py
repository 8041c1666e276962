"""The runner: real processes, real packages, HTTP over their sockets."""

import gzip
import json
import shutil
import signal
import struct
import threading
import time
import zlib

import numpy as np
import pytest

from tests.sdk.conftest import package, running

IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 4, 4], "data": [1] * 16}


def number(*values):
    return {"name": "number", "datatype": "FP64", "shape": [len(values)], "data": list(values)}


@pytest.fixture(scope="module")
def forest(base, packages):
    with running(base, packages["forest"].folder) as runner:
        assert runner.wait_ready() == (200, {"ready": True})
        yield runner


@pytest.fixture
def twice(base, packages):
    with running(base, packages["twice"].folder) as runner:
        runner.wait_ready()
        yield runner


@pytest.mark.parametrize(
    "kind", ["forest", "joblib", "bare-estimator", "bare-onnx", "columns", "twice", "pyfunc"]
)
def test_every_package_answers_its_own_cases(base, packages, kind):
    folder = packages[kind].folder
    cases = json.loads((folder / "cases.json").read_text())
    with running(base, folder) as runner:
        assert runner.wait_ready()[0] == 200
        for case in cases:
            status, answer = runner.infer(kind, *case["inputs"], id="x")
            assert status == 200, answer
            assert answer["id"] == "x"
            for got, wanted in zip(answer["outputs"], case["expected"], strict=True):
                assert (got["name"], got["shape"]) == (wanted["name"], wanted["shape"])
                if got["datatype"] != "BYTES":
                    assert np.allclose(got["data"], wanted["data"], atol=case["tolerance"])


def test_metadata_and_health_are_answered(forest):
    assert forest.call("GET", "/v2/health/live")[:2] == (200, {"live": True})
    assert forest.call("GET", "/v2")[1]["extensions"] == ["binary_tensor_data", "model_repository"]
    metadata = forest.call("GET", "/v2/models/forest")[1]
    assert metadata["versions"] == ["1.0.0"]
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 4, 4]}]
    ready = {"name": "forest", "ready": True}
    assert forest.call("GET", "/v2/models/forest/versions/1.0.0/ready")[:2] == (200, ready)
    assert forest.call("POST", "/v2/repository/index")[1][0]["state"] == "READY"


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("/v2/models/forest/infer", b"{", 422, "the body is not JSON"),
        ("/v2/models/other/infer", b"{}", 404, "this runner serves forest 1.0.0"),
        ("/v2/models/forest/versions/9/infer", b"{}", 404, "this runner serves forest 1.0.0"),
        ("/v2/models/forest/infer", {"inputs": []}, 422, "'inputs' is empty"),
        (
            "/v2/models/forest/infer",
            {"inputs": [{**IMAGE, "shape": [1, 4, 3], "data": [1] * 12}]},
            422,
            "input 'image': expected shape [-1,4,4], got [1,4,3]; send 16 numbers per item",
        ),
        ("/v2/models/forest/infer", {"inputs": [{**IMAGE, "data": [99] * 16}]}, 422, "above the largest"),
        (
            "/v2/models/forest/infer",
            {"inputs": [IMAGE], "outputs": [{"name": "colour"}]},
            422,
            "unknown output 'colour'; this capability gives class, probabilities",
        ),
    ],
)
def test_a_wrong_call_is_refused_with_what_to_do(forest, path, body, status, sentence):
    got, answer, _ = forest.call("POST", path, body)
    assert got == status
    assert sentence in answer["error"]


def test_only_the_outputs_asked_for_are_given(forest):
    status, answer = forest.infer("forest", IMAGE, outputs=[{"name": "probabilities"}])
    assert status == 200
    assert [output["name"] for output in answer["outputs"]] == ["probabilities"]


def test_binary_tensors_go_both_ways(forest):
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "image",
                    "datatype": "FP32",
                    "shape": [1, 4, 4],
                    "parameters": {"binary_data_size": 64},
                }
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    body = head + struct.pack("<16f", *[1] * 16)
    status, content, response = forest.call("POST", "/v2/models/forest/infer", body, headers)
    assert status == 200
    length = int(response.headers["Inference-Header-Content-Length"])
    outputs = json.loads(content[:length])["outputs"]
    assert [output["parameters"]["binary_data_size"] for output in outputs] == [8, 8]
    plain = forest.infer("forest", IMAGE)[1]["outputs"]
    assert struct.unpack("<q", content[length : length + 8])[0] == plain[0]["data"][0]
    assert np.allclose(struct.unpack("<2f", content[length + 8 :]), plain[1]["data"])


def test_what_user_code_logs_is_attached_to_its_call(twice):
    body = {"inputs": [number(4)]}
    status, answer, response = twice.call("POST", "/v2/models/twice/infer", body)
    assert (status, answer["outputs"][0]["data"]) == (200, [8])
    assert json.loads(response.headers["Atrium-Values"]) == {"half": [2.0]}


def test_user_code_reads_the_parameters_of_its_call(twice):
    body = {"inputs": [number(4)], "parameters": {"times": 3}}

    assert twice.infer("twice", number(4))[1]["outputs"][0]["data"] == [8]
    assert twice.call("POST", "/v2/models/twice/infer", body)[1]["outputs"][0]["data"] == [12]


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_packed_body_is_read_and_a_bomb_is_refused(forest, coding, pack):
    path, headers = "/v2/models/forest/infer", {"Content-Encoding": coding}
    assert forest.call("POST", path, pack(json.dumps({"inputs": [IMAGE]}).encode()), headers)[0] == 200
    status, answer, _ = forest.call("POST", path, pack(b" " * (65 << 20)), headers)
    assert (status, "larger than 64 MiB" in answer["error"]) == (422, True)
    assert forest.call("POST", path, b"no archive", headers)[0] == 422


def test_a_call_that_the_model_fails_on_hurts_only_itself(twice):
    status, answer = twice.infer("twice", number(-1))
    assert status == 500
    assert "the model failed on this input: ValueError: negative" in answer["error"]
    assert twice.infer("twice", number(1))[0] == 200


def test_a_call_that_cannot_be_answered_in_time_is_shed(twice):
    hanging = threading.Thread(target=twice.infer, args=("twice", number(1500)))
    hanging.start()
    time.sleep(0.3)
    started = time.monotonic()
    body = {"inputs": [number(1)]}
    status, answer, _ = twice.call("POST", "/v2/models/twice/infer", body, {"X-Atrium-Timeout-Ms": "200"})
    assert (status, time.monotonic() - started < 1) == (504, True)
    assert "did not answer in time" in answer["error"]
    assert twice.call("GET", "/v2/health/ready")[0] == 200
    hanging.join()
    assert twice.infer("twice", number(1))[0] == 200


def with_settings(folder, target, **batching):
    shutil.copytree(folder, target)
    document = json.loads((target / "package.json").read_text())
    (target / "package.json").write_text(json.dumps({**document, "batching": batching}))
    return target


def test_a_model_that_hangs_makes_its_runner_unready_until_it_answers(base, packages, tmp_path):
    folder = with_settings(packages["twice"].folder, tmp_path / "p", hang_s=0.5)
    with running(base, folder) as runner:
        runner.wait_ready()
        calling = threading.Thread(target=runner.infer, args=("twice", number(3000)))
        calling.start()
        time.sleep(1.2)
        status, answer, _ = runner.call("GET", "/v2/health/ready")
        assert (status, "has been at one call for" in answer["error"]) == (503, True)
        calling.join()
        assert runner.call("GET", "/v2/health/ready")[0] == 200


def test_a_full_queue_answers_retry_after(base, packages, tmp_path):
    with running(base, with_settings(packages["twice"].folder, tmp_path / "p", max_queue=2)) as runner:
        runner.wait_ready()
        results = []

        def call():
            results.append(runner.call("POST", "/v2/models/twice/infer", {"inputs": [number(1200)]}))

        threads = [threading.Thread(target=call) for _ in range(6)]
        for thread in threads:
            thread.start()
            time.sleep(0.05)
        for thread in threads:
            thread.join()
    shed = [result for result in results if result[0] == 503]
    assert len(shed) == 3
    assert int(shed[0][2].headers["Retry-After"]) >= 1
    assert "queue of this replica is full" in shed[0][1]["error"]


def test_waiting_calls_are_answered_together(base, sources, tmp_path):
    packaged = package(base, sources / "joblib", tmp_path / "work", convert=False)
    with running(base, packaged.folder) as runner:
        runner.wait_ready()
        answers = []

        def call(fill):
            tensor = {**IMAGE, "data": [fill] * 8 + [0] * 8}
            answers.extend((fill, runner.infer("joblib", tensor)[1]["outputs"][1]["data"]) for _ in range(30))

        threads = [threading.Thread(target=call, args=(fill,)) for fill in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        status = runner.call("GET", "/atrium/status")[1]
    assert len(answers) == status["calls"] == 240
    alone = dict(answers)
    assert all(np.allclose(answer, alone[fill]) for fill, answer in answers)
    assert status["largest_batch"] > 1


def test_a_package_whose_case_fails_is_never_ready(base, packages, tmp_path):
    shutil.copytree(packages["twice"].folder, tmp_path / "p")
    cases = json.loads((tmp_path / "p" / "cases.json").read_text())
    cases[0]["expected"][0]["data"] = [7, 7]
    (tmp_path / "p" / "cases.json").write_text(json.dumps(cases))
    with running(base, tmp_path / "p") as runner:
        status, answer = runner.wait_ready()
        assert status == 503
        assert answer["error"].startswith("1 of 1 shipped cases fail; case 'one and two'")
        assert answer["told"]["pattern"] % (answer["told"]["values"] | {"message": ""}) in answer["error"]
        assert runner.call("GET", "/v2/health/live")[0] == 200
        assert runner.infer("twice", number(1))[0] == 503


def test_a_swap_serves_the_new_version_and_a_bad_one_changes_nothing(base, packages, twice):
    path = str(packages["forest"].folder)
    status, answer, _ = twice.call("POST", "/atrium/swap", {"package": "/nowhere"})
    assert (status, "the old version stays" in answer["error"]) == (409, True)
    assert twice.infer("twice", number(1))[0] == 200
    assert twice.call("POST", "/atrium/swap", {"package": path})[1]["capability"] == "forest"
    assert twice.infer("forest", IMAGE)[0] == 200
    assert twice.infer("twice", number(1))[0] == 404


def test_a_model_is_swapped_under_the_same_code_and_no_call_is_dropped(base, packages, twice, tmp_path):
    thrice = shutil.copytree(packages["twice"].folder, tmp_path / "thrice")
    document = json.loads((thrice / "package.json").read_text())
    (thrice / "package.json").write_text(json.dumps({**document, "version": "2.0.0"}))
    answers, ending = [], threading.Event()

    def call():
        while not ending.is_set():
            status, answer = twice.infer("twice", number(1))
            answers.append((status, answer.get("model_version")))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for path in (thrice, packages["twice"].folder, thrice):
        assert twice.call("POST", "/atrium/swap", {"package": str(path)})[0] == 200
    before = len(answers)
    while len(answers) < before + 8:
        time.sleep(0.01)
    ending.set()
    for caller in callers:
        caller.join()

    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {"1.0.0", "2.0.0"}


def test_sigterm_answers_what_is_under_way_and_ends(twice):
    results = []
    calling = threading.Thread(target=lambda: results.append(twice.infer("twice", number(1500))))
    calling.start()
    time.sleep(0.4)
    twice.process.send_signal(signal.SIGTERM)
    calling.join()
    assert results[0][0] == 200
    assert twice.process.wait(timeout=10) == 0


def test_a_call_prints_nothing(base, packages):
    with running(base, packages["forest"].folder) as runner:
        runner.wait_ready()
        for _ in range(3):
            runner.infer("forest", IMAGE)
            runner.call("POST", "/v2/models/forest/infer", b"{")
    lines = runner.process.stdout.read().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Ready: forest 1.0.0, sklearn by onnx, 1 shipped cases passed")
