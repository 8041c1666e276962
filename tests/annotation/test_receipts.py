"""Feedback has a receipt at every step, for those who may see the call."""

from __future__ import annotations

import pytest

from apps.annotation import pulling
from apps.annotation.labelled import export_labels
from apps.annotation.models import Retraining, Task
from apps.annotation.receipts import receipts
from apps.annotation.services import add_rule, review
from apps.compute.models import Job
from apps.gateway.models import Outcome
from tests.annotation.test_label import say
from tests.annotation.test_pull import complain, logged  # noqa: F401 - a fixture
from tests.factories import make_packaged_version

pytestmark = pytest.mark.django_db


def test_a_complaint_is_followed_to_the_model_that_learnt_it(project, logged, ada, ann, abe, bo, client):  # noqa: F811
    first, same = logged([1.0, 2.0]), logged([1.0, 2.0])
    complain(first)
    complain(same)
    states = []

    def look():
        found = receipts(list(Outcome.objects.filter(kind="feedback")))
        states.append(found[0].state)
        assert found[0].steps == found[1].steps
        return found[0].steps

    look()
    pulling.pull(add_rule(project, by=ada, kind="complained"))
    look()
    for person in (ann, abe):
        say(project, person, "8")
    review(Task.objects.get(), by=bo, label="8")
    look()
    data = export_labels(project, by=bo)
    look()
    version = make_packaged_version(project.capability, ada, "1.1.0")
    job = Job.objects.create(
        kind="training", title="t", team=project.team, created_by=ada, argv=["x"], status=Job.Status.SUCCEEDED
    )
    Retraining.objects.create(
        capability=project.capability,
        origin=version,
        dataset_version=data,
        job=job,
        version=version,
        started_by=ada,
    )
    steps = look()

    assert states == ["received", "looked_at", "accepted", "in_data", "in_model"]
    assert steps[-1] == "in model 1.1.0"
    client.force_login(ada)
    assert "in model 1.1.0" in client.get("/feedback/").content.decode()
    assert client.get("/api/v1/feedback-receipts/").json()["results"][0]["state"] == "in_model"


def test_nobody_sees_the_receipts_of_others(project, logged, cy, client):  # noqa: F811
    complain(logged([1.0, 2.0]))
    client.force_login(cy)

    assert client.get("/api/v1/feedback-receipts/").json()["results"] == []
    assert client.get("/feedback/").status_code == 200
