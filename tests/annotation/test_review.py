"""Review: accept, fix, leave out, ask one more person; every decision is kept; webhooks hear of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.annotation import announcing
from apps.annotation.adding import add_tasks
from apps.annotation.labelled import export_labels
from apps.annotation.models import Annotation, Decision, Project, Task
from apps.annotation.services import ask_another, review
from apps.core import events
from apps.core.errors import Conflict, NotAllowed
from apps.core.models import Event
from apps.datasets import announcing as datasets
from apps.requests.models import Delivery, Webhook
from apps.requests.webhooks import create_webhook
from tests.annotation.test_label import say
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def conflict(project, tasks, ann, abe):
    say(project, ann, "3")
    return say(project, abe, "8")


def test_each_decision_is_kept_with_its_comment(conflict, ada):
    review(conflict, by=ada, label="8", comment="Two loops.")
    review(conflict, by=ada, label="3", comment="No: one.")
    review(conflict, by=ada, leave_out=True)

    told = list(Decision.objects.order_by("pk").values_list("what", "label", "comment"))
    assert told == [("fixed", "8", "Two loops."), ("fixed", "3", "No: one."), ("left_out", "", "")]


def test_what_all_said_is_accepted_not_fixed(project, tasks, ada, ann, abe):
    for person in (ann, abe):
        task = say(project, person, "3")
    review(task, by=ada, label="3")

    assert Decision.objects.get().what == "accepted"


def test_one_more_person_is_asked_and_it_comes_back(project, conflict, ada, ann, bo):
    ask_another(conflict, by=ada, comment="Unclear.")
    assert Task.objects.get(pk=conflict.pk).status == "open"

    assert say(project, bo, "3").pk == conflict.pk
    assert Task.objects.get(pk=conflict.pk).status == "conflict"
    assert Task.objects.get(pk=conflict.pk).label == "3"
    with pytest.raises(NotAllowed):
        ask_another(conflict, by=ann)


def test_what_is_in_a_data_set_is_not_decided_anew(project, conflict, ada):
    review(conflict, by=ada, label="3")
    export_labels(project, by=ada)

    with pytest.raises(Conflict, match="does not change"):
        review(conflict, by=ada, label="8")


def test_disagreements_are_decided_one_after_the_other(project, conflict, ada, ann, client):
    client.force_login(ada)
    address = f"/annotation/{project.pk}/adjudicate/"

    first = client.get(address)
    page = client.get(first.url).content.decode()
    asked = client.post(first.url, {"ask": "1", "review_comment": "Look again."})

    assert first.url == f"/annotation/tasks/{conflict.pk}/"
    assert "1 disagreement" in page
    assert asked.url == address
    assert client.get(address).url == f"/annotation/{project.pk}/"
    told = client.get(f"/api/v1/tasks/{conflict.pk}/decisions/").json()
    assert [(row["what"], row["comment"], row["by"]) for row in told] == [("asked", "Look again.", "ada")]
    client.force_login(ann)
    assert client.get(address).status_code == 403
    assert client.get(f"/api/v1/tasks/{conflict.pk}/decisions/").status_code == 403
    assert client.post(f"/api/v1/tasks/{conflict.pk}/ask/").status_code == 403


def test_answers_that_differ_in_place_only_can_be_told_apart(project, tasks, ada, ann, abe, client):
    Project.objects.update(
        kind="spans", show="text", labels=[{"value": "cell", "title": "cell", "hotkey": "1"}]
    )
    Task.objects.update(inputs={"text": "Cells 4711 and 0812 lost power."})
    task = Task.objects.get(pk=tasks[0].pk)
    for person, start in ((ann, 6), (abe, 15)):
        place = [{"start": start, "end": start + 4, "label": "cell"}]
        Annotation.objects.create(task=task, user=person, label="1 × cell", value=place)
    Task.objects.filter(pk=task.pk).update(status="conflict")
    client.force_login(ada)

    page = client.get(f"/annotation/tasks/{task.pk}/").content.decode()

    assert "cell: “4711” (6–10)" in page
    assert "cell: “0812” (15–19)" in page


def test_webhooks_hear_of_tasks_labels_decisions_and_data_set_versions_once(project, radio, ada, ann, abe):
    Event.objects.all().delete()  # of what the fixtures made
    wanted = ["task.added", "annotation.created", "task.decided", "dataset.version"]
    create_webhook(radio, "https://example.org/hook", wanted, by=ada)
    Webhook.objects.update(created_at=timezone.now() - timedelta(minutes=1))  # a test's clock stands still
    add_tasks(project, [{"inputs": {"features": [1, 2]}}], by=ada)
    for person in (ann, abe):
        task = say(project, person, "3")
    review(task, by=ada, label="3")
    export_labels(project, by=ada)

    for _number in range(2):
        announcing.tell_all()
        for pk in Event.objects.values_list("pk", flat=True):
            events.deliver(pk)

    told = sorted(Delivery.objects.values_list("event", flat=True))
    assert told == [
        "annotation.created",
        "annotation.created",
        "dataset.version",
        "task.added",
        "task.decided",
    ]
    label = Delivery.objects.filter(event="annotation.created").first().payload["data"]
    assert (label["task"], label["label"], label["user"]) == (task.pk, "3", "ann")
    examples = announcing.EXAMPLES | {datasets.VERSION: datasets.EXAMPLE}
    for message in Delivery.objects.all():
        example = examples[message.event]
        assert {name: type(value) for name, value in message.payload["data"].items()} == {
            name: type(value) for name, value in example.items()
        }


def test_peers_and_what_was_decided_stay_hidden_from_who_has_not_answered(
    project, conflict, ada, radio, client
):
    new = make_user("new", team=radio, role=Role.ANNOTATOR)
    review(conflict, by=ada, label="8", comment="Two loops.")
    version = export_labels(project, by=ada)
    client.force_login(new)

    one = client.get(f"/api/v1/tasks/{conflict.pk}/").json()
    page = client.get(f"/annotation/tasks/{conflict.pk}/").content.decode()
    listed = client.get("/api/v1/tasks/", {"project": project.pk, "status": "open"}).json()["results"]

    assert (one["status"], one["label"], one["value"], one["dataset_version"]) == ("open", "", None, None)
    assert len(listed) == 3
    hidden = ("Two loops.", ">abe<", ">ann<", "Accepted", str(version))
    assert not [words for words in hidden if words in page]
    assert client.get("/api/v1/annotations/", {"task": conflict.pk}).json()["results"] == []
