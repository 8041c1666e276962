"""Letters: written in the transaction that causes them, sent after it by the worker, tried again when a server is away.

A letter may hold a secret link, so its text is kept encrypted, and only until it is sent or given up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone, translation

from apps.core import background, secrets
from apps.core.models import Mail

log = logging.getLogger(__name__)

PAUSES_S = (60, 300, 1800, 7200, 28800)
_LEASE = timedelta(minutes=2)
_AT_ONCE = 50


@dataclass(frozen=True)
class Letter:
    """What a letter says: a subject, paragraphs, perhaps one link as a button with its words, and why one gets it."""

    subject: str
    paragraphs: tuple[str, ...]
    url: str = ""
    action: str = ""
    why: str = ""


def post(to: str, write: Callable[[], Letter], *, language: str, key: str = "") -> Mail | None:
    """Send a letter after the commit. `write` is called with the receiver's language active.

    The same `key` is sent once, however often it is posted; None then.
    """
    with translation.override(language):
        letter = write()
        look = {"letter": letter, "portal": settings.ATRIUM.web_url, "language": language}
        text = render_to_string("core/mail/letter.txt", look)
        html = render_to_string("core/mail/letter.html", look)
    subject = " ".join(letter.subject.split())[:200]
    facts = {"to": to, "subject": subject, "text": secrets.encrypt(text), "html": secrets.encrypt(html)}
    if key:
        mail, made = Mail.objects.get_or_create(key=key, defaults=facts)
        if not made:
            return None
    else:
        mail = Mail.objects.create(**facts)
    transaction.on_commit(lambda: background.enqueue("core.send_mail", mail.pk))
    return mail


def send(pk: int) -> bool:
    """Try one letter, if it is due and nobody else tries it. Returns whether a server took it."""
    now = timezone.now()
    if not Mail.objects.filter(pk=pk, next_attempt_at__lte=now).update(next_attempt_at=now + _LEASE):
        return False
    mail = Mail.objects.get(pk=pk)
    letter = EmailMultiAlternatives(mail.subject, secrets.decrypt(mail.text), to=[mail.to])
    letter.attach_alternative(secrets.decrypt(mail.html), "text/html")
    try:
        letter.send()
    except (OSError, ValueError) as error:  # smtplib's errors are OSErrors; a bad address is a ValueError
        _failed(mail, error)
        return False
    Mail.objects.filter(pk=pk).update(
        text="", html="", sent_at=timezone.now(), next_attempt_at=None, attempts=mail.attempts + 1, error=""
    )
    return True


def _failed(mail: Mail, error: Exception) -> None:
    attempts, given_up = mail.attempts + 1, mail.attempts >= len(PAUSES_S)
    log.warning("letter %d could not be sent, attempt %d: %s", mail.pk, attempts, error)
    facts: dict[str, object] = {"attempts": attempts, "error": str(error)[:300]}
    if given_up:
        facts |= {"text": "", "html": "", "next_attempt_at": None}
    else:
        facts |= {"next_attempt_at": timezone.now() + timedelta(seconds=PAUSES_S[mail.attempts])}
    Mail.objects.filter(pk=mail.pk).update(**facts)


def send_due() -> int:
    """Try what is due, oldest first: the retries, and what the broker lost. Returns how many were taken."""
    due = Mail.objects.filter(next_attempt_at__lte=timezone.now()).order_by("next_attempt_at")
    return sum(send(pk) for pk in list(due.values_list("pk", flat=True)[:_AT_ONCE]))


def forget() -> None:
    """That a letter was sent is remembered for 30 days."""
    Mail.objects.filter(next_attempt_at=None, created_at__lt=timezone.now() - timedelta(days=30)).delete()
