"""Personal tokens: shown once, stored hashed, ended at once."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from apps.accounts.models import PersonalToken
from apps.accounts.services import create_token, revoke_token, user_of_token
from apps.core.errors import Invalid, NotAllowed
from apps.core.models import IdempotentRequest

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
