"""Personal tokens: shown once, stored hashed, ended at once."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from apps.accounts.models import PersonalToken
from apps.accounts.services import create_token, revoke_token, user_of_token
from apps.core.errors import Invalid, NotAllowed
from apps.core.models import AuditEntry, IdempotentRequest

pytestmark = pytest.mark.django_db


def test_a_token_opens_until_it_is_revoked(ada):
    token, secret = create_token(ada, "laptop", by=ada)
    assert user_of_token(secret) == ada

    revoke_token(token, by=ada)

    assert user_of_token(secret) is None


def test_only_the_digest_is_stored(ada):
    _token, secret = create_token(ada, "laptop", by=ada)

    row = PersonalToken.objects.values().get()

    assert secret not in str(row)


def test_nobody_makes_or_ends_a_token_of_somebody_else(ada, bo):
    token, _secret = create_token(ada, "laptop", by=ada)

    with pytest.raises(NotAllowed):
        create_token(ada, "theirs", by=bo)
    with pytest.raises(NotAllowed):
        revoke_token(token, by=bo)


def test_an_expired_token_does_not_open(ada):
    _token, secret = create_token(ada, "old", by=ada, expires_at=timezone.now() + timedelta(hours=1))
    PersonalToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert user_of_token(secret) is None


def test_an_expiry_in_the_past_is_refused(ada):
    with pytest.raises(Invalid):
        create_token(ada, "old", by=ada, expires_at=timezone.now() - timedelta(days=1))


def test_the_command_prints_the_secret_alone(ada, capsys):
    call_command("token", "ada")

    assert user_of_token(capsys.readouterr().out.strip()) == ada


def test_the_secret_of_a_repeated_request_is_told_again_and_not_readable_in_the_row(client, ada):
    client.force_login(ada)
    headers = {"Idempotency-Key": "once"}
    first, again = (
        client.post("/api/v1/tokens/", {"name": "ci"}, "application/json", headers=headers)
        for _time in range(2)
    )

    assert again.json() == first.json()
    assert again.headers["Idempotent-Replay"] == "true"
    assert first.json()["secret"] not in str(IdempotentRequest.objects.get().body)
    assert PersonalToken.objects.count() == 1


def test_a_program_changes_the_password_and_its_token_stays(client, ada):
    browser = Client()
    browser.force_login(ada)
    _token, secret = create_token(ada, "laptop", by=ada)
    asked = {"old_password": "pw-of-this-test", "new_password": "long-and-new-9"}
    headers = {"Authorization": f"Bearer {secret}"}

    answer = client.post("/api/v1/users/me/password/", asked, "application/json", headers=headers)

    assert answer.status_code == 204
    ada.refresh_from_db()
    assert ada.check_password("long-and-new-9")
    assert browser.get("/home/").status_code == 302
    assert client.get("/api/v1/users/me/", headers=headers).status_code == 200
    assert AuditEntry.objects.filter(action="accounts.user.password_changed", actor=ada).count() == 1


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [("a guess", "long-and-new-9", "old_password"), ("pw-of-this-test", "12345", "new_password")],
)
def test_a_wrong_or_weak_password_changes_nothing(client, ada, old, new, field):
    client.force_login(ada)

    answer = client.post(
        "/api/v1/users/me/password/", {"old_password": old, "new_password": new}, "application/json"
    )

    assert answer.status_code == 422
    assert list(answer.json()["fields"]) == [field]
    ada.refresh_from_db()
    assert ada.check_password("pw-of-this-test")
    assert client.get("/home/").status_code == 200


def test_guesses_at_the_password_have_to_wait_even_if_the_next_is_right(client, ada):
    client.force_login(ada)

    def change(old):
        told = {"old_password": old, "new_password": "long-and-new-9"}
        return client.post("/api/v1/users/me/password/", told, "application/json")

    for _guess in range(5):
        assert "old_password" in change("a guess").json()["fields"]
    assert "Wait" in change("pw-of-this-test").text
    ada.refresh_from_db()
    assert ada.check_password("pw-of-this-test")


def test_the_page_says_at_the_field_what_is_wrong_with_a_password(client, ada):
    client.force_login(ada)
    asked = {"old_password": "a guess", "new_password": "long-and-new-9", "repeated": "long-and-new-9"}

    page = client.post("/profile/password/", asked)
    assert list(page.context["form"].errors) == ["old_password"]

    page = client.post("/profile/password/", asked | {"repeated": "long-and-new-8"})
    assert list(page.context["form"].errors) == ["repeated"]
    ada.refresh_from_db()
    assert ada.check_password("pw-of-this-test")
