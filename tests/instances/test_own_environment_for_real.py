"""In the running portal, with nothing pretended: a model that pins what the base lacks gets an environment of its own.

Locked by uv in the sandbox through the forwarder, built by the worker, packaged there, deployed for test, and called.
So does a composite of two such models, whose members then run in one environment with the packages of both.
"""

import io
import json
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


def new_capability(dev, name: str) -> str:
    """The short name of a new capability of the team that has the sample."""
    slug, team = f"{name}-{time.monotonic_ns()}", dev.get("/api/v1/capabilities/digits/").json()["team"]
    dev.post("/api/v1/capabilities/", json={"slug": slug, "team": team, "name": name})
    return slug


def packaged(dev, sent) -> dict:
    """The version that an upload or a composition became."""
    assert sent.status_code == 201, sent.text
    version = until_settled(dev, f"/api/v1/versions/{sent.json()['id']}/", {"packaging"})
    assert version["status"] == "packaged", version["failure"]
    return version


def asked(stack, dev, version: dict, tensor: dict) -> requests.Response:
    """What a test deployment of a version answers."""
    made = dev.post("/api/v1/deployments/", json={"version": version["id"], "kind": "test"})
    deployment = f"/api/v1/deployments/{made.json()['id']}/"
    assert until_settled(dev, deployment, {"pending", "starting"})["status"] == "ready"
    key = dev.post(f"{deployment}key/").json()["key"]
    answer = requests.post(
        f"{stack.gateway_url}/v2/models/{version['capability']}/infer",
        json={"inputs": [tensor]},
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )
    dev.post(f"{deployment}stop/")
    assert answer.status_code == 200, answer.text
    return answer


def test_a_pin_other_than_the_bases_is_locked_built_packaged_and_answers(stack, pinned_zip):
    dev = stack.logged_in("dev")
    slug = new_capability(dev, "pinned")
    # without conversion, else it became ONNX, which the base serves
    said = {"capability": slug, "number": "1.0.0", "parameters": '{"packaging": {"convert": false}}'}
    version = packaged(dev, dev.post("/api/v1/versions/", data=said, files={"file": ("m.zip", pinned_zip)}))
    assert "cloudpickle==3.1.0" in version["report"]["steps"][0]["message"]
    assert version["runtime"] == "python"

    tensor = {"name": "image", "shape": [1, 8, 8], "datatype": "FP32", "data": [0.0] * 64}
    answer = asked(stack, dev, version, tensor)
    assert answer.json()["outputs"][0]["shape"] == [1]


TEXT = {"name": "text", "datatype": "BYTES", "shape": [-1]}
COMMAS = """
import humanize, numpy as np

def predict(text):
    return {"text": np.array([humanize.intcomma(int(each)) for each in text], dtype=object)}
"""
WIDTHS = """
import numpy as np, wcwidth
import atrium

def predict(text):
    widths = [wcwidth.wcswidth(str(each)) for each in text]
    atrium.log("widest", max(widths))
    return {"class": np.array(["wide" if width > 5 else "narrow" for width in widths], dtype=object)}
"""
MEMBERS = {
    "commas": (COMMAS, TEXT, "humanize==4.9.0"),
    "widths": (WIDTHS, {**TEXT, "name": "class", "kind": "class"}, "wcwidth==0.2.13"),
}


def zip_of(code: str, output: dict, needs: str) -> bytes:
    """A Python model that takes texts, with what it needs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/model.py", code)
        archive.writestr("model/signature.json", json.dumps({"inputs": [TEXT], "outputs": [output]}))
        archive.writestr("model/requirements.txt", needs)
        tensor = {**TEXT, "shape": [1], "data": ["1234567"]}
        archive.writestr("model/cases.json", json.dumps([{"name": "millions", "inputs": [tensor]}]))
    return buffer.getvalue()


def test_a_composite_of_members_with_environments_of_their_own_answers_and_logs_each_step(stack):
    dev = stack.logged_in("dev")
    slugs = {name: new_capability(dev, name) for name in MEMBERS}
    sent = {
        name: dev.post(
            "/api/v1/versions/",
            data={"capability": slugs[name], "number": "1.0.0"},
            files={"file": ("model.zip", zip_of(*parts))},
        )
        for name, parts in MEMBERS.items()
    }
    members = {name: packaged(dev, each) for name, each in sent.items()}
    wanted = {
        "capability": new_capability(dev, "both"),
        "number": "1.0.0",
        "shape": "sequence",
        "members": [{"version": each["id"]} for each in members.values()],
    }
    both = packaged(dev, dev.post("/api/v1/versions/composite/", json=wanted))
    environments = {each["environment"] for each in (*members.values(), both)}
    assert len(environments) == 3
    assert all(each.startswith("own-") for each in environments)

    answer = asked(stack, dev, both, {**TEXT, "shape": [2], "data": ["1234567", "12"]})
    assert answer.json()["outputs"][0]["data"] == ["wide", "narrow"]
    call = until_logged(dev, f"/api/v1/calls/{answer.headers['x-request-id']}/")
    steps = {step["name"]: step for step in call["logged"]["steps"]}
    assert steps[slugs["commas"]]["outputs"] == {"text": ["1,234,567", "12"]}
    assert steps[slugs["widths"]]["outputs"] == {"class": ["wide", "narrow"]}
    assert all(step["ms"] > 0 for step in steps.values())
    assert call["logged"]["widest"] == len("1,234,567")


def until_logged(session, path: str) -> dict:
    """The call, once the ingester has brought it."""
    end = time.monotonic() + 60
    while (found := session.get(path)).status_code == 404:
        assert time.monotonic() < end, found.text
        time.sleep(0.5)
    return found.json()
