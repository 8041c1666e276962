"""Every address of MLflow's server is asked for what is another team's, with each id that there is."""

import http.client
import json
import re
import subprocess
from urllib.parse import urlencode

import pytest

from apps.accounts.models import Role
from apps.compute import environments
from tests.factories import make_user
from tests.workbench.conftest import LIVE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.soak]

LIST = """
import json
from mlflow.server import app
print(json.dumps(sorted({(rule.rule, method) for rule in app.url_map.iter_rules()
                         for method in rule.methods - {"HEAD", "OPTIONS"}})))
"""
API, API3 = "/mlflow/api/2.0/mlflow", "/mlflow/api/3.0/mlflow"
FILES = "/mlflow/api/2.0/mlflow-artifacts/artifacts"
SECRET = "secret-of-radio"
PREFIX = re.compile(r"/(ajax-)?api/\d\.\d/?mlflow(-artifacts)?/|/")

# What names something by an id of MLflow's own, or by its place among the artifacts: refused.
BY_ID = re.compile(
    r"artifacts/(list|presigned-.*|artifacts/<.*)|(mpu|presigned)/.*|artifacts/<.*|get-artifact|upload-artifact"
    r"|runs/(?!search|create-promptlab).*|metrics/(?!get-history-bulk$).*|logged-models(/(?!search).*)?|experiments/(delete|restore|update|get"
    r"|set-experiment-tag|delete-experiment-tag)|datasets/<dataset_id>(/.*)?|issues/<.*|traces/<.*"
    r"|traces/(get|link-to-run|link-prompts)|get-trace-artifact|label-schemas/(get|list|delete|update)"
    r"|review-queues/(get|list|delete|update|items/.*)"
)
# What names nothing by an id: a search, a name of the own team, the server itself. Nothing of others is in the answer.
OTHERS = re.compile(
    r"artifacts|metrics/get-history-bulk|(runs|logged-models|datasets|experiments|issues)/search|experiments/(create|get-by-name|search-datasets)"
    r"|datasets/create|issues|traces|traces/(search|metrics|calculate-filter-correlation|delete-traces|batchGet.*)"
    r"|registered-models/.*|model-versions/.*|scorers/.*|label-schemas/(create|get-by-name)"
    r"|review-queues/(create|get-by-name|get-or-create-user)|server-info|unified-traces|get-online-trace-details"
    r"||graphql|health|version|static-files/.*"
)
# What the portal does not offer: it would leave the team, call servers elsewhere, or change the server.
CLOSED = re.compile(
    r"workspaces(/.*)?|webhooks(/.*)?|gateway(/.*|-proxy)|prompt-optimization/.*|jobs/.*|demo/.*|scorer/invoke"
    r"|genai/.*|ui-telemetry|build/.*|runs/create-promptlab-run|issues/invoke"
)
# Values that MLflow checks before it looks for the id.
NEEDED = {
    "runs/log-metric": {"value": 1},
    "runs/log-model": {
        "model_json": '{"artifact_path": "x", "run_id": "y", "flavors": {}, "utc_time_created": "2026-01-01 00:00:00"}'
    },
    "runs/outputs": {"models": [{"model_id": "m-1", "step": 0}]},
    "experiments/update": {"new_name": "x"},
    "logged-models/<model_id>": {"status": "LOGGED_MODEL_READY"},
    "artifacts/presigned-upload-url": {"model_id": None},
    "logged-models/<model_id>/artifacts/files": {"artifact_file_path": "secret.txt"},
    "get-trace-artifact": {"path": "3f0e6f0a-0a3c-4a53-9c43-4f3c1f5a2b11"},
    "review-queues/items/set-status": {"status": "COMPLETE"},
    "datasets/<dataset_id>/records": {"records": '[{"inputs": {"a": 1}}]'},
    "datasets/<dataset_id>/tags": {"tags": '{"a": "b"}'},
}
FILLED = {
    "key": "k", "value": "v", "name": "n", "version": "1", "max_results": 10, "metric_key": SECRET,
    "metric_keys": [SECRET], "timestamp": 1, "schema_id": "1", "queue_id": "1", "issue_id": "1", "item_ids": ["1"],
    "item_id": "1", "user": "eve", "status": "FINISHED", "prompt_versions": [{"name": "n", "version": "1"}],
    "assessment": {"assessment_name": "a", "feedback": {"value": 1}}, "update_mask": "feedback", "alias": "a",
}  # fmt: skip


@pytest.fixture(scope="module")
def endpoints():
    """(path, method) of everything that the installed server answers."""
    environments.build("mlflow", say=lambda words: None)
    python = environments.path("mlflow") / "bin" / "python"
    said = subprocess.run(
        [python, "-I", "-c", LIST], capture_output=True, text=True, check=True, cwd="/tmp"
    ).stdout
    return [
        (PREFIX.sub("", path, count=1), path, method) for path, method in json.loads(said.splitlines()[-1])
    ]


@pytest.fixture
def theirs(api, put, ada, token_of):
    """Ids of what Ada's team has in the tracker, by the names under which MLflow asks for them."""
    token = token_of(ada)
    experiment = api(token, f"{API}/experiments/create", {"name": SECRET})[1]["experiment_id"]
    asked = {"experiment_id": experiment, "start_time": 1, "run_name": SECRET}
    run = api(token, f"{API}/runs/create", asked)[1]["run"]["info"]
    asked = {"run_id": run["run_id"], "key": SECRET, "value": 1, "timestamp": 1}
    api(token, f"{API}/runs/log-metric", asked)
    asked = {"experiment_id": experiment, "name": SECRET}
    model = api(token, f"{API}/logged-models", asked)[1]["model"]["info"]["model_id"]
    asked = {"name": SECRET, "experiment_ids": [experiment]}
    dataset = api(token, f"{API3}/datasets/create", asked)[1]["dataset"]["dataset_id"]
    asked = {"experiment_id": experiment, "timestamp_ms": 1, "request_metadata": [], "tags": []}
    trace = api(token, f"{API}/traces", asked)[1]["trace_info"]["request_id"]
    place = run["artifact_uri"].partition(":")[2].lstrip("/") + "/secret.txt"
    assert put(token, f"{FILES}/{place}", SECRET.encode()) == 200
    return {
        "run_id": run["run_id"],
        "run_uuid": run["run_id"],
        "run_ids": [run["run_id"]],
        "experiment_id": experiment,
        "experiment_ids": [experiment],
        "model_id": model,
        "dataset_id": dataset,
        "trace_id": trace,
        "request_id": trace,
        "trace_ids": [trace],
        "request_ids": [trace],
        "artifact_path": place,
        "path": "secret.txt",
    }


@pytest.fixture
def ask(live_process, transport, token_of):
    """A request of a developer of another team; gives status and text."""
    token = token_of(make_user("eve", team=transport, role=Role.DEVELOPER))

    def send(short, path, method, ids):
        filled = re.sub(r"<(?:path:)?(\w+)>", lambda found: str(ids.get(found[1], "1")), path)
        facts = {
            name: value
            for name, value in {**FILLED, **ids, **NEEDED.get(short, {})}.items()
            if value is not None
        }
        body = None if method == "GET" else json.dumps(facts)
        query = f"?{urlencode(facts, doseq=True)}" if method == "GET" or "upload" in short else ""
        connection = http.client.HTTPConnection("127.0.0.1", live_process, timeout=30)
        headers = {"Host": LIVE, "Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, f"/mlflow{filled}{query}", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")

    return send


def test_nothing_of_another_team_is_given_or_changed_at_any_address(
    endpoints, theirs, ask, api, ada, token_of
):
    wrong = []
    for short, path, method in endpoints:
        if not any(kind.fullmatch(short) for kind in (BY_ID, OTHERS, CLOSED)):
            wrong.append(f"{method} {path} is in no list of this test")
            continue
        status, text = ask(short, path, method, theirs)
        if SECRET in text or (status != 403 and not OTHERS.fullmatch(short)):
            wrong.append(f"{method} {path}: {status} {text[:120]}")

    query = '{ mlflowGetRun(input: {runId: "%s"}) { run { info { runName } } apiError { code } } }'
    body = {"query": query % theirs["run_id"], "variables": {}}
    status, text = ask("graphql", "/graphql", "POST", body)
    if status >= 500 or SECRET in text:
        wrong.append(f"graphql: {status} {text[:120]}")

    assert wrong == []
    token = token_of(ada)
    kept = api(token, f"{API}/runs/get?run_id={theirs['run_id']}")[1]["run"]
    assert (kept["info"]["lifecycle_stage"], kept["info"]["run_name"]) == ("active", SECRET)
    assert [one["key"] for one in kept["data"]["metrics"]] == [SECRET]
    assert api(token, f"{API3}/datasets/{theirs['dataset_id']}")[1]["dataset"]["name"] == SECRET
    assert api(token, f"{API3}/datasets/{theirs['dataset_id']}/experiment-ids")[0] == 200
    assert api(token, f"{API}/traces/{theirs['trace_id']}/info")[0] == 200
    assert api(token, f"{FILES}/{theirs['artifact_path']}")[1] == SECRET
