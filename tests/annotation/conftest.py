"""A project of Ada's on digits, with three tasks for two people each; Ann and Abe label."""

import uuid

import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.annotation.models import Draw, Slot, Task
from apps.annotation.services import create_project
from apps.datasets.services import create_version
from tests.factories import make_capability, make_dataset, make_user, put_files


@pytest.fixture
def ann(radio):
    return make_user("ann", team=radio, role=Role.ANNOTATOR)


@pytest.fixture
def abe(radio):
    return make_user("abe", team=radio, role=Role.ANNOTATOR)


@pytest.fixture
def project(radio, ada):
    dataset = make_dataset(radio, ada)
    create_version(dataset, put_files({"rows.csv": b"x,y,digit,split\n1,2,3,train\n4,5,6,test\n"}), by=ada)
    return create_project(
        make_capability(radio, ada, "digits"),
        by=ada,
        name="Complaints",
        question="Which digit?",
        show="row",
        labels=["3", "8"],
        dataset=dataset,
        target="digit",
        overlap=2,
    )


@pytest.fixture
def tasks(project):
    return [make_task(project, number) for number in range(3)]


def make_task(project, number):
    task = Task.objects.create(
        project=project,
        request_id=uuid.uuid4(),
        called_at=timezone.now(),
        inputs={"features": [number, number + 1]},
        predicted="3",
        reason="A caller said that the answer was wrong.",
        fingerprint=f"{number:064d}",
    )
    Slot.objects.bulk_create(Slot(task=task, project=project, number=n) for n in range(project.overlap))
    return task


def make_draw(task, **facts):
    """A random control drew this task's call."""
    told = {
        "project": task.project, "task": task, "request_id": task.request_id, "called_at": task.called_at,
        "version": "1.0.0", "predicted": task.predicted, "probability": 1.0,
    }  # fmt: skip
    return Draw.objects.create(**(told | facts))
