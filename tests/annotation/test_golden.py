"""Golden tasks: made of what all agreed on, mixed in unseen, their answers count, and they rest on drift."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone, translation

from apps.accounts.models import Role
from apps.annotation import golden, queue
from apps.annotation.claims import claim_next, take_back
from apps.annotation.models import Annotation, Golden, Slot, Task
from apps.annotation.reliability import reliability
from apps.annotation.services import review, submit
from apps.requests.models import Notification
from tests.annotation.conftest import make_task
from tests.annotation.test_label import say
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(project, ada, ann, abe):
    """A golden task whose label is 3, labelled by Ann and Abe."""
    queue.change_queue(project, by=ada, order="priority", golden_every=2)
    task = make_task(project, 50)
    for person in (ann, abe):
        say(project, person, "3")
    review(task, by=ada, label="3")
    golden.keep_all()
    # The database's clock stands still within a test's transaction.
    Annotation.objects.update(at=timezone.now() - timedelta(hours=2))
    Golden.objects.update(made_at=timezone.now() - timedelta(hours=1))
    return Golden.objects.get(task=task)


def answer(project, person, label):
    """Claim until the golden task comes, and answer it."""
    for _number in range(60):
        slot = claim_next(project, by=person)
        if slot is not None:
            return submit(slot, slot.token, by=person, label=label)
    raise AssertionError("no golden task came")


def test_only_what_all_agreed_on_becomes_golden(project, made, tasks, ada, ann, abe):
    for person, label in ((ann, "3"), (abe, "8")):
        say(project, person, label)
    review(Task.objects.get(status="conflict"), by=ada, label="3")

    assert golden.top_up(project) == 0


def test_a_golden_task_comes_to_those_who_have_not_seen_it_and_looks_like_any_other(
    project, made, bo, ann, client
):
    assert all(claim_next(project, by=ann) is None for _number in range(20))
    client.force_login(bo)
    told = {}
    for _number in range(60):
        answered = client.post(f"/api/v1/annotation-projects/{project.pk}/claim/")
        if answered.status_code == 200:
            told = answered.json()
            break

    assert told["task"]["id"] == made.task_id
    assert (told["task"]["status"], told["task"]["label"], told["task"]["value"]) == ("open", "", None)


def test_its_answer_is_told_only_to_those_who_cannot_be_asked_any_more(
    project, made, ada, ann, bo, radio, client
):
    answer(project, bo, "8")
    new = make_user("new", team=radio, role=Role.ANNOTATOR)
    bo.memberships.update(role=Role.ANNOTATOR)
    seen = {}
    for person in (ada, ann, new, bo):
        client.force_login(person)
        accepted = client.get("/api/v1/tasks/", {"project": project.pk, "status": "accepted"}).json()[
            "results"
        ]
        listed = client.get(f"/annotation/{project.pk}/?status=accepted").context["tasks"]
        one = client.get(f"/api/v1/tasks/{made.task_id}/").json()
        page = client.get(f"/annotation/tasks/{made.task_id}/").context["task"]
        assert len(accepted) == len(listed) == (one["status"] == "accepted")
        assert (page.status, page.label) == (one["status"], one["label"])
        seen[person] = (one["status"], one["label"], one["closed_at"] is None)

    told, hidden = ("accepted", "3", False), ("open", "", True)
    assert seen == {ada: told, ann: told, new: hidden, bo: hidden}


def test_the_next_claim_goes_on_where_the_person_was(project, made, tasks, bo):
    first = say(project, bo, "3")
    for _number in range(60):
        slot = claim_next(project, by=bo)
        if slot is None or slot.number >= 1000:
            break
        submit(slot, slot.token, by=bo, label="3")

    assert Slot.objects.filter(user=bo, number__gte=1000).count() <= 1
    assert first.pk in {task.pk for task in tasks} | {made.task_id}


def test_its_answers_show_how_often_a_person_is_right_and_count_in_their_reliability(project, made, bo):
    answer(project, bo, "8")

    found = golden.results_of(project)["bo"]
    assert (found.value, found.n) == (0, 1)
    assert Task.objects.get(pk=made.task_id).label == "3"
    votes = [(item, person, "a") for item in range(8) for person in ("one", "two")]
    assert reliability(votes, dict.fromkeys(range(8), "a")).people["one"] > 0.9
    mixed = [
        *votes,
        *((item, "two", "b") for item in range(8, 16)),
        *((item, "one", "a") for item in range(8, 16)),
    ]
    trusted = reliability(mixed, dict.fromkeys(range(16), "a")).people
    assert trusted["one"] > trusted["two"]


def test_an_answer_to_it_can_be_taken_back_and_an_old_vote_cannot(project, made, ann, bo):
    answer(project, bo, "8")

    assert take_back(made.task, by=bo) is not None
    assert take_back(made.task, by=ann) is None
    assert Annotation.objects.filter(task=made.task).count() == 2


def test_one_that_most_people_answer_otherwise_rests(project, made, radio, ada, compiled_messages):
    type(ada).objects.update(language="zh-hans")
    for number in range(golden.FEWEST_ANSWERS):
        person = make_user(f"p{number}", team=radio, role="annotator")
        Annotation.objects.create(task=made.task, user=person, label="8")

    golden.keep_all()

    made.refresh_from_db()
    assert made.retired_at is not None
    assert "answered otherwise" in made.reason
    with translation.override("zh-hans"):
        assert made.why == "4 人中有 4 人给出了不同的答案。"
    assert Notification.objects.get(user=ada).body == "4 人中有 4 人给出了不同的答案。"
    assert all(
        claim_next(project, by=make_user(f"q{n}", team=radio, role="annotator")) is None for n in range(5)
    )
