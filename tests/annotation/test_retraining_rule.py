"""Good → publish, poor → retrain: the rule decides, records why, and does nothing twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from apps.accounts.models import Membership, Role
from apps.annotation import deciding, retraining
from apps.annotation.models import Retraining, RetrainingDecision, RetrainingRule, Task
from apps.catalog.models import Version
from apps.compute.models import Job
from apps.core import lineage
from apps.core.errors import Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.evaluation.models import Report
from apps.instances.models import TrafficWeight
from apps.releases.models import Release, Signature
from apps.releases.signing import open_release
from apps.requests.models import Notification
from tests.annotation.conftest import make_draw, make_task
from tests.factories import (
    make_capability,
    make_packaged_version,
    make_ready_deployment,
    make_report,
    make_user,
)

pytestmark = pytest.mark.django_db
PAGE = "/annotation/retraining/digits/"
REST = "/api/v1/retraining-rules/"


@pytest.fixture
def running(project, ada):
    """Version 1.0.0 answers production, and the job that trained it is recorded."""
    version = make_packaged_version(project.capability, ada, "1.0.0")
    job = Job.objects.create(
        kind="training", title="t", team=project.team, created_by=ada, argv=["python", "train.py"],
        params={"depth": 4}, status=Job.Status.SUCCEEDED,
    )  # fmt: skip
    Version.objects.filter(pk=version.pk).update(training_job_urn=lineage.urn(job))
    deployment = make_ready_deployment(version, ada, kind="test")
    TrafficWeight.objects.create(
        capability=project.capability, deployment=deployment, weight=100, salt="s", set_by=ada
    )
    return deployment


@pytest.fixture
def rule(project, running, ada):
    return write(project, ada)


def write(project, by, **facts):
    told = {"project": project.pk, "least_quality": 0.7, "least_labels": 10, "cool_down_h": 24}
    return deciding.write_rule(project.capability, by=by, **(told | facts))


def labelled(project, wrong, right, *, version="1.0.0", days_ago=0):
    """Calls that the random control drew, with accepted labels; so many of them were answered wrong."""
    begin = Task.objects.count()
    for number in range(wrong + right):
        task = make_task(project, begin + number)
        label = "8" if number < wrong else "3"
        Task.objects.filter(pk=task.pk).update(status="accepted", label=label, value=label)
        make_draw(task, version=version, called_at=timezone.now() - timedelta(days=days_ago))


def codes():
    return list(RetrainingDecision.objects.order_by("pk").values_list("code", flat=True))


def make_retrained(rule, running, ada, *, difference=(0.01, 0.05), accuracy=0.97, compared=True):
    """A retraining that is done, and the report about its version."""
    version = make_packaged_version(rule.capability, ada, "1.1.0")
    job = Job.objects.create(
        kind="training", title="t", team=rule.capability.team, created_by=ada, argv=["x"],
        status=Job.Status.SUCCEEDED,
    )  # fmt: skip
    report = make_report(version, ada, accuracy=accuracy, production=running if compared else None)
    if compared:
        told = {"value": sum(difference) / 2, "low": difference[0], "high": difference[1], "n": 100}
        Report.objects.filter(pk=report.pk).update(headline=report.headline | {"difference": told})
    return Retraining.objects.create(
        capability=rule.capability, origin=running.version, version=version, job=job, started_by=ada,
        dataset_version=rule.project.dataset.versions.first(), status=Retraining.Status.DONE,
    )  # fmt: skip


class TestPoor:
    def test_it_is_trained_anew_on_every_accepted_label(self, rule, project, ada):
        labelled(project, 15, 5)

        decision = deciding.decide(rule)

        made = Retraining.objects.get()
        assert (decision.what, decision.code, decision.retraining) == ("retrain", "poor", made)
        assert (made.dataset_version.number, made.started_by, made.job.params) == (2, ada, {"depth": 4})
        assert decision.figures["accuracy"] == 0.25
        assert decision.figures["high"] < 0.7
        assert (decision.figures["new_labels"], decision.figures["n"]) == (20, 20)
        assert "answered 25.0 % of the calls rightly" in decision.reason
        assert AuditEntry.objects.get(action="annotation.retraining.decided").facts["code"] == "poor"
        assert "retrained" in Notification.objects.get(user=ada).title

    def test_while_that_is_under_way_nothing_is_begun_and_that_is_said_once(self, rule, project):
        labelled(project, 15, 5)
        deciding.decide(rule)
        labelled(project, 15, 0)

        assert deciding.decide(rule).code == "under_way"
        assert deciding.decide(rule) is None
        assert codes() == ["poor", "under_way"]
        assert Retraining.objects.count() == 1

    def test_it_cools_down_also_after_one_that_failed(self, rule, project):
        labelled(project, 15, 5)
        deciding.decide(rule)
        Retraining.objects.update(status=Retraining.Status.FAILED)

        cooling = deciding.decide(rule)
        assert cooling.code == "cooling"
        assert cooling.figures["until"] > timezone.now().isoformat()
        assert deciding.decide(rule) is None
        Retraining.objects.update(started_at=timezone.now() - timedelta(hours=25))
        RetrainingRule.objects.update(tried_at=timezone.now() - timedelta(hours=25))

        assert deciding.decide(rule).code == "poor"
        assert [made.dataset_version.number for made in Retraining.objects.all()] == [2, 2]

    def test_labels_that_a_training_has_seen_are_not_new(self, rule, project):
        labelled(project, 15, 5)
        deciding.decide(rule)
        Retraining.objects.update(
            status=Retraining.Status.DONE, started_at=timezone.now() - timedelta(hours=25)
        )
        labelled(project, 9, 0)

        decision = deciding.decide(rule)

        assert (decision.code, decision.figures["new_labels"]) == ("few_labels", 9)
        assert "9 labels are new; 10 are asked for" in decision.reason
        labelled(project, 1, 0)
        RetrainingRule.objects.update(tried_at=None)
        assert deciding.decide(rule).retraining.dataset_version.number == 3

    def test_an_open_release_is_waited_for(self, rule, project, running, ada, bo):
        make_user("bea", team=project.team, role=Role.QA)
        labelled(project, 15, 5)
        made = make_retrained(rule, running, ada)
        Retraining.objects.update(started_at=timezone.now() - timedelta(hours=25))
        open_release(made.version, by=ada)

        decision = deciding.decide(rule)

        assert decision.code == "under_way"
        assert "release of version 1.1.0" in decision.reason

    def test_whoever_may_not_retrain_any_more_does_so_by_no_rule(self, rule, project, ada):
        labelled(project, 15, 5)
        Membership.objects.filter(user=ada).update(role=Role.ANNOTATOR)

        decision = deciding.decide(rule)
        assert decision.code == "refused"
        assert "ada" in decision.figures["refused"]
        assert deciding.decide(rule) is None
        RetrainingRule.objects.update(tried_at=timezone.now() - timedelta(hours=2))
        assert deciding.decide(rule) is None
        assert not Retraining.objects.exists()
        write(project, make_user("eve", team=project.team))

        assert deciding.decide(rule).retraining.started_by.username == "eve"

    def test_what_was_refused_leaves_no_data_set_version_behind(self, rule, project, ada):
        labelled(project, 15, 5)
        Version.objects.update(training_job_urn="")

        decision = deciding.decide(rule)

        assert decision.code == "refused"
        assert "cannot be run again" in decision.reason
        assert project.dataset.versions.count() == 1
        assert Task.objects.filter(dataset_version=None).count() == 20
        assert "refused" in Notification.objects.get(user=ada).title


class TestNotPoor:
    @pytest.mark.parametrize(
        ("wrong", "right", "code"), [(0, 20, "holds"), (5, 10, "undecided"), (0, 2, "undecided"), (0, 0, "unknown")]
    )  # fmt: skip
    def test_nothing_is_done_and_that_is_recorded_once(self, rule, project, wrong, right, code):
        labelled(project, wrong, right)

        assert deciding.decide(rule).code == code
        assert deciding.decide(rule) is None
        assert codes() == [code]
        assert not Retraining.objects.exists()
        assert not Notification.objects.exists()

    def test_each_change_of_the_outcome_is_recorded(self, rule, project):
        deciding.decide(rule)
        labelled(project, 0, 2)
        deciding.decide(rule)
        labelled(project, 0, 20)
        deciding.decide(rule)

        assert codes() == ["unknown", "undecided", "holds"]

    def test_only_the_version_in_production_and_the_last_days_count(self, rule, project):
        labelled(project, 20, 0, version="0.9.0")
        labelled(project, 20, 0, days_ago=15)

        assert deciding.decide(rule).code == "unknown"

    def test_draws_count_by_their_weight(self, rule, project):
        labelled(project, 15, 15)
        project.draws.filter(task__label="3").update(probability=0.01)

        assert deciding.decide(rule).figures["accuracy"] > 0.95

    def test_without_production_there_is_nothing_to_judge(self, rule):
        TrafficWeight.objects.all().delete()

        assert deciding.decide(rule).reason == "No version answers production calls."

    def test_a_rule_that_is_off_rests(self, rule, project, ada):
        labelled(project, 15, 5)
        write(project, ada, active=False)

        deciding.decide_all()

        assert deciding.decide(rule) is None
        assert codes() == []


class TestResult:
    @pytest.fixture(autouse=True)
    def signers(self, project, bo):
        return [bo, make_user("bea", team=project.team, role=Role.QA)]

    def test_the_release_of_a_better_version_is_opened_and_waits_for_signatures(self, rule, running, ada):
        made = make_retrained(rule, running, ada)

        decision = deciding.decide(rule)

        release = Release.objects.get()
        assert (decision.what, decision.code, decision.release) == ("release", "better", release)
        assert (release.status, release.version, release.opened_by) == ("signing", made.version, ada)
        assert not Signature.objects.exists()
        assert "accuracy differs by +0.01 to +0.05" in decision.reason
        assert decision.retraining == made
        deciding.decide(rule)
        assert Release.objects.count() == 1
        assert codes() == ["better", "unknown"]

    @pytest.mark.parametrize(
        ("facts", "code", "words"),
        [
            ({"difference": (-0.01, 0.05)}, "not_better", "not surely better"),
            ({"difference": (-0.05, -0.01)}, "not_better", "not surely better"),
            ({"compared": False}, "not_better", "not compared"),
            ({"accuracy": 0.5}, "not_passed", "fails a gate"),
        ],
    )
    def test_any_other_stays_unreleased_and_that_is_said_once(self, rule, running, ada, facts, code, words):
        make_retrained(rule, running, ada, **facts)

        deciding.decide(rule)
        deciding.decide(rule)

        assert codes() == [code, "unknown"]
        assert words in RetrainingDecision.objects.get(code=code).reason
        assert not Release.objects.exists()

    def test_no_release_is_opened_where_nobody_could_sign_it(self, rule, running, ada, signers):
        Membership.objects.filter(user__in=signers).delete()
        make_retrained(rule, running, ada)

        deciding.decide(rule)

        assert codes() == ["not_opened", "unknown"]
        assert not Release.objects.exists()

    def test_a_release_that_people_rejected_is_not_opened_again(self, rule, running, ada):
        make_retrained(rule, running, ada)
        deciding.decide(rule)
        Release.objects.update(status=Release.Status.REJECTED)

        deciding.decide(rule)

        assert Release.objects.count() == 1

    def test_a_rule_may_leave_releases_to_people(self, rule, running, project, ada):
        make_retrained(rule, running, ada)
        write(project, ada, opens_release=False)

        deciding.decide(rule)

        assert codes() == ["unknown"]


class TestTogether:
    def test_who_is_killed_leaves_nothing_and_the_next_look_does_it(self, rule, project, monkeypatch):
        labelled(project, 15, 5)

        def end(**_facts):
            raise MemoryError

        with monkeypatch.context() as patch:
            patch.setattr(RetrainingDecision.objects, "create", end)
            with pytest.raises(MemoryError):
                deciding.decide(rule)
        assert not Retraining.objects.exists()
        assert project.dataset.versions.count() == 1

        deciding.decide(rule)

        assert (Retraining.objects.count(), project.dataset.versions.count()) == (1, 2)
        assert codes() == ["poor"]

    @pytest.mark.django_db(transaction=True)
    def test_workers_and_a_person_at_once_begin_one_retraining_by_the_rule(self, rule, project, ada):
        labelled(project, 15, 5)
        first = project.dataset.versions.get()

        def act(what):
            try:
                what()
            finally:
                connection.close()

        by_hand = [lambda: retraining.retrain(project.capability, first, by=ada)]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(act, by_hand + [lambda: deciding.decide(rule)] * 3))

        decided = RetrainingDecision.objects.filter(what="retrain").count()
        assert decided <= 1
        assert Retraining.objects.count() == 1 + decided
        assert set(codes()) <= {"poor", "under_way"}

    def test_a_rule_that_breaks_stops_no_other(self, rule, project, ada, monkeypatch):
        other = make_capability(project.team, ada, "faults")
        RetrainingRule.objects.create(
            capability=other, project=project, written_by=ada, written_at=timezone.now()
        )
        known = deciding.quality_of

        def measure(asked):
            if asked.pk == rule.pk:
                raise ZeroDivisionError
            return known(asked)

        monkeypatch.setattr(deciding, "quality_of", measure)
        deciding.decide_all()

        assert RetrainingDecision.objects.get().rule.capability == other


class TestWriting:
    def test_a_developer_writes_it_and_the_others_read_it(self, project, running, ada, bo, ole, ann, client):
        client.force_login(ada)
        assert "Nothing decided yet" in client.get(PAGE).content.decode()
        asked = {
            "project": project.pk,
            "least_quality": "0.7",
            "days": 14,
            "least_labels": 10,
            "cool_down_h": 24,
        }
        assert client.post(PAGE, asked | {"active": "on"}).status_code == 302
        rule = RetrainingRule.objects.get()
        assert (rule.least_quality, rule.active, rule.opens_release) == (0.7, True, False)
        assert AuditEntry.objects.filter(action="annotation.retraining_rule.written").count() == 1
        labelled(project, 15, 5)
        deciding.decide(rule)

        for person in (ada, bo, ole):
            client.force_login(person)
            page = client.get(PAGE).content.decode()
            assert "So it is trained anew on" in page
            assert ("Save the rule" in page) == (person == ada)
        assert client.post(PAGE, asked).status_code == 403
        client.force_login(ann)
        assert client.get(PAGE).status_code == 404

    def test_its_reasons_are_read_in_the_language_of_the_reader(self, rule, project, compiled_messages):
        labelled(project, 15, 5)
        deciding.decide(rule)

        with translation.override("zh-hans"):
            why = RetrainingDecision.objects.get().why

        assert "版本 1.0.0" in why
        assert "再训练" in why
        assert "25.0" in why

    def test_what_cannot_be_is_refused(self, project, running, ada, bo, client):
        for wrong in ({"least_quality": 1.0}, {"days": 0}, {"least_labels": 0}, {"cool_down_h": 0}):
            with pytest.raises(Invalid):
                write(project, ada, **wrong)
        other = make_capability(project.team, ada, "faults")
        with pytest.raises(Invalid, match="no annotation project"):
            deciding.write_rule(other, by=ada, project=project.pk)
        with pytest.raises(NotAllowed):
            write(project, bo)
        client.force_login(ada)
        assert client.post(PAGE, {"project": project.pk, "least_quality": "2"}).status_code == 422
        assert not RetrainingRule.objects.exists()

    def test_by_program(self, project, running, ada, bo, ole, client):
        client.force_login(ada)
        asked = {"project": project.pk, "least_quality": 0.7, "least_labels": 5}
        made = client.put(f"{REST}digits/", asked, content_type="application/json").json()
        assert (made["capability"], made["cool_down_h"], made["written_by"]) == ("digits", 24, "ada")
        client.put(f"{REST}digits/", asked | {"days": 7}, content_type="application/json")
        assert RetrainingRule.objects.get().days == 7
        wrong = client.put(f"{REST}digits/", asked | {"dyas": 7}, content_type="application/json")
        assert wrong.status_code == 422
        labelled(project, 15, 5)
        deciding.decide_all()

        client.force_login(ole)
        assert [each["capability"] for each in client.get(REST).json()["results"]] == ["digits"]
        told = client.get(f"{REST}digits/decisions/").json()["results"][0]
        assert (told["what"], told["code"], told["figures"]["n"]) == ("retrain", "poor", 20)
        assert "trained anew" in told["reason"]
        refused = client.put(f"{REST}digits/", asked, content_type="application/json")
        assert refused.status_code == 403

    def test_the_page_costs_the_same_for_many_decisions(self, rule, ada, client):
        client.force_login(ada)

        def cost():
            with CaptureQueriesContext(connection) as asked:
                page = client.get(PAGE).content.decode()
            return len(asked), page

        RetrainingDecision.objects.create(rule=rule, what="nothing", code="holds", reason="One.")
        cost()
        few, _page = cost()
        RetrainingDecision.objects.bulk_create(
            RetrainingDecision(rule=rule, what="nothing", code="holds", reason=f"Number {n}.")
            for n in range(40)
        )
        many, page = cost()

        assert few == many
        assert "Number 39." in page
        assert "Number 9." not in page
        assert "cursor=" in page

    def test_it_is_found_from_the_project_and_from_production_history(self, project, ada, ole, client):
        client.force_login(ada)
        assert PAGE in client.get(f"/annotation/{project.pk}/").content.decode()
        client.force_login(ole)
        assert PAGE in client.get("/releases/history/digits/").content.decode()
        assert "No rule yet" in client.get(PAGE).content.decode()
