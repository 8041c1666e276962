"""The approval engine: who may decide, what a decision does, and what is impossible from the start."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Membership, Role, Team, User
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.requests import kinds, services
from apps.requests.models import Decision, Notification, Request
from apps.requests.selectors import requests_visible_to, waiting_for
from apps.requests.services import Need, Rule
from tests.factories import make_user

told: list[tuple[str, int]] = []


@pytest.fixture(autouse=True)
def kind():
    told.clear()
    kinds.register(
        "test",
        "Test",
        lambda request, by: told.append(("granted", request.pk)),
        lambda request, by: told.append(("rejected", request.pk)),
    )


def ask(by: User, team: Team, *needs: Need, **rule: object) -> Request:
    return services.open_request(
        "test", team, "Let me", by=by, rule=Rule(needs or [Need("qa", team.pk)], **rule), url="/", team=team
    )


def test_the_last_yes_grants_and_tells_the_owner(ada, bo, radio):
    request = services.decide(ask(ada, radio), True, by=bo)

    assert request.status == "granted"
    assert told == [("granted", request.pk)]
    assert Notification.objects.get(user=ada).title == "Granted: Let me"
    assert AuditEntry.objects.filter(action="requests.request.granted").exists()


def test_those_who_can_decide_are_told_and_find_it_in_their_inbox(ada, bo, cy, radio):
    request = ask(ada, radio)

    assert Notification.objects.get(user=bo).request == request
    assert list(waiting_for(bo)) == [request]
    assert not waiting_for(ada).exists()
    assert not requests_visible_to(cy).exists()


def test_one_no_rejects_and_needs_a_reason(ada, bo, radio):
    request = ask(ada, radio)

    with pytest.raises(Invalid, match="Say why"):
        services.decide(request, False, by=bo)
    assert services.decide(request, False, "too early", by=bo).status == "rejected"
    assert told == [("rejected", request.pk)]


def test_the_author_never_decides_even_with_the_role(bo, ada, radio):
    make_user("bea", team=radio, role=Role.QA)
    request = ask(bo, radio)

    with pytest.raises(NotAllowed, match="of their own"):
        services.decide(request, True, by=bo)


def test_a_rule_that_only_the_author_could_fulfil_is_refused_by_name(bo, radio):
    with pytest.raises(Invalid, match="QA engineer in Radio"):
        ask(bo, radio)
    assert not Request.objects.exists()


def test_four_eyes_need_two_people_although_one_holds_both_roles(ada, bo, radio):
    Membership.objects.create(user=bo, team=radio, role=Role.OPERATOR)
    needs = (Need("qa", radio.pk), Need("operator", radio.pk))

    with pytest.raises(Invalid, match="1 more"):
        ask(ada, radio, *needs, four_eyes=True)
    make_user("ole", team=radio, role=Role.OPERATOR)
    request = ask(ada, radio, *needs, four_eyes=True)
    services.decide(request, True, by=bo)
    with pytest.raises(NotAllowed, match="second person"):
        services.decide(request, True, by=bo)


def test_without_four_eyes_one_person_may_fill_two_steps(ada, bo, radio):
    Membership.objects.create(user=bo, team=radio, role=Role.OPERATOR)
    request = ask(ada, radio, Need("qa", radio.pk), Need("operator", radio.pk))

    assert services.decide(request, True, by=bo).status == "open"
    assert services.decide(request, True, by=bo).status == "granted"


def test_two_of_a_role_are_two_people(ada, bo, radio):
    bea = make_user("bea", team=radio, role=Role.QA)
    request = ask(ada, radio, Need("qa", radio.pk, 2))

    services.decide(request, True, by=bo)
    assert services.who_can_still_decide(request) == [bea]
    with pytest.raises(NotAllowed, match="decided already"):
        services.decide(request, True, by=bo)
    assert services.decide(request, True, by=bea).status == "granted"


def test_a_second_decision_after_the_end_changes_nothing(ada, bo, radio):
    bea = make_user("bea", team=radio, role=Role.QA)
    request = ask(ada, radio)
    services.decide(request, True, by=bo)

    with pytest.raises(Conflict, match="granted meanwhile"):
        services.decide(request, False, "no", by=bea)
    assert Decision.objects.count() == 1


def test_a_consequence_that_fails_takes_the_decision_back(ada, bo, radio):
    def refuse(request: Request, by: User | None) -> None:
        raise Invalid("the plan is gone")

    kinds.register("test", "Test", refuse)
    request = ask(ada, radio)

    with pytest.raises(Invalid, match="plan is gone"):
        services.decide(request, True, by=bo)
    request.refresh_from_db()
    assert request.status == "open"
    assert not Decision.objects.exists()


def test_excluded_people_cannot_decide(ada, bo, radio):
    bea = make_user("bea", team=radio, role=Role.QA)
    request = ask(ada, radio, exclude_user_ids=[bo.pk])

    assert services.who_can_still_decide(request) == [bea]
    with pytest.raises(NotAllowed, match="took part"):
        services.decide(request, True, by=bo)


def test_nothing_to_agree_to_is_granted_at_once(ada, radio):
    request = services.open_request("test", radio, "Let me", by=ada, rule=Rule(), url="/")

    assert request.status == "granted"
    assert told == [("granted", request.pk)]


def test_a_deadline_closes_and_tells(ada, bo, radio):
    request = ask(ada, radio)
    Request.objects.update(deadline=timezone.now() - timedelta(seconds=1))

    with pytest.raises(Conflict, match="deadline"):
        services.decide(request, True, by=bo)
    assert services.expire_due() == 1
    request.refresh_from_db()
    assert request.status == "expired"
    assert told == [("rejected", request.pk)]


def test_only_the_author_withdraws(ada, bo, radio):
    request = ask(ada, radio)

    with pytest.raises(NotAllowed):
        services.withdraw(request, by=bo)
    assert services.withdraw(request, by=ada).status == "withdrawn"


def test_a_request_says_when_the_last_person_who_could_decide_has_left(ada, bo, radio):
    request = ask(ada, radio)
    Membership.objects.filter(user=bo).delete()

    assert "QA engineer in Radio" in services.why_unsatisfiable(request)


def test_a_decision_needs_the_role(ada, ole, bo, radio):
    with pytest.raises(NotAllowed, match="This waits for: QA engineer in Radio"):
        services.decide(ask(ada, radio), True, by=ole)
