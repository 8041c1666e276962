"""Automation pauses by itself: undecided for too long, or held by the gateway; people are told and go on from there."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.core.errors import Conflict, Invalid
from apps.gateway import reach
from apps.releases import rollout
from apps.releases.blockers import blockers_of
from apps.releases.content import content_of
from apps.releases.models import Release, Stage
from apps.releases.policies import create_policy
from apps.releases.rollout import active_stage, pause, proceed, proceed_all, resume
from apps.requests.models import Notification
from tests.factories import make_calls
from tests.releases.test_rollout import weights

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def answers(monkeypatch):
    """Whether the gateway answers the portal."""
    state = {"now": True}
    monkeypatch.setattr(reach, "answers", lambda: state["now"])
    return state


def let_pass(release, **time):
    """As if the stage had begun, or been resumed, that much earlier."""
    stage, earlier = active_stage(release), timedelta(**time)
    begun = {"started_at": stage.started_at - earlier}
    if stage.resumed_at:
        begun["resumed_at"] = stage.resumed_at - earlier
    Stage.objects.filter(pk=stage.pk).update(**begun)
    held = Release.objects.get(pk=release.pk).held
    since = {cause: (datetime.fromisoformat(at) - earlier).isoformat() for cause, at in held.items()}
    Release.objects.filter(pk=release.pk).update(held=since)


def status(release):
    release.refresh_from_db()
    return release.status, release.why.get("code", "")


def told(person):
    return list(Notification.objects.filter(user=person).order_by("pk").values_list("title", flat=True))


def test_a_stage_that_stays_undecided_pauses_the_release_and_its_operators_hear_of_it(rolling, ole, ada):
    let_pass(rolling, days=13)
    proceed(rolling)
    assert status(rolling) == ("rolling", "")

    let_pass(rolling, days=1)
    proceed(rolling)
    proceed(rolling)

    assert status(rolling) == ("paused", "paused_undecided")
    assert weights(rolling) == (1, 99)
    assert [title for title in told(ole) if "undecided after 14 days" in title] == [
        f"{rolling.version}: {rolling.reason_words}"
    ]
    assert not any("undecided" in title for title in told(ada))
    assert [(b.code, b.words) for b in blockers_of(rolling.version)] == [("paused", rolling.reason_words)]


def test_resumed_it_waits_as_long_again(rolling, ole):
    let_pass(rolling, days=14)
    proceed(rolling)
    resume(rolling, by=ole)
    proceed(rolling)
    assert status(rolling) == ("rolling", "")

    let_pass(rolling, days=13)
    proceed(rolling)
    assert status(rolling) == ("rolling", "")
    let_pass(rolling, days=1)
    proceed(rolling)
    assert status(rolling) == ("paused", "paused_undecided")


def test_what_has_its_evidence_is_not_paused_however_long_nobody_promotes_it(rolling):
    make_calls(rolling.deployment, good=4000, bad=0, share=1)
    make_calls(rolling.baseline, good=4000, bad=0, share=99)
    proceed(rolling)
    let_pass(rolling, days=40)
    proceed(rolling)

    assert (status(rolling)[0], active_stage(rolling).outcome) == ("rolling", "success")


def test_a_gateway_that_stays_away_pauses_it_and_one_that_comes_back_in_time_does_not(rolling, answers, ole):
    answers["now"] = False
    proceed(rolling)
    let_pass(rolling, minutes=14)
    answers["now"] = True
    proceed(rolling)
    assert (status(rolling), rolling.held_since) == (("rolling", ""), None)

    answers["now"] = False
    proceed(rolling)
    let_pass(rolling, minutes=15)
    proceed(rolling)

    assert status(rolling) == ("paused", "paused_away")
    assert "has not answered the portal for 15 minutes" in told(ole)[-1]
    answers["now"] = True
    resume(rolling, by=ole)
    proceed(rolling)
    assert (status(rolling), rolling.held_since) == (("rolling", ""), None)


def test_a_gateway_that_stays_behind_the_stage_pauses_it(rolling, ole):
    make_calls(rolling.deployment, good=4000, bad=0, share=1)
    make_calls(rolling.baseline, good=4000, bad=0, share=99)
    proceed(rolling)
    rollout.promote(rolling, by=ole)
    later = timezone.now() + timedelta(seconds=30)
    make_calls(rolling.baseline, good=50, bad=0, share=99, at=later)
    proceed(rolling)
    assert (status(rolling), rolling.held_since is None) == (("rolling", ""), False)

    let_pass(rolling, minutes=16)
    proceed(rolling)

    assert status(rolling) == ("paused", "paused_behind")
    assert weights(rolling) == (5, 95)


def test_a_new_cause_has_a_time_of_its_own_and_two_in_turn_are_seen_all_the_same(
    rolling, answers, monkeypatch
):
    answers["now"] = False
    proceed(rolling)
    let_pass(rolling, minutes=14)
    answers["now"] = True
    monkeypatch.setattr(rollout, "_step", held_back)
    proceed(rolling)
    let_pass(rolling, minutes=14)
    proceed(rolling)
    assert (status(rolling), sorted(rolling.held)) == (("rolling", "held"), ["gateway_away", "held"])

    answers["now"] = False
    proceed(rolling)

    assert status(rolling) == ("paused", "paused_away")


def held_back(release):
    raise Conflict("Its share is taken.")


def test_who_steers_hears_that_what_was_paused_has_its_evidence_by_now(rolling, ole):
    let_pass(rolling, days=14)
    proceed(rolling)
    make_calls(rolling.deployment, good=4000, bad=0, share=1)
    make_calls(rolling.baseline, good=4000, bad=0, share=99)

    proceed_all()
    proceed_all()

    assert status(rolling) == ("paused", "paused_undecided")
    assert (
        told(ole)[-1]
        == f"{rolling.version}: the stage of 1 % was paused and is a success by now; resume it to go on"
    )
    assert sum("success by now" in title for title in told(ole)) == 1


def test_what_the_portal_paused_still_goes_back_when_it_answers_badly(rolling):
    let_pass(rolling, days=14)
    proceed(rolling)
    make_calls(rolling.deployment, good=20, bad=20, share=1)
    make_calls(rolling.baseline, good=4000, bad=1, share=99)

    proceed_all()

    assert (status(rolling)[0], weights(rolling)) == ("rolled_back", (0, 100))


def test_what_a_person_paused_is_left_alone(rolling, ole):
    let_pass(rolling, days=20)
    pause(rolling, by=ole)
    proceed_all()

    assert status(rolling) == ("paused", "")


def test_the_reason_is_read_in_the_readers_language(rolling, ole, client, compiled_messages):
    let_pass(rolling, days=14)
    proceed(rolling)
    User.objects.filter(pk=ole.pk).update(language="zh-hans")
    client.force_login(ole)

    assert "已自动暂停" in client.get(f"/releases/{rolling.pk}/").content.decode()
    assert client.get(f"/api/v1/releases/{rolling.pk}/").json()["why"]["about"] == {"weight": 1, "days": 14}


def test_how_long_a_stage_waits_is_the_policys_and_signed_where_it_is_not_the_usual(digits, bo, bea, rolling):
    asked = {"signers": [{"role": "qa", "count": 1}], "stages": [{"weight": 5, "worse_by": 0.05}]}
    patient = create_policy(digits, by=bo, **asked, stage_days=30)

    assert content_of(rolling.report, patient)["policy"]["stage_days"] == 30
    assert "stage_days" not in content_of(rolling.report, rolling.policy)["policy"]
    with pytest.raises(Invalid, match="1 to 365 days for its evidence"):
        create_policy(digits, by=bo, **asked, stage_days=0)
