"""Following, and who is told what, once."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Role
from apps.catalog.services import deprecate_capability, edit_capability
from apps.core.errors import NotAllowed
from apps.requests.models import Notification
from apps.store import services
from apps.store.models import Follow
from apps.store.tasks import _weights_changed
from tests.factories import make_published_capability, make_ready_deployment, make_team, make_user


def titles(user) -> list[str]:
    return list(Notification.objects.filter(user=user).order_by("pk").values_list("title", flat=True))


@pytest.fixture
def eve():
    return make_user("eve", team=make_team("Other"), role=Role.CONSUMER)


def test_subscribers_and_followers_hear_once_that_a_version_answers(digits, subscription, cy, eve, bo, ole):
    services.follow_capability(digits, by=eve)
    deployment = make_ready_deployment(digits.versions.get(), ole)

    for _delivery in range(2):
        services.tell_of_versions(digits.pk, [deployment.pk])

    for user in (cy, eve):
        assert len([title for title in titles(user) if "answers now" in title]) == 1, user
    assert not [title for title in titles(bo) if "answers now" in title]


def test_a_version_in_gray_is_no_news_until_it_answers_all_calls(digits, subscription, cy, ole):
    before, candidate = (make_ready_deployment(digits.versions.get(), ole) for _ in range(2))

    _weights_changed(str(digits.pk), {"after": {str(before.pk): 99, str(candidate.pk): 1}})
    assert titles(cy) == []

    _weights_changed(str(digits.pk), {"after": {str(candidate.pk): 100}})
    assert len(titles(cy)) == 1


def test_what_answered_before_the_publication_is_no_news_when_it_does_again(digits, subscription, cy, ole):
    deployment = make_ready_deployment(digits.versions.get(), ole)
    for status in (digits.Status.DRAFT, digits.Status.PUBLISHED):
        digits.__class__.objects.filter(pk=digits.pk).update(status=status)
        services.tell_of_versions(digits.pk, [deployment.pk])

    assert titles(cy) == []


def test_a_deprecation_says_when_it_ends(digits, subscription, cy, ada):
    day = timezone.localdate() + timedelta(days=60)
    deprecate_capability(digits, by=ada, note="Use digits-2", retires_on=day)
    for _delivery in range(2):
        services.tell_of_deprecation(digits.pk)

    note = Notification.objects.get(user=cy, title__contains="deprecated")
    assert str(day) in note.title
    assert note.body == "Use digits-2"

    deprecate_capability(digits, by=ada, note="Use digits-2", retires_on=day + timedelta(days=30))
    services.tell_of_deprecation(digits.pk)
    assert Notification.objects.filter(user=cy, title__contains=str(day + timedelta(days=30))).count() == 1


def test_a_follower_who_may_no_longer_look_hears_nothing(digits, eve, ada, ole):
    services.follow_capability(digits, by=eve)
    edit_capability(digits, by=ada, visibility="team")
    services.tell_of_versions(digits.pk, [make_ready_deployment(digits.versions.get(), ole).pk])
    assert titles(eve) == []


def test_what_cannot_be_seen_cannot_be_followed(radio, ada, eve):
    hidden = make_published_capability(radio, ada, "hidden", visibility="team")
    with pytest.raises(NotAllowed):
        services.follow_capability(hidden, by=eve)


def test_followers_of_a_team_hear_what_it_offers(radio, ada, eve):
    services.follow_team(radio, by=eve)
    new = make_published_capability(radio, ada, "new", name="New thing")
    services.tell_of_publication(new.pk)
    services.tell_of_publication(new.pk)
    assert titles(eve) == ["Radio offers New thing"]


def test_one_click_follows_and_another_stops(digits, eve):
    client = Client()
    client.force_login(eve)
    for what in ("capability", "team"):
        client.post(f"/store/digits/follow/{what}/start/")
        client.post(f"/store/digits/follow/{what}/start/")
    assert Follow.objects.count() == 2
    assert client.get("/api/v1/store/digits/follow/").json() == {"capability": True, "team": True}
    assert "Digits" in client.get("/store/?followed=1").text

    client.put("/api/v1/store/digits/follow/", {"team": False}, "application/json")
    client.post("/store/digits/follow/capability/stop/")
    assert not Follow.objects.exists()
    assert "Nothing fits" in client.get("/store/?followed=1").text
    assert client.post("/store/digits/follow/planet/start/").status_code == 404
