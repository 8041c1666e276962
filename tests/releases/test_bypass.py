"""An emergency: two people, some hours, and back by itself unless it was signed meanwhile."""

from datetime import timedelta

import pytest
from django.utils import timezone, translation

from apps.accounts.models import User
from apps.catalog.models import Version
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.instances.guard import may_take_production_traffic
from apps.instances.selectors import weights_of
from apps.instances.services import stop_deployment
from apps.releases import bypass
from apps.releases.bypass import agree_to_bypass, ask_for_bypass, proceed, withdraw_bypass
from apps.releases.findings import raise_finding
from apps.releases.models import Bypass, Release
from apps.releases.rollout import proceed as proceed_release
from apps.releases.rollout import start_rollout
from apps.requests.models import Notification
from tests.factories import make_packaged_version, make_ready_deployment
from tests.releases.conftest import PASSWORD, sign

pytestmark = pytest.mark.django_db


@pytest.fixture
def running(signed, ole):
    """1.0.0 has all the traffic."""
    deployment = make_ready_deployment(signed.version, ole)
    proceed_release(start_rollout(signed, by=ole))
    return deployment


@pytest.fixture
def hotfix(digits, ada):
    return make_packaged_version(digits, ada, "1.0.1")


@pytest.fixture
def asked(running, hotfix, ole):
    return ask_for_bypass(hotfix, by=ole, reason="all answers are wrong", hours=2, password=PASSWORD)


@pytest.fixture
def in_force(asked, hotfix, bo, ole):
    candidate = make_ready_deployment(hotfix, ole)
    bypass = agree_to_bypass(asked, by=bo, password=PASSWORD)
    proceed(bypass)
    assert weights_of(bypass.capability) == {candidate.pk: 100}
    return bypass


def expire(bypass):
    Bypass.objects.filter(pk=bypass.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def test_one_person_moves_nothing(asked, hotfix, running, ole):
    with pytest.raises(NotAllowed, match="second person"):
        agree_to_bypass(asked, by=ole, password=PASSWORD)

    assert not may_take_production_traffic(hotfix)
    assert weights_of(hotfix.capability) == {running.pk: 100}


def test_neither_the_author_nor_an_outsider_agrees(asked, ada, cy):
    for person in (ada, cy):
        with pytest.raises(NotAllowed):
            agree_to_bypass(asked, by=person, password=PASSWORD)


def test_a_wrong_password_agrees_to_nothing(asked, bo):
    with pytest.raises(Invalid, match="password"):
        agree_to_bypass(asked, by=bo, password="guess")


def test_it_rolls_back_by_itself_when_it_expires(in_force, running, hotfix):
    expire(in_force)
    assert not may_take_production_traffic(hotfix)  # at once, before anybody cleans up
    proceed(in_force)

    in_force.refresh_from_db()
    assert in_force.status == Bypass.Status.ENDED
    assert weights_of(hotfix.capability) == {running.pk: 100}
    assert AuditEntry.objects.filter(action="releases.bypass.back").exists()


def test_who_wrote_the_version_is_told_and_the_page_says_what_is_left_to_do(asked, in_force, ada, bo, client):
    client.force_login(bo)
    left = f"/catalog/{in_force.capability.slug}/versions/{in_force.version.number}/"
    assert left in client.get("/releases/emergency/").content.decode()
    expire(in_force)
    proceed(in_force)

    page = client.get("/releases/emergency/").content.decode()
    assert ("expired" in page, "would have ended" in page, left in page) == (True, False, True)
    told = list(
        Notification.objects.filter(user=ada, url="/releases/emergency/").order_by("pk").values("title")
    )
    assert len(told) == 3  # asked for, in force, and over
    assert "expired and the version was not signed" in told[-1]["title"]

    Version.objects.filter(pk=in_force.version_id).update(status=Version.Status.RETIRED)
    assert left not in client.get("/releases/emergency/").content.decode()


def test_a_bypass_on_which_a_look_fails_is_logged_and_looked_at_again(in_force, monkeypatch, caplog):
    with monkeypatch.context() as patched:
        patched.setattr(bypass, "_step", lambda _bypass: 1 / 0)
        bypass.proceed_all()
    assert f"bypass {in_force.pk}: this look failed" in caplog.text

    expire(in_force)
    bypass.proceed_all()
    in_force.refresh_from_db()
    assert in_force.status == Bypass.Status.ENDED


def test_it_ends_even_where_what_ran_before_cannot_come_back(in_force, running, hotfix, ole):
    stop_deployment(running, by=ole)
    expire(in_force)
    proceed(in_force)

    in_force.refresh_from_db()
    assert in_force.status == Bypass.Status.ENDED
    assert weights_of(hotfix.capability) == {}


def test_a_finding_about_what_ran_before_does_not_keep_it_from_coming_back(
    in_force, running, hotfix, signed, bo
):
    signed.refresh_from_db()
    raise_finding(signed, by=bo, text="slow at night")
    expire(in_force)
    proceed(in_force)

    assert weights_of(hotfix.capability) == {running.pk: 100}


def test_what_is_signed_meanwhile_stays(in_force, running, hotfix, ada, bo, bea):
    release = sign(hotfix, ada, bo, bea)
    expire(in_force)
    proceed(in_force)

    in_force.refresh_from_db()
    release.refresh_from_db()
    assert (in_force.status, release.status) == (Bypass.Status.SIGNED, Release.Status.RELEASED)
    assert weights_of(hotfix.capability) == {in_force.deployment_id: 100}
    assert release.baseline == running


def test_a_signature_on_a_condition_does_not_keep_all_the_traffic(in_force, running, hotfix, ada, bo, bea):
    release = sign(hotfix, ada, bo, bea)
    raise_finding(release, by=bo, text="only a little at first", most_percent=5)
    proceed(in_force)
    in_force.refresh_from_db()
    assert in_force.status == Bypass.Status.ACTIVE

    expire(in_force)
    proceed(in_force)

    in_force.refresh_from_db()
    assert in_force.status == Bypass.Status.ENDED
    assert weights_of(hotfix.capability) == {running.pk: 100}


def test_other_bytes_end_it(in_force, running, hotfix):
    Version.objects.filter(pk=hotfix.pk).update(digest="f" * 64)
    proceed(in_force)

    assert weights_of(hotfix.capability) == {running.pk: 100}


def test_it_can_be_ended_at_once(in_force, running, bo):
    withdraw_bypass(in_force, by=bo)

    assert weights_of(in_force.capability) == {running.pk: 100}


def test_who_may_not_end_it_is_not_offered_to(in_force, ada, bo, client):
    def page(user):
        client.force_login(user)
        return client.get("/releases/emergency/").content.decode()

    end = f"/releases/emergency/{in_force.pk}/withdraw/"
    assert end not in page(ada)
    assert end in page(bo)
    withdraw_bypass(in_force, by=bo)
    assert end not in page(bo)


def test_one_at_a_time_and_not_beside_a_gray_release(asked, hotfix, ole, digits, ada):
    other = make_packaged_version(digits, ada, "1.0.2")
    with pytest.raises(Conflict):
        ask_for_bypass(other, by=ole, reason="me too", hours=1, password=PASSWORD)


def test_a_gray_release_forbids_it(rolling, digits, ada, ole):
    with pytest.raises(Conflict, match="in gray"):
        ask_for_bypass(
            make_packaged_version(digits, ada, "2.0.0"), by=ole, reason="x", hours=1, password=PASSWORD
        )


def test_the_page_shows_it_and_takes_the_second_password(asked, bo, client):
    client.force_login(bo)

    assert "all answers are wrong" in client.get("/releases/emergency/").content.decode()
    client.post(f"/releases/emergency/{asked.pk}/agree/", {"password": PASSWORD})

    asked.refresh_from_db()
    assert asked.status == Bypass.Status.ACTIVE


def test_each_is_told_of_it_in_their_own_language(in_force, ole, bo, compiled_messages):
    User.objects.filter(pk=ole.pk).update(language="zh-hans")
    User.objects.filter(pk=bo.pk).update(language="en", first_name="Bo", last_name="Berg")
    bo.refresh_from_db()
    with translation.override("zh-hans"):  # whoever triggers it
        withdraw_bypass(in_force, by=bo)

    told = {user: Notification.objects.filter(user=user).latest("pk").title for user in (ole, bo)}
    assert "Ended by Bo Berg." in told[bo]
    assert "Ended by" not in told[ole]
    assert "Bo Berg" in told[ole]
    assert AuditEntry.objects.get(action="releases.bypass.back").facts["why"] == "Ended by Bo Berg."
