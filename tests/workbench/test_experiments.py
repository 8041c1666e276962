"""MLflow behind the portal: its unmodified client works with a token, teams do not see each other."""

import http.client
import json
import subprocess
from urllib.parse import urlsplit

import pytest

from apps.accounts.models import Membership, PersonalToken, Role
from apps.compute import environments
from apps.compute.adapters import engine
from apps.compute.engines.base import Resources, Workload
from apps.compute.services import remove_workload
from apps.workbench import tracking
from apps.workbench.adapters import Tracker
from apps.workbench.models import Workspace
from tests.factories import make_team, make_user
from tests.workbench.conftest import LIVE, Visitor, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

CLIENT = """
import mlflow
mlflow.set_experiment("digits")
with mlflow.start_run(run_name="forest") as run:
    mlflow.log_param("trees", 50)
    mlflow.log_metric("accuracy", 0.97)
    mlflow.log_text("hello", "notes/hello.txt")
print(run.info.run_id, mlflow.artifacts.load_text(run.info.artifact_uri + "/notes/hello.txt"))
"""


API = "/mlflow/api/2.0/mlflow"


def test_its_own_client_logs_runs_and_artifacts_from_a_sandbox_and_from_outside(
    tracker, live_process, ada, radio, token_of
):
    environments.build("base", say=lambda words: None)
    token = token_of(ada)
    workspace = Workspace.objects.create(name="w", owner=ada, team=radio, token=PersonalToken.objects.get())
    engine().remove("client")
    workload = Workload(
        id="client",
        argv=["python", "-c", CLIENT],
        environment=environments.path("base"),
        resources=Resources(memory_mb=800),
        env={"MLFLOW_TRACKING_URI": "http://127.0.0.1:8780/mlflow", "MLFLOW_TRACKING_TOKEN": token},
        network="forwarder",
    )
    engine().start(workload)
    try:
        wait_for(lambda: engine().observe("client").ended, 60)
        said = engine().log("client")[0].decode()
        assert said.rstrip().endswith("hello"), said
    finally:
        engine().remove("client")
    laptop = subprocess.run(
        [environments.path("base") / "bin" / "python", "-c", CLIENT.replace("forest", "laptop")],
        env={
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{live_process}/mlflow",
            "MLFLOW_TRACKING_TOKEN": token_of(ada),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert laptop.stdout.rstrip().endswith("hello"), laptop.stderr
    experiments = {name: number for number, name in Tracker("radio").experiments()}
    latest_first = Tracker("radio").runs(experiments["digits"])  # a first try that failed left its own
    runs = {run.name: run for run in reversed(latest_first)}
    assert runs.keys() == {"forest", "laptop"}
    assert "atrium.workspace" not in runs["laptop"].tags
    run = runs["forest"]
    assert (run.params, run.metrics) == ({"trees": "50"}, {"accuracy": 0.97})
    assert run.tags["atrium.workspace"] == str(workspace.pk)
    assert run.tags["atrium.user"] == "ada"


def test_without_a_good_token_nothing_is_served(api):
    assert api("atr_unknown", f"{API}/experiments/search", {"max_results": 1})[0] == 403
    assert api("", f"{API}/experiments/search", {"max_results": 1}, Authorization="Basic eDp5")[0] == 401


def test_another_teams_runs_are_out_of_reach(api, ada, transport, token_of):
    eve = make_user("eve", team=transport, role=Role.DEVELOPER)
    mine, theirs = token_of(ada), token_of(eve)
    made = api(mine, f"{API}/experiments/create", {"name": "secret"})[1]["experiment_id"]
    run = api(mine, f"{API}/runs/create", {"experiment_id": made, "start_time": 1})[1]["run"]["info"][
        "run_id"
    ]
    assert api(mine, f"{API}/runs/get?run_id={run}")[0] == 200
    assert api(theirs, f"{API}/runs/get?run_id={run}")[0] in (403, 404)
    assert api(theirs, f"{API}/experiments/get?experiment_id={made}")[0] in (403, 404)
    assert api(theirs, f"{API}/runs/get?run_id={run}", **{"X-MLFLOW-WORKSPACE": "radio"})[0] == 403
    assert api(theirs, f"{API}/artifacts/list?run_id={run}")[0] in (403, 404)


def test_a_member_of_two_teams_chooses_by_header(api, ada, transport, token_of):
    Membership.objects.create(user=ada, team=transport, role=Role.DEVELOPER)
    made = api(
        token_of(ada), f"{API}/experiments/create", {"name": "there"}, **{"X-MLFLOW-WORKSPACE": "transport"}
    )
    assert made[0] == 200
    assert "there" in {name: number for number, name in Tracker("transport").experiments()}


def test_artifacts_of_an_experiment_cannot_be_placed_elsewhere(api, ada, token_of):
    token = token_of(ada)
    for spelling in ("artifact_location", "artifactLocation"):
        asked = {"name": f"e-{spelling}", spelling: "file:///work"}
        made = api(token, f"{API}/experiments/create", asked)[1]["experiment_id"]
        found = api(token, f"{API}/experiments/get?experiment_id={made}")[1]["experiment"]
        assert found["artifact_location"].startswith("mlflow-artifacts:/workspaces/radio/")


def test_what_leads_out_of_a_team_is_not_offered(api, ada, token_of):
    token = token_of(ada)
    paths = ["/mlflow/api/3.0/mlflow/workspaces", "/mlflow/api/2.0/mlflow/webhooks"]
    paths += ["/mlflow/ajax-api/2.0/mlflow/gateway-proxy"]
    paths += ["/mlflow/ajax-api/3.0/jobs", "/mlflow/../health", "/mlflow/api/3.0/mlflow/gateway/secrets"]
    assert [api(token, path)[0] for path in paths] == [403] * len(paths)


def test_its_pages_have_an_origin_of_their_own(client, tracker, live_process, ada, cy):
    guest = Visitor(live_process, f"mlflow.{LIVE}")
    assert guest.get("/mlflow/").status == 403
    client.force_login(ada)
    way_in = urlsplit(client.post("/experiments/enter/").headers["Location"])
    landing = guest.get(f"{way_in.path}?{way_in.query}").headers["Location"]
    assert landing == "/mlflow/#/experiments?workspace=radio"
    page = guest.get("/mlflow/")
    assert page.status == 200
    assert page.headers["Content-Security-Policy"] == "frame-ancestors http://portal.localhost:8000"
    teams = json.loads(guest.get("/mlflow/ajax-api/3.0/mlflow/workspaces").text)["workspaces"]
    assert [team["name"] for team in teams] == ["radio"]
    made = guest.post("/mlflow/ajax-api/3.0/mlflow/workspaces", json.dumps({"name": "mine"}))
    assert (made.status, json.loads(made.text)["message"]) == (403, "Teams are managed in the portal.")
    asked = json.dumps({"name": "from the page"})
    create = "/mlflow/ajax-api/2.0/mlflow/experiments/create"
    assert guest.post(create, asked, headers={"Origin": "http://evil.example"}).status == 403
    assert guest.post(create, asked).status == 200


def test_the_page_compares_runs_and_outsiders_see_none(client, api, ada, cy, token_of):
    token = token_of(ada)
    made = api(token, f"{API}/experiments/create", {"name": "compared"})[1]["experiment_id"]
    for value in (0.5, 0.75):
        run = api(token, f"{API}/runs/create", {"experiment_id": made, "start_time": 1})[1]["run"]["info"][
            "run_id"
        ]
        api(token, f"{API}/runs/log-metric", {"run_id": run, "key": "f1", "value": value, "timestamp": 1})
    client.force_login(ada)
    page = client.get(f"/experiments/?experiment={made}").content.decode()
    assert "compared" in page
    assert "0.7500" in page
    client.force_login(cy)
    assert client.get("/experiments/").status_code == 403


def test_a_team_that_never_tracked_anything_is_told_how_to(client, tracker):
    new = make_user("nia", team=make_team("Newcomers"), role=Role.DEVELOPER)
    client.force_login(new)
    answer = client.get("/experiments/")
    assert answer.status_code == 200
    assert "No runs yet" in answer.content.decode()


def test_while_it_starts_the_page_and_the_client_are_told(client, live_process, ada, token_of):
    remove_workload(tracking.WORKLOAD)
    client.force_login(ada)
    for path in ("/experiments/", "/experiments/mlflow/"):
        assert "is starting" in client.get(path).content.decode()
    connection = http.client.HTTPConnection("127.0.0.1", live_process, timeout=30)
    connection.request(
        "GET", "/mlflow/version", headers={"Authorization": f"Bearer {token_of(ada)}", "Host": LIVE}
    )
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
