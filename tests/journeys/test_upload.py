"""A model that was made elsewhere is uploaded as an MLflow folder, packaged, and answers its own team alone."""

from __future__ import annotations

import json
import pickle
import time

import pytest
import requests
from playwright.sync_api import expect
from sklearn.linear_model import LogisticRegression

pytestmark = [pytest.mark.stack, pytest.mark.browser]

SIGNATURE = {
    "inputs": [{"name": "sides", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1]}],
}
MLMODEL = "flavors:\n  sklearn:\n    pickled_model: model.pkl\n    serialization_format: pickle\n"


@pytest.fixture
def folder(tmp_path):
    """Which of two sides is the longer one, as MLflow writes a scikit-learn model."""
    made = tmp_path / "longer-side"
    made.mkdir()
    model = LogisticRegression().fit([[3, 1], [2, 0], [1, 3], [0, 2]], [0, 0, 1, 1])
    (made / "model.pkl").write_bytes(pickle.dumps(model))
    (made / "MLmodel").write_text(MLMODEL)
    (made / "signature.json").write_text(json.dumps(SIGNATURE))
    return made


@pytest.fixture
def capability(ready):
    """A described capability without a version."""
    slug = f"longer-side-{time.time():.0f}"
    said = {
        "slug": slug,
        "team": "network-ai",
        "name": "Longer side",
        "summary": "Says which side is longer.",
    }
    assert ready.api("dev").post("/api/v1/capabilities/", json=said).status_code == 201
    return slug


def wait_for(told, timeout_s: float = 180):
    deadline = time.monotonic() + timeout_s
    while not (found := told()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.5)
    return found


def test_an_uploaded_folder_is_packaged_and_answers_its_team_alone(ready, new_page, capability, folder):
    page, api = new_page("dev", locale="en-GB"), ready.api("dev")
    page.goto(f"/catalog/{capability}/upload/")
    page.get_by_label("Version", exact=True).fill("1.0.0")
    page.locator("[data-folder]").set_input_files(folder)
    expect(page.locator("p[data-chosen]")).to_contain_text("3 files chosen")
    page.get_by_role("button", name="Upload and package").click()
    page.wait_for_url(f"**/catalog/{capability}/versions/1.0.0/")

    def status() -> str:
        asked = api.get(f"/api/v1/versions/?capability={capability}").json()["results"]
        assert asked[0]["status"] != "failed", asked[0]["failure"]
        return asked[0]["status"]

    wait_for(lambda: status() == "packaged")
    expect(page.get_by_role("button", name="Deploy for test")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Deploy for test").click()
    page.wait_for_url("**/operations/*/")
    deployment = page.url.rstrip("/").rsplit("/", 1)[1]
    try:
        key = api.post(f"/api/v1/deployments/{deployment}/key/").json()["key"]

        def call(key: str) -> requests.Response:
            asked = {"inputs": [{**SIGNATURE["inputs"][0], "shape": [2, 2], "data": [9, 1, 1, 9]}]}
            return requests.post(
                f"{ready.gateway_url}/v2/models/{capability}/infer",
                json=asked,
                headers={"Authorization": f"Bearer {key}"},
                timeout=20,
            )

        wait_for(lambda: call(key).status_code == 200)
        assert call(key).json()["outputs"][0]["data"] == [0, 1]
        assert call(ready.manage("key", "consumer", "digits").splitlines()[-1]).status_code == 403
        stranger = ready.api("consumer")
        assert stranger.post(f"/api/v1/deployments/{deployment}/key/").status_code == 404
        unsigned = ready.api("ops").put(f"/api/v1/traffic/{capability}/", json={"weights": {deployment: 100}})
        assert unsigned.status_code == 409
        assert "is a test deployment" in unsigned.json()["detail"]
    finally:
        api.post(f"/api/v1/deployments/{deployment}/stop/")
