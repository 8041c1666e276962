"""What a project's page changes while people label, its end, and the tasks that people flagged."""

from __future__ import annotations

import pytest

from apps.annotation import pulling
from apps.annotation.claims import claim_next
from apps.annotation.models import Project, Task
from apps.annotation.services import add_rule, review, submit
from apps.core.models import AuditEntry

pytestmark = pytest.mark.django_db


def said(project, person, *, flagged=False):
    slot = claim_next(project, by=person)
    submit(slot, slot.token, by=person, label="3", flagged=flagged)
    return slot.task


@pytest.fixture
def agreed(project, tasks, ann, abe):
    """Three tasks on which both agree; Ann flagged the first one."""
    flagged = said(project, ann, flagged=True)
    for person in (ann, ann, abe, abe, abe):
        said(project, person)
    return flagged


def test_texts_and_what_annotators_see_change_on_the_page(project, ada, client):
    client.force_login(ada)
    address = f"/annotation/{project.pk}/settings/"
    assert 'value="Which digit?"' in client.get(address).content.decode()

    told = {"name": "Hard ones", "question": "Which?", "guideline": "A seven has a bar.", "blind": "on"}
    assert client.post(address, told).status_code == 302

    project.refresh_from_db()
    assert (project.name, project.question, project.guideline) == (
        "Hard ones",
        "Which?",
        "A seven has a bar.",
    )
    assert (project.blind, project.near) == (True, False)
    assert AuditEntry.objects.filter(action="annotation.project.changed").count() == 1


def test_a_project_needs_a_name_and_a_question(project, ada, client):
    client.force_login(ada)
    answer = client.post(f"/annotation/{project.pk}/settings/", {"name": "", "question": ""})

    assert answer.status_code == 422
    assert Project.objects.get().name == "Complaints"


def test_a_closed_project_pulls_nothing_and_opens_again(project, tasks, ada, ann, client):
    add_rule(project, by=ada, kind="random")
    client.force_login(ada)
    page = f"/annotation/{project.pk}/"
    assert "Close this project?" in client.get(f"{page}settings/").content.decode()

    client.post(f"{page}status/", {"status": "closed"})
    pulling.pull_due()

    project.refresh_from_db()
    assert (project.status, project.rules.get().pulled_at) == ("closed", None)
    assert "Close this project?" not in client.get(f"{page}settings/").content.decode()
    client.post(f"{page}status/", {"status": "open"})
    assert claim_next(Project.objects.get(), by=ann) is not None


def test_what_was_flagged_is_left_when_everything_is_accepted(project, agreed, ada, client):
    client.force_login(ada)
    page = client.post(f"/annotation/{project.pk}/accept/", follow=True).content.decode()

    assert "2 labels were accepted." in page
    assert "1 flagged task is left" in page
    assert Task.objects.get(status="agreed") == agreed
    again = client.post(f"/api/v1/annotation-projects/{project.pk}/accept/").json()
    assert (again["status"], again["done"], again["flagged"]) == ("done", 0, 1)
    review(agreed, by=ada, label="3")
    again = client.post(f"/api/v1/annotation-projects/{project.pk}/accept/").json()
    assert (again["done"], again["flagged"]) == (0, 0)


def test_flagged_tasks_are_marked_and_found_by_who_may_know(project, agreed, ada, abe, client):
    page, api = f"/annotation/{project.pk}/?flagged=1", f"/api/v1/tasks/?project={project.pk}&flagged=true"
    client.force_login(ada)
    content = client.get(page).content.decode()
    assert content.count('class="visually-hidden">flagged') == 1
    assert [row["id"] for row in client.get(api).json()["results"]] == [agreed.pk]

    client.force_login(abe)
    assert client.get(api).json()["results"] == []
    assert "flagged</span>" not in client.get(page).content.decode()
