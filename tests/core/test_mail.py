"""Letters go out after the commit, in the receiver's language, and survive a server that is away."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from email.policy import default

import pytest
from aiosmtpd.controller import Controller
from django.core import mail as outbox
from django.utils import timezone

from apps.core import mail
from apps.core.models import Mail
from portal.environment import read

LETTER = mail.Letter("Hello\nthere", ("One <b>line</b>.",), "http://portal/x/", "Open it")


class Kept:
    """Keeps what a real server was sent."""

    def __init__(self) -> None:
        self.letters: list[bytes] = []

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.letters.append(envelope.content)
        return "250 taken"


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def letters(port, settings, tmp_path) -> Iterator[list[bytes]]:
    kept = Kept()
    server = Controller(kept, hostname="127.0.0.1", port=port)
    server.start()
    given = read({"ATRIUM_DATA_DIR": str(tmp_path), "ATRIUM_EMAIL_URL": f"smtp://127.0.0.1:{port}"})
    for name, value in given.email.items():
        setattr(settings, name, value)
    yield kept.letters
    server.stop()


@pytest.mark.django_db
def test_a_real_server_gets_both_forms_of_a_letter(letters):
    posted = mail.post("dan@example.org", lambda: LETTER, language="en")

    assert mail.send(posted.pk)
    got = message_from_bytes(letters[0], policy=default)
    assert (got["To"], got["Subject"]) == ("dan@example.org", "Hello there")
    assert "One <b>line</b>." in got.get_body(("plain",)).get_content()
    assert "One &lt;b&gt;line" in got.get_body(("html",)).get_content()
    assert not mail.send(posted.pk)


@pytest.mark.django_db
def test_a_letter_waits_for_a_server_that_is_away_and_is_given_up_in_the_end(port, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    posted = mail.post("dan@example.org", lambda: LETTER, language="en")

    for attempt in range(len(mail.PAUSES_S) + 1):
        assert not mail.send(posted.pk)
        row = Mail.objects.get()
        assert row.attempts == attempt + 1
        assert "refused" in row.error.lower()
        Mail.objects.filter(next_attempt_at__isnull=False).update(
            next_attempt_at=timezone.now() - timedelta(seconds=1)
        )
    assert Mail.objects.get().next_attempt_at is None
    assert Mail.objects.get().text == ""


@pytest.mark.django_db
def test_the_same_letter_is_posted_once():
    first, second = (mail.post("dan@example.org", lambda: LETTER, language="en", key="k") for _ in range(2))

    assert second is None
    assert mail.send_due() == 1
    assert [letter.to for letter in outbox.outbox] == [["dan@example.org"]]
    assert not mail.send(first.pk)
