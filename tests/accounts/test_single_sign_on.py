"""People come in through a real OpenID Connect provider, and only as who they are."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import oidc_provider_mock
import pytest
import requests
from django.test import Client

from apps.accounts.models import Membership, Role, User
from apps.core.models import AuditEntry
from portal.environment import ROLES


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def provider(issuer, settings) -> str:
    given = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]
    app = given["APPS"][0] | {"secret": "s", "settings": {"server_url": issuer}}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": given | {"APPS": [app]}}
    return issuer


def come_in(issuer: str, subject: str = "u-1", **claims: object):
    """Through the provider's form and back; returns the client and the last answer."""
    claims = {"email": "dan@example.org", "email_verified": True, **claims}
    requests.put(f"{issuer}/users/{subject}", json=claims, timeout=5).raise_for_status()
    client = Client()
    sent = client.get("/sso/oidc/login/")
    back = requests.post(sent.url, data={"sub": subject}, allow_redirects=False, timeout=5)
    parts = urlsplit(back.headers["Location"])
    return client, client.get(f"{parts.path}?{parts.query}")


def allow_new(settings, allowed: bool = True) -> None:
    import dataclasses

    settings.ATRIUM = dataclasses.replace(settings.ATRIUM, oidc_new_people=allowed)


@pytest.mark.django_db
def test_a_new_person_comes_in_with_the_roles_of_their_groups(provider, settings, radio):
    allow_new(settings)
    client, answer = come_in(provider, name="Dan Do", preferred_username="dan", groups=["radio-devs"])

    assert answer.status_code == 302
    assert client.get("/home/").status_code == 200
    dan = User.objects.get(username="dan")
    assert (dan.get_full_name(), dan.verified_email, dan.has_usable_password()) == (
        "Dan Do",
        "dan@example.org",
        False,
    )
    assert set(dan.memberships.values_list("team__slug", "role")) == {("radio", "developer"), ("radio", "qa")}
    assert AuditEntry.objects.filter(action="accounts.user.created", actor=dan).exists()
    assert (
        AuditEntry.objects.get(action="accounts.user.logged_in", actor=dan).facts["way"] == "single sign-on"
    )


@pytest.mark.django_db
def test_a_group_that_is_gone_takes_its_roles_and_leaves_the_others(provider, settings, radio):
    allow_new(settings)
    come_in(provider, preferred_username="dan", groups=["radio-devs"])
    dan = User.objects.get(username="dan")
    Membership.objects.create(user=dan, team=radio, role=Role.OPERATOR)

    come_in(provider, preferred_username="dan", groups=[])

    assert list(dan.memberships.values_list("role", flat=True)) == ["operator"]


@pytest.mark.django_db
def test_a_stranger_stays_outside_unless_the_administrator_wants_new_people(provider, settings):
    client, answer = come_in(provider)

    assert answer.url == "/login/"
    assert "Ask an administrator for an invitation" in client.get("/login/").text
    assert not User.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("proven_here", "proven_there", "joined"),
    [(True, True, True), (False, True, False), (True, False, False)],
)
def test_only_an_address_that_both_sides_have_proven_joins_an_account(
    provider, ada, proven_here, proven_there, joined
):
    User.objects.filter(pk=ada.pk).update(
        email="dan@example.org", verified_email="dan@example.org" if proven_here else ""
    )

    client, _answer = come_in(provider, email_verified=proven_there)

    assert (client.get("/home/").status_code == 200) is joined
    assert AuditEntry.objects.filter(action="accounts.sso.joined", actor=ada).exists() is joined


@pytest.mark.django_db
def test_somebody_who_is_shut_out_stays_out(provider, ada):
    User.objects.filter(pk=ada.pk).update(verified_email="dan@example.org", is_active=False)

    client, answer = come_in(provider)

    assert answer.url == "/login/"
    assert client.get("/home/").status_code == 302


@pytest.mark.django_db
def test_a_forged_answer_is_refused(provider):
    client = Client()
    client.get("/sso/oidc/login/")

    assert client.get("/sso/oidc/login/callback/?code=x&state=forged").url == "/login/"
    assert "did not work" in client.get("/login/").text


@pytest.mark.django_db
def test_the_login_page_offers_it_by_its_name(client):
    assert "Single sign-on" in client.get("/login/").text


def test_the_environment_knows_the_roles():
    assert set(ROLES) == set(Role.values)
