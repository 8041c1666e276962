"""The next task is held while the present one is looked at, and nobody loses anything by it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.annotation import golden, queue
from apps.annotation.claims import claim_ahead, claim_next, extend, held, release, take_up
from apps.annotation.models import Annotation, Project, Slot, Task
from apps.annotation.services import review, submit
from tests.annotation.conftest import make_task
from tests.annotation.test_label import say

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def test_who_is_at_a_task_holds_one_more_and_goes_on_with_it(project, tasks, ann):
    assert claim_ahead(project, by=ann) is None
    at = claim_next(project, by=ann)
    place = claim_ahead(project, by=ann)

    assert place.task_id != at.task_id
    assert claim_ahead(project, by=ann) == place
    assert claim_next(project, by=ann) == held(project, by=ann) == at
    submit(at, at.token, by=ann, label="3")
    assert take_up(place.pk, place.token, by=ann)
    assert claim_next(project, by=ann) == held(project, by=ann) == place
    assert not take_up(place.pk, place.token, by=ann)


def test_a_claim_goes_on_with_the_place_held_ahead(project, tasks, ann):
    at = claim_next(project, by=ann)
    place = claim_ahead(project, by=ann)
    submit(at, at.token, by=ann, label="3")

    assert claim_next(project, by=ann) == place
    assert not Slot.objects.get(pk=place.pk).ahead


def test_a_place_held_ahead_yields_to_who_would_go_empty_handed(project, ann, abe, bo):
    Project.objects.update(overlap=1)
    project.overlap = 1
    for number in range(2):
        make_task(project, number)
    at, place = claim_next(project, by=ann), claim_ahead(project, by=ann)

    taken = claim_next(project, by=abe)

    assert (taken, taken.user) == (place, abe)
    assert claim_ahead(project, by=abe) is None
    assert claim_next(project, by=bo) is None
    submit(at, at.token, by=ann, label="3")
    assert not take_up(place.pk, place.token, by=ann)
    assert claim_next(project, by=ann) is None
    say(project, abe, "8")
    assert list(Annotation.objects.order_by("pk").values_list("user__username", "extra")) == [
        ("ann", False),
        ("abe", False),
    ]


def test_it_is_given_back_when_the_page_is_left_and_lasts_as_long_as_the_page(project, tasks, ann):
    at, place = claim_next(project, by=ann), claim_ahead(project, by=ann)
    Slot.objects.update(leased_until=timezone.now() + timedelta(seconds=5))

    assert extend(at.pk, at.token, by=ann)
    assert Slot.objects.get(pk=place.pk).leased_until > timezone.now() + timedelta(minutes=4)
    release(at.pk, at.token, by=ann, only_ahead=True)
    release(place.pk, place.token, by=ann, only_ahead=True)

    assert held(project, by=ann) == at
    assert Slot.objects.get(pk=place.pk).status == "open"


def test_a_golden_task_is_met_ahead_too(project, ada, ann, abe, bo):
    queue.change_queue(project, by=ada, order="priority", golden_every=2)
    task = make_task(project, 50)
    for person in (ann, abe):
        say(project, person, "3")
    review(task, by=ada, label="3")
    golden.keep_all()
    make_task(project, 1)
    claim = claim_next(project, by=bo)
    while claim.number >= 1000:
        Slot.objects.filter(pk=claim.pk).delete()
        claim = claim_next(project, by=bo)

    found = next(filter(None, (claim_ahead(project, by=bo) for _number in range(60))))

    assert (found.task, found.ahead, found.number >= 1000) == (task, True, True)
    assert claim_next(project, by=bo) == claim


def test_an_answer_and_the_place_that_follows_are_written_at_once_and_last(project, tasks, ann, client):
    client.force_login(ann)
    at = claim_next(project, by=ann)
    client.post(f"/annotation/{project.pk}/ahead/")
    place = Slot.objects.get(ahead=True)
    told = {"label": "3", "token": at.token, "ahead": place.pk, "ahead_token": place.token}

    with CaptureQueriesContext(connection) as asked:
        client.post(f"/annotation/{project.pk}/slots/{at.pk}/", told, headers=HTMX)

    # The transaction of both, a savepoint of the test's: nothing is read after it before the next task is shown.
    assert [query["sql"].split()[0] for query in asked][-2:] == ["UPDATE", "RELEASE"]
    assert Slot.objects.get(pk=place.pk).ahead is False


_WAITS_FOR_ME = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))"


@pytest.mark.django_db(transaction=True)
def test_an_answer_comes_through_while_the_queue_is_put_in_order(project, tasks, ann, client):
    client.force_login(ann)
    at = claim_next(project, by=ann)
    place = claim_ahead(project, by=ann)
    told = {"label": "3", "token": at.token, "ahead": place.pk, "ahead_token": place.token}
    Task.objects.update(priority=7)

    def answer():
        try:
            return client.post(f"/annotation/{project.pk}/slots/{at.pk}/", told, headers=HTMX)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic(), connection.cursor() as cursor:
            queue.put_in_order(
                project, [place.task_id]
            )  # as far as the place held ahead, as one statement may come
            said, held_up = thread.submit(answer), False
            while not held_up and not wait([said], timeout=0.05).done:
                cursor.execute(_WAITS_FOR_ME)
                held_up = cursor.fetchone()[0]
            queue.put_in_order(project)
        shown = said.result()

    assert (shown.status_code, "X-Next" in shown.headers) == (200, False)
    assert Annotation.objects.get().task_id == at.task_id
    assert held(project, by=ann) == place
    assert set(Slot.objects.exclude(pk=at.pk).values_list("priority", flat=True)) == {7}


def test_the_page_shows_what_it_holds_and_is_told_when_that_is_lost(project, tasks, ann, client):
    client.force_login(ann)
    at = claim_next(project, by=ann)
    fragment = client.post(f"/annotation/{project.pk}/ahead/").content.decode()
    place = Slot.objects.get(ahead=True)
    told = {"label": "3", "token": at.token, "ahead": place.pk, "ahead_token": place.token}

    shown = client.post(f"/annotation/{project.pk}/slots/{at.pk}/", told, headers=HTMX)

    assert f"/annotation/{project.pk}/slots/{place.pk}/" in fragment
    assert shown.headers["X-Next"] == "ahead"
    assert f"/annotation/{project.pk}/undo/{at.task_id}/" in shown.content.decode()
    client.post(f"/annotation/{project.pk}/ahead/")
    lost = Slot.objects.get(ahead=True)
    client.post(f"/annotation/{project.pk}/slots/{lost.pk}/let-go/", {"token": lost.token})
    told = {"label": "3", "token": place.token, "ahead": lost.pk, "ahead_token": lost.token}
    next_one = client.post(f"/annotation/{project.pk}/slots/{place.pk}/", told, headers=HTMX)
    assert "X-Next" not in next_one.headers
    assert 'id="task"' in next_one.content.decode()


def test_nobody_is_handed_more_than_their_share(project, tasks, ada, ann, client):
    queue.change_queue(project, by=ada, order="priority", per_person=1)
    client.force_login(ann)
    at = claim_next(project, by=ann)

    assert client.post(f"/annotation/{project.pk}/ahead/").status_code == 204
    done = client.post(
        f"/annotation/{project.pk}/slots/{at.pk}/", {"label": "3", "token": at.token}, headers=HTMX
    )
    assert "You have done your share" in done.content.decode()
    assert held(project, by=ann) is None
