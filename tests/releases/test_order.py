"""Nobody gets around the stages: not by page, API, a copy at a site, a bypass, or at the same moment."""

import pytest
from django.test import Client
from django.utils import translation

from apps.accounts.models import Role
from apps.catalog.models import Capability, Version
from apps.core.errors import Conflict, NotAllowed
from apps.instances import guard
from apps.instances.selectors import shadow_of, weights_of
from apps.instances.services import deploy_version, set_shadow, set_weights, stop_deployment
from apps.releases.bypass import agree_to_bypass, ask_for_bypass, withdraw_bypass
from apps.releases.bypass import proceed as proceed_bypass
from apps.releases.models import Release
from apps.releases.rollout import pause, proceed, promote, roll_back, start_rollout
from apps.store.services import reuse_at_site, update_copy
from tests.factories import make_calls, make_packaged_version, make_plan, make_ready_deployment, make_user
from tests.releases.conftest import PASSWORD, sign
from tests.releases.test_races import at_once
from tests.releases.test_rollout import to_the_end, weights

pytestmark = pytest.mark.django_db


@pytest.fixture
def released(rolling, ole):
    """1.1.0 has all the traffic, and 1.0.0 still runs."""
    to_the_end(rolling, ole)
    rolling.refresh_from_db()
    assert rolling.status == Release.Status.RELEASED
    return rolling


def test_a_signed_version_is_not_given_its_share_by_hand(released, digits, ada, bo, bea, ole):
    third = sign(make_packaged_version(digits, ada, "1.2.0"), ada, bo, bea)
    deployment = make_ready_deployment(third.version, ole)

    for share in (1, 100):
        asked = {deployment.pk: share} | ({released.deployment_id: 100 - share} if share < 100 else {})
        with pytest.raises(NotAllowed, match="never released") as refused:
            set_weights(digits, asked, by=ole)
        assert refused.value.facts["url"] == f"/releases/{third.pk}/"
    assert weights(released) == (100, 0)


def test_neither_is_the_first_one(signed, digits, ole):
    deployment = make_ready_deployment(signed.version, ole)

    with pytest.raises(NotAllowed, match="never released"):
        set_weights(digits, {deployment.pk: 100}, by=ole)
    assert weights_of(digits) == {}


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("share", [0, 1, 2, 100])
def test_while_a_release_is_in_gray_nobody_else_divides(rolling, digits, ole, paused, share):
    if paused:
        pause(rolling, by=ole)
    asked = {rolling.deployment_id: share, rolling.baseline_id: 100 - share}

    with pytest.raises(NotAllowed, match=r"1\.1\.0 is in gray") as refused:
        set_weights(digits, asked, by=ole)
    with pytest.raises(NotAllowed, match="is in gray"):
        set_weights(digits, {}, by=ole)
    assert refused.value.facts["url"] == f"/releases/{rolling.pk}/"
    assert weights(rolling) == (1, 99)


def test_what_was_released_before_takes_the_traffic_again(released, digits, ole):
    set_weights(digits, {released.baseline_id: 100}, by=ole)
    assert weights(released) == (0, 100)

    set_weights(digits, {released.baseline_id: 40, released.deployment_id: 60}, by=ole)
    assert weights(released) == (60, 40)


def test_what_was_rolled_back_does_not(released, digits, ole):
    roll_back(released, by=ole)
    deployment = make_ready_deployment(released.version, ole)

    with pytest.raises(NotAllowed):
        set_weights(digits, {deployment.pk: 100}, by=ole)


def test_other_bytes_than_were_released_do_not(released, digits, ole):
    Version.objects.filter(pk=released.version_id).update(digest="f" * 64)

    assert not guard.has_gone_the_whole_way(Version.objects.get(pk=released.version_id))


def test_the_traffic_is_not_taken_away_first_so_that_there_are_no_stages(released, digits, ada, bo, bea, ole):
    third = sign(make_packaged_version(digits, ada, "1.2.0"), ada, bo, bea)
    set_weights(digits, {}, by=ole)

    with pytest.raises(Conflict, match="Give it its traffic back first"):
        start_rollout(third, by=ole)

    set_weights(digits, {released.deployment_id: 100}, by=ole)
    assert start_rollout(third, by=ole).stages.count() == 4


def test_what_is_out_of_use_is_nothing_to_compare_with(released, digits, ada, bo, bea, ole):
    third = sign(make_packaged_version(digits, ada, "1.2.0"), ada, bo, bea)
    set_weights(digits, {}, by=ole)
    Version.objects.filter(pk=released.version_id).update(status="retired")

    assert start_rollout(third, by=ole).status == Release.Status.ROLLING


def test_a_bypass_has_the_traffic_and_gives_it_back_itself(released, digits, ada, bo, ole):
    hotfix = make_packaged_version(digits, ada, "1.1.1")
    asked = ask_for_bypass(hotfix, by=ole, reason="wrong answers", hours=1, password=PASSWORD)
    candidate = make_ready_deployment(hotfix, ole)
    bypass = agree_to_bypass(asked, by=bo, password=PASSWORD)

    for share in ({candidate.pk: 100}, {released.deployment_id: 100}, {}):
        with pytest.raises(NotAllowed, match="bypass is in force"):
            set_weights(digits, share, by=ole)
    proceed_bypass(bypass)
    assert weights_of(digits) == {candidate.pk: 100}
    withdraw_bypass(bypass, by=bo)
    assert weights(released) == (100, 0)
    again = make_ready_deployment(hotfix, ole)
    with pytest.raises(NotAllowed, match="not signed"):
        set_weights(digits, {again.pk: 100}, by=ole)


def test_a_site_runs_what_was_released_and_never_the_candidate(rolling, digits, ada, ole, transport):
    olga = make_user("olga", team=transport, role=Role.OPERATOR)
    Capability.objects.filter(pk=digits.pk).update(status="published", visibility="organisation")
    digits.refresh_from_db()
    make_plan(digits, ada, "shared", reuse=True)
    for _stage in range(3):
        to_the_next(rolling, ole)
    assert weights(rolling) == (50, 50)
    with pytest.raises(NotAllowed, match="never released"):
        deploy_version(rolling.version, kind="production", by=olga, host=transport)

    copy = reuse_at_site(digits, transport, by=olga)

    assert copy.deployment.version.number == "1.0.0"
    copy.status = "running"
    copy.save()
    assert update_copy(copy, by=olga).successor is None
    to_the_next(rolling, ole)
    assert update_copy(copy, by=olga).successor.version.number == "1.1.0"


def to_the_next(release, operator):
    make_calls(release.deployment, good=4000, bad=0)
    make_calls(release.baseline, good=4000, bad=0)
    proceed(release)
    promote(release, by=operator)


def test_a_mirror_answers_nobody_and_is_no_way_in(released, digits, ada, ole):
    unsigned = make_ready_deployment(make_packaged_version(digits, ada, "1.2.0"), ole)
    set_shadow(digits, unsigned, 100, by=ole)

    assert shadow_of(digits).deployment == unsigned
    assert weights(released) == (100, 0)
    with pytest.raises(NotAllowed):
        set_weights(digits, {unsigned.pk: 100}, by=ole)
    stop_deployment(unsigned, by=ole)
    assert shadow_of(digits) is None


@pytest.mark.django_db(transaction=True)
def test_a_share_by_hand_and_a_start_at_once_leave_no_release_without_its_baseline(
    released, digits, ada, bo, bea, ole
):
    third = sign(make_packaged_version(digits, ada, "1.2.0"), ada, bo, bea)
    make_ready_deployment(third.version, ole)

    at_once(
        lambda: set_weights(digits, {released.baseline_id: 100}, by=ole),
        lambda: start_rollout(third, by=ole),
    )

    third.refresh_from_db()
    assert third.status == Release.Status.ROLLING
    assert weights_of(digits) == {third.baseline_id: 100}


def test_the_page_and_the_api_refuse_with_the_way_on(rolling, digits, ole, compiled_messages):
    client = Client()
    client.force_login(ole)
    shares = {f"d{rolling.deployment_id}": 100, f"d{rolling.baseline_id}": 0}

    page = client.post("/operations/traffic/digits/", shares).content.decode()
    told = client.put(
        "/api/v1/traffic/digits/", {"weights": {str(rolling.deployment_id): 100}}, "application/json"
    )

    assert "1.1.0 is in gray, and its stages divide the traffic" in page
    assert f'href="/releases/{rolling.pk}/"' in page
    assert "Set the mirror" in page  # which answers nobody, and goes on
    assert (told.status_code, told.json()["url"]) == (403, f"/releases/{rolling.pk}/")
    assert weights(rolling) == (1, 99)
    with translation.override("zh-hans"):
        assert "灰度" in guard.may_divide_by_hand(digits).reason


def test_what_everybody_has_is_not_rolled_back_under_a_release_in_gray(
    released, digits, ada, bo, bea, ole, client
):
    slow = sign(make_packaged_version(digits, ada, "1.2.0"), ada, bo, bea)
    fast = sign(make_packaged_version(digits, ada, "1.3.0"), ada, bo, bea)
    for release in (fast, slow):  # the one that was opened first is the last to start
        make_ready_deployment(release.version, ole)
        proceed(start_rollout(release, by=ole))
        if release is fast:
            to_the_end(Release.objects.get(pk=fast.pk), ole)
    slow.refresh_from_db()
    fast.refresh_from_db()
    assert (slow.status, fast.status) == (Release.Status.ROLLING, Release.Status.RELEASED)
    divided = weights_of(digits)

    client.force_login(ole)
    page = client.get("/store/digits/").content.decode()
    assert f"/releases/{slow.pk}/roll-back/" in page
    assert f"/releases/{fast.pk}/" not in page
    assert "/roll-back/" not in client.get(f"/releases/{fast.pk}/").content.decode()
    with pytest.raises(NotAllowed, match=r"1\.2\.0 is in gray"):
        roll_back(fast, by=ole)
    assert weights_of(digits) == divided
