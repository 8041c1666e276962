"""Nodes: what they say of themselves, and that a silent or drained one takes nothing new."""

import os
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.compute import adapters, ledger, placement, tasks
from apps.compute.engines import cards
from apps.compute.engines.base import Resources, Workload
from apps.compute.engines.fake import FakeEngine
from apps.compute.engines.shim import HEAD_BYTES, SEGMENT_BYTES
from apps.compute.models import Attempt, Job, LogPart, Node, Reservation
from apps.compute.selectors import capacity, in_use, job_log, log_parts, why_no_room
from apps.compute.services import (
    attempts,
    cancel_job,
    drain_node,
    grow_reservation,
    label_node,
    nodes,
    remove_node,
    resume_node,
    start_workload,
)
from apps.core import background
from apps.core.errors import Conflict, Invalid, NotAllowed, Unavailable
from apps.core.models import AuditEntry
from tests.factories import rows_of

from .conftest import run, submit


@pytest.fixture
def node(fake) -> Node:
    """This machine, heard of for as long as a test may take on a busy machine."""
    nodes.beat(now=True)
    Node.objects.update(seen_at=timezone.now() + timedelta(hours=1))
    return Node.objects.get()


def fall_silent(node: Node) -> None:
    Node.objects.filter(pk=node.pk).update(seen_at=timezone.now() - timedelta(seconds=20))


def start(job: Job) -> Job:
    attempts.start_job(job.pk)
    job.refresh_from_db()
    return job


def workload(name: str = "w1") -> Workload:
    return Workload(id=name, argv=["run"], environment=None, resources=Resources(cpu=1, memory_mb=64))


def test_heartbeat_says_what_the_machine_gives_and_bears(ada, radio, fake):
    start(submit(radio, ada, "run"))

    nodes.beat(now=True)

    node, gives = Node.objects.get(), capacity()
    assert (node.cpu, node.memory_mb, node.workloads) == (gives.cpu, gives.memory_mb, 1)
    assert 0 < node.used_memory_mb < node.all_memory_mb
    assert timezone.now() - node.seen_at < timedelta(seconds=5)


def test_heartbeat_costs_one_statement_and_leaves_what_people_said(root, node, django_assert_num_queries):
    label_node(node, ["rack 3"], by=root)
    drain_node(node, by=root)

    with django_assert_num_queries(1):
        nodes.beat(now=True)
    with django_assert_num_queries(0):
        nodes.beat()  # a second has not passed, let alone three

    node.refresh_from_db()
    assert (node.labels, node.drained_by) == (["rack 3"], root)


def test_before_the_first_heartbeat_everything_is_as_it_was(ada, radio, fake):
    assert not Node.objects.exists()
    assert start(submit(radio, ada, "run")).status == "running"


def test_job_waits_for_a_silent_node_and_starts_after_its_next_heartbeat(ada, radio, node, monkeypatch):
    fall_silent(node)

    job = start(submit(radio, ada, "run"))
    assert job.status == "queued"
    assert job.reason.startswith(f"waits: node {node} has been silent since 20")

    monkeypatch.setattr(nodes, "_beats_at", float("-inf"))  # three seconds have passed
    tasks.reconcile()
    job.refresh_from_db()
    assert (job.status, job.reason) == ("running", "")


def test_page_of_a_job_says_that_no_worker_is_there_to_start_it(client, ada, radio, node):
    job = submit(radio, ada, "run")
    fall_silent(node)
    client.force_login(ada)

    page = client.get(reverse("jobs:detail", args=[job.pk])).content.decode()

    assert f"node {node} has been silent since" in page


def test_drained_node_takes_nothing_new_and_what_runs_goes_on(ada, root, radio, node):
    before, after = submit(radio, ada, "run"), submit(radio, ada, "run")
    start(before)
    start_workload(workload(), by=root)

    drain_node(node, by=root)

    assert start(after).reason == f"waits: node {node} takes nothing new: drained by root"
    with pytest.raises(Unavailable, match="drained by root"):
        start_workload(workload("w2"), by=root)
    start_workload(workload(), by=root)  # it is admitted already
    with pytest.raises(Unavailable, match="drained by root"):
        grow_reservation("w1", capacity(), purpose="somebody's", by=root)
    attempts.reconcile()
    before.refresh_from_db()
    assert before.status == "running"
    assert list(Reservation.objects.values_list("pk", flat=True)) == ["w1"]

    resume_node(node, by=root)
    assert start(after).status == "running"
    told = AuditEntry.objects.filter(action__startswith="compute.node").order_by("pk")
    assert list(told.values_list("action", "actor_name")) == [
        ("compute.node.drained", "root"),
        ("compute.node.resumed", "root"),
    ]


def test_another_machine_that_is_gone_holds_up_nobody(root, node):
    gone = Node.objects.get()
    gone.pk, gone.name = None, "old"
    gone.save()
    fall_silent(gone)

    assert why_no_room(capacity()) is None
    with pytest.raises(Conflict, match="is alive"):
        remove_node(node, by=root)
    remove_node(gone, by=root)
    assert list(Node.objects.all()) == [node]
    assert AuditEntry.objects.get().action == "compute.node.removed"


def test_labels_are_words(root, node):
    assert label_node(node, [" rack  3", "", "quiet", "quiet"], by=root).labels == ["rack 3", "quiet"]
    with pytest.raises(Invalid, match="64 characters"):
        label_node(node, ["x" * 64], by=root)
    with pytest.raises(Invalid, match="21 labels"):
        label_node(node, [str(n) for n in range(21)], by=root)


@pytest.mark.parametrize("change", [drain_node, resume_node, remove_node])
def test_only_an_administrator_changes_a_node(ole, node, change):
    with pytest.raises(NotAllowed):
        change(node, by=ole)


def test_list_shows_each_state_at_a_constant_cost(client, ole, root, node, django_assert_max_num_queries):
    node = drain_node(node, by=root)
    client.force_login(ole)
    for number in range(20):
        node.pk, node.name = None, f"n{number}"
        node.save()
    fall_silent(node)

    with django_assert_max_num_queries(12):
        page = client.get(reverse("jobs:nodes")).content.decode()

    assert "Silent" in page
    assert "After two minutes its jobs start again on another node" in page
    assert "each further one is started with ATRIUM_JOBS_ONLY=1" in page
    assert "drained by root" in page
    assert '<td class="wrap-anywhere"><strong>n0<' in page  # a short name stays on one line
    assert "Drain this node?" not in page
    states = {row["name"]: row["state"] for row in client.get("/api/v1/nodes/").json()["results"]}
    assert (states["n0"], states["n19"]) == ("drained", "silent")


def test_administrator_drains_labels_and_takes_back_on_the_page(client, root, node):
    client.force_login(root)

    client.post(reverse("jobs:drain", args=[node.pk]))
    client.post(reverse("jobs:labels", args=[node.pk]), {"labels": "rack 3，quiet"})
    page = client.get(reverse("jobs:nodes")).content.decode()

    assert "Let this node take work again?" in page
    assert '<span class="tag">rack 3</span>' in page
    client.post(reverse("jobs:resume", args=[node.pk]))
    assert Node.objects.get().drained_at is None


def test_empty_list_says_when_a_machine_appears(client, root):
    client.force_login(root)
    assert "No node has been heard yet" in client.get(reverse("jobs:nodes")).content.decode()


def test_job_that_asks_for_a_label_waits_and_says_which_one_no_node_has(
    compiled_messages, client, ada, root, radio, node
):
    label_node(node, ["rack 3"], by=root)
    job = start(submit(radio, ada, "run", labels=["rack 3", " zone=gpu "]))
    assert (job.status, job.reason) == ("queued", "waits: no node has the label “zone=gpu”")

    for language, words in (
        ("en", "no node has the label “zone=gpu”"),
        ("zh-hans", "没有节点具有标签 “zone=gpu”"),
    ):
        User.objects.filter(pk=ada.pk).update(language=language)
        client.force_login(ada)
        for address in (reverse("jobs:detail", args=[job.pk]), reverse("jobs:list")):
            assert words in client.get(address).content.decode()

    label_node(node, ["rack 3", "zone=gpu"], by=root)
    attempts.reconcile()
    job.refresh_from_db()
    assert (job.status, job.reason, job.result) == ("running", "", None)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"labels": ["zone=gpu"]}, "waits for node beside, which has the labels “zone=gpu”"),
        ({"resources": {"gpu": 1}}, "waits for node beside, which is large enough"),
    ],
)
def test_many_jobs_for_another_node_are_taken_and_hold_up_nobody_here(
    ada, radio, node, asked, words, monkeypatch, tmp_path
):
    monkeypatch.setattr(cards, "DEVICES", tmp_path)  # this machine has none
    other = Node.objects.get()
    other.pk, other.name, other.labels, other.gpu = None, "beside", ["zone=gpu"], 2
    other.save()
    for _time in range(51):
        submit(radio, ada, "run", priority=0, **asked)
    mine = submit(radio, ada, "run")

    attempts.reconcile()

    mine.refresh_from_db()
    assert mine.status == "running"
    assert set(Job.objects.filter(status="queued").values_list("reason", flat=True)[:50]) == {words}


def test_workload_goes_only_where_its_labels_are(root, node):
    with pytest.raises(Unavailable, match="no node has the label “zone=gpu”"):
        start_workload(workload(), by=root, labels=["zone=gpu"])
    assert not Reservation.objects.exists()
    label_node(node, ["zone=gpu"], by=root)
    start_workload(workload(), by=root, labels=["zone=gpu"])


@pytest.mark.parametrize(
    ("wanted", "pattern"),
    [
        ([], None),
        (["a"], None),
        (["b"], placement.ELSEWHERE),
        (["c"], "waits: the nodes with the labels %(labels)s take nothing now: %(nodes)s"),
        (["a", "b"], "waits: no node has all of the labels %(labels)s"),
        (["a", "d"], "waits: no node has the label %(labels)s"),
    ],
)
def test_reason_names_what_keeps_it_from_this_node(wanted, pattern):
    places = [
        placement.Place("here", frozenset("a")),
        placement.Place("there", frozenset("b")),
        placement.Place("silent", frozenset("c"), open=False),
    ]
    told = placement.why_not(wanted, "here", places)
    assert (told and told["pattern"]) == pattern


def test_page_and_api_take_labels(client, ada, radio, node):
    client.force_login(ada)
    asked = {"title": "A", "team": radio.pk, "script": "1", "environment": "base", "cpu": 1, "memory_mb": 64}
    asked |= rows_of("params")
    answer = client.post(
        "/jobs/new/", {**asked, "timeout_s": 9, "max_attempts": 1, "labels": "zone=gpu， rack 3,"}
    )
    assert answer.status_code == 302
    assert Job.objects.get().labels == ["zone=gpu", "rack 3"]
    body = {"title": "B", "team": "radio", "script": "1", "labels": ["zone=gpu"]}
    made = client.post("/api/v1/jobs/", body, content_type="application/json")
    assert (made.status_code, made.json()["labels"]) == (201, ["zone=gpu"])
    too_long = client.post("/jobs/new/", {**asked, "timeout_s": 9, "max_attempts": 1, "labels": "x" * 64})
    assert too_long.status_code == 422


def test_forms_say_what_may_be_asked_and_what_makes_nothing_faster(client, ada, root, radio, node, settings):
    settings.ATRIUM = replace(settings.ATRIUM, node_cpu=8, node_memory_mb=4096)
    Node.objects.update(cpu=8, memory_mb=4096, cores=2)
    client.force_login(ada)
    page = client.get("/jobs/new/").content.decode()
    asked = {"title": "A", "team": radio.pk, "script": "1", "environment": "base", "memory_mb": 64}
    asked |= rows_of("params")
    refused = client.post("/jobs/new/", {**asked, "cpu": 9, "timeout_s": 9, "max_attempts": 1})

    real = max(2, os.cpu_count())
    told = f"At most 8, since cores are shared; more than {real} make nothing faster here."
    assert (told if real < 8 else "At most 8.") in page
    assert "At most 4096." in page
    assert refused.status_code == 422
    client.force_login(root)
    assert "shares of its 2 processor cores" in client.get(reverse("jobs:nodes")).content.decode()


class Machines:
    """Two nodes of one portal, each with an engine of its own; `at` is the one whose worker and pages are meant."""

    def __init__(self, settings) -> None:
        self.settings = settings
        self.engines = {"north": FakeEngine(), "south": FakeEngine()}

    def at(self, name: str) -> FakeEngine:
        adapters.use(self.engines[name])
        self.settings.ATRIUM = replace(self.settings.ATRIUM, node_name=name)
        nodes.beat(now=True)
        return self.engines[name]


@pytest.fixture
def machines(outside, settings):
    yield Machines(settings)
    adapters.use(None)


def test_a_job_is_judged_and_stopped_by_the_node_that_runs_it_alone(ada, radio, machines):
    machines.at("north")
    job = start(submit(radio, ada, "run"))
    machines.at("south")

    attempts.reconcile()
    attempts.reap()
    cancel_job(job, by=ada)
    attempts.watch_job(job.pk)
    job.refresh_from_db()
    assert (job.status, job.node, job.losses) == ("running", "north", 0)
    assert in_use() == ledger.Amount()

    machines.at("north")
    assert in_use().cpu == 1
    attempts.reconcile()
    attempts.conclude_job(job.pk)
    job.refresh_from_db()
    assert (job.status, machines.engines["north"].lives) == ("cancelled", {})


def test_a_log_is_read_on_every_node_while_the_job_runs_and_afterwards(client, ada, radio, machines):
    north = machines.at("north")
    machines.at("south")
    machines.at("north")
    job = start(submit(radio, ada, "run"))
    north.say(job.workload_id, "first\n")
    attempts.reconcile()
    north.say(job.workload_id, "second\n")
    attempts.reconcile()

    machines.at("south")
    assert job_log(job) == (b"first\n", 6)
    assert job_log(job, 6) == (b"second\n", 13)
    assert job_log(job, 8, 3) == (b"con", 11)
    assert job_log(job, 13) == (b"", 13)
    client.force_login(ada)
    assert client.get(reverse("jobs:log", args=[job.pk])).getvalue() == b"first\nsecond\n"
    assert "<dd>north</dd>" in client.get(reverse("jobs:detail", args=[job.pk])).text

    machines.at("north").finish(job.workload_id)
    run(job)
    machines.at("south")
    assert not LogPart.objects.exists()
    assert job_log(job) == (b"first\nsecond\n", 13)


def test_jobs_of_a_node_that_is_gone_start_elsewhere_and_what_it_ran_is_ended_when_it_is_back(
    ada, radio, machines
):
    north = machines.at("north")
    job = start(submit(radio, ada, "run"))
    south, before = machines.at("south"), job.workload_id
    north_row = Node.objects.filter(name="north")
    fall_silent(north_row.get())
    attempts.reconcile()
    job.refresh_from_db()
    assert job.status == "running"  # a worker's restart takes as long

    north_row.update(seen_at=timezone.now() - timedelta(minutes=3))
    attempts.watch_job(job.pk)
    job.refresh_from_db()
    assert (job.status, job.losses) == ("queued", 1)
    assert job.reason == "starts again: node north, where it ran, is not heard any more"
    attempts.reconcile()
    job.refresh_from_db()
    assert (job.status, job.node, list(south.lives)) == ("running", "south", [job.workload_id])

    machines.at("north")
    attempts.reconcile()
    assert attempts.reap() == [before]
    assert north.lives == {}
    job.refresh_from_db()
    assert (job.status, job.node) == ("running", "south")


def test_a_machine_that_was_renamed_keeps_its_jobs(ada, radio, machines):
    engine = machines.at("north")
    job = start(submit(radio, ada, "run"))
    machines.engines["renamed"] = engine
    machines.at("renamed")

    attempts.reconcile()

    job.refresh_from_db()
    assert (job.status, job.node, job.losses) == ("running", "renamed", 0)


def test_a_late_end_of_an_attempt_leaves_the_one_that_took_its_place_alone(ada, radio, machines, monkeypatch):
    north = machines.at("north")
    job = start(submit(radio, ada, "run"))
    north.finish(job.workload_id)
    collect = attempts._collect

    def while_south_takes_over(mine: Job, under: str) -> dict:
        monkeypatch.setattr(attempts, "_collect", collect)
        Node.objects.filter(name="north").update(seen_at=timezone.now() - timedelta(minutes=3))
        machines.at("south")
        attempts.watch_job(mine.pk)
        attempts.reconcile()
        machines.at("north")
        return {"late": {"sha256": "0" * 64, "size": 1}}

    monkeypatch.setattr(attempts, "_collect", while_south_takes_over)
    attempts.conclude_job(job.pk)

    job.refresh_from_db()
    assert (job.status, job.attempt, job.node, job.outputs) == ("running", 2, "south", {})
    machines.at("south").finish(job.workload_id)
    assert run(job).status == "succeeded"
    assert not Attempt.objects.filter(finished_at=None).exists()


def test_the_log_of_an_attempt_whose_node_is_gone_is_kept_as_far_as_it_was_told(ada, radio, machines):
    machines.at("south")
    north = machines.at("north")
    job = start(submit(radio, ada, "run"))
    for words in ("first\n", "second\n"):
        north.say(job.workload_id, words)
        attempts.reconcile()
    Node.objects.filter(name="north").update(seen_at=timezone.now() - timedelta(minutes=3))
    machines.at("south")

    attempts.reconcile()

    job.refresh_from_db()
    assert (job.attempt, job.node) == (2, "south")
    assert b"".join(log_parts(job, 1)) == b"first\nsecond\n"
    assert not LogPart.objects.exists()


def test_of_a_long_log_the_head_and_the_newest_are_told(ada, radio, machines):
    machines.at("south")
    north = machines.at("north")
    job = start(submit(radio, ada, "run"))
    piece, told = 1 << 18, HEAD_BYTES + 2 * SEGMENT_BYTES
    north.say(job.workload_id, "x" * (told + 3 * piece) + "end")
    for _round in range(told // (attempts.MOST_PARTS * piece) + 1):
        attempts.reconcile()

    machines.at("south")
    assert LogPart.objects.count() == told // piece + 1
    log = b"".join(log_parts(job))
    assert log.startswith(b"x" * HEAD_BYTES + b"\n[atrium: 786,432 bytes of output left out]\nx")
    assert log.endswith(b"xend")


def test_a_log_that_cannot_be_told_holds_up_no_job_that_waits(ada, radio, machines, monkeypatch):
    machines.at("south")
    north = machines.at("north")
    start(submit(radio, ada, "run"))
    waiting = submit(radio, ada, "run")

    def broken(*_asked: object) -> tuple[bytes, int]:
        raise OSError("the disk is ill")

    monkeypatch.setattr(north, "log", broken)
    attempts.reconcile()

    waiting.refresh_from_db()
    assert waiting.status == "running"


def test_what_was_told_of_a_log_after_its_attempt_had_ended_is_cleared_away(ada, radio, machines):
    machines.at("south")
    north = machines.at("north")
    ended, runs = start(submit(radio, ada, "run")), start(submit(radio, ada, "run"))
    north.finish(ended.workload_id)
    run(ended)
    for attempt in Attempt.objects.all():
        LogPart.objects.create(attempt=attempt, start=0, end=1, data=b"x")

    attempts.reap()

    assert LogPart.objects.get().attempt.job == runs


def test_jobs_of_other_nodes_cost_a_round_nothing(ada, radio, machines, django_assert_num_queries):
    machines.at("north")
    start(submit(radio, ada, "run"))
    machines.at("south")
    attempts.reconcile()
    with CaptureQueriesContext(connection) as one:
        attempts.reconcile()
    machines.at("north")
    for _time in range(3):
        start(submit(radio, ada, "run"))
    machines.at("south")

    with django_assert_num_queries(len(one)):
        attempts.reconcile()


@pytest.mark.parametrize("drained", [False, True])
def test_of_two_full_nodes_one_says_why_a_job_waits(ada, root, radio, machines, drained):
    gives = {"north": 2, "south": 3}

    def at(name: str) -> None:
        machines.at(name)
        machines.settings.ATRIUM = replace(machines.settings.ATRIUM, node_cpu=gives[name])
        nodes.beat(now=True)
        Node.objects.update(seen_at=timezone.now() + timedelta(hours=1))

    for name, cpu in gives.items():
        at(name)
        start(submit(radio, ada, "run", resources={"cpu": cpu / 2}))
    if drained:
        drain_node(Node.objects.get(name="north"), by=root)
    waiting = submit(radio, ada, "run", resources={"cpu": 2})

    seen = []
    for name in 2 * list(gives):
        at(name)
        attempts.reconcile()
        waiting.refresh_from_db()
        seen.append(waiting.reason)

    assert waiting.status == "queued"
    assert len(set(seen[1:])) == 1, seen
    assert "drained" not in seen[-1]


@pytest.mark.parametrize(
    ("wanted", "large", "names"),
    [
        ([], ["a", "b", "c"], "a"),
        ([], ["b", "c"], "b"),
        (["x"], ["a", "b"], "b"),
        (["y"], ["c"], "c"),
        ([], [], "a"),
    ],
)
def test_the_node_that_is_nearest_to_taking_a_job_speaks(wanted, large, names):
    places = [
        placement.Place("c", frozenset("xy"), open=False),
        placement.Place("b", frozenset("x")),
        placement.Place("a", frozenset()),
    ]
    assert placement.speaker(wanted, large, places) == names
    assert placement.speaker(wanted, large, []) is None


def test_a_machine_that_was_renamed_counts_what_its_engine_runs(ada, radio, machines):
    engine = machines.at("north")
    start(submit(radio, ada, "run"))
    machines.engines["renamed"] = engine

    machines.at("renamed")

    assert in_use().cpu == 1


def test_a_machine_for_jobs_alone_does_nothing_else(ada, radio, root, machines, monkeypatch):
    start_workload(workload(), by=root)
    assert in_use().cpu == 1
    done = []
    for names in ("looks", "periodic"):
        monkeypatch.setattr(background, names, {})
    for name in ("compute.a", "core.beat", "workbench.a", "instances.a", "core.deliver_due"):
        background.every(1, name)(partial(done.append, name))
    machines.settings.ATRIUM = replace(machines.settings.ATRIUM, jobs_only=True)

    background.look_around()

    assert done == ["compute.a", "core.beat"]
    assert in_use() == ledger.Amount()
    assert start(submit(radio, ada, "run")).status == "running"
