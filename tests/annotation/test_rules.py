"""Rules for rare answers and for candidates, and rules that pull when something happens."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone, translation

from apps.annotation import comparing, pulling
from apps.annotation.models import PullRule, Task
from apps.annotation.reading import Reader
from apps.annotation.services import add_rule
from apps.catalog.models import Version
from apps.core import events
from apps.core.errors import Invalid, Unavailable
from apps.core.models import Event
from apps.gateway import late
from apps.gateway.models import Grant, LateMinute, Outcome
from apps.gateway.services import create_grant
from apps.instances.models import Deployment, TrafficWeight
from apps.releases.models import Policy, Release
from tests.annotation.test_pull import SIGNATURE, complain, logged  # noqa: F401 - a fixture
from tests.factories import make_packaged_version, make_ready_deployment, make_report
from tests.releases.test_stages import gateway  # noqa: F401 - a fixture; whatever it is asked, it answers 3

pytestmark = pytest.mark.django_db


@pytest.fixture
def running(project, logged, ole):  # noqa: F811
    """1.0.0 answers in production."""
    deployment = make_ready_deployment(Version.objects.get(number="1.0.0"), ole)
    TrafficWeight.objects.create(
        capability=project.capability, deployment=deployment, weight=100, salt="s", set_by=ole
    )
    return deployment


@pytest.fixture
def candidate(project, running, ada, ole):
    """1.1.0 is ready and answers nobody."""
    version = make_packaged_version(project.capability, ada, "1.1.0")
    Version.objects.filter(pk=version.pk).update(signature=SIGNATURE)
    return make_ready_deployment(version, ole, kind="test")


def test_rare_answers_are_taken_by_their_share(project, logged, ada, monkeypatch, compiled_messages):  # noqa: F811
    monkeypatch.setattr(comparing, "FEWEST", 20)
    common = [logged([float(n), 1.0], answer=3) for n in range(18)]
    rare = logged([1.0, 9.0], answer=8)
    rule = add_rule(project, by=ada, kind="rare", below=0.06)
    assert pulling.pull(rule).tasks == 0  # of nineteen calls nobody can say

    last = logged([2.0, 9.0], answer=3)
    pulling.pull(rule)

    task = Task.objects.get()
    assert (task.request_id, task.rule_kind) == (rare.request_id, "rare")
    assert task.why == "“8” is answered to only 5.0 % of the calls."
    with translation.override("zh-hans"):
        assert task.why == "只有 5.0 % 的调用得到“8”这一回答。"
    assert not {call.request_id for call in [*common, last]} & {task.request_id}


def test_what_the_portal_asks_by_itself_makes_no_answer_common(project, logged, ada, monkeypatch):  # noqa: F811
    monkeypatch.setattr(comparing, "FEWEST", 3)
    own, _key = create_grant(kind="evaluation", capability=project.capability, by=None)
    for answer in (3, 3, 3, 8):
        logged([1.0, 1.0], answer=answer)
    for _time in range(12):
        logged([1.0, 1.0], answer=8, grant_id=own.pk)

    rule = add_rule(project, by=ada, kind="rare", below=0.3)
    assert comparing.shares(Reader(rule.project)) == {"3": 0.75, "8": 0.25}


@pytest.mark.parametrize("below", [None, 0, 1])
def test_a_rule_for_rare_answers_says_what_is_rare(project, ada, below):
    with pytest.raises(Invalid, match="an answer is rare"):
        add_rule(project, by=ada, kind="rare", below=below)


def test_a_candidate_is_asked_where_no_call_is_mirrored(project, logged, candidate, gateway, ada):  # noqa: F811
    before = timezone.now() - timedelta(minutes=5)
    same, other = logged([1.0, 1.0], answer=3, at=before), logged([2.0, 2.0], answer=8, at=before)

    pulling.pull(add_rule(project, by=ada, kind="candidate"))

    task = Task.objects.get()
    assert (task.request_id, task.why) == (other.request_id, "Version 1.1.0 answers “3” to it.")
    assert [path for path, _body in gateway] == ["/v2/models/digits/versions/1.1.0/infer"] * 2
    assert same.request_id != task.request_id
    assert not Grant.objects.filter(kind="evaluation", status="active").exists()


def test_without_a_candidate_the_rule_stands_still_and_goes_on_from_there(
    project, logged, running, gateway, ada, ole  # noqa: F811
):  # fmt: skip
    call = logged([2.0, 2.0], answer=8, at=timezone.now() - timedelta(days=2))
    rule = add_rule(project, by=ada, kind="candidate")
    pulling.pull(rule)
    rule.refresh_from_db()
    assert (rule.pulled_at, gateway) == (None, [])

    version = make_packaged_version(project.capability, ada, "1.1.0")
    Version.objects.filter(pk=version.pk).update(signature=SIGNATURE)
    make_ready_deployment(version, ole, kind="test")
    pulling.pull(rule)

    assert Task.objects.get().request_id == call.request_id


def test_a_gateway_that_is_away_is_waited_for(project, logged, candidate, ada, settings, monkeypatch):  # noqa: F811
    monkeypatch.setattr(type(settings.ATRIUM), "gateway_url", "http://127.0.0.1:9")
    logged([2.0, 2.0], answer=8, at=timezone.now() - timedelta(minutes=5))
    rule = add_rule(project, by=ada, kind="candidate")

    pulling.pull(rule)

    rule.refresh_from_db()
    assert (rule.pulled_at, rule.held_until, rule.error) == (None, None, "")


def test_a_call_that_is_logged_after_a_pull_is_asked_once(
    project, logged, candidate, gateway, ada, monkeypatch  # noqa: F811
):  # fmt: skip
    start = timezone.now().replace(second=30, microsecond=0)
    rule = add_rule(project, by=ada, kind="candidate")

    def pull_after(seconds):
        moment = start + timedelta(seconds=seconds)
        with monkeypatch.context() as patched:
            patched.setattr(timezone, "now", lambda: moment)
            due = PullRule.objects.filter(pulling._is_due(PullRule.objects.all(), moment))
            for found in due.select_related("project"):
                pulling.pull(found)
        return len(gateway)

    logged([1.0, 2.0], answer=8, at=start - timedelta(minutes=10))
    assert pull_after(0) == 1
    logged([2.0, 2.0], answer=8, at=start - timedelta(seconds=20))  # made before the pull, logged after it
    assert [pull_after(seconds) for seconds in (5, 40, 80)] == [1, 1, 1]
    assert [pull_after(seconds) for seconds in (120, 150, 200, 240)] == [1, 2, 2, 2]

    rule.refresh_from_db()
    assert rule.pulled_at == start.replace(second=0) + timedelta(minutes=2)
    assert Task.objects.count() == 2


def test_a_call_of_a_gateway_that_was_cut_off_is_asked_once(
    project, logged, candidate, gateway, ada, monkeypatch  # noqa: F811
):  # fmt: skip
    start = timezone.now()
    rule = add_rule(project, by=ada, kind="candidate")

    def pull_after(minutes):
        with monkeypatch.context() as patched:
            patched.setattr(timezone, "now", lambda: start + timedelta(minutes=minutes))
            pulling.pull(rule)
        return len(gateway)

    assert pull_after(0) == 0
    call = logged([1.0, 2.0], answer=3, at=start - timedelta(hours=1))
    late.note([(call.capability_id, call.at)])

    assert [pull_after(minutes) for minutes in (1, 3, 4, 6)] == [0, 1, 1, 1]


def test_minutes_that_were_not_noted_are_asked_however_many_others_were(
    project, logged, candidate, gateway, ada  # noqa: F811
):  # fmt: skip
    start = timezone.now().replace(second=0, microsecond=0) - timedelta(hours=8)
    rule = add_rule(project, by=ada, kind="candidate")
    for number in range(late.MOST_SPANS + 20):
        late.note([(project.capability_id, start + timedelta(minutes=2 * number))])
    # Between two that were noted, behind the last span that stands alone.
    logged([1.0, 2.0], answer=3, at=start + timedelta(minutes=2 * late.MOST_SPANS + 11, seconds=20))
    noted = logged([2.0, 2.0], answer=3, at=start + timedelta(minutes=2 * late.MOST_SPANS + 12, seconds=20))
    pulling.pull(rule)
    assert len(gateway) == 1  # the other one comes with its minute the next time

    later = timezone.now() + timedelta(minutes=5)
    LateMinute.objects.filter(minute=noted.at.replace(second=0)).update(noted_at=later - timedelta(minutes=3))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(timezone, "now", lambda: later)
        pulling.pull(rule)
    assert len(gateway) == 2


@pytest.fixture
def at(monkeypatch):
    """Sets the clocks of portal and database to so many seconds after a full minute."""
    start = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=30)

    def set_to(seconds):
        monkeypatch.setattr(timezone, "now", lambda: start + timedelta(seconds=seconds))
        return start + timedelta(seconds=seconds)

    return set_to


def arrives(call, at):
    """It is in the log, and noted, only now."""
    late.note([(call.capability_id, call.at)])
    LateMinute.objects.filter(minute=call.at.replace(second=0)).update(noted_at=at)


@pytest.mark.parametrize("made", [1, 29, 59])
@pytest.mark.parametrize("delay", [65, 90, 118])
def test_a_call_that_comes_a_minute_or_two_late_has_its_minute_asked_once(
    project, logged, candidate, gateway, ada, at, made, delay  # noqa: F811
):  # fmt: skip
    at(0)
    rule = add_rule(project, by=ada, kind="candidate")
    logged([1.0, 1.0], answer=3, at=at(30))
    call = None
    for seconds in range(120, 600, 10):
        moment = at(seconds)
        if call is None and seconds >= made + delay:
            call = logged([2.0, 2.0], answer=3, at=at(made))
            arrives(call, at(made + delay))
            at(seconds)
        pulling.pull(rule)
        rule.refresh_from_db()
        assert rule.pulled_at <= moment - timedelta(minutes=2)

    assert len(gateway) == 2


def test_late_calls_that_outlast_a_pull_put_a_rule_back_nowhere(
    project, logged, candidate, gateway, ada, at, monkeypatch  # noqa: F811
):  # fmt: skip
    monkeypatch.setattr(pulling, "_BUDGET_S", 0)
    rule = add_rule(project, by=ada, kind="candidate")
    at(0)
    pulling.pull(rule)
    for number in range(4):
        call = logged([float(number), 1.0], answer=3, at=at(-600 + 60 * number))
        arrives(call, at(10 - number))
    reached = []
    logged([9.0, 9.0], answer=3, at=at(30))
    for seconds in (300, 305, 310, 315, 320, 325, 330, 335, 340):
        at(seconds)
        pulling.pull(rule)
        rule.refresh_from_db()
        reached.append((rule.pulled_at, len(gateway)))

    assert [asked for _moment, asked in reached] == [1, 2, 3, 4, 5, 5, 5, 5, 5]
    assert [moment for moment, _asked in reached] == sorted(moment for moment, _asked in reached)
    assert reached[-1][0] == at(180)


def test_a_late_minute_of_many_calls_is_asked_by_the_page_and_never_again(
    project, logged, candidate, gateway, ada, at, monkeypatch  # noqa: F811
):  # fmt: skip
    monkeypatch.setattr("apps.annotation.candidates.ASKED_AT_ONCE", 2)
    monkeypatch.setattr(pulling, "_BUDGET_S", 0)
    rule = add_rule(project, by=ada, kind="candidate")
    at(0)
    pulling.pull(rule)
    for number in range(5):
        arrives(logged([float(number), 1.0], answer=3, at=at(-600 + number)), at(10))
    arrives(logged([9.0, 1.0], answer=3, at=at(-300)), at(11))

    asked = []
    for seconds in (300, 305, 310, 315, 320):
        at(seconds)
        pulling.pull(PullRule.objects.get(pk=rule.pk))
        asked.append(len(gateway))

    assert asked == [2, 4, 5, 6, 6]


def test_a_late_minute_goes_on_where_the_gateway_went_away(
    project, logged, candidate, gateway, ada, at, monkeypatch  # noqa: F811
):  # fmt: skip
    monkeypatch.setattr("apps.annotation.candidates.ASKED_AT_ONCE", 2)
    rule = add_rule(project, by=ada, kind="candidate")
    at(0)
    pulling.pull(rule)
    for number in range(6):
        arrives(logged([float(number), 1.0], answer=3, at=at(-600 + number)), at(10))
    at(300)
    with monkeypatch.context() as patched:
        answers = pulling.said_by

        def away_after_four(deployment, page):
            if len(gateway) == 4:
                raise Unavailable("away")
            return answers(deployment, page)

        patched.setattr(pulling, "said_by", away_after_four)
        pulling.pull(rule)
    assert len(gateway) == 4

    pulling.pull(PullRule.objects.get(pk=rule.pk))

    assert len(gateway) == 6


def test_many_calls_are_asked_fifty_at_a_time(project, logged, candidate, gateway, ada, monkeypatch):  # noqa: F811
    monkeypatch.setattr("apps.annotation.candidates.ASKED_AT_ONCE", 2)
    monkeypatch.setattr(pulling, "_BUDGET_S", 0)
    start = timezone.now() - timedelta(minutes=60)
    for number in range(5):
        logged([float(number), 2.0], answer=8, at=start + timedelta(minutes=number * 5))
    rule = add_rule(project, by=ada, kind="candidate")

    pulling.pull(rule)
    assert (len(gateway), Task.objects.count()) == (2, 2)
    for _number in range(3):
        pulling.pull(rule)

    assert Task.objects.count() == 5


def pulled_an_hour_ago(project, by, **facts):
    rule = add_rule(project, by=by, every_s=86_400, **facts)
    PullRule.objects.filter(pk=rule.pk).update(pulled_at=timezone.now() - timedelta(hours=1))
    return rule


def test_a_rule_that_waits_for_complaints_pulls_at_once(project, logged, ada):  # noqa: F811
    call = logged([1.0, 2.0])
    pulled_an_hour_ago(project, ada, kind="complained", event="complaint")
    pulled_an_hour_ago(project, ada, kind="random")
    pulling.pull_due()
    assert not Task.objects.exists()

    complain(call)
    pulling.pull_due()

    assert Task.objects.get().rule_kind == "complained"


@pytest.mark.parametrize("event", ["complaint", "release"])
def test_an_event_wakes_a_rule_for_candidates_once_a_minute(
    project, logged, candidate, gateway, ada, at, event  # noqa: F811
):  # fmt: skip
    at(0)
    call = logged([1.0, 2.0], answer=8, at=at(-600))
    rule = add_rule(project, by=ada, kind="candidate", event=event, every_s=86_400)
    pulling.pull(rule)
    came = at(65)
    complain(call)
    Outcome.objects.update(arrived_at=came)
    PullRule.objects.update(woken_at=came)

    tried = []
    for seconds in range(70, 330, 5):
        moment = at(seconds)
        pulling.pull_due()
        tried += [seconds] * (PullRule.objects.get().tried_at == moment)

    # Nothing more can be asked before the next whole minute has settled.
    assert tried == [70, 120]


@pytest.mark.parametrize("name", ["releases.rolling", "releases.released"])
def test_a_rule_that_waits_for_a_release_pulls_at_once(project, logged, ada, name):  # noqa: F811
    logged([1.0, 2.0])
    rule = pulled_an_hour_ago(project, ada, kind="random", event="release")
    pulling.pull_due()
    assert not Task.objects.exists()
    version = Version.objects.get()
    release = Release.objects.create(
        version=version, capability=version.capability, report=make_report(version, ada), opened_by=ada,
        policy=Policy.objects.create(team=project.team, capability=version.capability, number=1),
        content_digest="0" * 64,
    )  # fmt: skip
    events.publish(name, release.pk)
    for event in Event.objects.filter(name=name):
        assert events.deliver(event.pk)

    pulling.pull_due()
    rule.refresh_from_db()
    before = rule.pulled_at
    pulling.pull_due()

    rule.refresh_from_db()
    assert Task.objects.count() == 1
    assert rule.pulled_at == before


def test_the_form_says_how_often_and_at_which_event(project, logged, ada, client):  # noqa: F811
    client.force_login(ada)
    asked = {"kind": "complained", "share": "1", "every_s": "3600", "event": "complaint"}

    page = client.post(f"/annotation/{project.pk}/rules/", asked, follow=True).content.decode()

    rule = PullRule.objects.get()
    assert (rule.every_s, rule.event) == (3600, "complaint")
    assert "at once when:" in page
    told = client.get(f"/api/v1/annotation-projects/{project.pk}/rules/").json()
    assert told[0]["event"] == "complaint"
    refused = client.post(
        f"/api/v1/annotation-projects/{project.pk}/rules/", {"kind": "random", "event": "full moon"}
    )
    assert refused.status_code == 422
    assert Deployment.objects.count() == 0
