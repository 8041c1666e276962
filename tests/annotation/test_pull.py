"""Logged calls become tasks by rule: once, whatever is repeated, with their reason; and a rule is tried before."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from uuid import uuid4

import orjson
import pytest
from django.db import connection
from django.utils import timezone, translation

from apps.accounts.models import Site
from apps.annotation import candidates, pulling
from apps.annotation.models import Draw, Merged, PullRule, Slot, Task
from apps.annotation.services import add_rule, change_project, switch_rule
from apps.catalog.models import Version
from apps.core import turns
from apps.core.errors import Conflict
from apps.gateway import late, partitions
from apps.gateway.digest import Digester
from apps.gateway.models import Call, Outcome
from apps.instances.models import Deployment
from apps.requests.models import Notification
from tests.factories import make_packaged_version

pytestmark = pytest.mark.django_db

SIGNATURE = {
    "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class"}],
    "columns": [{"name": "load", "minimum": 0, "maximum": 10}, {"name": "drops", "minimum": 0}],
}


@pytest.fixture
def logged(project, ada):
    """Logs a call of the project's capability."""
    version = make_packaged_version(project.capability, ada, "1.0.0")
    Version.objects.filter(pk=version.pk).update(signature=SIGNATURE)
    partitions.make(timezone.now().date())

    def log(values, answer=3, **fields):
        request = {"inputs": [{"name": "features", "shape": [1, 2], "datatype": "FP32", "data": values}]}
        response = {"outputs": [{"name": "class", "shape": [1], "datatype": "INT64", "data": [answer]}]}
        facts = {
            "request_id": uuid4(), "at": timezone.now(), "capability_id": project.capability_id, "version": "1.0.0",
            "status": 200, "latency_ms": 1.0, "stage_weight": 100.0, "shadow": False, "digested": True,
            "request": orjson.dumps(request), "response": orjson.dumps(response), "score": 0.9,
        }  # fmt: skip
        facts |= fields
        partitions.make(facts["at"].date())  # shortly after midnight an hour ago was another day
        return Call.objects.create(**facts)

    return log


def complain(call):
    Outcome.objects.create(request_id=call.request_id, kind="feedback", correct=False, at=timezone.now())


def test_equal_inputs_are_one_task_and_count_once_however_often_it_is_pulled(project, logged, ada):
    for _number in range(3):
        logged([1.0, 2.0])
    rule = add_rule(project, by=ada, kind="random")

    for _number in range(3):
        pulling.pull(rule)

    assert Task.objects.get().weight == 3
    assert Merged.objects.count() == 2


def test_each_kind_takes_its_calls_and_says_why(project, logged, ada, compiled_messages):
    sure, unsure, outside, split = (
        logged([1.0, 1.0]), logged([2.0, 2.0], score=0.3), logged([30.0, 1.0]), logged([4.0, 4.0]),
    )  # fmt: skip
    logged([4.0, 4.0], answer=8, shadow=True)
    logged([1.0, 1.0], answer=3, shadow=True)
    complain(sure)
    complain(unsure)
    expected = {
        "complained": {sure, unsure},
        "confident": {sure},
        "uncertain": {unsure},
        "outside": {outside},
        "disagreeing": {split},
        "random": {sure, unsure, outside, split},
    }
    for kind, calls in expected.items():
        found = pulling.preview(project, kind=kind, share=1.0, below=0.6)
        assert {call.request_id for call, _why in found.some} == {call.request_id for call in calls}, kind
        assert all(why for _call, why in found.some)
        assert found.taken == len(calls)
    assert not Task.objects.exists()

    pulling.pull(add_rule(project, by=ada, kind="outside"))
    task = Task.objects.get()
    assert (task.rule_kind, task.reason) == ("outside", "Outside the range that the version names: load.")
    with translation.override("zh-hans"):
        assert task.why == "超出版本声明的范围：load。"


def test_more_calls_than_one_pull_looks_at_wait_for_the_next(project, logged, ada, monkeypatch):
    monkeypatch.setattr(candidates, "PAGE", 4)
    monkeypatch.setattr(pulling, "_BUDGET_S", 0)
    start = timezone.now() - timedelta(minutes=30)
    for number in range(10):
        logged([float(number), 1.0], at=start + timedelta(minutes=number * 3))
    rule = add_rule(project, by=ada, kind="random")

    for _number in range(4):
        pulling.pull(rule)

    assert Task.objects.count() == 10


def test_a_call_that_cannot_be_read_is_told_to_the_rules_author_with_its_id(project, logged, ada):
    broken = logged([1.0, 2.0], response=b"\x00 no json")
    pulling.pull(add_rule(project, by=ada, kind="random"))

    assert str(broken.request_id) in Notification.objects.get(user=ada).body
    assert str(broken.request_id) in PullRule.objects.get().error


def test_a_rule_that_rests_pulls_nothing(project, logged, ada):
    logged([1.0, 2.0])
    rule = add_rule(project, by=ada, kind="random")
    switch_rule(rule, by=ada, active=False)

    pulling.pull_due()

    assert not Task.objects.exists()


def test_a_rule_is_tried_on_the_page_and_over_the_api(project, logged, ada, ann, client):
    logged([1.0, 2.0])
    rule = add_rule(project, by=ada, kind="random")
    client.force_login(ada)
    told = {"kind": "random", "share": "1"}

    page = client.post(f"/annotation/{project.pk}/rules/preview/", told).content.decode()
    api = f"/api/v1/annotation-projects/{project.pk}/rules/"
    answer = client.post(api + "preview/", told, "application/json")
    rests = client.post(f"{api}{rule.pk}/", {"active": False}, "application/json")
    switched = client.post(f"/annotation/{project.pk}/rules/{rule.pk}/", {"active": "1"})

    assert "1 of the 1 calls" in page
    assert (answer.json()["taken"], rests.json()["active"], switched.status_code) == (1, False, 302)
    assert PullRule.objects.get().active
    client.force_login(ann)
    assert client.post(f"/annotation/{project.pk}/rules/preview/", told).status_code == 403
    assert client.post(api + "preview/", told, "application/json").status_code == 403


def with_odds(project, *shares):
    """A version that answers with probabilities too, and a body with these."""
    spec = {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(shares)], "kind": "probabilities"}
    Version.objects.update(signature=SIGNATURE | {"outputs": [*SIGNATURE["outputs"], spec]})
    outputs = [
        {"name": "class", "shape": [1], "datatype": "INT64", "data": [3]},
        {"name": "probabilities", "shape": [1, len(shares)], "datatype": "FP32", "data": list(shares)},
    ]
    return orjson.dumps({"outputs": outputs})


@pytest.mark.parametrize(("measure", "words"), [("margin", "4 points behind"), ("entropy", "close to even")])
def test_uncertain_by_margin_and_by_entropy(project, logged, ada, measure, words):
    close = logged([1.0, 2.0], response=with_odds(project, 0.40, 0.36, 0.24))
    logged([2.0, 3.0], response=with_odds(project, 0.96, 0.02, 0.02))

    pulling.pull(add_rule(project, by=ada, kind="uncertain", measure=measure, below=0.2))

    task = Task.objects.get()
    assert task.request_id == close.request_id
    assert words in task.reason


def test_a_version_without_probabilities_is_told_to_the_rules_author(project, logged, ada):
    logged([1.0, 2.0], score=None)

    pulling.pull(add_rule(project, by=ada, kind="uncertain", measure="margin", below=0.2))

    assert "no probabilities" in PullRule.objects.get().error


def test_each_site_and_hour_gives_its_quota_and_each_draw_knows_its_probability(project, logged, ada, radio):
    version = Version.objects.get()
    places = [
        Deployment.objects.create(
            capability=project.capability, version=version, kind="production", created_by=ada,
            site=Site.objects.create(slug=slug, name=slug),
        )
        for slug in ("east", "west")
    ]  # fmt: skip
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    for number in range(12):
        place = places[number >= 8]
        logged([float(number), 1.0], at=hour + timedelta(minutes=number), deployment_id=place.pk)
    rule = add_rule(project, by=ada, kind="stratified", quota=4)

    for _number in range(2):
        pulling.pull(rule)

    drawn = Counter(Draw.objects.values_list("site", "probability"))
    assert drawn == {("east", 0.5): 4, ("west", 1.0): 4}


def test_a_control_draws_also_what_a_complaint_took_before(project, logged, ada):
    calls = [logged([float(number), 1.0]) for number in range(4)]
    complain(calls[0])
    pulling.pull(add_rule(project, by=ada, kind="complained"))

    pulling.pull(add_rule(project, by=ada, kind="random"))

    assert Draw.objects.count() == 4
    assert Task.objects.get(request_id=calls[0].request_id).rule_kind == "complained"
    assert Merged.objects.count() == 0


def test_one_control_at_a_time_and_the_next_begins_where_it_ended(project, logged, ada):
    logged([1.0, 1.0], at=timezone.now() - timedelta(minutes=30))
    first = add_rule(project, by=ada, kind="random", share=0.000001)
    pulling.pull(first)
    with pytest.raises(Conflict, match="already"):
        add_rule(project, by=ada, kind="random")
    switch_rule(first, by=ada, active=False)

    pulling.pull(add_rule(project, by=ada, kind="random"))

    assert not Draw.objects.exists()


def test_almost_equal_inputs_are_one_task_and_a_share_is_labelled_by_itself(
    project, logged, ada, monkeypatch
):
    change_project(project, by=ada, near=True)
    first = logged([1.0, 2.0], at=timezone.now() - timedelta(minutes=2))
    logged([1.0001, 2.0], at=timezone.now() - timedelta(minutes=1))
    logged([5.0, 2.0])
    rule = add_rule(project, by=ada, kind="random")

    monkeypatch.setattr(pulling, "_AUDITED", 0.0)
    pulling.pull(rule)
    monkeypatch.setattr(pulling, "_AUDITED", 1.0)
    logged([1.0002, 2.0])
    pulling.pull(rule)

    original = Task.objects.get(request_id=first.request_id)
    audit = Task.objects.get(audit_of=original)
    assert (original.weight, Task.objects.count(), Draw.objects.count()) == (2, 3, 4)
    assert str(original.pk) in audit.reason


def test_a_worker_killed_in_a_pull_keeps_nothing_of_its_page_and_the_next_pull_takes_each_call_once(
    project, logged, ada, monkeypatch
):
    for _number in range(2):
        logged([1.0, 2.0])
    logged([3.0, 4.0])
    rule = add_rule(project, by=ada, kind="random")

    def killed(*_args):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(pulling, "_merge", killed)
        with pytest.raises(SystemExit):
            pulling.pull(rule)
    assert (Task.objects.count(), Slot.objects.count(), Draw.objects.count()) == (0, 0, 0)

    for _number in range(2):
        pulling.pull(PullRule.objects.get(pk=rule.pk))
    assert sorted(Task.objects.values_list("weight", flat=True)) == [1, 2]
    assert (Draw.objects.count(), Merged.objects.count()) == (3, 1)


def sealed_body(**how):
    """A request whose features the gateway has taken out, and put back as it keeps sensitive ones."""
    return orjson.dumps({"inputs": [{"name": "features", "shape": [1, 2], "datatype": "FP32", **how}]})


@pytest.mark.parametrize(
    "how", [{"sealed": "bm8=", "key": 1}, {"dropped": True}, {"data": [0, 1], "sealed_columns": {}}]
)
def test_a_sensitive_tensor_is_left_out_with_a_reason_and_the_rest_is_pulled(
    project, logged, ada, how, compiled_messages
):
    hidden = logged([1.0, 2.0], request=sealed_body(**how))
    logged([3.0, 4.0])
    rule = add_rule(project, by=ada, kind="random")

    pulling.pull(rule)

    assert Task.objects.get().inputs == {"features": [3.0, 4.0]}
    why = "“features” is sensitive, and nobody is shown it for labelling"
    assert PullRule.objects.get().error == f"call {hidden.request_id}: {why}"
    with translation.override("zh-hans"):
        assert "属于敏感数据" in PullRule.objects.get().problems


def test_bodies_that_nobody_expects_are_told_and_stop_nothing(project, logged, ada):
    logged([1.0, 2.0], request=b"[1]")
    logged([1.0, 2.0], response=orjson.dumps({"outputs": [{"name": "class"}]}))
    logged([3.0, 4.0])

    pulling.pull(add_rule(project, by=ada, kind="random"))

    assert Task.objects.count() == 1
    assert PullRule.objects.get().error.count("are not built as the Open Inference Protocol says") == 2


def test_the_author_is_told_once_however_many_calls_cannot_be_read(project, logged, ada):
    rule = add_rule(project, by=ada, kind="random")
    for number in range(3):
        logged([1.0, float(number)], response=b"no json")
        pulling.pull(rule)
    Call.objects.all().delete()
    pulling.pull(rule)

    assert Notification.objects.filter(user=ada).count() == 1
    assert PullRule.objects.get().error


def test_a_rule_that_breaks_stops_no_other_is_held_and_heals(project, logged, ada, monkeypatch):
    broken = add_rule(project, by=ada, kind="uncertain", below=0.5)
    add_rule(project, by=ada, kind="random")
    logged([1.0, 2.0])
    read = pulling._read

    def breaks(rule, *rest):
        if rule.pk == broken.pk:
            raise RuntimeError("nobody thought of this")
        return read(rule, *rest)

    logged([5.0, 6.0], score=0.1)
    with monkeypatch.context() as patched:
        patched.setattr(pulling, "_read", breaks)
        pulling.pull_due()
        pulling.pull_due()
    broken.refresh_from_db()
    assert Task.objects.count() == 2
    assert "nobody thought of this" in broken.error
    assert broken.held_until > timezone.now()
    assert Notification.objects.filter(user=ada).count() == 1

    PullRule.objects.filter(pk=broken.pk).update(held_until=timezone.now())
    logged([7.0, 8.0], score=0.1)
    pulling.pull_due()
    broken.refresh_from_db()
    assert (broken.error, broken.held_until) == ("", None)


def test_rules_that_get_no_further_keep_no_other_from_its_turn(project, logged, ada, monkeypatch):
    monkeypatch.setattr(pulling, "_MOST_RULES", 2)
    for _number in range(2):
        add_rule(project, by=ada, kind="candidate")  # there is nobody to ask, so it stays due
    resting = add_rule(project, by=ada, kind="complained", every_s=3600)
    PullRule.objects.filter(pk=resting.pk).update(pulled_at=timezone.now() - timedelta(minutes=59))
    add_rule(project, by=ada, kind="random")
    logged([1.0, 2.0])

    for _round in range(2):
        pulling.pull_due()

    assert Task.objects.get().rule_kind == "random"
    resting.refresh_from_db()
    assert resting.tried_at is None


def test_two_rounds_are_not_at_the_same_rule(project, logged, ada):
    rule = add_rule(project, by=ada, kind="random")
    logged([1.0, 2.0])
    elsewhere = connection.copy()
    try:
        with elsewhere.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [turns.PULL, rule.pk])
        pulling.pull_due()
        assert not Task.objects.exists()
    finally:
        elsewhere.close()

    pulling.pull_due()
    assert Task.objects.count() == 1


def test_an_event_wakes_a_rule_that_asks_once_it_can_see_the_calls_of_then(project, ada, monkeypatch):
    rule = add_rule(project, by=ada, kind="candidate", event="release", every_s=86_400)
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)

    def is_due(pulled, woken):
        PullRule.objects.filter(pk=rule.pk).update(pulled_at=pulled, woken_at=woken)
        rules = PullRule.objects.all()
        return rules.filter(pulling._is_due(rules, now)).exists()

    seen_until, minute = candidates.settled(), timedelta(minutes=1)
    assert is_due(seen_until - minute, now)
    assert not is_due(seen_until - minute, seen_until + candidates.OVERLAPPING - minute)
    assert not is_due(seen_until, now)  # nothing further has settled


def arrives_late(call):
    """The ingester says so of what comes long after it was made."""
    late.note([(call.capability_id, call.at)])


def test_a_call_that_comes_late_is_pulled_once_and_its_minute_makes_nothing_twice(project, logged, ada):
    rule = add_rule(project, by=ada, kind="random")
    logged([0.0, 0.0], at=timezone.now() - timedelta(hours=2))
    pulling.pull(rule)
    arrives_late(logged([1.0, 1.0], at=timezone.now() - timedelta(hours=2)))
    logged([2.0, 2.0], at=timezone.now() - timedelta(hours=3))  # nobody said that this one came late

    for _number in range(3):
        pulling.pull(rule)

    assert sorted(Task.objects.values_list("inputs__features__0", flat=True)) == [0.0, 1.0]
    assert (Draw.objects.count(), Merged.objects.count()) == (2, 0)


def test_what_is_digested_late_is_pulled_then(project, logged, ada):
    call = logged([1.0, 1.0], at=timezone.now() - timedelta(hours=1), digested=False, score=0.1)
    rule = add_rule(project, by=ada, kind="uncertain", below=0.5)
    pulling.pull(rule)
    assert not Task.objects.exists()

    Digester().digest_some()
    Call.objects.update(score=0.1)
    pulling.pull(rule)

    assert Task.objects.get().request_id == call.request_id


def test_a_complaint_that_arrives_days_after_its_call_and_late_itself_is_pulled(project, logged, ada):
    call = logged([1.0, 1.0], at=timezone.now() - timedelta(days=3))
    rule = add_rule(project, by=ada, kind="complained")
    pulling.pull(rule)
    long_ago = timezone.now() - timedelta(days=1)
    Outcome.objects.create(request_id=call.request_id, kind="feedback", correct=False, at=long_ago)

    for _number in range(2):
        pulling.pull(rule)

    assert Task.objects.get().request_id == call.request_id


def test_an_hour_with_late_calls_is_drawn_again_and_keeps_what_it_drew(project, logged, ada):
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    for number in range(8):
        logged([float(number), 1.0], at=hour + timedelta(minutes=number))
    rule = add_rule(project, by=ada, kind="stratified", quota=4)
    pulling.pull(rule)
    before = set(Draw.objects.values_list("request_id", "probability"))
    pulling.pull(rule)
    assert set(Draw.objects.values_list("request_id", "probability")) == before

    for number in range(8, 40):
        arrives_late(logged([float(number), 1.0], at=hour + timedelta(minutes=number)))
    pulling.pull(rule)

    after = set(Draw.objects.values_list("request_id", "probability"))
    assert before < after
    assert {chance for _pk, chance in after - before} == {0.1}


def test_neighbouring_minutes_are_one_span(project):
    start = timezone.now().replace(second=0, microsecond=0) - timedelta(hours=5)
    for minutes in (0, 1, 2, 30):
        late.note([(project.capability_id, start + timedelta(minutes=minutes, seconds=7))])
    late.note([(project.capability_id, timezone.now()), (None, start)])

    found = late.spans(project.capability_id, start, start)
    minute = timedelta(minutes=1)
    assert found == [(start, start + 3 * minute), (start + 30 * minute, start + 31 * minute)]
    assert late.spans(project.capability_id, timezone.now(), start) == []
    assert late.forget(timezone.now() + late.KEPT + minute) == 4
