"""Stage by stage, on evidence; back in one step, by hand or by itself."""

import pytest

from apps.core.errors import Conflict, NotAllowed
from apps.instances.models import Deployment
from apps.instances.selectors import weights_of
from apps.releases.models import Release, Stage
from apps.releases.rollout import active_stage, pause, proceed, promote, resume, roll_back, start_rollout
from tests.factories import make_calls

pytestmark = pytest.mark.django_db


def weights(release):
    found = weights_of(release.capability)
    return found.get(release.deployment_id, 0), found.get(release.baseline_id, 0)


def to_the_end(release, operator):
    """Through every stage, on good calls."""
    for _stage in range(release.stages.count()):
        make_calls(release.deployment, good=4000, bad=0)
        make_calls(release.baseline, good=4000, bad=0)
        proceed(release)
        promote(release, by=operator)


def test_an_operator_rolls_back_from_the_page_of_the_capability(rolling, ada, ole, cy, client):
    back = f"/releases/{rolling.pk}/roll-back/"

    def page(user):
        client.force_login(user)
        return client.get("/store/digits/").content.decode()

    assert f'href="/releases/{rolling.pk}/"' in page(ada)
    assert back not in page(ada)
    assert f"/releases/{rolling.pk}/" not in page(cy)
    assert back in page(ole)
    client.post(back, {"comment": "Too many complaints"})

    assert weights(rolling) == (0, 100)


def test_the_first_version_takes_all_when_it_is_ready(rolling, signed):
    signed.refresh_from_db()

    assert signed.status == Release.Status.RELEASED


def test_the_candidate_starts_with_its_first_share(rolling):
    assert weights(rolling) == (1, 99)


def test_too_little_data_never_passes(rolling, ole):
    make_calls(rolling.deployment, good=5, bad=0)
    make_calls(rolling.baseline, good=400, bad=0)
    proceed(rolling)

    stage = active_stage(rolling)
    assert stage.outcome == "undecided"
    assert stage.evidence["missing"] > 0
    with pytest.raises(NotAllowed, match="more calls"):
        promote(rolling, by=ole)


def test_a_success_waits_for_a_person(rolling, ole):
    make_calls(rolling.deployment, good=300, bad=0)
    make_calls(rolling.baseline, good=3000, bad=0)
    proceed(rolling)
    assert weights(rolling) == (1, 99)

    promote(rolling, by=ole)

    assert weights(rolling) == (5, 95)
    assert list(rolling.stages.values_list("status", flat=True)[:2]) == [
        Stage.Status.PASSED,
        Stage.Status.ACTIVE,
    ]


def test_a_candidate_that_fails_often_is_rolled_back_by_itself(rolling):
    make_calls(rolling.deployment, good=20, bad=20)
    make_calls(rolling.baseline, good=4000, bad=1)
    proceed(rolling)

    rolling.refresh_from_db()
    rolling.deployment.refresh_from_db()
    assert rolling.status == Release.Status.ROLLED_BACK
    assert "badly more often (20 of 40" in rolling.reason_words
    assert weights(rolling) == (0, 100)
    assert rolling.deployment.desired == Deployment.Desired.STOPPED


def test_all_stages_lead_to_everything(rolling, signed, ole):
    to_the_end(rolling, ole)

    rolling.refresh_from_db()
    signed.refresh_from_db()
    assert weights(rolling) == (100, 0)
    assert (rolling.status, signed.status) == (Release.Status.RELEASED, Release.Status.SUPERSEDED)


def test_rollback_after_the_release_restores_what_ran_before(rolling, signed, ole):
    to_the_end(rolling, ole)

    roll_back(rolling, by=ole, reason="the help desk is red")

    rolling.refresh_from_db()
    signed.refresh_from_db()
    assert weights(rolling) == (0, 100)
    assert (rolling.status, signed.status) == (Release.Status.ROLLED_BACK, Release.Status.RELEASED)


def test_a_paused_release_is_not_judged(rolling, ole):
    pause(rolling, by=ole)
    make_calls(rolling.deployment, good=20, bad=20)
    make_calls(rolling.baseline, good=4000, bad=1)
    proceed(rolling)
    assert weights(rolling) == (1, 99)

    resume(rolling, by=ole)
    proceed(rolling)

    rolling.refresh_from_db()
    assert rolling.status == Release.Status.ROLLED_BACK


def test_a_candidate_that_does_not_start_is_rolled_back(rolling):
    Deployment.objects.filter(pk=rolling.deployment_id).update(
        status=Deployment.Status.FAILED, status_reason="crash"
    )
    proceed(rolling)

    rolling.refresh_from_db()
    assert (rolling.status, "crash" in rolling.reason_words) == (Release.Status.ROLLED_BACK, True)


def test_only_operators_steer(rolling, ada, bo, cy):
    for person in (ada, bo, cy):
        with pytest.raises(NotAllowed):
            roll_back(rolling, by=person)


def test_only_one_release_is_in_gray(rolling, signed, ole):
    with pytest.raises((Conflict, NotAllowed)):
        start_rollout(rolling, by=ole)
