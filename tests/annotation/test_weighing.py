"""Where people disagree, a vote counts by how reliable its person is; where all agree, nothing is weighed."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from contextlib import nullcontext

import numpy as np
import pytest

from apps.annotation import weighing
from apps.annotation.label_types import type_named
from apps.annotation.models import Project, Task
from apps.annotation.quality import Vote, meaning, quality_of, trusted_in
from apps.annotation.reliability import chances, reliability, trust
from apps.annotation.selectors import agreement_of
from apps.annotation.services import review
from tests.annotation.conftest import make_task
from tests.annotation.test_label import say

LABELS = 4
ITEMS = 400


def simulated(right, seed, labels=LABELS):
    """(truth, votes as (item, person, answer)) of people who are right with these probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, labels, ITEMS)
    votes = [
        (item, person, int(true if rng.random() < share else (true + rng.integers(1, labels)) % labels))
        for item, true in enumerate(truth)
        for person, share in right.items()
    ]
    return truth, votes


def by_number(votes):
    """{item: the answer of more than half, or None}"""
    said = {}
    for item, _person, answer in votes:
        said.setdefault(item, []).append(answer)
    top = {item: (Counter(answers).most_common(1)[0], len(answers)) for item, answers in said.items()}
    return {item: answer if 2 * n > of else None for item, ((answer, n), of) in top.items()}


def by_weight(votes, people, labels=LABELS):
    said = {}
    for item, person, answer in votes:
        said.setdefault(item, []).append((answer, people[person]))
    return {
        item: max(odds, key=odds.get) for item, odds in ((i, chances(v, labels)) for i, v in said.items())
    }


def accuracy(found, truth):
    return np.mean([found[item] == true for item, true in enumerate(truth)])


def estimates(votes):
    """Reliability by confusion matrices, and by one number for each person."""
    named = [(item, person, str(answer)) for item, person, answer in votes]
    return [reliability(named).people, trust(votes)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_weights_beat_numbers_where_people_differ(seed):
    right = {"ann": 0.95, "abe": 0.6, "bo": 0.6, "cy": 0.55, "di": 0.9}
    truth, votes = simulated(right, seed)
    plain = accuracy(by_number(votes), truth)

    for people in estimates(votes):
        assert people == pytest.approx(right, abs=0.07)
        assert accuracy(by_weight(votes, people), truth) > plain + 0.05


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_weights_say_what_numbers_say_where_people_do_not_differ(seed):
    _truth, votes = simulated(dict.fromkeys(("ann", "abe", "bo", "cy", "di"), 0.85), seed)
    plain = {item: answer for item, answer in by_number(votes).items() if answer is not None}

    for people in estimates(votes):
        found = by_weight(votes, people)
        assert {item: found[item] for item in plain} == plain


@pytest.mark.parametrize("who", [("ann",), ("ann", "abe")])
def test_of_two_people_nobody_is_right_because_a_label_is_frequent(who):
    """950 both normal, 25 both a fault; 25 times one says normal and the other one a fault."""
    votes = []
    for item in range(1000):
        both = ("normal", "normal") if item < 950 else ("fault", "fault")
        said = both if item < 975 else ("normal", "fault")
        flipped = item >= 975 and who[item % len(who)] == "abe"
        votes += [(item, "ann", said[flipped]), (item, "abe", said[not flipped])]

    found = reliability(votes)

    odds = chances([(0, found.people["ann"]), (1, found.people["abe"])], 2)
    assert abs(odds[0] - odds[1]) < weighing._EVEN / 2
    assert found.people["ann"] == pytest.approx(0.9875, abs=0.005)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_reliability_is_found_where_labels_are_unequally_frequent(seed):
    right = {"ann": 0.95, "abe": 0.8, "bo": 0.6}
    rng = np.random.default_rng(seed)
    truth = rng.choice(LABELS, 2 * ITEMS, p=[0.7, 0.2, 0.07, 0.03])
    votes = [
        (item, person, str(true if rng.random() < share else (true + rng.integers(1, LABELS)) % LABELS))
        for item, true in enumerate(truth)
        for person, share in right.items()
    ]

    assert reliability(votes).people == pytest.approx(right, abs=0.05)


def test_a_vote_no_better_than_chance_counts_nothing_and_equal_ones_cancel():
    assert chances([(0, 0.9), (1, 0.9)], 2) == pytest.approx({0: 0.5, 1: 0.5})
    assert chances([(0, 0.8), (1, 0.25), (1, 0.1)], 4) == pytest.approx({0: 0.8, 1: 0.2 / 3})
    assert chances([(0, 0.9)], 2) == pytest.approx({0: 0.9})
    assert chances([], 2) == {}


def test_known_answers_tell_of_people_what_their_agreement_cannot():
    votes = [(item, person, answer) for item in range(20) for person, answer in (("ann", 0), ("abe", 1))]
    even = trust(votes)
    assert even["ann"] == pytest.approx(even["abe"])

    known = trust(votes, dict.fromkeys(range(20), 0))

    assert known["ann"] > 0.9
    assert known["abe"] < 0.1
    assert trust([(1, "ann", 0)]) == {}


@pytest.mark.django_db
class TestProposals:
    @pytest.fixture
    def split(self, project, ann, abe):
        """Ann says 3 and Abe says 8; nothing is known of either."""
        task = make_task(project, 99)
        say(project, ann, "3")
        say(project, abe, "8")
        return task

    @pytest.fixture
    def learnt(self, split, project, ann, abe, bo):
        """Twenty tasks later Abe has erred every other time; in one more, Bo errs with him."""
        project.overlap = 3
        project.save()
        for number in range(20):
            make_task(project, number)
            for person in (ann, abe, bo):
                say(project, person, "8" if person == abe and number % 2 else "3")
        return split

    def test_an_even_split_proposes_nothing(self, split):
        weighing.propose_all()

        split.refresh_from_db()
        assert (split.status, split.label, split.value) == ("conflict", "", None)

    def test_what_most_say_stays_where_nothing_is_known_of_any_of_them(self, split, monkeypatch):
        monkeypatch.setattr(weighing, "votes_of", lambda _project: [])  # the newest labels are of others
        Task.objects.filter(pk=split.pk).update(label="3", value="3")

        weighing.propose_all()

        split.refresh_from_db()
        assert (split.label, split.value) == ("3", "3")
        assert weighing.weigh(split) is None

    def test_what_is_learnt_of_people_later_reaches_disagreements_of_before(self, learnt):
        weighing.propose_all()

        learnt.refresh_from_db()
        assert (learnt.status, learnt.label, learnt.value) == ("conflict", "3", "3")
        assert not Task.objects.filter(status="agreed").exclude(label="3").exists()

    def test_it_is_weighed_again_only_when_somebody_disagrees_anew(self, learnt):
        weighing.propose_all()
        Task.objects.filter(pk=learnt.pk).update(label="8", value="8")

        weighing.propose_all()

        learnt.refresh_from_db()
        assert learnt.label == "8"

    def test_a_round_costs_the_same_however_many_tasks_there_are(self, learnt, django_assert_num_queries):
        weighing.propose_all()

        with django_assert_num_queries(2):
            weighing.propose_all()

    def test_a_label_that_is_seen_after_a_later_one_is_weighed_too(self, learnt):
        # its disagreement has the earliest labels, and is not seen yet
        Task.objects.filter(pk=learnt.pk).update(status="open")
        weighing.propose_all()
        assert Task.objects.get(pk=learnt.pk).label == ""

        Task.objects.filter(pk=learnt.pk).update(status="conflict")
        weighing.propose_all()

        assert Task.objects.get(pk=learnt.pk).label == "3"

    def test_all_that_wait_are_weighed(self, learnt, monkeypatch):
        """The oldest one, behind ten that came later."""
        monkeypatch.setattr(weighing, "PAGE", 3)

        weighing.propose_all()

        assert set(Task.objects.filter(status="conflict").values_list("label", flat=True)) == {"3"}
        assert Task.objects.filter(status="conflict").count() == 11

    def test_a_round_that_runs_out_of_time_goes_on_where_it_stopped(self, learnt, monkeypatch):
        monkeypatch.setattr(weighing, "PAGE", 3)
        monkeypatch.setattr(weighing, "_BUDGET_S", 0)
        weighing.propose_all()
        Task.objects.filter(pk__in=Task.objects.order_by("-pk")[:6]).update(label="", value=None)

        for _round in range(3):
            weighing.propose_all()

        learnt.refresh_from_db()
        assert learnt.label == "3"
        assert Task.objects.filter(label="").exists()  # what was weighed is not weighed again
        project = Project.objects.get()
        assert project.weighed is None or "pending" in project.trusted
        weighing.propose_all()
        project.refresh_from_db()
        assert (project.weighed is not None, "pending" in project.trusted) == (True, False)

    def test_no_two_rounds_are_at_one_project(self, learnt, monkeypatch):
        monkeypatch.setattr(weighing.turns, "only_one", lambda _kind, _pk: nullcontext(False))
        weighing.propose_all()
        assert Task.objects.get(pk=learnt.pk).label == ""

    def test_a_page_computes_nothing_anew(self, learnt, bo, client, monkeypatch):
        weighing.propose_all()
        monkeypatch.setattr(weighing, "trusted_in", None)
        client.force_login(bo)

        page = client.get(f"/annotation/tasks/{learnt.pk}/").content.decode()

        assert "Weighed by reliability" in page

    def test_a_page_says_what_most_say_until_anything_is_learnt_of_people(self, learnt, bo, client):
        Task.objects.filter(pk=learnt.pk).update(label="8", value="8")
        client.force_login(bo)

        page = client.get(f"/annotation/tasks/{learnt.pk}/").content.decode()

        assert "Weighed by reliability" not in page
        assert 'class="btn btn-primary label-choice" name="label" value="8"' in page

    def test_the_review_page_says_why(self, learnt, bo, client):
        weighing.propose_all()
        client.force_login(bo)

        page = client.get(f"/annotation/tasks/{learnt.pk}/").content.decode()

        assert "Weighed by reliability" in page
        told = " ".join(re.sub("<[^>]*>", " ", page[page.index("weighed-title") :]).split())
        assert re.search(r"3 proposed \d\d % ann \(\d+ %\) 8 \d+ % abe \(\d+ %\)", told), told[:300]
        assert 'class="btn btn-primary label-choice" name="label" value="3"' in page

    def test_one_good_eye_outweighs_two_bad_ones(self, project, ann, abe, bo):
        project.overlap = 3
        project.save()
        pairs = [
            ("3", "3", "3"),
            ("3", "8", "3"),
            ("3", "3", "8"),
            ("8", "8", "8"),
            ("8", "3", "8"),
            ("8", "8", "3"),
        ]
        for number, said in enumerate([*pairs * 5, ("3", "8", "8")]):
            task = make_task(project, number)
            for person, label in zip((ann, abe, bo), said, strict=True):
                say(project, person, label)
        task.refresh_from_db()
        assert task.label == "8"

        weighing.propose_all()

        task.refresh_from_db()
        assert task.label == "3"
        task.project.refresh_from_db()
        assert weighing.weigh(task).overrules

    def test_regions_are_weighed_by_what_they_mean(self, project):
        Project.objects.filter(pk=project.pk).update(kind="spans", labels=[{"value": "cell", "hotkey": "1"}])
        right, wrong = ([{"start": 0, "end": end, "label": "cell"}] for end in (10, 3))
        project = Project.objects.get()
        errs = {"ann": (), "abe": (1, 3, 5, 7), "bo": (0,)}
        votes = [
            Vote(task, person, wrong if task in tasks else right)
            for task in range(12)
            for person, tasks in errs.items()
        ]

        trusted = trusted_in(project, type_named("spans"), votes)

        assert trusted["ann"] > trusted["bo"] > trusted["abe"]
        near = [{"start": 0, "end": 11, "label": "cell"}]
        found = weighing._sides(
            type_named("spans"),
            [Vote(0, "ann", right), Vote(0, "bo", near), Vote(0, "abe", wrong)],
            trusted,
            0,
        )
        assert (found.winner.value, len(found.winner.people)) == (right, 2)

    def test_decided_tasks_keep_their_label(self, learnt, bo):
        review(learnt, by=bo, label="8")

        weighing.propose_all()

        learnt.refresh_from_db()
        assert learnt.label == "8"


@pytest.mark.django_db
def test_answers_of_many_kinds_cost_no_more_and_show_who_is_reliable(project, ann, abe):
    """Of 300 texts there were 300 x 300 confusions for each person, and 400 drawings for each text."""
    Project.objects.filter(pk=project.pk).update(kind="text", show="text", labels=[])
    project = Project.objects.get()
    for number in range(150):
        make_task(project, number)
    for number in range(150):
        for person in (ann, abe):
            say(project, person, f"Fault {number if number % 3 else person.username}")

    found = quality_of(project)

    assert {person["name"] for person in found.people} == {"ann", "abe"}
    assert (found.labels, found.pairs) == ({}, {})
    shown = agreement_of(project)
    assert (shown.alpha, shown.items, shown.raw) == (None, 150, pytest.approx(2 / 3))


@pytest.mark.django_db
def test_labels_of_a_long_list_keep_their_agreement(project, ann, abe):
    names = [str(number) for number in range(120)]
    labels = [{"value": name, "title": name, "hotkey": ""} for name in names]
    Project.objects.filter(pk=project.pk).update(labels=labels)
    project = Project.objects.get()
    for number in range(120):
        make_task(project, number)
    for name in names:
        for person in (ann, abe):
            say(project, person, name)

    assert agreement_of(project).alpha == pytest.approx(1)
    assert len(quality_of(project).labels) == 120


def test_outlines_of_many_people_are_told_apart_in_time():
    """300 votes of five outlines each: a raster for each pair and edge took a minute."""
    kind, met = type_named("polygons"), []
    circle = [(math.cos(part / 20), math.sin(part / 20)) for part in range(126)]
    started = time.process_time()
    for number in range(300):
        at = [0.1 + 0.2 * place for place in range(5)]
        size = 0.05 if number % 2 else 0.09
        value = [
            {"label": "loop", "points": [[x + size * a, 0.5 + size * b] for a, b in circle]}
            for x in (each + number / 1e5 for each in at)
        ]
        meaning(kind, value, met)

    assert len(met) == 2
    assert time.process_time() - started < 10
