"""Every address of annotation: who gets in, who does not."""

import pytest
from django.utils import timezone

from apps.annotation import api_urls, services, urls
from apps.annotation.models import Annotation, Transfer
from apps.gateway.models import Outcome
from apps.workbench.services import create_workspace
from tests.access import Row, differences, uncovered
from tests.annotation.test_pull import logged  # noqa: F401 - a fixture
from tests.factories import put_files

A = "/api/v1/"
P = "/annotation/{project}/"
AP = A + "annotation-projects/{project}/"
T = A + "tasks/{task}/"
EVERYBODY = (302, 200, 200, 200, 200, 200)
API_EVERYBODY = (401, 200, 200, 200, 200, 200)
MEMBERS = (302, 200, 200, 200, 404, 200)
API_MEMBERS = (401, 200, 200, 200, 404, 200)
MANAGERS = (302, 200, 200, 403, 404, 200)
API_MANAGERS = (401, 200, 200, 403, 404, 200)
RULE = {"kind": "random", "share": 0.5, "quota": 5}

WRITTEN = {"project": "{project}", "least_quality": "0.9", "days": 14, "least_labels": 50, "cool_down_h": 24}

# visitor, developer, qa, annotator, outsider, admin.
TABLE = [
    Row("GET", "/annotation/", EVERYBODY),
    Row("GET", "/feedback/", EVERYBODY),
    Row("POST", "/feedback/{feedback}/ask/", (302, 409, 409, 409, 404, 409)),
    Row("GET", "/annotation/new/", EVERYBODY),
    Row("GET", "/annotation/-/capabilities/?field=capability&words=a", EVERYBODY),
    Row("POST", "/annotation/preview/", (302, 204, 204, 204, 204, 204)),
    Row("GET", P, MEMBERS),
    Row("GET", f"{P}notebook/?tasks={{task}}", MEMBERS),
    Row("GET", f"{P}label/", MEMBERS),
    Row("POST", f"{P}slots/{{slot}}/", (302, 302, 302, 302, 404, 302), {"label": "3", "token": "0"}),
    Row("POST", f"{P}slots/{{slot}}/heartbeat/", (302, 409, 409, 409, 404, 409), {"token": "0"}),
    Row("POST", f"{P}ahead/", (302, 200, 200, 204, 404, 204)),
    Row("POST", f"{P}slots/{{slot}}/let-go/", (302, 204, 204, 204, 404, 204), {"token": "0"}),
    Row("POST", f"{P}undo/{{task}}/", (302, 409, 409, 409, 404, 409)),
    Row("POST", f"{P}rules/", (302, 409, 409, 403, 404, 409), RULE),
    Row("POST", f"{P}rules/preview/", MANAGERS, RULE),
    Row("POST", f"{P}rules/{{rule}}/", (302, 302, 302, 403, 404, 302), {"active": "0"}),
    Row("POST", f"{P}labels/", (302, 422, 422, 422, 404, 422), {"labels": "3\n8\n9"}),
    Row("GET", f"{P}transfers/", MANAGERS),
    Row("GET", f"{P}transfers/{{transfer}}/file/", MANAGERS),
    Row("GET", f"{P}queue/", MANAGERS),
    Row("GET", f"{P}settings/", MANAGERS),
    Row(
        "POST",
        f"{P}settings/",
        (302, 302, 302, 403, 404, 302),
        {"name": "Complaints", "question": "Which digit?"},
    ),
    Row("GET", f"{P}adjudicate/", (302, 302, 302, 403, 404, 302)),
    Row("GET", f"{P}quality/", MANAGERS),
    Row("POST", f"{P}accept/", (302, 302, 302, 403, 404, 302)),
    Row("POST", f"{P}export/", (302, 409, 409, 403, 404, 409)),
    Row("GET", f"{P}bulks/", MANAGERS),
    Row("POST", f"{P}retrain/", (302, 409, 403, 403, 404, 409)),
    Row("GET", "/annotation/retraining/digits/", (302, 200, 200, 404, 404, 200)),
    Row("POST", "/annotation/retraining/digits/", (302, 302, 403, 404, 404, 302), WRITTEN),
    Row("GET", f"{A}retraining-rules/", API_EVERYBODY),
    Row("PUT", f"{A}retraining-rules/digits/", (401, 200, 403, 404, 404, 200), {"project": "{project}"}),
    Row("GET", f"{A}retraining-rules/digits/", (401, 200, 200, 404, 404, 200)),
    Row("GET", f"{A}retraining-rules/digits/decisions/", (401, 200, 200, 404, 404, 200)),
    Row("GET", "/annotation/tasks/{task}/", MEMBERS),
    Row("POST", "/annotation/tasks/{task}/", (302, 403, 403, 403, 404, 403)),
    Row("GET", f"{A}annotation-projects/", API_EVERYBODY),
    Row("POST", f"{A}annotation-projects/", (401, 422, 422, 422, 422, 422)),
    Row("GET", AP, API_MEMBERS),
    Row("PATCH", AP, API_MANAGERS, {"name": "Complaints"}),
    Row("POST", f"{AP}labels/", API_MANAGERS, {"labels": ["3", "8", "9"]}),
    Row("POST", f"{AP}queue/", API_MANAGERS, {"order": "uniform"}),
    Row("POST", f"{AP}claim/", API_MEMBERS),
    Row("POST", f"{AP}ahead/", (401, 200, 200, 204, 404, 204)),
    Row("GET", f"{AP}rules/", API_MEMBERS),
    Row("POST", f"{AP}rules/", (401, 409, 409, 403, 404, 409), RULE),
    Row("POST", f"{AP}rules/preview/", API_MANAGERS, RULE),
    Row("POST", f"{AP}rules/{{rule}}/", API_MANAGERS, {"active": False}),
    Row("GET", f"{AP}quality/", API_MANAGERS),
    Row("POST", f"{AP}accept/", API_MANAGERS),
    Row("GET", f"{AP}bulks/", API_MANAGERS),
    Row("GET", f"{AP}transfers/", API_MANAGERS),
    Row("GET", f"{AP}transfers/{{transfer}}/file/", API_MANAGERS),
    Row("POST", f"{AP}export/", (401, 409, 409, 403, 404, 409)),
    Row("POST", f"{AP}retrain/", (401, 409, 403, 403, 404, 409)),
    Row(
        "POST",
        f"{AP}notebook/",
        (401, 201, 404, 404, 404, 403),
        {"workspace": "{workspace}", "tasks": ["{task}"]},
    ),
    Row("GET", f"{A}tasks/", API_EVERYBODY),
    Row(
        "POST",
        f"{A}tasks/",
        (401, 422, 422, 403, 404, 422),
        {"project": "{project}", "rows": [{"features": [1, 2]}]},
    ),
    Row("GET", T, API_MEMBERS),
    Row("POST", f"{T}review/", (401, 403, 403, 403, 404, 403), {"label": "3"}),
    Row("POST", f"{T}ask/", (401, 403, 403, 403, 404, 403)),
    Row("GET", f"{T}decisions/", (401, 200, 200, 403, 404, 200)),
    Row("POST", f"{T}undo/", (401, 409, 409, 409, 404, 409)),
    Row("POST", f"{T}heartbeat/", (401, 409, 409, 409, 404, 409), {"slot": "{slot}", "token": 0}),
    Row("POST", f"{T}release/", (401, 204, 204, 204, 404, 204), {"slot": "{slot}", "token": 0}),
    Row("GET", f"{A}annotations/", API_EVERYBODY),
    Row(
        "POST",
        f"{A}annotations/",
        (401, 409, 409, 409, 403, 409),
        {"slot": "{slot}", "token": 0, "label": "3"},
    ),
    Row("GET", A + "annotations/{annotation}/", (401, 200, 200, 200, 404, 200)),
    Row("GET", f"{A}feedback-receipts/", API_EVERYBODY),
    Row("POST", A + "feedback-receipts/{feedback}/ask/", (401, 409, 409, 409, 404, 409)),
    # Closing comes last.
    Row("POST", f"{P}status/", (302, 302, 409, 403, 404, 409), {"status": "paused"}),
    Row("POST", f"{AP}status/", (401, 200, 409, 403, 404, 409), {"status": "open"}),
]


@pytest.fixture
def names(project, tasks, logged, ada, ann, monkeypatch):  # noqa: F811
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    transfer = Transfer.objects.create(
        project=project,
        direction="export",
        format="jsonl",
        status="done",
        sha256=put_files({"t": b"{}\n"})["t"],
        started_by=ada,
    )
    rule = services.add_rule(project, by=ada, **RULE)
    workspace = create_workspace("lab", team=project.team, by=ada)
    task = tasks[0]
    call = logged([1.0, 2.0])
    feedback = Outcome.objects.create(
        request_id=call.request_id, kind="feedback", correct=False, at=timezone.now()
    )
    annotation = Annotation.objects.create(task=tasks[1], user=ann, label="3")
    return {
        "annotation": annotation.pk,
        "feedback": feedback.pk,
        "project": project.pk,
        "task": task.pk,
        "slot": task.slots.first().pk,
        "rule": rule.pk,
        "transfer": transfer.pk,
        "workspace": workspace.pk,
    }


def test_each_address_lets_in_whom_it_should(names, ada, bo, ann, cy, root):
    people = {"visitor": None, "developer": ada, "qa": bo, "annotator": ann, "outsider": cy, "admin": root}

    assert differences(TABLE, people, **names) == {}


def test_the_table_names_every_address():
    assert uncovered([*urls.urlpatterns, *api_urls.urlpatterns], TABLE) == set()
