"""The short way of claim and submit says and keeps what the ordinary one does, and leaves every doubt to it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import PersonalToken
from apps.accounts.services import create_token, live_token
from apps.annotation import quick
from apps.annotation.models import Annotation, Project, Slot, Task

pytestmark = pytest.mark.django_db
A = "/api/v1/"


@pytest.fixture
def client_of():
    """A client with a token that was used a moment ago."""

    def open_as(person):
        secret = create_token(person, "test", by=person)[1]
        live_token(secret)
        return Client(headers={"Authorization": f"Bearer {secret}"})

    return open_as


@pytest.fixture
def ways(monkeypatch):
    """Which answers came by the short way."""
    taken = []

    def noted(name):
        function = getattr(quick, name)

        def call(*args, **kwargs):
            answer = function(*args, **kwargs)
            taken.append((name, answer is not None))
            return answer

        return call

    from apps.annotation import api_urls

    for pattern in api_urls.urlpatterns:
        view = pattern.callback
        if getattr(view, "__wrapped__", None) and "either" in view.__code__.co_name:
            name = "say" if "annotations" in str(pattern.pattern) else "claim"
            monkeypatch.setattr(pattern, "callback", quick.first(view.__wrapped__, noted(name)))
    return taken


def claim(client, project):
    return client.post(f"{A}annotation-projects/{project.pk}/claim/", "{}", "application/json")


def say(client, place, **told):
    body = {"slot": place["slot"], "token": place["token"], **told}
    return client.post(A + "annotations/", json.dumps(body), "application/json")


def test_both_ways_answer_alike(project, tasks, ann, client_of):
    client = client_of(ann)
    short = claim(client, project)
    PersonalToken.objects.update(last_used_at=None)
    long = claim(client, project)
    live_token_again = claim(client, project)

    assert short.json() == long.json() == live_token_again.json()
    said = say(client, short.json(), label="3", comment=" odd ", seconds=4)
    stored = client.get(f"{A}annotations/{said.json()['id']}/").json()
    assert said.status_code == 201
    assert said.json() == stored
    assert (stored["comment"], stored["label"], stored["extra"]) == ("odd", "3", False)


def test_the_last_place_settles_the_task(project, tasks, ann, abe, client_of):
    for person in (ann, abe):
        client = client_of(person)
        say(client, claim(client, project).json(), label="8")

    assert Task.objects.get(pk=tasks[0].pk).status == "agreed"
    assert Task.objects.get(pk=tasks[0].pk).value == "8"


def test_twice_is_a_conflict_and_changes_nothing(project, tasks, ann, client_of):
    client = client_of(ann)
    place = claim(client, project).json()

    assert [say(client, place, label=label).status_code for label in "38"] == [201, 409]
    assert Annotation.objects.get().label == "3"


def test_a_late_label_is_one_more_vote(project, tasks, ann, bo, client_of):
    client = client_of(ann)
    place = claim(client, project).json()
    Slot.objects.update(leased_until=timezone.now() - timedelta(minutes=5))
    claim(client_of(bo), project)

    assert say(client, place, label="8").json()["extra"] is True
    assert Slot.objects.get(pk=place["slot"]).user == bo


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda: PersonalToken.objects.update(revoked_at=timezone.now()), 401),
        (lambda: PersonalToken.objects.update(expires_at=timezone.now() - timedelta(days=1)), 401),
        (lambda: PersonalToken.objects.all()[0].user.memberships.all().delete(), 404),
        (lambda: Project.objects.update(status="paused"), 403),
    ],
)
def test_what_is_not_allowed_is_refused_on_both_addresses(project, tasks, ann, client_of, change, status):
    client = client_of(ann)
    place = claim(client, project).json()
    change()

    assert claim(client, project).status_code == status
    assert say(client, place, label="3").status_code in (status, 403)
    assert not Annotation.objects.exists()


@pytest.mark.parametrize(
    "told", [{"label": "9"}, {}, {"label": ["3"]}, {"label": "3", "seconds": "x"}, {"label": "3", "slot": -1}]
)
def test_what_does_not_fit_is_refused_in_words(project, tasks, ann, client_of, told):
    client = client_of(ann)
    answer = say(client, claim(client, project).json(), **told)

    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_a_good_request_takes_the_short_way(project, tasks, ann, client_of, ways):
    client = client_of(ann)
    say(client, claim(client, project).json(), label="3")

    assert ways == [("claim", True), ("say", True)]


def test_a_label_that_settles_its_task_costs_few_statements(project, tasks, ann, abe, client_of):
    first = client_of(ann)
    say(first, claim(first, project).json(), label="8")
    client = client_of(abe)
    with CaptureQueriesContext(connection) as claimed:
        place = claim(client, project).json()
    with CaptureQueriesContext(connection) as said:
        say(client, place, label="8")

    assert Task.objects.get(pk=place["task"]["id"]).status == "agreed"
    assert len(claimed) == 1
    # Who says it, the label, its task, the audit log; and the transaction, a savepoint of the test's.
    assert len(said) == 6


def test_only_labels_wait_for_the_disk(project, tasks, ann, client_of):
    def waits():
        with connection.cursor() as cursor:
            cursor.execute("SELECT source <> 'session' FROM pg_settings WHERE name = 'synchronous_commit'")
            return cursor.fetchone()[0]

    client = client_of(ann)
    with transaction.atomic():  # what is set for a transaction ends with it
        place = claim(client, project).json()
        assert not waits()
        transaction.set_rollback(True)
    assert waits()

    say(client, place, label="3")
    assert waits()
