"""In the running portal, with nothing pretended: a model that pins what the base lacks gets an environment of its own.

Locked by uv in the sandbox through the forwarder, built by the worker, packaged there, deployed for test, and called.
"""

import io
import subprocess
import time
import zipfile

import pytest
import requests

from tests.instances.test_upload_to_answer import TRAIN, base_environment

__all__ = ["base_environment"]
pytestmark = [pytest.mark.stack, pytest.mark.soak]

PINS = "cloudpickle==3.1.0\nscikit-learn\nhumanize==4.9.0\n"
WITHIN_S = 600


@pytest.fixture
def pinned_zip(base_environment, tmp_path) -> bytes:
    """A folder of mlflow's whose requirements name another version than the base has, and a package it lacks."""
    folder = tmp_path / "model"
    subprocess.run([base_environment / "bin/python", "-c", TRAIN, folder, "cloudpickle"], check=True)
    (folder / "requirements.txt").write_text(PINS)
    (folder / "conda.yaml").unlink()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(tmp_path))
    return buffer.getvalue()


def until_settled(session, path: str, waiting: set[str]) -> dict:
    """The document at a path when its status is none of those."""
    end = time.monotonic() + WITHIN_S
    while (found := session.get(path).json())["status"] in waiting:
        assert time.monotonic() < end, found
        time.sleep(1)
    return found


def test_a_pin_other_than_the_bases_is_locked_built_packaged_and_answers(stack, pinned_zip):
    dev = stack.logged_in("dev")
    slug, team = f"pinned-{time.monotonic_ns()}", dev.get("/api/v1/capabilities/digits/").json()["team"]
    dev.post("/api/v1/capabilities/", json={"slug": slug, "team": team, "name": "Pinned"})
    # without conversion, else it became ONNX, which the base serves
    said = {"capability": slug, "number": "1.0.0", "parameters": '{"packaging": {"convert": false}}'}
    sent = dev.post("/api/v1/versions/", data=said, files={"file": ("model.zip", pinned_zip)})
    assert sent.status_code == 201, sent.text

    version = until_settled(dev, f"/api/v1/versions/{sent.json()['id']}/", {"packaging"})
    assert version["status"] == "packaged", version["failure"]
    assert "cloudpickle==3.1.0" in version["report"]["steps"][0]["message"]
    assert version["runtime"] == "python"

    asked = dev.post("/api/v1/deployments/", json={"version": version["id"], "kind": "test"})
    deployment = f"/api/v1/deployments/{asked.json()['id']}/"
    assert until_settled(dev, deployment, {"pending", "starting"})["status"] == "ready"
    key = dev.post(f"{deployment}key/").json()["key"]
    tensor = {"name": "image", "shape": [1, 8, 8], "datatype": "FP32", "data": [0.0] * 64}
    answer = requests.post(
        f"{stack.gateway_url}/v2/models/{slug}/infer",
        json={"inputs": [tensor]},
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )
    dev.post(f"{deployment}stop/")
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"][0]["shape"] == [1]
