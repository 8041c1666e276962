"""Many tasks at once: in the background with progress, whole or not at all, and taken up again after a kill."""

from __future__ import annotations

import csv
import io

import pytest
from django.utils import timezone

from apps.annotation import bulk, labelled
from apps.annotation.models import Annotation, Bulk, Slot, Task
from apps.core import objects
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.models import LineageEdge
from apps.core.urns import urn
from apps.datasets.services import create_version
from apps.gateway.models import Outcome
from tests.annotation.conftest import make_task
from tests.factories import put_files

pytestmark = pytest.mark.django_db


@pytest.fixture
def many(project, monkeypatch):
    """Seven tasks on which all agreed: four say 3, as the model does, three say 8. Three are many here."""
    monkeypatch.setattr(bulk, "AT_ONCE", 2)
    monkeypatch.setattr(bulk, "_PAGE", 3)
    monkeypatch.setattr(labelled, "PAGE", 3)
    monkeypatch.setattr("apps.core.background.enqueue", lambda *_args, **_facts: True)
    made = [make_task(project, number) for number in range(7)]
    for number, task in enumerate(made):
        label = "3" if number < 4 else "8"
        Task.objects.filter(pk=task.pk).update(status="agreed", label=label, value=label)
    Slot.objects.update(status="done")
    return made


@pytest.fixture
def accepted(many):
    Task.objects.update(status="accepted")
    return many


def lines(version):
    with objects.open_object(version.manifest["rows.csv"]["sha256"]) as file:
        return list(csv.DictReader(io.StringIO(file.read().decode())))


def killed(*_args, **_facts):
    raise KeyboardInterrupt


def test_a_version_of_many_labels_is_made_in_the_background(project, accepted, ada, client):
    client.force_login(ada)
    page = client.post(f"/annotation/{project.pk}/export/", follow=True).content.decode()
    assert "A data set version is being made of 7 labels." in page
    assert f'hx-get="/annotation/{project.pk}/bulks/"' in page
    assert project.dataset.versions.count() == 1

    bulk.run_waiting()

    made = Bulk.objects.get()
    assert (made.status, made.done, made.version.number) == ("done", 7, 2)
    rows = lines(made.version)
    assert [row["digit"] for row in rows] == ["3", "6", "3", "3", "3", "3", "8", "8", "8"]
    assert {row["split"] for row in rows[2:]} == {"train"}
    assert set(Task.objects.values_list("dataset_version", flat=True)) == {made.version_id}
    edges = LineageEdge.objects.filter(target=urn(made.version), kind="labelled")
    assert edges.count() == 7
    fragment = client.get(f"/annotation/{project.pk}/bulks/").content.decode()
    assert str(made.version) in fragment
    assert "hx-get" not in fragment


def test_few_labels_are_there_when_the_request_ends(project, many, ada, client):
    Task.objects.filter(pk=many[0].pk).update(status="accepted")
    client.force_login(ada)

    made = client.post(f"/api/v1/annotation-projects/{project.pk}/export/")

    told = made.json()
    assert (made.status_code, told["status"], told["number"], told["rows"]) == (201, "done", 2, 3)


def test_progress_is_seen_while_it_is_written(project, accepted, ada, monkeypatch):
    seen, note = [], labelled._note

    def look(digest, task):
        seen.append(Bulk.objects.values_list("done", "total").get())
        note(digest, task)

    monkeypatch.setattr(labelled, "_note", look)
    made = bulk.start_export(project, by=ada)
    bulk.run(made.pk)

    assert seen[:7] == [(0, 7)] * 3 + [(3, 7)] * 3 + [(6, 7)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("where", ["_row", "_mark", "create_version"])
def test_a_kill_at_any_moment_leaves_nothing_and_is_repaired(project, accepted, ada, monkeypatch, where):
    made = bulk.start_export(project, by=ada)
    with monkeypatch.context() as patched:
        patched.setattr(labelled, where, killed)
        with pytest.raises(KeyboardInterrupt):
            bulk.run(made.pk)
    assert project.dataset.versions.count() == 1
    assert not Task.objects.exclude(dataset_version=None).exists()

    bulk.run_waiting()
    bulk.run_waiting()

    made.refresh_from_db()
    assert (made.status, made.done, project.dataset.versions.count()) == ("done", 7, 2)


def test_what_is_decided_anew_meanwhile_is_written_as_it_is(project, accepted, ada, monkeypatch):
    write = labelled.write

    def and_a_change(*args):
        written = write(*args)
        Task.objects.filter(pk=accepted[0].pk).update(label="8", value="8")
        return written

    monkeypatch.setattr(labelled, "write", and_a_change)
    made = bulk.start_export(project, by=ada)
    bulk.run(made.pk)
    made.refresh_from_db()
    assert (made.status, project.dataset.versions.count()) == ("waiting", 1)

    bulk.run(made.pk)

    made.refresh_from_db()
    assert [row["digit"] for row in lines(made.version)][2:] == ["8", "3", "3", "3", "8", "8", "8"]


def test_a_version_that_came_meanwhile_is_kept_in_the_next(project, accepted, ada, monkeypatch):
    write = labelled.write
    newer = put_files({"rows.csv": b"x,y,digit,split\n9,9,8,train\n"})

    def and_a_version(*args):
        written = write(*args)
        if project.dataset.versions.count() == 1:
            create_version(project.dataset, newer, by=ada)
        return written

    monkeypatch.setattr(labelled, "write", and_a_version)
    made = bulk.start_export(project, by=ada)
    for _round in range(2):
        bulk.run(made.pk)

    made.refresh_from_db()
    assert (made.version.number, made.version.rows, lines(made.version)[0]["x"]) == (3, 8, "9")


def test_a_failure_tells_its_reason(project, accepted, ada):
    Task.objects.filter(pk=accepted[5].pk).update(inputs={"features": [1]})
    made = bulk.start_export(project, by=ada)

    bulk.run(made.pk)

    made.refresh_from_db()
    assert (made.status, made.version) == ("failed", None)
    assert made.why == f"Task {accepted[5].pk} has 1 values, the data set has 2 columns."
    assert bulk.start_export(project, by=ada).status == "waiting"


def test_the_same_is_not_begun_twice(project, accepted, ada, ann):
    bulk.start_export(project, by=ada)

    with pytest.raises(Conflict, match="under way"):
        bulk.start_export(project, by=ada)
    with pytest.raises(NotAllowed):
        bulk.start_export(project, by=ann)
    with pytest.raises(NotAllowed):
        bulk.start_accept(project, {}, by=ann)


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ({}, range(7)),
        ({"label": "8"}, (4, 5, 6)),
        ({"with_model": "1"}, range(4)),
        ({"rule_kind": "random"}, (6,)),
        ({"rule_kind": "random", "label": "3"}, ()),
    ],
)
def test_acceptance_takes_what_the_filter_leaves_and_nothing_flagged(
    project, many, ada, ann, client, asked, taken
):
    Task.objects.filter(pk=many[6].pk).update(rule_kind="random")
    Annotation.objects.create(task=many[1], user=ann, label="3", flagged=True, at=timezone.now())
    client.force_login(ada)
    client.post(f"/annotation/{project.pk}/accept/", asked)
    bulk.run_waiting()

    wanted = {many[number].pk for number in taken if number != 1}
    assert set(Task.objects.filter(status="accepted").values_list("pk", flat=True)) == wanted
    made = Bulk.objects.get()
    assert (made.status, made.done, made.total) == ("done", len(wanted), len(wanted))
    assert made.flagged == (1 in taken)
    assert Outcome.objects.filter(kind="label").count() == len(wanted)


@pytest.mark.django_db(transaction=True)
def test_a_killed_acceptance_goes_on_with_the_rest(project, many, ada, monkeypatch):
    made = bulk.start_accept(project, {}, by=ada)
    reviewed, review = [], bulk.review

    def until_the_fifth(task, **facts):
        if len(reviewed) == 4:
            raise KeyboardInterrupt
        reviewed.append(task.pk)
        return review(task, **facts)

    with monkeypatch.context() as patched:
        patched.setattr(bulk, "review", until_the_fifth)
        with pytest.raises(KeyboardInterrupt):
            bulk.run(made.pk)
    made.refresh_from_db()
    assert (made.status, made.done, Task.objects.filter(status="accepted").count()) == ("waiting", 3, 3)

    bulk.run_waiting()

    made.refresh_from_db()
    assert (made.status, made.done) == ("done", 7)
    assert Outcome.objects.filter(kind="label").count() == 7


def test_an_unknown_kind_of_rule_is_refused(project, many, ada):
    with pytest.raises(Invalid, match="no kind of rule"):
        bulk.start_accept(project, {"rule_kind": "guess"}, by=ada)
