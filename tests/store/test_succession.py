"""A plan is withdrawn and another one takes its place: who is told what, who is moved when, and who has to be asked."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import Role
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.requests import webhooks
from apps.requests.models import Delivery, Notification
from apps.store import announcing, services
from apps.store.limits import parse_limits
from apps.store.models import Change, Plan, Subscription, Succession
from apps.store.succession import asks_more, differences, is_stricter, today
from apps.store.tasks import HANDLERS
from tests.factories import make_plan, make_published_capability, make_team, make_user


@pytest.fixture
def key(subscription, cy):
    """A key of Cy's subscription to `free`: 1000 calls a day, 5 a second."""
    return services.issue_key(subscription, by=cy)[0]


@pytest.fixture
def larger(digits, ada) -> Plan:
    return make_plan(digits, ada, "larger", limits={"per_day": 5000, "rate_per_s": 5})


@pytest.fixture
def smaller(digits, ada) -> Plan:
    return make_plan(digits, ada, "smaller", limits={"per_day": 500, "rate_per_s": 5})


def in_days(days: int):
    return today() + timedelta(days=days)


def told(user) -> list[tuple[str, str]]:
    return list(Notification.objects.filter(user=user).order_by("pk").values_list("title", "body"))


def hear_of(plan: Plan) -> None:
    """What the worker does with the event of the withdrawal."""
    for name, handler in HANDLERS:
        if name == "store.plan_withdrawn":
            handler(str(plan.pk), {})


def let_the_day_come(plan: Plan) -> int:
    Succession.objects.filter(plan=plan).update(moves_on=in_days(0))
    return services.move_due()


def as_(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def plan_of(subscription: Subscription) -> Plan:
    return Subscription.objects.select_related("plan").get(pk=subscription.pk).plan


# What is less, and who has to agree


@pytest.mark.parametrize(
    ("before", "after", "less"),
    [
        ({"per_day": 10}, {"per_day": 11}, False),
        ({"per_day": 10}, {}, False),
        ({}, {"per_day": 10}, True),
        ({"per_day": 10}, {"per_day": 20, "concurrent": 4}, True),
        ({"rate_per_s": 5}, {"rate_per_s": 5, "burst": 5}, False),
        ({"rate_per_s": 5, "burst": 9}, {"rate_per_s": 6}, True),
        ({"per_day": 10, "payload_bytes": 9}, {"per_day": 10, "payload_bytes": 1}, False),
    ],
)
def test_less_of_anything_is_stricter(before, after, less):
    assert is_stricter(Plan(limits=before), Plan(limits=after)) is less


def test_days_and_rights_are_part_of_what_one_has():
    before = Plan(limits={}, reuse=True)
    found = differences(before, Plan(limits={}, valid_days=30, device=True))
    assert [(each.title, each.before, each.after, each.less) for each in found] == [
        ("Days until it has to be renewed", "no limit", "30", True),
        ("May run at the subscriber's site", "yes", "no", True),
        ("May run on a device", "no", "yes", False),
    ]


@pytest.mark.parametrize(
    ("before", "after", "asked"),
    [
        (("one", 10), ("auto", 99), False),
        (("one", 10), ("one", 10), False),
        (("four_eyes", 10), ("one", 9), False),
        (("one", 10), ("one", 11), True),
        (("auto", 10), ("one", 10), True),
        (("one", 10), ("four_eyes", 5), True),
    ],
)
def test_approvers_are_asked_for_more_calls_and_by_a_plan_that_asks_more_people(before, after, asked):
    one, other = (Plan(approval=word, limits={"per_day": calls}) for word, calls in (before, after))
    assert asks_more(one, other) is asked


def test_room_is_unlimited_where_nothing_is_said():
    room = parse_limits({"rate_per_s": 2.5}).room
    assert (room["rate_per_s"], room["burst"], room["per_day"]) == (2.5, 2, float("inf"))


# Naming it


def test_a_withdrawal_is_told_once_and_changes_nothing(subscription, free, key, ada, cy):
    services.withdraw_plan(free, by=ada)
    hear_of(free)
    hear_of(free)

    assert told(cy) == [
        (
            "Digits: the plan “free” was withdrawn",
            "The subscription of Transport and its keys stay as they are.",
        )
    ]
    assert services.move_due() == 0
    assert plan_of(subscription) == free


def test_subscribers_are_told_what_changes(subscription, free, smaller, ada, cy):
    day = in_days(14)
    services.withdraw_plan(free, by=ada, successor=smaller, moves_on=day)
    hear_of(free)

    assert told(cy) == [
        (
            "Digits: “smaller” takes the place of the plan “free”",
            f"Transport is moved on {day}, with its keys. Calls per day: 1,000 → 500",
        )
    ]
    entry = AuditEntry.objects.get(action="store.plan.successor_named")
    assert entry.actor == ada


def test_each_reads_it_in_their_own_language(subscription, free, larger, ada, cy, compiled_messages):
    cy.language = "zh-hans"
    cy.save(update_fields=["language"])
    services.withdraw_plan(free, by=ada, successor=larger)
    hear_of(free)

    [(title, body)] = told(cy)
    assert title == "Digits：“larger”取代套餐“free”"
    assert "每日调用数: 1,000 → 5,000" in body


def test_it_can_be_named_later_and_another_one_is_told_again(subscription, free, larger, smaller, ada, cy):
    services.withdraw_plan(free, by=ada)
    hear_of(free)
    for successor in (larger, larger, smaller, larger):
        services.name_successor(free, successor, by=ada)
        hear_of(free)

    assert len(told(cy)) == 4
    assert Succession.objects.get().successor == larger


def test_webhooks_of_subscribers_hear_of_it(subscription, free, smaller, transport, radio, ada, cy):
    for team, user in ((transport, cy), (radio, ada)):
        webhooks.create_webhook(team, "https://example.org/", announcing.EVENTS, by=user)
    services.withdraw_plan(free, by=ada, successor=smaller, moves_on=in_days(20))
    hear_of(free)
    hear_of(free)

    data = Delivery.objects.select_related("webhook").get().payload["data"]
    assert Delivery.objects.get().webhook.team == transport
    assert (data["subscription"], data["plan"], data["limits"]["per_day"]) == (subscription.pk, "free", 1000)
    successor = data["successor"]
    assert (successor["plan"], successor["limits"]["per_day"]) == ("smaller", 500)
    assert (successor["stricter"], successor["moves_on"]) == (True, in_days(20).isoformat())


def test_a_day_leaves_time_to_prepare(free, smaller, ada):
    services.withdraw_plan(free, by=ada)
    with pytest.raises(Invalid, match=f"from {in_days(14)} on"):
        services.name_successor(free, smaller, by=ada, moves_on=in_days(13))
    assert not Succession.objects.exists()


def test_only_a_plan_that_somebody_could_take_succeeds(radio, digits, free, larger, smaller, ada, cy):
    with pytest.raises(Conflict, match="Withdraw it first"):
        services.name_successor(free, larger, by=ada)
    with pytest.raises(NotAllowed):
        services.withdraw_plan(free, by=cy, successor=larger)
    services.withdraw_plan(free, by=ada)
    services.withdraw_plan(smaller, by=ada)
    other = make_plan(make_published_capability(radio, ada), ada)
    trial = make_plan(digits, ada, "trial", trial=True)
    for wrong in (smaller, other, trial):
        with pytest.raises(Invalid):
            services.name_successor(free, wrong, by=ada)
    assert not Succession.objects.exists()


def test_a_wrong_successor_leaves_the_plan_on_offer(free, smaller, ada):
    with pytest.raises(Invalid):
        services.withdraw_plan(free, by=ada, successor=smaller, moves_on=in_days(1))
    free.refresh_from_db()
    assert free.status == "published"


# Moving


def test_all_are_moved_at_once_to_what_gives_no_less(subscription, free, larger, key, ada, cy):
    services.withdraw_plan(free, by=ada, successor=larger)
    services.move_subscribers(free, by=ada)
    assert services.move_due() == 1
    assert services.move_due() == 0

    key.grant.refresh_from_db()
    assert plan_of(subscription) == larger
    assert (key.grant.status, key.grant.limits) == ("active", larger.limits)
    change = Change.objects.get()
    assert (change.plan, change.asked_by, change.done) == (larger, ada, True)
    assert AuditEntry.objects.filter(action="store.plan.subscribers_moved", actor=ada).exists()
    assert AuditEntry.objects.filter(action="store.change.done", actor=ada).exists()
    assert told(cy)[-1] == (
        "Digits: the subscription of Transport has the plan “larger” now",
        "Calls per day: 1,000 → 5,000",
    )


def test_at_once_is_at_once_wherever_it_is_tomorrow_already(subscription, free, larger, ada):
    services.withdraw_plan(free, by=ada, successor=larger)
    day = in_days(0)
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):  # 14 hours ahead, 11 behind
        with timezone.override(zone):
            assert services.move_subscribers(free, by=ada).moves_on == day
    assert services.move_due() == 1


def test_nobody_is_moved_at_once_to_less(subscription, free, smaller, ada):
    services.withdraw_plan(free, by=ada, successor=smaller)
    with pytest.raises(Conflict, match="Calls per day: 1,000 → 500"):
        services.move_subscribers(free, by=ada)
    assert services.move_due() == 0
    assert plan_of(subscription) == free


def test_less_comes_on_the_day_and_not_before(subscription, free, smaller, key, ada):
    services.withdraw_plan(free, by=ada, successor=smaller, moves_on=in_days(14))
    assert services.move_due() == 0
    assert plan_of(subscription) == free

    assert let_the_day_come(free) == 1
    key.grant.refresh_from_db()
    assert key.grant.limits == smaller.limits


def test_nobody_gets_more_than_approvers_agreed_to(subscription, free, standard, ada, cy, ole):
    services.withdraw_plan(free, by=ada, successor=standard)
    with pytest.raises(Invalid, match="ask for it themselves"):
        services.move_subscribers(free, by=ada)
    with pytest.raises(Invalid, match="ask for it themselves"):
        services.name_successor(free, standard, by=ada, moves_on=in_days(30))

    assert services.change_plan(subscription, standard, by=cy).done is False


def test_who_was_granted_as_much_by_as_many_moves_without_asking_again(digits, transport, ada, ole, cy):
    from apps.requests.services import decide

    old, new = (make_plan(digits, ada, name, approval="one", limits={"per_day": 9}) for name in "ab")
    subscription = services.subscribe(old, transport, by=cy, use_case="x")
    decide(subscription.ticket, True, by=ole)
    services.withdraw_plan(old, by=ada, successor=new)

    assert services.change_plan(subscription, new, by=cy).done is True


def test_a_suspended_one_is_moved_and_stays_suspended(subscription, free, larger, key, ada, ole):
    services.suspend_subscription(subscription, by=ole, reason="abuse")
    services.withdraw_plan(free, by=ada, successor=larger)
    services.move_subscribers(free, by=ada)
    services.move_due()

    key.grant.refresh_from_db()
    assert (plan_of(subscription), key.grant.limits) == (larger, larger.limits)
    assert key.grant.status == "suspended"


def test_a_team_that_has_both_keeps_both_and_holds_nobody_up(subscription, free, larger, transport, ada, cy):
    services.subscribe(larger, transport, by=cy)
    other = make_team("Other")
    eve = make_user("eve", team=other, role=Role.CONSUMER)
    later = services.subscribe(free, other, by=eve)
    services.withdraw_plan(free, by=ada, successor=larger)
    services.move_subscribers(free, by=ada)

    assert services.move_due() == 1
    assert (plan_of(subscription), plan_of(later)) == (free, larger)


def test_no_end_comes_nearer_than_it_was(digits, transport, ada, cy):
    old, new = (make_plan(digits, ada, name, valid_days=days) for name, days in (("a", 30), ("b", 60)))
    subscription = services.subscribe(old, transport, by=cy)
    key, _secret = services.issue_key(subscription, by=cy)
    far = timezone.now() + timedelta(days=100)
    Subscription.objects.filter(pk=subscription.pk).update(expires_at=far)
    services.withdraw_plan(old, by=ada, successor=new)
    services.move_subscribers(old, by=ada)
    services.move_due()

    subscription.refresh_from_db()
    assert (subscription.plan, subscription.expires_at) == (new, far)
    key.grant.refresh_from_db()
    assert key.grant.status == "active"


def test_a_successor_that_is_withdrawn_too_moves_nobody(subscription, free, larger, ada):
    services.withdraw_plan(free, by=ada, successor=larger)
    services.move_subscribers(free, by=ada)
    services.withdraw_plan(larger, by=ada)
    assert services.move_due() == 0
    with pytest.raises(Conflict, match="first"):
        services.move_subscribers(free, by=ada)
    assert plan_of(subscription) == free


def test_each_is_moved_in_turn_however_many_there_are(free, larger, ada, monkeypatch):
    monkeypatch.setattr("apps.store.services.succession._AT_A_TIME", 2)
    for number in range(5):
        team = make_team(f"Team {number}")
        services.subscribe(free, team, by=make_user(f"c{number}", team=team, role=Role.CONSUMER))
    services.withdraw_plan(free, by=ada, successor=larger)
    services.move_subscribers(free, by=ada)

    assert services.move_due() == 5
    assert set(Subscription.objects.values_list("plan", flat=True)) == {larger.pk}


# Pages and REST


def test_the_pages_lead_from_the_withdrawal_to_the_move(subscription, free, larger, key, ada, cy):
    provider, subscriber = as_(ada), as_(cy)
    provider.post(f"/store/digits/plans/{free.pk}/withdraw/")
    assert (
        "was withdrawn. Subscription and keys stay"
        in subscriber.get(f"/subscriptions/{subscription.pk}/").text
    )
    assert "Name a successor" in provider.get("/store/digits/plans/").text

    provider.post(f"/store/digits/plans/{free.pk}/successor/", {"successor": larger.pk})
    page = subscriber.get(f"/subscriptions/{subscription.pk}/").text
    assert "“larger” takes the place of “free”" in page
    assert "1,000" in page
    assert "Move now" in page
    plans = provider.get("/store/digits/plans/").text
    assert "Calls per day: 1,000 → 5,000" in plans
    assert "Move all" in plans

    subscriber.post(f"/subscriptions/{subscription.pk}/change/", {"plan": larger.pk})
    assert plan_of(subscription) == larger
    assert "Move all" not in provider.get("/store/digits/plans/").text


def test_the_page_moves_all_and_refuses_what_is_no_day(subscription, free, larger, ada):
    client = as_(ada)
    wrong = client.post(
        f"/store/digits/plans/{free.pk}/withdraw/", {"successor": larger.pk, "moves_on": "soon"}
    )
    assert wrong.status_code == 422
    assert Plan.objects.get(pk=free.pk).status == "published"
    client.post(f"/store/digits/plans/{free.pk}/withdraw/", {"successor": larger.pk})
    client.post(f"/store/digits/plans/{free.pk}/move/")
    assert services.move_due() == 1
    assert plan_of(subscription) == larger


def test_the_plans_page_asks_the_database_as_often_for_many(subscription, free, larger, digits, ada):
    client = as_(ada)
    services.withdraw_plan(free, by=ada, successor=larger)
    client.get("/store/digits/plans/")

    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            client.get("/store/digits/plans/")
        return len(asked)

    before = queries()
    for number in range(4):
        services.withdraw_plan(make_plan(digits, ada, f"old-{number}"), by=ada, successor=larger)
    assert queries() == before


def test_over_the_api(subscription, free, smaller, larger, ada, cy):
    provider, subscriber = as_(ada), as_(cy)
    url, day = f"/api/v1/plans/{free.pk}/", in_days(30).isoformat()
    body = {"successor": smaller.pk, "moves_on": day}
    withdrawn = provider.post(f"{url}withdraw/", body, "application/json").json()
    assert (withdrawn["status"], withdrawn["successor"], withdrawn["moves_on"]) == (
        "withdrawn",
        smaller.pk,
        day,
    )
    seen = subscriber.get(f"/api/v1/subscriptions/{subscription.pk}/").json()
    assert (seen["successor"], seen["moves_on"]) == (smaller.pk, day)

    assert provider.post(f"{url}move/").status_code == 409
    provider.post(f"{url}successor/", {"successor": larger.pk}, "application/json")
    assert provider.post(f"{url}move/").json()["moves_on"] == in_days(0).isoformat()
    assert services.move_due() == 1
