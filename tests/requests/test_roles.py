"""Who is given a role, or loses one, is told; who has none is told whom to ask."""

import pytest

from apps.accounts.services import add_member, remove_member
from apps.core.events import deliver
from apps.core.models import Event
from apps.requests.models import Notification
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def deliver_all() -> None:
    for pk in Event.objects.values_list("pk", flat=True):
        assert deliver(pk)


def told(person) -> list[tuple[str, str]]:
    return list(Notification.objects.filter(user=person).order_by("pk").values_list("title", "url"))


def test_a_role_that_comes_and_goes_is_told_to_the_person(radio, root):
    xia = make_user("xia")

    membership = add_member(radio, xia, "operator", by=root)
    remove_member(membership, by=root)
    deliver_all()

    assert told(xia) == [
        ("You are now Operator in Radio", f"/teams/{radio.slug}/"),
        ("You are no longer Operator in Radio", "/home/"),
    ]


@pytest.mark.usefixtures("compiled_messages")
def test_it_is_told_in_the_persons_language(radio, root):
    xia = make_user("xia")
    xia.language = "zh-hans"
    xia.save()

    add_member(radio, xia, "operator", by=root)
    deliver_all()

    assert told(xia)[0][0] == "您现在是 Radio 的运维员"


def test_nobody_is_told_what_they_did_themselves(radio, root):
    add_member(radio, root, "operator", by=root)
    deliver_all()

    assert told(root) == []


def test_who_has_no_role_is_told_whom_to_ask(client, ada):
    client.force_login(make_user("xia"))
    assert "You have no role in a team yet" in client.get("/home/").text

    client.force_login(ada)
    assert "You have no role in a team yet" not in client.get("/home/").text
