"""Whoever sees a capability sees whom to write to about it."""

import pytest
from django.test import Client

from tests.factories import make_user


@pytest.fixture
def as_cy(cy) -> Client:
    client = Client()
    client.force_login(cy)
    return client


def give_address(user, address: str):
    user.email = address
    user.save(update_fields=["email"])
    return user


def contacts(client: Client) -> list[str]:
    return [each["email"] for each in client.get("/api/v1/store/digits/").json()["contacts"]]


def test_the_page_and_rest_name_developers_with_an_address(digits, ada, ole, as_cy):
    give_address(ada, "ada+digits@example.org")
    give_address(ole, "ole@example.org")  # an operator: others ask developers

    assert contacts(as_cy) == ["ada+digits@example.org"]
    assert 'href="mailto:ada%2Bdigits@example.org?subject=Digits"' in as_cy.get("/store/digits/").text


def test_the_owner_of_the_team_comes_first_and_once(digits, radio, ada, ole, as_cy):
    give_address(ada, "ada@example.org")
    for owner in (give_address(ole, "ole@example.org"), ada):
        radio.owner = owner
        radio.save(update_fields=["owner"])
        assert contacts(as_cy) == list(dict.fromkeys([owner.email, "ada@example.org"]))


def test_who_left_or_has_no_address_is_not_named_and_no_more_than_three_are(digits, radio, ada, as_cy):
    assert contacts(as_cy) == []
    assert "mailto:" not in as_cy.get("/store/digits/").text
    for number in range(5):
        give_address(make_user(f"d{number}", team=radio, role="developer"), f"d{number}@example.org")
    assert len(contacts(as_cy)) == 3

    gone = give_address(ada, "ada@example.org")
    gone.is_active = False
    gone.save(update_fields=["is_active"])
    radio.owner = gone
    radio.save(update_fields=["owner"])
    assert "ada@example.org" not in contacts(as_cy)


def test_a_list_names_nobody(digits, ada, as_cy):
    give_address(ada, "ada@example.org")
    assert "contacts" not in as_cy.get("/api/v1/store/").json()["results"][0]
