"""How right production is, by version, site and slice, from labels and from complaints."""

from __future__ import annotations

import pytest
from django.utils import timezone

from apps.annotation.live import live_quality
from apps.annotation.models import Task
from apps.gateway.models import Usage
from apps.gateway.services import create_grant
from tests.annotation.conftest import make_draw, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def drawn(project):
    """Four labelled draws: version 1 wrong at the east, version 2 right; the rare kind was drawn ten times as often."""
    facts = [("1.0", "east", "8", 1.0), ("1.0", "", "3", 0.1), ("2.0", "", "3", 0.1), ("2.0", "", "3", 1.0)]
    for number, (version, site, label, chance) in enumerate(facts):
        task = make_task(project, number)
        Task.objects.filter(pk=task.pk).update(status="accepted", label=label)
        make_draw(task, version=version, site=site, probability=chance, slices={"urgent": number == 0})


def test_labels_count_by_version_site_and_slice_with_their_weight(project, drawn):
    found = {(group.dimension, group.name): group.accuracy for group in live_quality(project)}

    assert found["Version", "1.0"].value == pytest.approx(10 / 11)
    assert found["Version", "2.0"].value == 1
    assert found["Site", "east"].value == 0
    assert found["urgent", "True"].n == 1
    assert found["Version", "2.0"].low < 0.9


def test_complaints_are_a_share_of_all_calls_that_people_made(project, drawn, ada, client):
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    own, _key = create_grant(kind="evaluation", capability=project.capability, by=None)
    for grant, count in ((own.pk + 1, 400), (own.pk, 10_000)):
        Usage.objects.create(
            grant_id=grant, capability_id=project.capability_id, deployment_id=7, version="2.0", hour=hour,
            outcome="", count=count, ms=1.0, histogram=[0],
        )  # fmt: skip

    group = next(found for found in live_quality(project) if found.name == "2.0")

    assert (group.calls, group.complained.value) == (400, 0)
    assert 0 < group.complained.high < 0.02
    client.force_login(ada)
    assert "Right in production" in client.get(f"/annotation/{project.pk}/quality/").content.decode()
    told = client.get(f"/api/v1/annotation-projects/{project.pk}/quality/").json()["live"]
    assert {row["dimension"] for row in told} == {"Version", "Site", "The model's answer", "urgent"}
