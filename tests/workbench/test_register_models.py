"""A model that MLflow's client registers becomes a version of a capability, with where it came from."""

import json

import pytest

from apps.accounts.models import Role
from apps.catalog.models import Capability, Version
from apps.compute import environments
from apps.compute.adapters import engine
from apps.compute.engines.base import Resources, Workload
from apps.core import lineage, manifests
from apps.core.urns import urn
from apps.datasets.services import create_version
from apps.workbench import registering
from apps.workbench.adapters import Tracker
from apps.workbench.launch import door_environment, home_of
from apps.workbench.models import Registration, Workspace
from tests.factories import make_capability, make_dataset, make_user, put_files
from tests.workbench.conftest import wait_for
from tests.workbench.test_experiments import API

pytestmark = pytest.mark.django_db(transaction=True)

TRAIN = """
import json, os
import mlflow
import numpy as np
from sklearn.linear_model import LogisticRegression
os.environ["MLFLOW_RUN_CONTEXT"] = json.dumps({"atrium.datasets": "faults/1"})
rows = np.array([[0.0], [1.0], [2.0], [3.0]])
model = LogisticRegression().fit(rows, [0, 0, 1, 1])
with mlflow.start_run(run_name="tiny"):
    mlflow.log_param("C", 1.0)
    mlflow.log_metric("accuracy", 1.0)
    mlflow.sklearn.log_model(model, name="model", input_example=rows[:2], registered_model_name="Line_Faults")
"""


@pytest.fixture
def workspace_of_ada(ada, radio, token_of):
    """A workspace with a script, and the token that its code carries."""
    secret = token_of(ada)
    made = Workspace.objects.create(name="lines", owner=ada, team=radio, token=ada.tokens.get())
    home_of(made).mkdir(parents=True, exist_ok=True)
    (home_of(made) / "train.py").write_text(TRAIN, encoding="utf-8")
    return made, secret


def run_in_sandbox(code, token):
    """Run code as a workspace would, and give what it said."""
    environments.build("base", say=lambda words: None)
    engine().remove("client")
    workload = Workload(
        id="client",
        argv=["python", "-c", code],
        environment=environments.path("base"),
        resources=Resources(memory_mb=1200),
        env=door_environment(token),
        network="forwarder",
    )
    engine().start(workload)
    try:
        ended = wait_for(lambda: engine().observe("client").ended and engine().observe("client"), 90)
        return ended, engine().log("client")[0].decode()
    finally:
        engine().remove("client")


def test_its_client_registers_and_the_version_knows_where_it_came_from(
    tracker, live_process, workspace_of_ada, ada, radio
):
    workspace, token = workspace_of_ada
    data = create_version(make_dataset(radio, ada, "faults"), put_files({"a.csv": b"a\n1\n"}), by=ada)

    ended, said = run_in_sandbox(TRAIN, token)
    assert ended.state == "succeeded", said
    registering.adopt_waiting()

    version = Version.objects.get(capability__slug="line-faults")
    assert (version.capability.team, version.number, version.created_by) == (radio, "1.0.0", ada)
    assert version.status in ("draft", "packaging")
    assert "MLmodel" in version.source_manifest
    asked = Registration.objects.get()
    assert (asked.status, asked.version, asked.workspace) == ("done", version, workspace)
    assert version.code_digest == manifests.digest(manifests.build(asked.code))
    edges = {(edge.source, edge.target) for edge in lineage.upstream(version)}
    run = registering.run_urn(asked.run_id)
    assert Tracker("radio").run(asked.run_id).name == "tiny"
    assert edges == {
        (run, urn(version)),
        (urn(data), run),
        (urn(data), urn(version)),
        (urn(workspace), run),
        (f"atrium:environment:{environments.digest('base')}", run),
        (f"atrium:code:{version.code_digest}", run),
    }


def test_a_name_of_another_team_is_refused_in_words(tracker, api, workspace_of_ada, transport):
    make_capability(transport, make_user("eve", team=transport, role=Role.DEVELOPER), "line-faults")
    refused = api(workspace_of_ada[1], f"{API}/registered-models/create", {"name": "Line_Faults"})
    assert (refused[0], refused[1]["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "another team" in refused[1]["message"]
    assert not Registration.objects.exists()


def test_a_client_of_2_22_registers_with_its_own_requests(tracker, api, put, workspace_of_ada):
    """It sends an artifact URI and the run, and its files lie among the run's."""
    _workspace, token = workspace_of_ada
    experiment = api(token, f"{API}/experiments/create", {"name": "by 2.22"})[1]["experiment_id"]
    run = api(token, f"{API}/runs/create", {"experiment_id": experiment, "start_time": 1})[1]["run"]["info"]
    place = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    files = {"MLmodel": b"flavors:\n  sklearn:\n    pickled_model: model.pkl\n", "model.pkl": b"no pickle"}
    for name, content in files.items():
        assert put(token, f"/mlflow/api/2.0/mlflow-artifacts/artifacts/{place}/model/{name}", content) == 200
    assert api(token, f"{API}/registered-models/create", {"name": "old-client"})[0] == 200
    asked = {"name": "old-client", "source": f"{run['artifact_uri']}/model", "run_id": run["run_id"]}
    assert api(token, f"{API}/model-versions/create", asked)[0] == 200
    assert api(token, f"{API}/model-versions/create", asked)[0] == 200

    registering.adopt_waiting()

    versions = Version.objects.filter(capability__slug="old-client").order_by("pk")
    assert [version.number for version in versions] == ["1.0.0", "1.1.0"]
    assert set(versions[0].source_manifest) == set(files)
    assert Capability.objects.get(slug="old-client").status == "draft"


def test_a_model_without_files_fails_in_words_and_leaves_no_capability(tracker, ada, radio):
    asked = registering.register_model(
        "mlflow-artifacts:/workspaces/radio/1/none/artifacts/model", team=radio, by=ada, capability="empty"
    )
    registering.adopt_model(asked.pk)
    asked.refresh_from_db()
    assert (asked.status, Capability.objects.count()) == ("failed", 0)
    assert asked.reason


@pytest.fixture
def old_run(tracker, api, put, workspace_of_ada):
    """A run of Ada's team with a metric of three steps and a model among its files."""
    token = workspace_of_ada[1]
    found = {name: number for number, name in Tracker("radio").experiments()}
    experiment = (
        found.get("by hand")
        or api(token, f"{API}/experiments/create", {"name": "by hand"})[1]["experiment_id"]
    )
    run = api(token, f"{API}/runs/create", {"experiment_id": experiment, "start_time": 1})[1]["run"]["info"]
    for step, value in enumerate((0.5, 0.75, 0.9)):
        asked = {"run_id": run["run_id"], "key": "f1", "value": value, "timestamp": 1, "step": step}
        api(token, f"{API}/runs/log-metric", asked)
    place = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    text = b"flavors:\n  sklearn:\n    pickled_model: model.pkl\n"
    for name, content in {"MLmodel": text, "model.pkl": b"no pickle"}.items():
        put(token, f"/mlflow/api/2.0/mlflow-artifacts/artifacts/{place}/model/{name}", content)
    told = {
        "artifact_path": "model",
        "run_id": run["run_id"],
        "flavors": {},
        "utc_time_created": "2026-01-01",
    }
    api(token, f"{API}/runs/log-model", {"run_id": run["run_id"], "model_json": json.dumps(told)})
    return run["run_id"]


def test_the_same_by_a_button_and_by_rest(client, old_run, ada):
    client.force_login(ada)
    page = client.get(f"/experiments/runs/radio/{old_run}/").content.decode()
    assert "0.9000" in page
    assert "Register the model" in page
    asked = {"model": "model", "capability": "by-button", "number": "2.0.0"}
    assert client.post(f"/experiments/runs/radio/{old_run}/register/", asked).status_code == 302
    body = {"team": "radio", "run_id": old_run, "capability": "by-button"}
    made = client.post("/api/v1/registrations/", body, "application/json")
    assert made.status_code == 201

    registering.adopt_waiting()

    numbers = Version.objects.filter(capability__slug="by-button").values_list("number", flat=True)
    assert set(numbers) == {"2.0.0", "2.1.0"}
    assert client.get(f"/api/v1/registrations/{made.json()['id']}/").json()["status"] == "done"
    assert "by-button 2.1.0" in client.get(f"/experiments/runs/radio/{old_run}/").content.decode()


def test_other_teams_neither_see_nor_register_a_run(client, old_run, transport, cy):
    eve = make_user("eve", team=transport, role=Role.DEVELOPER)
    body = {"team": "transport", "run_id": old_run, "capability": "mine"}
    for person, team, status in ((eve, "radio", 403), (eve, "transport", 404), (cy, "radio", 403)):
        client.force_login(person)
        asked = {**body, "team": team}
        answers = (
            client.get(f"/experiments/runs/{team}/{old_run}/").status_code,
            client.post("/api/v1/registrations/", asked, "application/json").status_code,
        )
        assert answers == (status, status)
    assert not Registration.objects.exists()
