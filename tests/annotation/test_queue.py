"""Order, shares, assignment, reliability, and an end when the purpose is reached."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from django.core.management import call_command
from django.db import connection

from apps.accounts.models import User
from apps.annotation import queue
from apps.annotation.agreement import by_label, by_pair
from apps.annotation.claims import claim_next
from apps.annotation.models import Project, Slot, Task
from apps.annotation.policy import may_label
from apps.annotation.reliability import reliability
from apps.annotation.selectors import decision_of
from apps.annotation.weighing import propose_all, weigh
from apps.core.errors import Invalid
from apps.requests.models import Notification
from tests.annotation.conftest import make_draw, make_task
from tests.annotation.test_label import say


def test_reliability_finds_who_is_right_and_what_is_true():
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 3, 300)
    right = {"ann": 0.95, "abe": 0.85, "bo": 0.45}
    votes = []
    for item, label in enumerate(truth):
        for person, share in right.items():
            said = (
                label if rng.random() < share else rng.choice([other for other in range(3) if other != label])
            )
            votes.append((item, person, str(said)))

    found = reliability(votes)

    for person, share in right.items():
        assert found.people[person] == pytest.approx(share, abs=0.07)
    likeliest = [max(found.items[item], key=found.items[item].get) for item in range(300)]
    weighted = np.mean([said == str(label) for said, label in zip(likeliest, truth, strict=True)])
    majority = np.mean(
        [sum(v == str(label) for _i, _p, v in votes[3 * i : 3 * i + 3]) > 1 for i, label in enumerate(truth)]
    )
    assert weighted > majority
    assert reliability([]).people == {}


def test_agreement_is_told_by_label_and_by_pair():
    votes = [
        {"ann": "a", "abe": "a"},
        {"ann": "b", "abe": "c"},
        {"ann": "a", "abe": "a"},
        {"ann": "b", "abe": "b"},
    ]

    labels = by_label([list(item.values()) for item in votes])
    pairs = by_pair(votes)

    assert labels["a"].alpha == pytest.approx(1)
    assert labels["c"].raw == pytest.approx(0.75)
    assert pairs["abe", "ann"].items == 4
    assert pairs["abe", "ann"].raw == pytest.approx(0.75)


@pytest.mark.django_db
class TestQueue:
    def test_each_order_hands_out_as_it_says(self, project, ada, ann):
        made = [make_task(project, number) for number in range(3)]
        for task, priority, confidence in zip(made, (0, 5, 2), (0.9, 0.8, 0.1), strict=True):
            Task.objects.filter(pk=task.pk).update(priority=priority, confidence=confidence)

        first = {}
        for order in Project.Order.values:
            queue.change_queue(project, by=ada, order=order)
            slot = claim_next(project, by=ann)
            first[order] = made.index(slot.task)
            Slot.objects.filter(pk=slot.pk).update(status="open", user=None, leased_until=None)

        assert (first["priority"], first["sequential"], first["uncertainty"]) == (1, 0, 2)
        assert len(set(Slot.objects.values_list("task_id", "priority"))) == 3

    def test_a_person_does_no_more_than_their_share(self, project, tasks, ada, ann):
        queue.change_queue(project, by=ada, order="priority", per_person=2)
        for _number in range(2):
            say(project, ann, "3")

        assert "your share" in may_label(ann, project).reason

    def test_an_assigned_project_is_for_those_alone(self, project, tasks, ada, ann, abe):
        queue.change_queue(project, by=ada, order="priority", assignees=[abe])

        assert not may_label(ann, project)
        assert may_label(abe, project)

    @pytest.mark.parametrize("wrong", [{"order": "x"}, {"per_person": 0}, {"gate": 1.0}])
    def test_what_cannot_be_is_refused(self, project, ada, wrong):
        with pytest.raises(Invalid):
            queue.change_queue(project, by=ada, **{"order": "priority", **wrong})

    def test_the_queue_stops_by_itself_when_its_purpose_is_reached(self, project, ada):
        queue.change_queue(project, by=ada, order="priority", gate=0.7)
        for number in range(40):
            task = make_task(project, number)
            Task.objects.filter(pk=task.pk).update(status="accepted", label="3", rule_kind="random")
            make_draw(task)
        Task.objects.filter(pk=task.pk).update(label="8")

        queue.stop_decided()
        queue.stop_decided()

        assert Project.objects.get().status == "paused"
        assert Notification.objects.filter(user=ada).count() == 1

    def test_what_waits_for_review_keeps_the_queue_open(self, project, ada):
        queue.change_queue(project, by=ada, order="priority", gate=0.7)
        for number in range(40):
            task = make_task(project, number)
            state = "conflict" if number % 3 == 0 else "accepted"
            Task.objects.filter(pk=task.pk).update(status=state, label="3", rule_kind="random")
            make_draw(task)

        queue.stop_decided()

        found = decision_of(Project.objects.get())
        assert Project.objects.get().status == "open"
        assert (found.reached, found.n, found.waiting) == (None, 40, 14)

    def test_votes_are_weighted_by_reliability(self, project, ada, ann, abe, bo):
        for number in range(12):
            task = make_task(project, number)
            Slot.objects.create(task=task, project=project, number=2)
            for person in (ann, abe, bo):
                say(project, person, "8" if person == bo and number % 2 else "3")

        propose_all()
        found = weigh(Task.objects.order_by("pk").last())

        assert found.winner.value == "3"
        assert found.winner.chance > 0.5

    def test_pages(self, project, tasks, ada, ann, abe, client):
        for person, label in ((ann, "3"), (abe, "8")):
            say(project, person, label)
        User.objects.filter(pk=ann.pk).update(first_name="Ann", last_name="Arp")
        client.force_login(ada)

        saved = client.post(f"/annotation/{project.pk}/queue/", {"order": "uniform", "assignees": [ann.pk]})
        page = client.get(f"/annotation/{project.pk}/quality/").content.decode()

        assert saved.status_code == 302
        assert Project.objects.get().order == "uniform"
        assert "abe · Ann Arp" in page  # as the review page calls them
        assert page.count('<table class="table table-records">') == 3  # on a phone no figure is out of sight
        assert 'data-label="Golden tasks"' in page
        assert client.get(f"/annotation/tasks/{tasks[0].pk}/").status_code == 200
        client.force_login(ann)
        assert client.get(f"/annotation/{project.pk}/quality/").status_code == 403


_INDEXES = """
SELECT c.relname, i.indkey::int2[]::int[], i.indisunique FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = %s::regclass AND i.indpred IS NULL
"""


def test_two_indexes_go_and_come_back_without_their_foreign_keys_being_built_anew():
    def told(**way):
        text = StringIO()
        call_command("sqlmigrate", "annotation", "0032", stdout=text, no_color=True, **way)
        return [
            line for line in text.getvalue().splitlines() if not line.startswith(("--", "BEGIN", "COMMIT"))
        ]

    with connection.schema_editor() as editor:
        of_task = editor._create_index_name(Slot._meta.db_table, ["task_id"])
        of_project = editor._create_index_name(Task._meta.db_table, ["project_id"])

    assert told() == [f'DROP INDEX IF EXISTS "{name}";' for name in (of_task, of_project)]
    assert told(backwards=True) == [
        f'CREATE INDEX IF NOT EXISTS "{of_project}" ON "annotation_task" ("project_id");',
        f'CREATE INDEX IF NOT EXISTS "{of_task}" ON "annotation_slot" ("task_id");',
    ]


@pytest.mark.parametrize("model", [Task, Slot])
def test_no_index_that_every_claim_and_import_writes_is_the_beginning_of_another(model):
    with connection.cursor() as cursor:
        cursor.execute(_INDEXES, [model._meta.db_table])
        found = cursor.fetchall()

    assert len(found) > 4
    assert [
        name
        for name, columns, unique in found
        for other, more, _unique in found
        if not unique and name != other and more[: len(columns)] == columns
    ] == []
