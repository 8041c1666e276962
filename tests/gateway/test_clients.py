"""Clients of the inference protocol that know nothing of us work unmodified, and so does ours; with a real runner."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from atrium import AsyncClient, Client, errors
from tests.gateway.conftest import KEY, ROOT, picture
from tests.sdk.conftest import base, package, running  # noqa: F401 - base is a fixture

SOURCE = "def predict(inputs):\n    return {'twice': inputs['number'] * 2}\n"


@pytest.fixture
def doubler(base, tmp_path):  # noqa: F811
    """A packaged Python model behind a real runner."""
    source = tmp_path / "digits"
    source.mkdir()
    (source / "model.py").write_text(SOURCE)
    tensor = {"datatype": "FP64", "shape": [-1]}
    signature = {"inputs": [{"name": "number", **tensor}], "outputs": [{"name": "twice", **tensor}]}
    (source / "signature.json").write_text(json.dumps(signature))
    one = {"datatype": "FP64", "shape": [1]}
    case = {"name": "one", "inputs": [{"name": "number", **one, "data": [1]}],
            "expected": [{"name": "twice", **one, "data": [2]}]}  # fmt: skip
    (source / "cases.json").write_text(json.dumps([case]))
    with running(base, package(base, source, tmp_path / "job").folder) as runner:
        assert runner.wait_ready()[0] == 200
        yield str(runner.uds)


def test_tritonclient_works_unmodified_with_json_and_binary_tensors(gateway, doubler):
    serving = gateway(picture(sockets={"1.0.0": [doubler]}))
    client = triton.InferenceServerClient(f"127.0.0.1:{serving.port}")

    def key() -> dict[str, str]:
        return {"Authorization": f"Bearer {KEY}"}  # made anew: the client writes into it

    def asked(name: str, *, binary: bool) -> triton.InferInput:
        tensor = triton.InferInput(name, [3], "FP64")
        return tensor.set_data_from_numpy(np.array([1.0, 2.0, 4.0]), binary_data=binary)

    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits", headers=key())
    assert client.get_model_metadata("digits", headers=key())["versions"] == ["1.0.0"]
    assert client.get_model_repository_index(headers=key())[0]["state"] == "READY"
    for binary in (True, False):
        wanted = [triton.InferRequestedOutput("twice", binary_data=binary)]
        answer = client.infer("digits", [asked("number", binary=binary)], outputs=wanted, headers=key())
        assert answer.as_numpy("twice").tolist() == [2.0, 4.0, 8.0]
        assert answer.get_response()["model_version"] == "1.0.0"
    with pytest.raises(InferenceServerException, match="number"):
        client.infer("digits", [asked("letter", binary=True)], headers=key())
    with pytest.raises(InferenceServerException, match="has no key"):
        client.infer("digits", [asked("number", binary=True)])


@pytest.fixture(scope="session")
def kserve_python() -> Path:
    """KServe's client brings 90 packages, so it has an environment and a lock of its own."""
    lock = Path(__file__).with_name("kserve.lock")
    folder = ROOT / "var" / "test" / f"kserve-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not (folder / "made").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        python = str(folder / "bin" / "python")
        for words in (
            [uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "-q", "--python", python, "--require-hashes", "-r", str(lock)],
        ):
            done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
            if done.returncode:
                pytest.skip(f"no package index is in reach: {done.stderr[-300:]}")
        (folder / "made").touch()
    return folder / "bin" / "python"


def test_kserves_inference_client_works_unmodified(gateway, doubler, kserve_python):
    serving = gateway(picture(sockets={"1.0.0": [doubler]}))
    script = Path(__file__).with_name("kserve_client.py")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [kserve_python, script, str(serving.port), KEY],
        capture_output=True, text=True, timeout=120, check=False, env=environment,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    assert (seen["live"], seen["server_ready"], seen["ready"]) == (True, True, True)
    assert seen["binary False"] == seen["binary True"] == ["mine", [2.0, 4.0, 8.0]]
    assert "number" in seen["refused"]


def test_our_own_client_works_through_the_gateway_and_feeds_back(gateway, doubler):
    serving = gateway(picture(sockets={"1.0.0": [doubler]}))
    client = Client("digits", key=KEY, url=f"http://127.0.0.1:{serving.port}")
    told = AsyncClient("digits", key=KEY, url=f"http://127.0.0.1:{serving.port}", version="1.0.0")

    answer = client.infer({"number": [1.0, 2.0]})
    client.feedback(answer.request_id, correct=True)

    assert (answer["twice"], answer.version) == ([2.0, 4.0], "1.0.0")
    assert asyncio.run(told.infer({"number": [3.0]}, binary=True))["twice"] == [6.0]
    asyncio.run(told.feedback(answer.request_id, correct=False, comment="no"))
    said = [record.facts for record in serving.records() if record.facts["kind"] == "feedback"]
    assert [(each["request_id"], each["correct"]) for each in said] == [
        (answer.request_id, True),
        (answer.request_id, False),
    ]
    with pytest.raises(errors.InvalidInput, match="number"):
        client.infer({"letter": [1.0]})
    with pytest.raises(errors.AtriumError, match="not known"):
        Client("digits", key="atk_nobody", url=f"http://127.0.0.1:{serving.port}").infer({"number": [1.0]})
