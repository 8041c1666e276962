"""Logging in, the profile, tokens, teams, administration: as people use them."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.core.cache import cache

from apps.accounts.models import Membership, PersonalToken, Role, Site, Team, User
from apps.accounts.services import user_of_token
from apps.core.models import AuditEntry
from tests.factories import make_user


@pytest.fixture(autouse=True)
def _no_failures_yet(servers):
    client = cache._cache.get_client(write=True)
    for key in client.scan_iter(f"{cache.key_prefix}:*"):
        client.delete(key)


def log_in(client, password: str = "pw-of-this-test"):
    return client.post("/login/", {"username": "ada", "password": password})


def test_a_person_logs_in_and_lands_where_the_role_says(client, ada):
    assert log_in(client).url == "/"
    assert client.get("/", follow=True).status_code == 200


def test_who_logs_out_is_out_even_with_the_cookie_of_before(client, ada):
    log_in(client)
    kept = client.cookies[settings.SESSION_COOKIE_NAME].value
    assert client.get("/profile/").status_code == 200

    client.post("/logout/")

    assert client.get("/profile/").url == "/login/?next=/profile/"
    client.cookies[settings.SESSION_COOKIE_NAME] = kept
    assert client.get("/profile/").url == "/login/?next=/profile/"


def test_logins_failed_ones_and_logouts_stand_in_the_audit_log(client, ada):
    log_in(client, "wrong-as-can-be")
    client.post("/login/", {"username": "nobody-of-ours", "password": "wrong-as-can-be"})
    log_in(client)
    client.post("/logout/")

    told = AuditEntry.objects.filter(action__startswith="accounts.user.log").order_by("pk")
    assert [(entry.action.rpartition(".")[2], entry.actor_name) for entry in told] == [
        ("login_failed", "atrium"),
        ("logged_in", "ada"),
        ("logged_out", "ada"),
    ]
    assert {entry.facts["address"] for entry in told} == {"127.0.0.1"}
    assert told[1].facts["way"] == "password"


@pytest.mark.parametrize(("noted", "shown"), [("Asia/Shanghai", "Asia/Shanghai"), ("../etc/passwd", "UTC")])
def test_a_new_person_reads_times_in_the_zone_of_the_browser(client, ada, noted, shown):
    client.cookies["atrium_zone"] = noted
    log_in(client)

    ada.refresh_from_db()
    assert ada.time_zone == shown


def test_a_zone_that_was_chosen_stays_wherever_one_logs_in(client, ada):
    User.objects.filter(pk=ada.pk).update(time_zone="UTC", last_login=ada.date_joined)
    client.cookies["atrium_zone"] = "Asia/Shanghai"
    log_in(client)

    ada.refresh_from_db()
    assert ada.time_zone == "UTC"


def test_an_administrator_lands_on_administration(client, root):
    client.force_login(root)

    assert client.get("/").url == "/administration/"


def test_the_sixth_wrong_password_has_to_wait_even_if_the_next_is_right(client, ada):
    for _ in range(5):
        assert log_in(client, "wrong").status_code == 200

    refused = log_in(client)

    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 5
    assert "Wait" in refused.content.decode()
    # The page was answered, so it does not say that what was typed never arrived.
    assert "atrium_taken" in refused.cookies


def test_the_login_page_names_sample_accounts_only_while_they_exist(client, ada):
    assert "atrium-sample" not in client.get("/login/").content.decode()

    make_user("dev", sample=True)

    assert "atrium-sample" in client.get("/login/").content.decode()


def test_every_page_asks_visitors_to_log_in(client, db):
    for address in (
        "/",
        "/home/",
        "/search/",
        "/profile/",
        "/profile/tokens/",
        "/teams/",
        "/requests/",
        "/notifications/",
    ):
        assert client.get(address).url == f"/login/?next={address}"


def test_a_token_is_shown_once_works_and_ends_when_revoked(client, ada):
    client.force_login(ada)
    page = client.post("/profile/tokens/", {"name": "export", "days": "30"})
    secret = page.context["secret"]

    assert secret in page.content.decode()
    assert secret not in client.get("/profile/tokens/").content.decode()
    assert user_of_token(secret) == ada

    client.post(f"/profile/tokens/{PersonalToken.objects.get().pk}/revoke/")
    assert user_of_token(secret) is None


def test_nobody_revokes_a_strangers_token(client, ada, cy):
    client.force_login(ada)
    client.post("/profile/tokens/", {"name": "export", "days": "30"})
    client.force_login(cy)

    assert client.post(f"/profile/tokens/{PersonalToken.objects.get().pk}/revoke/").status_code == 404


def test_the_language_follows_the_person(client, ada):
    client.force_login(ada)
    client.post("/language/", {"language": "zh-hans", "next": "/teams/"})

    page = client.get("/teams/").content.decode()

    assert '<html lang="zh-hans"' in page
    ada.refresh_from_db()
    assert ada.language == "zh-hans"


def test_the_theme_is_remembered(client, ada):
    client.force_login(ada)
    client.post("/theme/", {"theme": "dark"})

    assert 'data-bs-theme="dark"' in client.get("/home/").content.decode()


def test_changing_the_password_ends_other_sessions(client, ada, django_user_model):
    from django.test import Client

    other = Client()
    other.force_login(ada)
    client.force_login(ada)
    client.post(
        "/profile/password/",
        {
            "old_password": "pw-of-this-test",
            "new_password": "long-and-new-9",
            "repeated": "long-and-new-9",
        },
    )

    assert client.get("/home/").status_code == 200
    assert other.get("/home/").status_code == 302


def test_an_administrator_makes_a_site_a_team_and_gives_a_role(client, root, ada):
    client.force_login(root)
    client.post("/sites/", {"slug": "hubei", "name": "Hubei", "kind": "province"})
    client.post(
        "/teams/", {"slug": "core-net", "name": "Core net", "site": Site.objects.get(slug="hubei").pk}
    )
    client.post("/teams/core-net/", {"username": "ada", "role": "qa"})

    assert Membership.objects.filter(user=ada, team__slug="core-net", role=Role.QA).exists()
    assert AuditEntry.objects.filter(action="accounts.member.added", actor=root).exists()


def test_others_see_teams_but_change_nothing(client, ada, transport):
    client.force_login(ada)

    assert "Make a team" not in client.get("/teams/").content.decode()
    refused = client.post(f"/teams/{transport.slug}/", {"username": "ada", "role": "admin"})
    assert refused.status_code == 403
    assert "Only an administrator" in refused.content.decode()
    for address in ("/administration/", "/administration/people/", "/administration/audit/"):
        assert client.get(address).status_code == 403


def test_a_short_name_that_is_taken_is_said_at_its_field(client, root, transport):
    client.force_login(root)

    page = client.post("/teams/", {"slug": transport.slug, "name": "Again", "site": transport.site_id})

    assert page.context["form"].errors["slug"] == ["This one is taken: choose another."]
    assert Team.objects.count() == 1


def test_a_person_who_is_shut_out_is_out_at_once(client, root, ada):
    from django.test import Client

    hers = Client()
    hers.force_login(ada)
    client.force_login(root)

    client.post(f"/administration/people/{ada.pk}/active/", {"active": "0"})

    assert hers.get("/home/").status_code == 302
    assert not User.objects.get(pk=ada.pk).is_active


def test_the_audit_log_is_filtered_and_verified(client, root):
    client.force_login(root)
    client.post("/sites/", {"slug": "hubei", "name": "Hubei", "kind": "province"})

    assert (
        "accounts.site.created" in client.get("/administration/audit/?action=accounts.site").content.decode()
    )
    assert "No entry fits" in client.get("/administration/audit/?actor=nobody").content.decode()
    assert client.post("/administration/audit/").context["verification"].intact


def test_search_finds_teams_for_the_dropdown_and_the_page(client, ada, transport):
    client.force_login(ada)

    dropdown = client.get("/search/?q=transp", headers={"HX-Request": "true"}).content.decode()
    assert "Transport" in dropdown
    assert "<html" not in dropdown
    assert "Transport" in client.get("/search/?q=transp").content.decode()
    assert "Nothing found" in client.get("/search/?q=zzz").content.decode()


def test_the_api_knows_me_and_my_tokens(client, ada):
    client.force_login(ada)

    assert client.get("/api/v1/users/me/").json()["memberships"] == [{"team": "radio", "role": "developer"}]
    made = client.post("/api/v1/tokens/", {"name": "ci"}, content_type="application/json").json()
    assert made["secret"].startswith("atr_")
    listed = client.get("/api/v1/tokens/", headers={"Authorization": f"Bearer {made['secret']}"}).json()[
        "results"
    ]
    assert [token["name"] for token in listed] == ["ci"]
    assert "secret" not in listed[0]
    assert client.delete(f"/api/v1/tokens/{made['id']}/").status_code == 204
    assert user_of_token(made["secret"]) is None


def test_the_api_manages_teams_for_administrators_only(client, ada, root, radio):
    client.force_login(ada)
    body = {"user": "root", "role": "qa"}
    address = f"/api/v1/teams/{radio.slug}/members/"
    assert client.post(address, body, content_type="application/json").status_code == 403

    client.force_login(root)
    made = client.post(address, body, content_type="application/json")
    assert made.status_code == 201
    assert client.delete(f"{address}{made.json()['id']}/").status_code == 204
    assert not Membership.objects.filter(user=root, team=radio).exists()


def test_pages_carry_a_strict_policy_with_a_fresh_nonce(client, ada):
    client.force_login(ada)
    first, second = (client.get("/home/") for _ in range(2))

    assert "script-src 'self' 'nonce-" in first["Content-Security-Policy"]
    assert "unsafe-eval" not in first["Content-Security-Policy"]
    assert first["Content-Security-Policy"] != second["Content-Security-Policy"]


def test_unknown_addresses_get_the_portals_own_page(client, ada):
    client.force_login(ada)
    page = client.get("/no/such/page/")

    assert page.status_code == 404
    assert "To the start page" in page.content.decode()


def test_people_are_added_found_and_shut_out_by_program(client, root):
    client.force_login(root)
    said = {"username": "newcomer", "full_name": "New Comer", "password": "a-long-one-of-this-test"}

    made = client.post("/api/v1/people/", said, "application/json")

    assert made.status_code == 201
    assert (made.json()["full_name"], made.json()["active"]) == ("New Comer", True)
    assert "password" not in made.json()
    assert [row["username"] for row in client.get("/api/v1/people/?q=NEWC").json()["results"]] == ["newcomer"]
    person = f"/api/v1/people/{made.json()['id']}/"
    assert client.patch(person, {"active": False}, "application/json").json()["active"] is False
    assert not User.objects.get(username="newcomer").is_active
    again = client.post("/api/v1/people/", said, "application/json")
    assert (again.status_code, "username" in again.json()["fields"]) == (422, True)
    alone = client.patch(f"/api/v1/people/{root.pk}/", {"active": False}, "application/json")
    assert (alone.status_code, "yourself" in alone.json()["detail"]) == (422, True)
