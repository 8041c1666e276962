"""Agreement by known numbers."""

import numpy as np
import pytest

from apps.annotation import selectors
from apps.annotation.agreement import RESAMPLINGS, agreement, by_label, majority
from apps.annotation.models import Annotation, Project, Task
from apps.annotation.selectors import near_audit_of
from tests.annotation.conftest import make_task


def test_full_agreement_is_one():
    found = agreement([["a", "a"], ["b", "b"], ["a", "a"]])

    assert (found.alpha, found.raw, found.items) == (pytest.approx(1), 1, 3)


def test_alpha_of_a_published_example():
    # Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", nominal data of four observers: 0.743
    units = ["aaa", "bbcb", "cccc", "cccc", "bbbb", "abcd", "dddd", "aaba", "bbbb", "eee", "aa", "c"]

    assert agreement([list(unit) for unit in units]).alpha == pytest.approx(0.743, abs=0.001)


def test_the_interval_is_that_of_items_drawn_anew_one_after_the_other():
    rng = np.random.default_rng(5)
    truth = rng.choice(list("abc"), 60)
    votes = [[str(t if rng.random() < 0.8 else "a") for _person in range(rng.integers(2, 4))] for t in truth]
    again = np.random.default_rng(20260101)
    one_by_one = [
        agreement([votes[at] for at in again.integers(0, 60, 60)]).alpha for _ in range(RESAMPLINGS)
    ]

    found = agreement(votes)

    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(one_by_one, [2.5, 97.5])))


def test_agreement_on_a_label_is_that_of_it_against_the_others():
    votes = [["a", "a"], ["a", "b"], ["c", "c", "b"], ["a"], ["b", "b"]]

    found = by_label(votes)["b"]

    assert found == agreement([["yes" if label == "b" else "no" for label in said] for said in votes])


def test_one_label_everywhere_leaves_alpha_undefined():
    found = agreement([["a", "a"], ["a", "a"]])

    assert (found.alpha, found.raw) == (None, 1)


def test_single_votes_say_nothing():
    assert agreement([["a"], ["b"]]).items == 0


@pytest.mark.parametrize(
    ("labels", "winner"), [("aab", "a"), ("ab", None), ("a", "a"), ("", None), ("aabb", None)]
)
def test_a_majority_is_more_than_half(labels, winner):
    assert majority(list(labels)) == winner


@pytest.mark.django_db
def test_the_audited_share_says_whether_almost_equal_inputs_deserve_one_task(project, ada, client):
    project.near = True
    project.save()
    for number in range(20):
        original, audit = make_task(project, 2 * number), make_task(project, 2 * number + 1)
        Task.objects.filter(pk=original.pk).update(status="accepted", label="3", value="3")
        said = "8" if number < 2 else "3"
        state = "open" if number == 19 else "agreed"
        Task.objects.filter(pk=audit.pk).update(audit_of=original, status=state, label=said)
    client.force_login(ada)

    found = near_audit_of(project)
    told = client.get(f"/api/v1/annotation-projects/{project.pk}/quality/").json()["near_audit"]
    page = client.get(f"/annotation/{project.pk}/").content.decode()

    assert (found.value, found.n) == (pytest.approx(17 / 19), 19)
    assert told == {"value": found.value, "low": found.low, "high": found.high, "n": 19}
    assert 0.6 < found.low < found.value < found.high < 1
    assert "Almost equal, same label" in page
    assert "n = 19" in page


@pytest.mark.django_db
def test_regions_are_held_against_each_other_for_the_newest_votes_alone(project, ann, abe, monkeypatch):
    Project.objects.filter(pk=project.pk).update(kind="spans", labels=[{"value": "cell", "hotkey": "1"}])
    monkeypatch.setattr(selectors, "MOST_COMPARED", 4)
    for number in range(5):
        task = make_task(project, number)
        ends = (9, 9) if number > 2 else (9, 3)
        for person, end in zip((ann, abe), ends, strict=True):
            said = [{"start": 0, "end": end, "label": "cell"}]
            Annotation.objects.create(task=task, user=person, value=said)

    found = selectors.agreement_of(Project.objects.get())

    assert (found.items, found.raw) == (2, 1.0)
