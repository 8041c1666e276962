"""Everything that the pages do, over REST, under the same rules."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from apps.annotation.api import _place
from apps.annotation.claims import claim_next
from apps.annotation.models import Annotation, Project, Slot, Task
from apps.annotation.serializers import TaskPlaceSerializer
from tests.access import PEOPLE, Row, differences, uncovered
from tests.annotation.conftest import make_task

pytestmark = pytest.mark.django_db
A = "/api/v1/"


@pytest.fixture
def api():
    def open_as(person):
        client = APIClient()
        client.force_authenticate(person)
        return client

    return open_as


def claim(client, project):
    return client.post(f"{A}annotation-projects/{project.pk}/claim/")


def say(client, project, label, **headers):
    place = claim(client, project).json()
    told = {"slot": place["slot"], "token": place["token"], "label": label, "seconds": 2.5}
    return client.post(A + "annotations/", told, headers=headers), place


def test_two_people_label_review_and_export_over_the_api(project, tasks, api, ann, abe, bo):
    for person, label in ((ann, "3"), (abe, "8")):
        answer, place = say(api(person), project, label)
        assert (answer.status_code, answer.json()["label"]) == (201, label)

    reviewed = api(bo).post(f"{A}tasks/{place['task']['id']}/review/", {"label": "8"})
    made = api(bo).post(f"{A}annotation-projects/{project.pk}/export/")

    assert reviewed.json()["status"] == "accepted"
    assert (made.status_code, made.json()["number"]) == (201, 2)


def test_a_repeated_submission_with_its_key_is_one_annotation(project, tasks, api, ann):
    client = api(ann)
    place = claim(client, project).json()
    told = {"slot": place["slot"], "token": place["token"], "label": "3"}
    first, second = (
        client.post(A + "annotations/", told, headers={"Idempotency-Key": "one"}) for _ in range(2)
    )

    assert (first.status_code, second.status_code, second["Idempotent-Replay"]) == (201, 201, "true")
    assert first.json() == second.json()
    assert client.post(A + "annotations/", told).status_code == 409
    assert Annotation.objects.count() == 1


def test_what_a_claim_says_is_what_its_schema_says(project, tasks, ann):
    slot = claim_next(project, by=ann)

    assert _place(slot, project) == TaskPlaceSerializer(slot).data


def test_a_blind_project_hides_the_models_answer(project, tasks, api, ann):
    Project.objects.update(blind=True)

    place = claim(api(ann), project).json()
    listed = api(ann).get(f"{A}tasks/?project={project.pk}").json()["results"]
    looked_up = api(ann).get(f"{A}tasks/{place['task']['id']}/").json()

    for task in (place["task"], looked_up, *listed):
        hidden = [task[name] for name in ("predicted", "confidence", "suggested", "proposed")]
        assert hidden == ["", None, "", None]


def test_nothing_left_is_no_content(project, api, ann):
    assert claim(api(ann), project).status_code == 204


def test_peers_are_hidden_from_who_labels_and_shown_to_who_manages(project, tasks, api, ann, abe, bo):
    say(api(ann), project, "3")

    def seen(person):
        return len(api(person).get(f"{A}annotations/?project={project.pk}").json()["results"])

    assert (seen(ann), seen(abe), seen(bo)) == (1, 0, 1)


def test_a_place_is_kept_and_given_back(project, tasks, api, ann):
    place = claim(api(ann), project).json()
    address, held = f"{A}tasks/{place['task']['id']}/", {"slot": place["slot"], "token": place["token"]}

    assert api(ann).post(address + "heartbeat/", held).status_code == 204
    assert api(ann).post(address + "release/", held).status_code == 204
    assert api(ann).post(address + "heartbeat/", held).status_code == 409


def test_uploaded_rows_become_tasks_once(project, api, bo):
    rows = [{"inputs": {"x": 1}}, {"inputs": {"x": 2}, "predicted": "3"}, {"inputs": {"x": 1}}]
    told = {"project": project.pk, "rows": rows}

    first = api(bo).post(A + "tasks/", told).json()
    second = api(bo).post(A + "tasks/", told).json()

    assert (first, second["tasks"]) == ({"tasks": 2, "merged": 1, "unproposed": 0, "broken": []}, 0)
    assert list(Task.objects.order_by("pk").values_list("inputs__x", "weight")) == [(1, 4), (2, 2)]
    assert Slot.objects.count() == 2 * project.overlap


def test_broken_rows_are_named_and_the_good_ones_kept_on_wish(project, api, bo):
    rows = [{"inputs": {"x": 1}}, {"inputs": {}}, 7, {"inputs": {"x": 2}, "confidence": 3}]
    told = {"project": project.pk, "rows": rows}

    refused = api(bo).post(A + "tasks/", told)
    assert refused.status_code == 422
    assert set(refused.json()["fields"]) == {"row 2", "row 3", "row 4"}
    assert not Task.objects.exists()

    kept = api(bo).post(A + "tasks/", told | {"keep_good": True}).json()
    assert (kept["tasks"], [row["row"] for row in kept["broken"]]) == (1, [2, 3, 4])


def test_a_list_is_filtered_and_its_counts_cost_no_counting(
    project, tasks, api, bo, django_assert_max_num_queries
):
    with django_assert_max_num_queries(5):
        found = api(bo).get(f"{A}tasks/?project={project.pk}&status=open&page_size=2").json()

    assert len(found["results"]) == 2
    assert found["next"]
    assert api(bo).get(f"{A}annotation-projects/{project.pk}/").json()["open_tasks"] == 3


def test_counts_follow_each_change_of_a_task(project, api, bo):
    made = [make_task(project, number) for number in range(4)]
    Task.objects.filter(pk=made[0].pk).update(status="accepted")
    Task.objects.filter(pk__in=[made[1].pk, made[2].pk]).update(status="conflict", weight=3)
    made[3].delete()

    told = api(bo).get(f"{A}annotation-projects/{project.pk}/").json()

    assert (told["open_tasks"], told["to_review"], told["accepted"]) == (0, 2, 1)


def test_a_paused_project_gives_nothing_out(project, tasks, api, ann, bo):
    answer = api(bo).post(f"{A}annotation-projects/{project.pk}/status/", {"status": "paused"})

    assert answer.json()["status"] == "paused"
    assert claim(api(ann), project).status_code == 403


def test_what_is_fixed_does_not_change(project, api, bo):
    address = f"{A}annotation-projects/{project.pk}/"

    assert api(bo).patch(address, {"question": "Which one?"}).json()["question"] == "Which one?"
    assert api(bo).patch(address, {"overlap": 3}).status_code == 422


def test_rules_and_quality(project, tasks, api, bo):
    address = f"{A}annotation-projects/{project.pk}/"

    assert api(bo).post(address + "rules/", {"kind": "random", "share": 0.5}).status_code == 201
    assert [rule["kind"] for rule in api(bo).get(address + "rules/").json()] == ["random"]
    assert api(bo).post(address + "rules/", {"kind": "uploaded"}).status_code == 422
    assert api(bo).get(address + "quality/").json()["agreement"]["n"] == 0


def test_the_queue_is_steered_and_people_are_told_apart(project, tasks, api, ann, abe, ada, cy):
    for person, label in ((ann, "3"), (abe, "8")):
        say(api(person), project, label)
    address = f"{A}annotation-projects/{project.pk}/"
    told = {"order": "sequential", "per_person": 5, "gate": 0.9, "assignees": ["ann"]}

    assert api(ada).post(address + "queue/", told).json()["order"] == "sequential"
    assert api(ada).post(address + "queue/", told | {"assignees": ["cy"]}).status_code == 422
    assert api(ann).post(address + "queue/", told).status_code == 403
    found = api(ada).get(address + "quality/").json()
    assert [person["labels"] for person in found["people"]] == [1, 1]
    assert found["pairs"][0]["people"] == ["abe", "ann"]
    assert api(ann).get(address + "quality/").status_code == 403


def rows_of_the_table(project, task):
    a_project, a_task = f"{A}annotation-projects/{project}/", f"{A}tasks/{task}/"
    everybody = (401, 200, 200, 200, 200, 200)
    team = (401, 200, 200, 404, 404, 200)
    return [
        Row("GET", A + "annotation-projects/", everybody),
        Row("POST", A + "annotation-projects/", (401, 422, 422, 422, 422, 422)),
        Row("GET", a_project, team),
        Row("PATCH", a_project, team),
        Row("POST", a_project + "queue/", (401, 422, 422, 404, 404, 422)),
        Row("POST", a_project + "labels/", (401, 422, 422, 422, 422, 422)),
        Row("POST", a_project + "status/", (401, 422, 422, 422, 422, 422)),
        Row("POST", a_project + "claim/", team),
        Row("POST", a_project + "ahead/", team),
        Row("POST", a_project + "notebook/", (401, 422, 422, 422, 422, 422)),
        Row("GET", a_project + "rules/", team),
        Row("POST", a_project + "rules/preview/", (401, 422, 422, 404, 404, 422)),
        Row("POST", a_project + "rules/1/", (401, 422, 422, 422, 422, 422)),
        Row("GET", a_project + "bulks/", team),
        Row("GET", a_project + "transfers/", team),
        Row("POST", a_project + "transfers/", (401, 422, 422, 404, 404, 422)),
        Row("GET", a_project + "transfers/1/file/", (401, 404, 404, 404, 404, 404)),
        Row("GET", a_project + "quality/", team),
        Row("POST", a_project + "accept/", team),
        Row("POST", a_project + "export/", (401, 409, 409, 404, 404, 409)),
        Row("POST", a_project + "retrain/", (401, 409, 403, 404, 404, 409)),
        Row("GET", A + "feedback-receipts/", everybody),
        Row("POST", A + "feedback-receipts/1/ask/", (401, 404, 404, 404, 404, 404)),
        Row("GET", A + "retraining-rules/", everybody),
        Row("PUT", A + "retraining-rules/digits/", (401, 200, 403, 403, 404, 200), {"project": project}),
        Row("GET", A + "retraining-rules/digits/", (401, 200, 200, 200, 404, 200)),
        Row("GET", A + "retraining-rules/digits/decisions/", (401, 200, 200, 200, 404, 200)),
        Row("GET", A + "tasks/", everybody),
        Row("GET", a_task, team),
        Row("POST", a_task + "review/", (401, 403, 403, 404, 404, 403)),
        Row("POST", a_task + "ask/", (401, 403, 403, 404, 404, 403)),
        Row("GET", a_task + "decisions/", team),
        Row("POST", a_task + "undo/", (401, 409, 409, 404, 404, 409)),
        Row("POST", a_task + "heartbeat/", (401, 422, 422, 422, 422, 422)),
        Row("POST", a_task + "release/", (401, 422, 422, 422, 422, 422)),
        Row("GET", A + "annotations/", everybody),
        Row("POST", A + "annotations/", (401, 422, 422, 422, 422, 422)),
        Row("GET", A + "annotations/1/", (401, 404, 404, 404, 404, 404)),
    ]


def test_each_address_lets_in_whom_it_should(project, tasks, ada, bo, ole, cy, root):
    people = dict(zip(PEOPLE, (None, ada, bo, ole, cy, root), strict=True))
    assert differences(rows_of_the_table(project.pk, tasks[0].pk), people) == {}


def test_the_table_names_every_address():
    from apps.annotation import api_urls

    assert uncovered(api_urls.urlpatterns, rows_of_the_table(1, 1)) == set()
