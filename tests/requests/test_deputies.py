"""While somebody is away another person decides in their place, and counts as that person."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.core.errors import Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.requests import services
from apps.requests.deputies import end_deputy, name_deputy
from apps.requests.models import Decision, Deputy, Notification
from apps.requests.policy import may_decide
from apps.requests.selectors import waiting_for
from apps.requests.services import Need, Rule
from tests.factories import make_user
from tests.requests.test_decide import kind  # noqa: F401  the kind of the requests here


@pytest.fixture
def dee(radio):
    """She develops in the team, so she sees what there is to decide, and decides nothing of her own."""
    return make_user("dee", team=radio, role=Role.DEVELOPER)


@pytest.fixture
def bea(radio):
    return make_user("bea", team=radio, role=Role.QA)


@pytest.fixture
def away(bo, dee):
    """Bo is away for a week; Dee stands in."""
    return stand_in(bo, dee)


def stand_in(person, deputy, days=7):
    now = timezone.now()
    until = now + timedelta(days=days)
    return name_deputy(person, deputy, since=now - timedelta(seconds=1), until=until, by=person)


def ask(by, team, count=1, **rule):
    return services.open_request(
        "test", team, "Let me", by=by, rule=Rule([Need("qa", team.pk, count)], **rule), url="/", team=team
    )


def test_a_deputy_decides_in_the_place_of_who_is_away(ada, bo, dee, away, radio):
    request = ask(ada, radio)
    assert [user.username for user in services.who_can_still_decide(request)] == ["bo", "dee"]
    assert list(waiting_for(dee)) == [request]

    services.decide(request, True, by=dee)

    assert Decision.objects.get().instead_of == bo
    assert Notification.objects.filter(user=bo, title="dee decided in your place: Let me").exists()
    assert AuditEntry.objects.get(action="requests.request.decided").facts["instead_of"] == "bo"


def test_both_together_are_one_voice(ada, bo, bea, dee, away, radio):
    request = ask(ada, radio, count=2)
    services.decide(request, True, by=dee)

    assert may_decide(bo, request).reason == "dee has decided in your place already."
    assert not waiting_for(bo).exists()
    services.decide(request, True, by=bea)
    request.refresh_from_db()
    assert request.status == "granted"


def test_who_decided_already_is_not_stood_in_for(ada, bo, bea, dee, away, radio):
    request = ask(ada, radio, count=2)
    services.decide(request, True, by=bo)

    assert not may_decide(dee, request)
    assert not waiting_for(dee).exists()


def test_nobody_stands_in_for_the_author(bo, bea, dee, away, radio):
    request = ask(bo, radio)

    assert not may_decide(dee, request)
    assert not waiting_for(dee).exists()


def test_an_author_is_no_deputy_either(bo, dee, away, radio):
    request = ask(dee, radio)

    assert may_decide(dee, request).reason == "Nobody decides on a request of their own."


def test_a_rule_can_forbid_deputies(ada, bo, dee, away, radio):
    request = ask(ada, radio, deputies=False)

    assert [user.username for user in services.who_can_still_decide(request)] == ["bo"]
    assert not waiting_for(dee).exists()
    with pytest.raises(NotAllowed):
        services.decide(request, True, by=dee)


def test_it_ends_with_its_time_or_when_the_person_is_back(ada, bo, dee, away, radio):
    request = ask(ada, radio)
    end_deputy(away, by=bo)
    assert not may_decide(dee, request)

    later = stand_in(bo, dee)
    Deputy.objects.filter(pk=later.pk).update(since=timezone.now() + timedelta(days=1))
    assert not may_decide(dee, request)
    assert not waiting_for(dee).exists()


def test_what_cannot_be_is_refused(bo, cy, dee, ada):
    now = timezone.now()
    with pytest.raises(Invalid, match="cannot stand in"):
        name_deputy(bo, cy, since=now, until=now + timedelta(days=1), by=bo)
    with pytest.raises(Invalid, match="at most 90 days"):
        name_deputy(bo, dee, since=now, until=now + timedelta(days=91), by=bo)
    with pytest.raises(NotAllowed):
        name_deputy(bo, dee, since=now, until=now + timedelta(days=1), by=ada)


def test_the_page_and_the_api_name_and_end_one(bo, dee, cy, client):
    client.force_login(bo)
    until = f"{timezone.localtime(timezone.now() + timedelta(days=3)):%Y-%m-%dT%H:%M}"
    answer = client.post("/requests/deputies/", {"deputy": dee.pk, "until": until})
    assert (answer.status_code, Deputy.objects.get().deputy) == (302, dee)

    page = client.get("/requests/deputies/").content.decode()
    assert "dee" in page
    listed = client.get("/api/v1/deputies/").json()["results"]
    assert [row["deputy"] for row in listed] == ["dee"]

    client.force_login(cy)
    assert client.delete(f"/api/v1/deputies/{listed[0]['id']}/").status_code == 404
    assert client.post(f"/requests/deputies/{listed[0]['id']}/end/").status_code == 404
    client.force_login(dee)
    assert client.delete(f"/api/v1/deputies/{listed[0]['id']}/").status_code == 403
    client.force_login(bo)
    assert client.delete(f"/api/v1/deputies/{listed[0]['id']}/").status_code == 204
    assert not client.get("/api/v1/deputies/").json()["results"]
