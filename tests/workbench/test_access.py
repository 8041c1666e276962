"""Every address of workspaces, environments, recipes, sweeps and experiments: who gets in, who does not."""

from uuid import UUID

import pytest
from django.utils import timezone

from apps.compute.services import submit_script
from apps.gateway import partitions
from apps.gateway.dataplane.call import new_id
from apps.gateway.models import Call
from apps.workbench import api_urls, recipes, recordings, services, sweeps, urls
from apps.workbench.cast import CastWriter
from apps.workbench.models import Environment, NotebookSnapshot, Recording, Registration
from tests.access import PEOPLE, Row, differences, uncovered
from tests.factories import make_capability, put_files

A = "/api/v1/"
W = "/workspaces/{workspace}/"
RUN = "0" * 32
EVERYBODY = (302, 200, 200, 200, 200, 200)
API_EVERYBODY = (401, 200, 200, 200, 200, 200)
# What a team develops is its developers' and the administrators'. A workspace carries its owner's token.
TEAM = (302, 200, 404, 404, 404, 200)
API_TEAM = (401, 200, 404, 404, 404, 200)
DEVELOPERS = (302, 200, 403, 403, 403, 200)
OWNER = (302, 302, 404, 404, 404, 403)
API_OWNER = (401, 200, 404, 404, 404, 403)

# visitor, developer (the owner), qa, operator, outsider, admin.
TABLE = [
    Row("GET", "/workspaces/", EVERYBODY),
    Row("GET", "/workspaces/new/", EVERYBODY),
    Row("GET", "/workspaces/notebook-of-calls/?calls={call}", (302, 200, 200, 200, 404, 200)),
    Row("GET", W, TEAM),
    Row("GET", f"{W}terminal/", TEAM),
    Row("GET", f"{W}state/", TEAM),
    Row("GET", f"{W}facts/", TEAM),
    Row("GET", f"{W}notebooks/", TEAM),
    Row("GET", f"{W}notebooks/first.ipynb", (302, 404, 404, 404, 404, 404)),
    Row("POST", f"{W}snapshots/{{snapshot}}/restore/", OWNER),
    Row("GET", f"{A}workspaces/{{workspace}}/snapshots/", API_TEAM),
    Row("GET", f"{A}workspaces/{{workspace}}/snapshots/{{snapshot}}/content/", API_TEAM),
    Row(
        "POST", f"{A}workspaces/{{workspace}}/snapshots/{{snapshot}}/restore/", (401, 204, 404, 404, 404, 403)
    ),
    Row("GET", f"{A}workspaces/{{workspace}}/notebooks/", API_TEAM),
    Row("GET", f"{A}workspaces/{{workspace}}/notebooks/first.ipynb/", (401, 404, 404, 404, 404, 404)),
    Row("GET", f"{W}settings/", TEAM),
    Row("POST", f"{W}settings/", (302, 200, 404, 404, 404, 403)),
    Row("GET", f"{W}run/", (302, 200, 404, 404, 404, 403)),
    Row("GET", f"{W}register/", (302, 200, 404, 404, 404, 403)),
    Row(
        "POST",
        f"{A}workspaces/{{workspace}}/register/",
        (401, 422, 404, 404, 404, 403),
        {"path": "no-such.onnx", "capability": "none"},
    ),
    Row("POST", f"{W}environment/", (302, 422, 404, 404, 404, 422)),
    Row(
        "POST",
        f"{A}workspaces/{{workspace}}/run/",
        (401, 422, 404, 404, 404, 403),
        {"path": "no-such-file.py"},
    ),
    Row(
        "POST",
        f"{A}workspaces/{{workspace}}/environment/",
        (401, 422, 404, 404, 404, 403),
        {"name": "nothing-installed"},
    ),
    Row("POST", f"{W}clone/", (302, 302, 404, 404, 404, 302), {"name": "copy"}),
    Row("POST", f"{W}enter/", (302, 409, 404, 404, 404, 409)),
    Row("POST", f"{W}start/", OWNER),
    Row("POST", f"{W}renew/", OWNER),
    Row("POST", f"{W}stop/", (302, 302, 404, 404, 404, 409)),
    Row("POST", "/workspaces/{resting}/archive/", (302, 302, 404, 404, 404, 409)),
    Row("POST", "/workspaces/{resting}/restore/", OWNER),
    Row("GET", f"{A}workspaces/", API_EVERYBODY),
    Row("POST", f"{A}workspaces/", (401, 201, 403, 403, 403, 201), {"name": "new", "team": "radio"}),
    Row("GET", A + "workspaces/{workspace}/", API_TEAM),
    Row("PATCH", A + "workspaces/{resting}/", API_OWNER, {"idle_minutes": 60}),
    Row("POST", A + "workspaces/{third}/start/", API_OWNER),
    Row("POST", A + "workspaces/{third}/renew/", API_OWNER),
    Row("POST", A + "workspaces/{third}/stop/", (401, 200, 404, 404, 404, 409)),
    Row("POST", A + "workspaces/{resting}/archive/", (401, 200, 404, 404, 404, 409)),
    Row("POST", A + "workspaces/{resting}/restore/", API_OWNER),
    Row("POST", A + "workspaces/{resting}/clone/", (401, 201, 404, 404, 404, 201), {"name": "copy-too"}),
    Row(
        "POST",
        A + "workspaces/{resting}/notebook-of-calls/",
        (401, 201, 404, 404, 404, 403),
        {"calls": ["{call}"]},
    ),
    Row("GET", "/environments/", EVERYBODY),
    Row("GET", "/environments/new/", EVERYBODY),
    Row("GET", "/environments/{environment}/", TEAM),
    Row("GET", "/environments/{environment}/state/", TEAM),
    Row("GET", "/environments/{environment}/log/", TEAM),
    Row("GET", A + "environments/{environment}/log/", API_TEAM),
    Row("POST", "/environments/{environment}/retry/", (302, 302, 404, 404, 404, 409)),
    Row("GET", f"{A}environments/", API_EVERYBODY),
    Row(
        "POST",
        f"{A}environments/",
        (401, 201, 403, 403, 403, 422),
        {"name": "words", "team": "radio", "requirements": "jmespath"},
    ),
    Row("GET", A + "environments/{environment}/", API_TEAM),
    Row("POST", A + "environments/{environment}/retry/", (401, 409, 404, 404, 404, 409)),
    Row("GET", "/recordings/", EVERYBODY),
    Row("GET", "/recordings/{recording}/", (302, 200, 404, 404, 404, 200)),
    Row("GET", "/recordings/{recording}/cast/", (302, 200, 404, 404, 404, 200)),
    Row("GET", f"{A}recordings/", API_EVERYBODY),
    Row("GET", A + "recordings/{recording}/", API_TEAM),
    Row("GET", A + "recordings/{recording}/cast/", API_TEAM),
    Row("GET", "/administration/recording/", (302, 403, 403, 403, 403, 200)),
    Row("POST", "/administration/recording/", (302, 403, 403, 403, 403, 302), {"keep_days": "30"}),
    Row("POST", "/administration/recording/{rule}/remove/", (302, 403, 403, 403, 403, 302)),
    Row("GET", f"{A}recording-rules/", (401, 403, 403, 403, 403, 200)),
    Row("POST", f"{A}recording-rules/", (401, 403, 403, 403, 403, 201), {"team": "radio"}),
    Row("GET", A + "recording-rules/{other_rule}/", (401, 403, 403, 403, 403, 200)),
    Row("DELETE", A + "recording-rules/{other_rule}/", (401, 403, 403, 403, 403, 204)),
    Row("GET", "/sweeps/", DEVELOPERS),
    Row("GET", "/sweeps/from-job/{job}/", (302, 200, 403, 200, 404, 200)),
    Row("GET", "/sweeps/{sweep}/", TEAM),
    Row("POST", "/sweeps/{sweep}/cancel/", (302, 302, 404, 404, 404, 409)),
    Row("GET", f"{A}sweeps/", API_EVERYBODY),
    Row(
        "POST",
        f"{A}sweeps/",
        (401, 201, 403, 201, 403, 201),
        {
            "title": "Depths",
            "team": "radio",
            "script": "print(1)",
            "space": {"depth": [1, 2]},
            "metric": "f1",
        },
    ),
    Row("GET", A + "sweeps/{sweep}/", API_TEAM),
    Row("GET", A + "sweeps/{sweep}/trials/", API_TEAM),
    Row("POST", A + "sweeps/{other_sweep}/cancel/", (401, 200, 404, 404, 404, 409)),
    Row("GET", "/recipes/", DEVELOPERS),
    Row("GET", "/recipes/from-job/{job}/", (302, 200, 403, 403, 404, 200)),
    Row("GET", "/recipes/boosting/", TEAM),
    Row("GET", "/models-to-refine/?field=base", EVERYBODY),
    Row("GET", f"{A}recipes/", API_EVERYBODY),
    Row(
        "POST",
        f"{A}recipes/",
        (401, 201, 403, 403, 403, 201),
        {"slug": "bagging", "name": "Bagging", "team": "radio", "job": "{job}"},
    ),
    Row("GET", f"{A}recipes/boosting/", API_TEAM),
    Row("POST", f"{A}recipes/boosting/run/", (401, 201, 404, 404, 404, 201), {"team": "radio"}),
    Row("GET", f"{A}recipes/boosting/runs/", API_TEAM),
    Row("GET", "/experiments/", DEVELOPERS),
    Row("GET", "/experiments/mlflow/", DEVELOPERS),
    Row("POST", "/experiments/enter/", (302, 303, 403, 403, 403, 303)),
    Row("GET", f"/experiments/runs/radio/{RUN}/", DEVELOPERS),
    Row("POST", f"/experiments/runs/radio/{RUN}/register/", (302, 503, 403, 403, 403, 503)),
    Row("GET", "/experiments/jobs/{job}/metrics/", (302, 200, 200, 200, 404, 200)),
    Row("POST", "/experiments/registrations/{registration}/retry/", (302, 302, 404, 404, 404, 409)),
    Row("GET", f"{A}registrations/", API_EVERYBODY),
    Row(
        "POST",
        f"{A}registrations/",
        (401, 503, 403, 403, 403, 503),
        {"team": "radio", "run_id": RUN, "capability": "digits"},
    ),
    Row("GET", A + "registrations/{registration}/", API_TEAM),
    Row("POST", A + "registrations/{registration}/retry/", (401, 409, 404, 404, 404, 409)),
]


@pytest.fixture
def names(radio, transport, ada, root, monkeypatch):
    """What the table's braces stand for: all of it ada's in the team Radio."""
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    workspaces = [
        services.create_workspace(name, team=radio, by=ada).pk for name in ("first", "second", "third")
    ]
    environment = Environment.objects.create(
        name="boost", team=radio, requirements="jmespath", status="failed", created_by=ada
    )
    recipes.publish_recipe(
        "boosting",
        recipes.of_files(put_files({"train.py": b"print(1)"}), "train.py"),
        team=radio,
        by=ada,
        name="Boosting",
    )
    made = [
        sweeps.create_sweep(
            "Depths", sweeps.of_code("print(1)"), team=radio, by=ada, space={"depth": [1, 2]}, metric="f1"
        ).pk
        for _ in range(2)
    ]
    registration = Registration.objects.create(
        team=radio, created_by=ada, source="runs:/x", capability="digits", status="failed"
    )
    recording = Recording.objects.create(
        workspace_id=workspaces[0],
        user=ada,
        terminal="1",
        started_at=timezone.now(),
        expires_at=timezone.now(),
    )
    CastWriter(recordings.path_of(recording), "1").close()
    rules = [recordings.add_rule(site=radio.site, by=root), recordings.add_rule(team=transport, by=root)]
    capability = make_capability(radio, ada, "digits")
    call = Call(
        request_id=UUID(new_id()), at=timezone.now(), capability_id=capability.pk, version="1.0.0", status=200,
        latency_ms=3.0, stage_weight=1.0, shadow=False, digested=True,
    )  # fmt: skip
    partitions.make(call.at.date())
    call.save(force_insert=True)
    return {
        "call": call.request_id,
        **dict(zip(("workspace", "resting", "third"), workspaces, strict=True)),
        "environment": environment.pk,
        "snapshot": NotebookSnapshot.objects.create(
            workspace_id=workspaces[0],
            path="first-draft.ipynb",
            sha256=put_files({"a": b"{}"})["a"],
            size=2,
            cells=0,
            saved_at=timezone.now(),
        ).pk,
        "job": submit_script("A job", "print(1)", by=ada, team=radio).pk,
        "recording": recording.pk,
        "rule": rules[0].pk,
        "other_rule": rules[1].pk,
        "sweep": made[0],
        "other_sweep": made[1],
        "registration": registration.pk,
    }


def test_each_address_lets_in_whom_it_should(names, ada, bo, ole, cy, root):
    people = dict(zip(PEOPLE, (None, ada, bo, ole, cy, root), strict=True))

    assert differences(TABLE, people, **names) == {}


def test_the_table_names_every_address():
    assert uncovered([*urls.urlpatterns, *api_urls.urlpatterns], TABLE) == set()
