"""A subscription over time: trusted teams, an end with notices, renewal, another plan, keys bound to addresses."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from apps.accounts.models import Role
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.requests.models import Notification, Request
from apps.requests.services import decide
from apps.store import selectors, services
from apps.store.asked import of_change
from apps.store.models import Change, Subscription
from apps.store.selectors import agreed
from apps.store.services.plans import MOST_TRUSTED
from tests.factories import make_plan, make_team, make_user


@pytest.fixture
def yearly(digits, ada):
    return make_plan(digits, ada, "yearly", valid_days=365)


@pytest.fixture
def ending(yearly, transport, cy) -> Subscription:
    """A granted subscription of a yearly plan with ten days left."""
    subscription = services.subscribe(yearly, transport, by=cy)
    services.issue_key(subscription, by=cy)
    return leave(subscription, days=10)


def leave(subscription: Subscription, *, days: float) -> Subscription:
    ends = timezone.now() + timedelta(days=days)
    Subscription.objects.filter(pk=subscription.pk).update(expires_at=ends)
    for key in subscription.keys.all():
        key.grant.expires_at = ends
        key.grant.save()
    subscription.refresh_from_db()
    return subscription


def told(user) -> list[str]:
    rows = Notification.objects.filter(user=user, title__contains="ends in").order_by("pk")
    return list(rows.values_list("title", flat=True))


def test_a_plan_says_how_long_a_subscription_holds_and_its_keys_with_it(yearly, transport, cy):
    subscription = services.subscribe(yearly, transport, by=cy)
    key, _secret = services.issue_key(subscription, by=cy)
    assert subscription.expires_at - subscription.granted_at == timedelta(days=365)
    assert key.grant.expires_at == subscription.expires_at


@pytest.mark.parametrize("days", [0, -1, 4000])
def test_an_impossible_length_is_refused(digits, ada, days):
    with pytest.raises(Invalid, match="3660"):
        services.create_plan(digits, "odd", by=ada, limits={}, valid_days=days)


def test_the_team_is_told_90_45_30_and_7_days_before_once_each(ending, cy):
    for days in (91, 89, 88, 44, 29, 6, 5):
        leave(ending, days=days)
        day = ending.expires_at
        services.tell_of_ends()
        services.tell_of_ends()
        assert ending.expires_at == day
    titles = told(cy)
    assert [title.split(" in ")[1] for title in titles[:2]] == [
        "88 days",
        "87 days",
    ]  # another day is another end
    assert len(titles) == 6


def test_one_end_is_told_four_times_in_all(ending, cy, monkeypatch):
    end = leave(ending, days=200).expires_at
    for left in (120, 90, 60, 45, 31, 30, 8, 7, 3, 1):
        monkeypatch.setattr(
            "apps.store.services.changes.timezone.now", lambda left=left: end - timedelta(days=left)
        )
        services.tell_of_ends()
    monkeypatch.undo()
    assert len(told(cy)) == 4


def test_renewing_adds_a_period_to_the_end_and_moves_the_keys(ending, cy):
    before = ending.expires_at
    change = services.renew_subscription(ending, by=cy)
    ending.refresh_from_db()
    assert change.done
    assert ending.expires_at == before + timedelta(days=365)
    assert ending.keys.get().grant.expires_at == ending.expires_at


def test_a_rotated_key_keeps_its_own_end(ending, cy):
    old = ending.keys.get()
    services.rotate_key(old, by=cy)
    services.renew_subscription(ending, by=cy)
    old.grant.refresh_from_db()
    assert old.grant.expires_at < timezone.now() + timedelta(days=2)


def test_too_early_or_without_an_end_there_is_nothing_to_renew(ending, subscription, cy):
    with pytest.raises(Conflict, match="no end"):
        services.renew_subscription(subscription, by=cy)
    with pytest.raises(Conflict, match="90 days before"):
        services.renew_subscription(leave(ending, days=200), by=cy)


def test_a_renewal_is_decided_by_those_who_grant_the_plan(digits, ada, ole, transport, cy):
    plan = make_plan(digits, ada, "watched", approval="one", valid_days=30)
    subscription = services.subscribe(plan, transport, by=cy, use_case="x")
    decide(subscription.ticket, True, by=ole)
    subscription.refresh_from_db()
    before = subscription.expires_at

    change = services.renew_subscription(subscription, by=cy)
    with pytest.raises(Conflict, match="waiting"):
        services.renew_subscription(subscription, by=cy)
    services.withdraw_plan(plan, by=ada)
    assert "Meanwhile" not in [name for name, _words in of_change(change.ticket)]  # it can still be granted
    decide(change.ticket, True, by=ole)
    subscription.refresh_from_db()
    assert subscription.expires_at == before + timedelta(days=30)


def test_changing_the_plan_keeps_subscription_and_keys(subscription, yearly, cy):
    key, _secret = services.issue_key(subscription, by=cy)
    services.change_plan(subscription, yearly, by=cy)
    subscription.refresh_from_db()
    key.grant.refresh_from_db()
    assert (subscription.plan, key.grant.status) == (yearly, "active")
    assert key.grant.limits == yearly.limits
    assert key.grant.expires_at == subscription.expires_at
    assert AuditEntry.objects.filter(action="store.change.done").exists()


def test_a_refused_change_leaves_all_as_it_was(subscription, standard, free, cy, ole):
    change = services.change_plan(subscription, standard, by=cy, reason="More")
    decide(change.ticket, False, "no", by=ole)
    subscription.refresh_from_db()
    assert subscription.plan == free
    assert Change.objects.get().ended_at is not None
    services.change_plan(subscription, standard, by=cy, reason="Please")  # can be asked again


def test_a_change_decided_after_the_end_moves_nothing(subscription, standard, free, cy, ole):
    change = services.change_plan(subscription, standard, by=cy)
    services.cancel_subscription(subscription, by=cy)
    decide(change.ticket, True, by=ole)
    subscription.refresh_from_db()
    assert (subscription.plan, subscription.status) == (free, "cancelled")


def test_a_plan_of_something_else_or_a_withdrawn_one_is_refused(subscription, radio, ada, cy, yearly):
    from tests.factories import make_published_capability

    other = make_plan(make_published_capability(radio, ada), ada)
    with pytest.raises(Invalid, match="another capability"):
        services.change_plan(subscription, other, by=cy)
    services.withdraw_plan(yearly, by=ada)
    with pytest.raises(NotAllowed, match="not on offer"):
        services.change_plan(subscription, yearly, by=cy)


def test_a_trusted_team_skips_the_approval(digits, standard, transport, ada, cy, bo):
    with pytest.raises(NotAllowed):
        services.set_trusted_teams(digits, [transport], by=bo)
    services.set_trusted_teams(digits, [transport], by=ada)
    assert services.subscribe(standard, transport, by=cy).status == "granted"
    assert not Request.objects.exists()

    other = make_team("Other")
    eve = make_user("eve", team=other, role=Role.CONSUMER)
    assert services.subscribe(standard, other, by=eve, use_case="x").status == "pending"


def test_a_rejection_says_why_and_can_be_asked_again(standard, transport, cy, ole):
    subscription = services.subscribe(standard, transport, by=cy, use_case="Try")
    decide(subscription.ticket, False, "Name the meters", by=ole)
    client = Client()
    client.force_login(cy)
    page = client.get(f"/subscriptions/{subscription.pk}/").text
    assert "Name the meters" in page
    assert f"/store/digits/subscribe/?plan={standard.pk}" in page
    assert services.subscribe(standard, transport, by=cy, use_case="Meters 1 to 9").pk != subscription.pk


def test_half_granted_is_shown(digits, ada, ole, transport, cy):
    plan = make_plan(digits, ada, "large", approval="four_eyes")
    subscription = services.subscribe(plan, transport, by=cy, use_case="Everything")
    decide(subscription.ticket, True, by=ada)
    subscription.refresh_from_db()
    assert agreed(subscription) == (1, 2)
    client = Client()
    client.force_login(cy)
    assert "1 of 2 approvals" in client.get(f"/subscriptions/{subscription.pk}/").text
    assert "Half granted: 1 of 2" in client.get("/subscriptions/").text
    told = client.get(f"/api/v1/subscriptions/{subscription.pk}/").json()
    assert (told["status"], told["approvals_given"], told["approvals_needed"]) == ("pending", 1, 2)


def test_what_waits_and_how_far_it_is_costs_no_question_more_for_many(
    digits, ada, ole, transport, cy, django_assert_num_queries
):
    client = Client()
    client.force_login(cy)

    def wait_for(name):
        plan = make_plan(digits, ada, name, approval="four_eyes")
        decide(services.subscribe(plan, transport, by=cy, use_case="Everything").ticket, True, by=ada)

    wait_for("first")
    for path in ("/subscriptions/", "/api/v1/subscriptions/"):
        client.get(path)
        with CaptureQueriesContext(connection) as few:
            client.get(path)
        wait_for(f"then {path}")
        with django_assert_num_queries(len(few)):
            assert client.get(path).status_code == 200


def test_the_ticket_of_a_change_speaks_of_plans_in_chinese(subscription, digits, ada, cy, compiled_messages):
    """“Asked for” was a label type there, as in the form of an annotation project."""
    change = services.change_plan(subscription, make_plan(digits, ada, "more", approval="one"), by=cy)
    with translation.override("zh-hans"):
        labels = [label for label, _text in of_change(change.ticket)]

    assert labels == ["能力", "用于", "现在", "申请的内容"]


def test_a_key_is_bound_to_addresses(subscription, cy):
    client = Client()
    client.force_login(cy)
    client.post(f"/subscriptions/{subscription.pk}/keys/", {"addresses": "10.0.0.7, 10.1.0.0/16"})
    key = subscription.keys.get()
    assert key.grant.addresses == ["10.0.0.7/32", "10.1.0.0/16"]
    with pytest.raises(Invalid, match="my-laptop"):
        services.issue_key(subscription, by=cy, addresses=["my-laptop"])


def test_over_the_api(subscription, yearly, standard, cy, ada, transport):
    client = Client()
    client.force_login(cy)
    changed = client.post(
        f"/api/v1/subscriptions/{subscription.pk}/change/", {"plan": yearly.pk}, "application/json"
    )
    assert changed.json()["done"] is True
    early = client.post(f"/api/v1/subscriptions/{subscription.pk}/change/", {}, "application/json")
    assert early.status_code == 409
    url = "/api/v1/store/digits/trusted-teams/"
    assert client.get(url).status_code == 403
    client.force_login(ada)
    assert client.put(url, {"teams": [transport.slug]}, "application/json").json() == {
        "teams": [transport.slug]
    }


def test_the_pages_offer_it(ending, standard, cy, ada, transport, digits):
    client = Client()
    client.force_login(cy)
    page = client.get(f"/subscriptions/{ending.pk}/").text
    assert "Renew or change" in page
    client.post(f"/subscriptions/{ending.pk}/change/")
    client.post(f"/subscriptions/{ending.pk}/change/", {"plan": standard.pk, "comment": "More"})
    assert "is waiting for a decision" in client.get(f"/subscriptions/{ending.pk}/").text
    client.force_login(ada)
    client.post("/store/digits/plans/trusted/", {"teams": [transport.slug]})
    assert services.grants_at_once(standard, transport)
    assert "Trusted teams" in client.get("/store/digits/plans/").text


def test_teams_to_trust_are_searched_for_and_what_is_chosen_stays(client, ada, transport, digits):
    for number in range(30):
        make_team(f"depot-{number}")
    client.force_login(ada)
    page = client.get("/store/digits/plans/").text
    assert page.count('name="teams" value="') == 5  # not all there are
    asked = {"field": "teams", "words": "depot 1", "teams": transport.slug}
    found = client.get("/store/-/teams/", asked).text
    assert f'value="{transport.slug}" checked' in found
    assert 'value="depot-17"' in found
    assert 'value="depot-27"' not in found
    assert (
        "No other team is called so." in client.get("/store/-/teams/", {"field": "teams", "words": "x9"}).text
    )
    client.post("/store/digits/plans/trusted/", {"teams": ["depot-17", transport.slug]})
    assert [team.slug for team in selectors.trusted_teams(digits)] == [transport.slug, "depot-17"]
    answer = client.post("/store/digits/plans/trusted/", {"teams": ["depot-17", "nobody"]}, follow=True)
    assert "There is no team “nobody”." in answer.text
    assert len(selectors.trusted_teams(digits)) == 2
    many = [make_team(f"yard-{number}").slug for number in range(MOST_TRUSTED + 1)]
    answer = client.post("/store/digits/plans/trusted/", {"teams": many}, follow=True)
    assert "Choose at most 200." in answer.text
    assert len(selectors.trusted_teams(digits)) == 2
    client.post("/store/digits/plans/trusted/", {})
    assert selectors.trusted_teams(digits) == []


def test_who_decides_sees_what_the_plan_allows_and_what_it_would_replace(
    client, digits, transport, ada, cy, ole
):
    small = make_plan(digits, ada, "small", limits={"per_day": 10})
    large = make_plan(digits, ada, "large", approval="one", limits={"per_day": 5000}, valid_days=30)
    asked = services.subscribe(large, transport, by=cy, use_case="x")
    client.force_login(ole)

    page = client.get(f"/requests/{asked.ticket_id}/").text
    assert "large: 5,000 calls a day, for 30 days" in page
    assert f"{transport.name}, {transport.site.name}" in page

    services.cancel_subscription(asked, by=cy)
    change = services.change_plan(services.subscribe(small, transport, by=cy), large, by=cy, reason="more")
    page = client.get(f"/requests/{change.ticket_id}/").text
    assert page.index("small: 10 calls a day") < page.index("large: 5,000 calls a day, for 30 days")
