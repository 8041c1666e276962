"""Decisions that come late or twice, plans that go meanwhile, keys that change while they are used."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.catalog.services import deprecate_capability
from apps.core.errors import Conflict
from apps.core.models import AuditEntry
from apps.gateway.models import Grant
from apps.requests.models import Decision, Notification, Request
from apps.requests.services import decide, expire_due
from apps.store import services
from apps.store.models import Subscription
from tests.factories import make_plan


@pytest.fixture
def waiting(standard, transport, cy) -> Subscription:
    return services.subscribe(standard, transport, by=cy, use_case="We sort forms")


def grants_of(subscription) -> int:
    return AuditEntry.objects.filter(
        action="store.subscription.granted", urn__endswith=f":{subscription.pk}"
    ).count()


def test_an_approval_after_the_deadline_grants_nothing(waiting, ole):
    Request.objects.filter(pk=waiting.ticket_id).update(deadline=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Conflict, match="deadline"):
        decide(waiting.ticket, True, by=ole)
    assert expire_due() == 1

    waiting.refresh_from_db()
    assert waiting.status == "cancelled"
    with pytest.raises(Conflict, match="meanwhile"):
        decide(waiting.ticket, True, by=ole)


def test_a_double_clicked_approval_grants_once(waiting, ole):
    client = Client()
    client.force_login(ole)
    path = f"/api/v1/requests/{waiting.ticket_id}/decide/"
    answers = [client.post(path, {"approve": True}, "application/json").status_code for _ in range(2)]
    assert answers == [200, 409]
    assert Decision.objects.count() == 1
    waiting.refresh_from_db()
    assert waiting.status == "granted"


@pytest.mark.django_db(transaction=True)
def test_two_approvers_at_the_same_moment_grant_once(digits, ada, ole, transport, cy):
    plan = make_plan(digits, ada, "one", approval="one")
    waiting = services.subscribe(plan, transport, by=cy, use_case="We sort forms")

    def approve(_number: int) -> str:
        try:
            decide(Request.objects.get(pk=waiting.ticket_id), True, by=ole)
            return "granted"
        except Conflict:
            return "late"
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as people:
        assert sorted(people.map(approve, range(4))) == ["granted", "late", "late", "late"]
    assert Decision.objects.count() == 1


def test_a_plan_that_was_withdrawn_meanwhile_is_granted_to_nobody(waiting, standard, ada, ole, cy):
    services.withdraw_plan(standard, by=ada)
    with pytest.raises(Conflict, match="was withdrawn meanwhile"):
        decide(waiting.ticket, True, by=ole)
    waiting.refresh_from_db()
    assert (waiting.status, Decision.objects.count()) == ("pending", 0)

    decide(waiting.ticket, False, "Ask for “free”.", by=ole)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.status_reason) == ("rejected", "Ask for “free”.")


def test_who_waits_for_a_withdrawn_plan_and_who_decides_are_told_what_is_left_to_do(
    waiting, standard, ada, ole, cy
):
    services.withdraw_plan(standard, by=ada)
    services.tell_of_withdrawal(standard.pk)

    title, body = Notification.objects.filter(user=cy).values_list("title", "body").get()
    assert title == "Digits: the plan “standard” was withdrawn"
    assert body == "Nobody can grant what Transport asked for any more. Cancel it and ask for another plan."
    client = Client()
    client.force_login(cy)
    page = client.get(f"/subscriptions/{waiting.pk}/").text
    assert "nobody can grant this any more. Cancel it" in page
    assert "keys stay as they are" not in page
    client.force_login(ole)
    assert (
        "Refuse the request and name the plan to ask for."
        in client.get(f"/requests/{waiting.ticket_id}/").text
    )


def test_a_capability_that_was_deprecated_meanwhile_takes_no_subscriber(waiting, digits, ada, ole):
    deprecate_capability(digits, by=ada)
    with pytest.raises(Conflict, match="nobody can subscribe"):
        decide(waiting.ticket, True, by=ole)
    waiting.refresh_from_db()
    assert waiting.status == "pending"


def test_a_change_to_a_plan_that_was_withdrawn_meanwhile_moves_nothing(
    subscription, standard, free, cy, ada, ole
):
    change = services.change_plan(subscription, standard, by=cy, reason="more")
    services.withdraw_plan(standard, by=ada)
    with pytest.raises(Conflict, match="was withdrawn meanwhile"):
        decide(change.ticket, True, by=ole)
    subscription.refresh_from_db()
    assert subscription.plan == free


def test_who_waits_for_a_change_to_a_withdrawn_plan_is_told_what_is_left_to_do(
    subscription, standard, cy, ada
):
    change = services.change_plan(subscription, standard, by=cy, reason="more")
    client = Client()
    client.force_login(cy)
    assert client.get(f"/api/v1/subscriptions/{subscription.pk}/").json()["why_not_grantable"] == ""
    services.withdraw_plan(standard, by=ada)
    services.tell_of_withdrawal(standard.pk)

    told = Notification.objects.filter(user=cy, title="Digits: the plan “standard” was withdrawn")
    assert "Nobody can grant Transport the change to it any more." in told.get().body
    why = "nobody can grant the change to it any more. Withdraw the request and ask for another plan."
    page = client.get(f"/subscriptions/{subscription.pk}/").text
    assert why in page
    assert "is waiting for a decision" not in page
    assert why in client.get(f"/api/v1/subscriptions/{subscription.pk}/").json()["why_not_grantable"]
    ticket = client.get(f"/api/v1/requests/{change.ticket_id}/").json()
    (meanwhile,) = (fact["text"] for fact in ticket["facts"] if fact["name"] == "Meanwhile")
    assert "was withdrawn meanwhile" in meanwhile
    assert ticket["stuck"] == ""

    ended = client.post(f"/api/v1/subscriptions/{subscription.pk}/cancel/").json()
    assert (ended["status"], ended["why_not_grantable"]) == ("cancelled", "")


def test_a_program_reads_that_nobody_can_grant_what_it_waits_for(waiting, standard, digits, ada, cy):
    client = Client()
    client.force_login(cy)

    def why() -> list[str]:
        found = client.get("/api/v1/subscriptions/").json()["results"]
        return [each["why_not_grantable"] for each in found]

    assert why() == [""]
    deprecate_capability(digits, by=ada)
    assert why() == ["“Digits” is deprecated by now, so nobody can grant this any more. Cancel it."]
    services.withdraw_plan(standard, by=ada)
    (words,) = why()
    assert "nobody can grant this any more. Cancel it and ask for another plan." in words


def test_a_key_that_is_rotated_while_it_is_used_works_on_and_is_rotated_once(subscription, cy):
    key, _secret = services.issue_key(subscription, by=cy)
    successor, _new = services.rotate_key(key, by=cy)
    with pytest.raises(Conflict, match="rotated or revoked already"):
        services.rotate_key(key, by=cy)
    old, new = Grant.objects.get(pk=key.grant_id), successor.grant
    assert (old.status, old.pool) == ("active", new.pool)
    assert timezone.now() < old.expires_at <= timezone.now() + services.OVERLAP
    assert Grant.objects.filter(pool=new.pool).count() == 2
