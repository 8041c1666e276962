"""Who labels what: no task for two beyond its overlap, nothing lost, nothing doubled."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.annotation.claims import claim_next, extend, release, take_back
from apps.annotation.label_types import TYPES
from apps.annotation.labelled import export_labels
from apps.annotation.models import Annotation, Project, Slot, Task
from apps.annotation.services import change_labels, keyed, review, submit
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.gateway.models import Outcome
from tests.annotation.conftest import make_task
from tests.factories import rows_of

pytestmark = pytest.mark.django_db


def say(project, person, label):
    slot = claim_next(project, by=person)
    submit(slot, slot.token, by=person, label=label)
    return slot.task


def test_everybody_gets_each_task_once_and_no_task_more_than_its_overlap(project, tasks, ann, abe, bo):
    for person in (ann, abe):
        assert len({say(project, person, "3").pk for _task in tasks}) == 3

    assert claim_next(project, by=ann) is None
    assert claim_next(project, by=bo) is None
    assert Annotation.objects.count() == 6


def test_a_reload_shows_the_same_task(project, tasks, ann):
    assert claim_next(project, by=ann).pk == claim_next(project, by=ann).pk


def test_a_place_whose_lease_ran_out_goes_to_somebody_else(project, tasks, ann, abe, bo):
    lost = claim_next(project, by=ann)
    claim_next(project, by=abe)
    Slot.objects.update(leased_until=timezone.now() - timedelta(minutes=5))

    taken = claim_next(project, by=bo)

    assert taken.pk == lost.pk
    assert not extend(lost.pk, lost.token, by=ann)


def test_a_late_label_counts_as_one_more_vote(project, tasks, ann, bo):
    lost = claim_next(project, by=ann)
    Slot.objects.update(leased_until=timezone.now() - timedelta(minutes=5))
    claim_next(project, by=bo)

    late = submit(lost, lost.token, by=ann, label="8")

    assert late.extra
    assert Slot.objects.get(pk=lost.pk).status == "leased"


def test_two_tabs_label_once(project, tasks, ann):
    slot = claim_next(project, by=ann)
    submit(slot, slot.token, by=ann, label="3")

    with pytest.raises(Conflict, match="already"):
        submit(slot, slot.token, by=ann, label="8")


@pytest.mark.django_db(transaction=True)
def test_many_at_once_and_one_of_them_twice_get_each_place_once(project, ada, ann, abe, bo):
    for number in range(12):
        make_task(project, number)

    def label(person):
        try:
            while (slot := claim_next(project, by=person)) is not None:
                with suppress(Conflict):  # the other tab of the same person was faster
                    submit(slot, slot.token, by=person, label="3")
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(label, (ann, ann, abe, bo)))

    counts = Counter(Annotation.objects.values_list("task", flat=True))
    assert set(counts.values()) == {2}
    assert len(set(Annotation.objects.values_list("task", "user"))) == Annotation.objects.count() == 24
    assert not Annotation.objects.filter(extra=True).exists()


def test_a_place_given_back_is_free(project, tasks, ann, abe):
    slot = claim_next(project, by=ann)
    release(slot.pk, slot.token, by=ann)

    assert claim_next(project, by=abe).pk == slot.pk


@pytest.mark.parametrize(
    ("facts", "why"), [({"label": "9"}, "none of the labels"), ({"skipped": True}, "why")]
)
def test_what_cannot_be_accepted_is_said_and_the_place_is_kept(project, tasks, ann, facts, why):
    slot = claim_next(project, by=ann)
    with pytest.raises(Invalid, match=why):
        submit(slot, slot.token, by=ann, **facts)

    assert claim_next(project, by=ann).pk == slot.pk


def test_an_outsider_labels_nothing(project, tasks, ann, cy):
    slot = claim_next(project, by=ann)

    with pytest.raises(NotAllowed):
        submit(slot, slot.token, by=cy, label="3")


def test_agreement_and_disagreement_are_told_apart(project, tasks, ann, abe):
    for person, labels in ((ann, "33"), (abe, "38")):
        for label in labels:
            say(project, person, label)

    assert list(Task.objects.order_by("pk").values_list("status", "label")) == [
        ("agreed", "3"),
        ("conflict", ""),
        ("open", ""),
    ]


def test_accepted_labels_become_outcomes_and_training_rows_once(project, tasks, ann, abe, bo):
    for person in (ann, abe):
        task = say(project, person, "8")
    review(task, by=bo, label="8")

    version = export_labels(project, by=bo)

    assert Outcome.objects.get(request_id=task.request_id).correct is False
    assert (version.number, version.rows) == (2, 3)
    with pytest.raises(Conflict, match="no accepted labels"):
        export_labels(project, by=bo)


def test_an_annotator_does_not_review(project, tasks, ann, abe):
    for person in (ann, abe):
        task = say(project, person, "8")

    with pytest.raises(NotAllowed):
        review(task, by=ann, label="8")


def test_an_answer_is_taken_back_while_the_task_is_open(project, tasks, ann, abe):
    task = say(project, ann, "8")

    again = take_back(task, by=ann)

    assert (again.task_id, again.user_id, again.status) == (task.pk, ann.pk, "leased")
    assert not Annotation.objects.exists()
    submit(again, again.token, by=ann, label="3")
    say(project, abe, "3")
    assert take_back(task, by=ann) is None
    assert Annotation.objects.count() == 2


def test_labels_in_use_do_not_go(project, tasks, ann, ada):
    say(project, ann, "8")

    with pytest.raises(Invalid, match=r"8 \(1\)"):
        change_labels(project, ["3", "5"], by=ada)
    assert [item["value"] for item in change_labels(project, ["8", "5"], by=ada).labels] == ["8", "5"]


def test_labels_have_keys_of_ones_own(project, ada, client):
    client.force_login(ada)
    url = f"/annotation/{project.pk}/labels/"
    page = client.get(f"/annotation/{project.pk}/").content.decode()
    assert 'name="labels-0-key" value="1"' in page

    asked = rows_of("labels", {"label": "3", "key": "t"}, {"label": "8"}, {"label": "5", "key": "1"})
    assert client.post(url, asked).status_code == 302

    project.refresh_from_db()
    assert [(item["value"], item["hotkey"]) for item in project.labels] == [
        ("3", "t"),
        ("8", "2"),
        ("5", "1"),
    ]
    kept = change_labels(project, ["5", "3", "8", "9"], by=ada).labels
    assert [item["hotkey"] for item in kept] == ["1", "t", "2", "3"]
    for wrong, told in (({"3": "x"}, "cannot be the key"), ({"3": "q", "8": "Q"}, "wished by two labels")):
        with pytest.raises(Invalid, match=told):
            change_labels(project, ["3", "8"], by=ada, hotkeys=wrong)


def test_the_screen_takes_every_label_type(project, tasks, ann, client):
    client.force_login(ann)
    for kind in TYPES.values():
        example = kind.example
        Project.objects.update(
            kind=kind.slug, show=example.show, options=example.setting.options,
            labels=keyed(example.setting.labels),
        )  # fmt: skip
        task = make_task(project, 100 + list(TYPES).index(kind.slug))
        Slot.objects.exclude(task=task).update(status="done")
        Task.objects.filter(pk=task.pk).update(inputs=example.setting.inputs)
        page = client.get(f"/annotation/{project.pk}/label/")
        slot = claim_next(project, by=ann)
        submit(slot, slot.token, by=ann, value=example.good[0])

        assert page.status_code == 200
        assert f"annotation/{project.pk}/slots/{slot.pk}/" in page.content.decode()
        assert Annotation.objects.get(task=task).value == kind.clean(example.good[0], example.setting)


def test_the_preview_shows_the_type_that_is_chosen(ada, client):
    client.force_login(ada)
    for kind in TYPES.values():
        page = client.post(
            "/annotation/preview/", {"kind": kind.slug, "labels": "red, blue", "question": "Q?"}
        )

        assert page.status_code == 200
        assert "Q?" in page.content.decode()


@pytest.mark.parametrize("value", ["https://elsewhere.example/x.png", [1, 2, 3], "data:image/png;base64,<"])
def test_an_image_that_cannot_be_shown_is_said(project, tasks, ann, client, value):
    Project.objects.update(show="image")
    Task.objects.update(inputs={"image": value})
    client.force_login(ann)

    assert "cannot be shown" in client.get(f"/annotation/{project.pk}/label/").content.decode()


def test_a_plain_form_takes_an_answer_back_before_the_page_is_live(client, project, tasks, ann):
    task = say(project, ann, "3")
    client.force_login(ann)

    answer = client.post(f"/annotation/{project.pk}/undo/{task.pk}/")

    assert answer.url == f"/annotation/{project.pk}/label/"
    assert not Annotation.objects.exists()
    assert claim_next(project, by=ann).task == task
