"""What is in the bell comes by e-mail as each person has chosen, and only so."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core import mail as outbox
from django.utils import timezone

from apps.accounts.models import User
from apps.core import mail
from apps.requests import letters
from apps.requests.models import Notification
from apps.requests.notifications import notify

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader(ada) -> User:
    User.objects.filter(pk=ada.pk).update(email="ada@example.org", time_zone="Asia/Shanghai")
    ada.refresh_from_db()
    return ada


def subjects() -> list[str]:
    mail.send_due()
    return [letter.subject for letter in outbox.outbox]


def test_only_what_was_chosen_comes_at_once(client, reader):
    client.force_login(reader)
    client.post("/profile/mail/", {"work": "now", "store": "never"})

    notify([reader], "Job done: night run", url="/jobs/7/")
    notify([reader], "A plan changed", url="/store/digits/")

    assert subjects() == ["Job done: night run"]
    assert "/jobs/7/" in outbox.outbox[0].body
    assert Notification.objects.filter(user=reader).count() == 2


def test_what_waits_for_a_decision_comes_unasked_and_only_to_an_address(reader, bo):
    assert letters.choices_of(bo)["decide"] == "now"
    letters.choose(bo, {"work": "now"})

    notify([bo], "Job failed", url="/jobs/7/")

    assert subjects() == []


def test_nobody_writes_to_the_sample_people_whose_addresses_only_show_how_it_looks(reader):
    User.objects.filter(pk=reader.pk).update(sample=True)
    reader.refresh_from_db()
    letters.choose(reader, {"work": "now", "store": "daily"})

    notify([reader], "Job failed", url="/jobs/7/")
    notify([reader], "A plan changed", url="/store/digits/")
    Notification.objects.update(at=timezone.now() - timedelta(hours=20))

    assert subjects() == []
    assert letters.send_digests() == 0


def test_the_daily_letter_holds_the_unread_of_a_day_once_after_eight_there(reader, monkeypatch):
    letters.choose(reader, {"work": "daily"})
    for title in ("Job 1 done", "Job 2 done", "read already"):
        notify([reader], title, url="/jobs/1/")
    Notification.objects.filter(title="read already").update(read_at=timezone.now())
    eight = datetime.now(ZoneInfo("Asia/Shanghai")).replace(hour=8, minute=0, second=0, microsecond=0)
    Notification.objects.update(at=eight - timedelta(hours=3))

    monkeypatch.setattr(timezone, "now", lambda: eight - timedelta(minutes=1))
    assert letters.send_digests() == 0
    monkeypatch.setattr(timezone, "now", lambda: eight + timedelta(minutes=1))
    assert letters.send_digests() == 1
    assert letters.send_digests() == 0
    monkeypatch.undo()

    mail.Mail.objects.update(next_attempt_at=timezone.now())
    assert subjects() == ["2 pieces of news from Atrium"]
    assert "Job 2 done" in outbox.outbox[0].body
    assert "read already" not in outbox.outbox[0].body


def test_the_api_keeps_the_same_choices_and_refuses_others(client, reader):
    client.force_login(reader)
    changed = client.patch("/api/v1/users/me/mail/", {"releases": "daily"}, "application/json")

    assert changed.json()["releases"] == "daily"
    refused = client.patch("/api/v1/users/me/mail/", {"gossip": "now"}, "application/json")
    assert refused.status_code == 422
    assert "gossip" in refused.json()["detail"]
    assert client.get("/profile/mail/").status_code == 200
