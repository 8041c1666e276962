"""A link brings somebody into a team: once, in time, and only for whom it is meant."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core import mail as outbox
from django.test import Client
from django.utils import timezone

from apps.accounts import invitations
from apps.accounts.models import Invitation, Role, Team, User
from apps.accounts.policy import has_role
from apps.accounts.services import archive_team
from apps.core import mail
from apps.core.errors import Conflict, NotAllowed, NotFound
from apps.core.models import AuditEntry
from tests.factories import make_user

NEWCOMER = {"username": "dan", "full_name": "Dan Do", "password": "a-long-secret-9"}


@pytest.fixture
def led(radio, ada) -> Team:
    Team.objects.filter(pk=radio.pk).update(owner=ada)
    radio.refresh_from_db()
    return radio


def invite(team: Team, by: User, email: str = "dan@example.org") -> str:
    """The secret of a fresh invitation."""
    _row, link = invitations.invite(email, team, [Role.DEVELOPER, Role.QA], by=by)
    return link.rstrip("/").rpartition("/")[2]


def test_a_newcomer_gets_a_letter_makes_an_account_and_is_in_the_team(client, led, ada):
    client.force_login(ada)
    asked = {"email": "dan@example.org", "team": led.pk, "roles": ["developer"], "language": "zh-hans"}
    client.post("/invitations/", asked)
    mail.send_due()
    letter = outbox.outbox[0]
    path = re.search(r"/invitations/accept/\S+/", letter.body)[0]

    assert letter.to == ["dan@example.org"]
    assert '<html lang="zh-hans">' in letter.alternatives[0][0]
    his = Client()
    assert "Radio" in his.get(path).text
    assert his.post(path, NEWCOMER).url == "/"
    dan = User.objects.get(username="dan")
    assert has_role(dan, "developer", led)
    assert (dan.email, dan.verified_email) == ("dan@example.org", "dan@example.org")
    assert his.get("/home/").status_code == 200
    assert AuditEntry.objects.filter(action="accounts.invitation.accepted", actor=dan).exists()
    assert Client().post(path, NEWCOMER | {"username": "eve"}).status_code == 409


def test_the_secret_is_kept_nowhere_and_the_letter_only_until_it_is_sent(led, ada):
    secret = invite(led, ada)
    kept = mail.Mail.objects.get()

    assert secret not in str(Invitation.objects.values().get())
    assert secret not in kept.text
    mail.send(kept.pk)
    kept.refresh_from_db()
    assert (kept.text, kept.html) == ("", "")


def test_a_link_ends_when_it_is_sent_again_revoked_or_old(led, ada):
    first = invite(led, ada)
    row = Invitation.objects.get()
    second = invitations.send_again(row, by=ada).rstrip("/").rpartition("/")[2]
    with pytest.raises(NotFound, match="older link"):
        invitations.invitation_of(first)

    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Conflict, match="expired"):
        invitations.accept_as_new(second, **NEWCOMER)

    invitations.revoke(row, by=ada)
    with pytest.raises(Conflict, match="revoked"):
        invitations.accept_as_new(second, **NEWCOMER)
    assert not User.objects.filter(username="dan").exists()


def test_a_browser_knows_what_each_field_of_the_form_is(client, led, ada):
    page = client.get(f"/invitations/accept/{invite(led, ada)}/").text

    for purpose in ("username", "name", "new-password"):
        assert f'autocomplete="{purpose}"' in page


def test_a_weak_password_is_refused_and_the_link_still_works(client, led, ada):
    path = f"/invitations/accept/{invite(led, ada)}/"

    assert "too short" in client.post(path, NEWCOMER | {"password": "short"}).text
    assert client.post(path, NEWCOMER).status_code == 302


def test_somebody_who_is_here_takes_the_roles_with_the_account_they_have(client, led, ada, cy):
    User.objects.filter(pk=cy.pk).update(email="Cy@example.org")
    path = f"/invitations/accept/{invite(led, ada, 'cy@example.org')}/"

    assert "/login/?next=" in client.get(path).text
    assert client.post(path, NEWCOMER).status_code == 409
    client.force_login(make_user("eve", email="eve@example.org"))
    assert client.post(path).status_code == 409
    client.force_login(cy)
    client.post(path)
    assert has_role(User.objects.get(pk=cy.pk), "qa", led)


def test_an_owner_invites_into_their_team_alone_and_makes_no_administrators(led, transport, ada, bo, root):
    for by, team, roles in ((bo, led, ["qa"]), (ada, transport, ["qa"]), (ada, led, ["admin"])):
        with pytest.raises(NotAllowed):
            invitations.invite("dan@example.org", team, roles, by=by)

    invitations.invite("dan@example.org", transport, ["admin"], by=root)
    with pytest.raises(Conflict, match="open invitation"):
        invitations.invite("DAN@example.org", transport, ["qa"], by=root)


def test_only_an_administrator_is_told_the_link(client, led, ada, root):
    body = {"email": "dan@example.org", "team": led.slug, "roles": ["qa"]}
    for person, shown in ((ada, False), (root, True)):
        client.force_login(person)
        made = client.post("/api/v1/invitations/", body | {"email": f"{person}@x.org"}, "application/json")
        assert made.status_code == 201
        assert bool(made.json()["link"]) is shown
        assert client.delete(f"/api/v1/invitations/{made.json()['id']}/").status_code == 204


def test_strangers_know_of_no_invitation(client, led, ada, cy):
    invite(led, ada)
    client.force_login(cy)

    assert client.get("/invitations/").status_code == 403
    assert client.get("/api/v1/invitations/").json()["results"] == []
    assert client.post(f"/invitations/{Invitation.objects.get().pk}/revoke/").status_code == 404


def test_an_archived_team_gives_nobody_anything_until_it_is_open_again(client, radio, ada, root):
    archive_team(radio, archived=True, by=root)
    assert not has_role(User.objects.get(pk=ada.pk), "developer")
    client.force_login(root)
    assert "Radio" not in client.get("/teams/").text
    assert "Radio" in client.get("/teams/?archived=1").text

    client.post("/teams/radio/archive/", {"archived": "0"})

    assert has_role(User.objects.get(pk=ada.pk), "developer")


def test_an_administrator_changes_a_team_and_a_site_by_page_and_api(client, radio, ada, root):
    client.force_login(root)
    client.post("/teams/radio/change/", {"name": "Radio net", "site": radio.site_id, "owner": ada.pk})
    client.patch(f"/api/v1/sites/{radio.site.slug}/", {"name": "Wuhan"}, "application/json")

    radio.refresh_from_db()
    assert (radio.name, radio.owner, radio.site.name) == ("Radio net", ada, "Wuhan")
    client.force_login(ada)
    assert client.post("/teams/radio/change/", {"name": "Mine"}).status_code == 403
    assert client.patch("/api/v1/teams/radio/", {"archived": True}, "application/json").status_code == 403
