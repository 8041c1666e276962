"""A client of the inference protocol that knows nothing of us works unmodified, against a real runner."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.gateway.conftest import KEY, picture
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
