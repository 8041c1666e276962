"""A call's page leads to the tasks that stand for it and to the data that hold its label."""

from uuid import UUID

import pytest

from apps.annotation import pulling
from apps.annotation.labelled import export_labels
from apps.annotation.models import Task
from apps.annotation.services import add_rule, review
from apps.gateway.dataplane.call import new_id
from tests.annotation.test_label import say
from tests.annotation.test_pull import complain, logged  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db


def test_a_call_knows_its_task_and_its_data_set_version(project, logged, ada, ann, abe, bo, client):  # noqa: F811
    first, same = (logged([1.0, 2.0], request_id=UUID(new_id())) for _number in range(2))
    for call in (first, same):
        complain(call)
    pulling.pull(add_rule(project, by=ada, kind="complained"))
    for person in (ann, abe):
        say(project, person, "8")
    task = Task.objects.get()
    review(task, by=bo, label="8")
    version = export_labels(project, by=bo)
    client.force_login(ada)

    for call in (first, same):
        page = client.get(f"/calls/{call.request_id}/").content.decode()
        assert f"Task {task.pk} of “Complaints”: Accepted, 8" in page
        assert f"/annotation/tasks/{task.pk}/" in page
        assert str(version) in page


def test_whoever_may_still_be_asked_is_not_told_the_answer(project, logged, ada, ann, bo, client):  # noqa: F811
    call = logged([1.0, 2.0], request_id=UUID(new_id()))
    complain(call)
    pulling.pull(add_rule(project, by=ada, kind="complained"))
    Task.objects.update(status="accepted", label="8")
    client.force_login(ann)

    page = client.get(f"/calls/{call.request_id}/").content.decode()

    assert "of “Complaints”: Open" in page
    assert "Accepted" not in page
