"""Who alone calls objects: the provider asks again, or two people conclude the stage on what replayed calls showed."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone, translation

from apps.accounts.models import Role
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.gateway.models import Call, Grant, UsageOfKey
from apps.releases import conclusions, replays
from apps.releases.blockers import blockers_of
from apps.releases.judgement import Counts, least_replayed, rule_out
from apps.releases.models import Conclusion, Policy, Release, Replay, ReplayedCall
from apps.releases.policies import create_policy
from apps.releases.rollout import active_stage, proceed, roll_back, start_rollout
from apps.releases.selectors import conclusions_of
from apps.requests.models import Notification
from tests.factories import make_calls, make_packaged_version, make_ready_deployment, make_user
from tests.releases.conftest import PASSWORD, sign
from tests.releases.test_replay import dana, subscription  # noqa: F401  fixtures
from tests.releases.test_rollout import weights
from tests.releases.test_stages import released  # noqa: F401  a fixture

pytestmark = pytest.mark.django_db
LAST = {"weight": 50, "worse_by": 0.05}
ANSWERED = 59


@pytest.fixture
def start(released, digits, ada, bo, bea, ole, dana, subscription):  # noqa: F811
    """1.1.0 is at its last stage, the only subscriber objects, and its calls were replayed; some went badly."""

    def go(*, bad=0, stage=LAST, allowed=True):
        Policy.objects.create(
            team=digits.team, capability=digits, number=2, signers=[{"role": "qa", "count": 2}],
            stages=[stage], replay_calls=100, replays_stand_in=allowed,
        )  # fmt: skip
        release = sign(make_packaged_version(digits, ada, "1.1.0"), ada, bo, bea)
        make_ready_deployment(release.version, ole)
        proceed(start_rollout(release, by=ole))
        release.refresh_from_db()
        proceed(release)
        make_calls(release.deployment, good=ANSWERED, bad=0, share=0)
        replay = release.replays.get()
        answers = [
            *Call.objects.filter(deployment_id=release.deployment_id).values_list("request_id", flat=True)
        ]
        now = timezone.now()
        ReplayedCall.objects.bulk_create(
            ReplayedCall(
                replay=replay, request_id=uuid4(), at=now, version="1.0.0", answer_id=answer,
                outcome="failed" if place < bad else "same",
            )
            for place, answer in enumerate(answers)
        )  # fmt: skip
        Replay.objects.update(status="asked", deadline=now + timedelta(days=1))
        replays.object_to(replay, by=dana, comment="8 is right")
        release.refresh_from_db()
        return release

    return go


def ask(release, by):
    return conclusions.ask_to_conclude(release, by=by, reason="The only caller.", password=PASSWORD)


def test_two_people_conclude_a_stage_whose_only_caller_objects(start, ole, bo, dana):  # noqa: F811
    release = start()
    assert active_stage(release).outcome == "undecided"

    ask(release, ole)
    assert weights(release) == (50, 50)
    assert Notification.objects.filter(user=bo, url=f"/releases/{release.pk}/").exists()
    assert blockers_of(release.version)[-1].code == "conclusion"
    conclusions.agree_to_conclude(release, by=bo, password=PASSWORD)

    release.refresh_from_db()
    told = Conclusion.objects.get()
    assert (release.status, weights(release)) == (Release.Status.RELEASED, (100, 0))
    assert (told.status, told.settled_by) == ("agreed", bo)
    assert (told.evidence["replayed"], told.evidence["bad"]) == (ANSWERED, 0)
    assert told.evidence["objecting"] == [dana.memberships.get().team.slug]
    assert (
        AuditEntry.objects.filter(action="releases.release.concluded").get().facts["reason"]
        == "The only caller."
    )
    assert release.replays.get().status == "objected"  # and keeps the old version


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"allowed": False}, "does not let replayed calls"),
        ({"bad": 1}, "more good ones"),
        ({"stage": LAST | {"slow_ms": 0.5}}, "more good ones"),
        ({"stage": LAST | {"worse_by": 0.04}}, "It takes 15 more good ones"),
        ({"stage": LAST | {"server_cpu": 1.0}}, "load of its servers"),
    ],
)
def test_replayed_calls_stand_in_only_where_they_rule_a_rise_out(start, ole, facts, why):
    release = start(**facts)
    proceed(release)

    with pytest.raises(NotAllowed, match=why):
        ask(release, ole)


def test_nobody_concludes_alone_or_in_the_place_of_others(start, ole, ada, bo, radio):
    release = start()
    for person in (ada, bo):
        with pytest.raises(NotAllowed):
            ask(release, person)
    with pytest.raises(Invalid, match="password"):
        conclusions.ask_to_conclude(release, by=ole, reason="Alone.", password="a guess")
    with pytest.raises(Invalid, match="why"):
        conclusions.ask_to_conclude(release, by=ole, reason=" ", password=PASSWORD)

    ask(release, ole)
    make_user("second", team=radio, role=Role.OPERATOR)
    with pytest.raises(Conflict, match="already"):
        ask(release, make_user("third", team=radio, role=Role.OPERATOR))
    for person in (ole, ada):
        with pytest.raises(NotAllowed):
            conclusions.agree_to_conclude(release, by=person, password=PASSWORD)
    with pytest.raises(Invalid):
        conclusions.agree_to_conclude(release, by=bo, password="a guess")
    assert weights(release) == (50, 50)


def test_what_was_asked_falls_with_the_objection_the_stage_or_a_word(start, ole, bo, dana):  # noqa: F811
    release = start()
    ask(release, ole)
    conclusions.withdraw_conclusion(release, by=bo)
    ask(release, ole)
    replays.consent(release.replays.get(), by=dana)
    with pytest.raises(Conflict, match="Nobody"):
        conclusions.agree_to_conclude(release, by=bo, password=PASSWORD)
    replays.object_to(release.replays.get(), by=dana)
    roll_back(release, by=ole)

    assert [row.status for row in conclusions_of(release)] == ["withdrawn", "withdrawn"]
    with pytest.raises((NotAllowed, Conflict)):
        conclusions.agree_to_conclude(release, by=bo, password=PASSWORD)


def test_real_calls_that_speak_against_it_are_not_outweighed(start, ole, bo):
    release = start()
    ask(release, ole)
    make_calls(release.deployment, good=20, bad=40)
    make_calls(release.baseline, good=60, bad=0)
    proceed(release)

    release.refresh_from_db()
    assert release.status == Release.Status.ROLLED_BACK
    assert Conclusion.objects.get().status == "withdrawn"


def test_the_provider_asks_who_objects_again_once_a_day(start, ole, bo, dana, client, compiled_messages):  # noqa: F811
    release = start()
    replay = release.replays.get()
    with pytest.raises(NotAllowed):
        replays.ask_anew(replay, by=bo, comment="Look.")
    with pytest.raises(Invalid):
        replays.ask_anew(replay, by=ole, comment=" ")
    client.force_login(ole)

    client.post(f"/releases/replays/{replay.pk}/ask-again/", {"comment": "The label was wrong, see #12."})

    replay.refresh_from_db()
    assert (replay.status, replay.asked_anew_by) == ("objected", ole)
    with pytest.raises(NotAllowed, match="less than a day"):
        replays.ask_anew(replay, by=ole, comment="Please.")
    assert Notification.objects.filter(user=dana, body="The label was wrong, see #12.").exists()
    client.force_login(dana)
    assert "The label was wrong, see #12." in client.get(f"/releases/replays/{replay.pk}/").text
    with translation.override("zh-hans"), pytest.raises(NotAllowed, match="不到一天"):
        replays.ask_anew(replay, by=ole, comment="Please.")


def test_the_page_says_who_objects_and_what_can_be_done(start, ole, bo, client, subscription):  # noqa: F811
    release = start()
    now = timezone.now()
    UsageOfKey.objects.create(
        capability_id=release.capability_id, grant_id=Grant.objects.get(pool=subscription.pool).pk, version="1.0.0",
        day=now.replace(hour=0, minute=0, second=0, microsecond=0), count=40, failed=0, last=now,
    )  # fmt: skip
    client.force_login(ole)
    page = client.get(f"/releases/{release.pk}/").text
    assert "100 % are theirs" in page
    assert "8 is right" in page

    asked = {"reason": "The only caller.", "password": PASSWORD}
    client.post(f"/releases/{release.pk}/conclusion/ask/", asked)
    client.force_login(bo)
    assert "Agree and go on" in client.get(f"/releases/{release.pk}/").text
    client.post(f"/releases/{release.pk}/conclusion/agree/", {"password": PASSWORD})

    release.refresh_from_db()
    assert release.status == Release.Status.RELEASED
    assert "was concluded on replayed calls" in client.get(f"/releases/{release.pk}/").text


def test_programs_conclude_it_the_same_way(start, ole, bo, client):
    release = start()
    address = f"/api/v1/releases/{release.pk}/conclusions/"
    client.force_login(ole)
    made = client.post(address, {"reason": "The only caller.", "password": PASSWORD}, "application/json")
    assert (made.status_code, made.json()["evidence"]["replayed"]) == (201, ANSWERED)
    client.force_login(bo)
    done = client.post(f"{address}agree/", {"password": PASSWORD}, "application/json")

    assert (done.status_code, done.json()["status"]) == (200, "released")
    assert [(row["status"], row["settled_by"]) for row in client.get(address).json()] == [("agreed", "bo")]


def test_a_policy_whose_replays_could_never_stand_in_is_refused(digits, bo, bea):
    asked = {"signers": [{"role": "qa", "count": 2}], "stages": [LAST], "replays_stand_in": True}
    with pytest.raises(Invalid, match="from 59 on; 58 are replayed"):
        create_policy(digits, by=bo, **asked, replay_calls=58)

    assert create_policy(digits, by=bo, **asked, replay_calls=59).replays_stand_in


def test_the_bound_is_the_exact_one():
    """0 bad of 59: 1 - 0.05^(1/59) = 4.95 %; of 58: 5.03 %."""
    assert (least_replayed(0.05), least_replayed(0.01)) == (59, 299)
    assert rule_out(Counts(59, 0), worse_by=0.05).missing == 0
    assert round(rule_out(Counts(58, 0), worse_by=0.05).most, 4) == 0.0503
    assert rule_out(Counts(0, 0), worse_by=0.05).missing == 59
    assert rule_out(Counts(59, 1), worse_by=0.05).missing == least_replayed(0.05, bad=1) - 59 == 34
