"""Notifications as e-mail: at once, once a day, or not, as each person has chosen for each kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.accounts.models import User
from apps.core import mail
from apps.core.errors import Invalid
from apps.requests.models import MailChoice, Notification

if TYPE_CHECKING:
    from apps.requests.models import Request

KINDS = {
    "decide": gettext_lazy("Requests that wait for my decision"),
    "requests": gettext_lazy("What becomes of my requests"),
    "store": gettext_lazy("The store: plans, versions, subscriptions"),
    "releases": gettext_lazy("Sign-off and releases"),
    "work": gettext_lazy("Jobs, workspaces, deployments, annotation"),
}
_UNASKED = {"decide": MailChoice.When.NOW}
_AREAS = {"requests": "requests", "store": "store", "subscriptions": "store", "releases": "releases"}
_DIGEST_AT = time(8)
_MOST_TITLES = 50


def kind_of(url: str, request: Request | None) -> str:
    """The kind of a notification: what can be decided right there, else by the part of the portal that it is about."""
    return "decide" if request is not None else _AREAS.get(url.lstrip("/").partition("/")[0], "work")


def choices_of(user: User) -> dict[str, str]:
    """{kind: when} for every kind; what nobody chose is as it is unasked."""
    chosen = dict(MailChoice.objects.filter(user=user).values_list("kind", "when"))
    return {kind: chosen.get(kind, _UNASKED.get(kind, MailChoice.When.NEVER)) for kind in KINDS}


@transaction.atomic
def choose(user: User, wanted: Mapping[str, str]) -> None:
    """Keep when a person wants a letter for each of these kinds. Raises Invalid."""
    for kind, when in wanted.items():
        if kind not in KINDS or when not in MailChoice.When.values:
            raise Invalid(
                _("“%(kind)s: %(when)s” is not possible: kinds are %(kinds)s, and each is %(whens)s.")
                % {
                    "kind": kind[:40],
                    "when": str(when)[:40],
                    "kinds": ", ".join(KINDS),
                    "whens": ", ".join(MailChoice.When.values),
                },
                fields={kind[:40]: _("is not possible")},
            )
        MailChoice.objects.update_or_create(user=user, kind=kind, defaults={"when": when})


def send_at_once(notifications: Iterable[Notification]) -> None:
    """A letter for each of these new rows whose reader wants one at once, and has an address."""
    rows = [row for row in notifications if row.user.email and row.user.is_active and not row.user.sample]
    chosen = MailChoice.objects.filter(user__in=[row.user_id for row in rows])
    when = {(choice.user_id, choice.kind): choice.when for choice in chosen} if rows else {}
    for row in rows:
        if when.get((row.user_id, row.kind), _UNASKED.get(row.kind)) == MailChoice.When.NOW:
            _post(row)


def _post(row: Notification) -> None:
    def write() -> mail.Letter:
        return mail.Letter(
            subject=row.title,
            paragraphs=(row.body,) if row.body else (),
            url=settings.ATRIUM.web_url + row.url if row.url.startswith("/") else "",
            action=_("Open it in Atrium"),
            why=_why(),
        )

    mail.post(row.user.email, write, language=row.user.language, key=f"notification:{row.pk}")


def _why() -> str:
    return _("You choose what comes by e-mail in your profile.")


def send_digests() -> int:
    """After eight in the morning of each reader: what came in the day before and is unread, in one letter."""
    daily = MailChoice.objects.filter(
        when=MailChoice.When.DAILY, user__is_active=True, user__sample=False
    ).exclude(user__email="")
    kinds: dict[int, list[str]] = {}
    for user_id, kind in daily.values_list("user_id", "kind"):
        kinds.setdefault(user_id, []).append(kind)
    people = User.objects.in_bulk(kinds)
    return sum(_digest(people[user_id], wanted) for user_id, wanted in kinds.items())


def _digest(user: User, kinds: list[str]) -> bool:
    zone = user.zone
    now = timezone.now().astimezone(zone)
    until = datetime.combine(now.date(), _DIGEST_AT, tzinfo=zone)
    if now < until:
        return False
    rows = Notification.objects.filter(
        user=user, kind__in=kinds, read_at=None, at__gte=until - timedelta(days=1), at__lt=until
    )
    titles = list(rows.order_by("-pk").values_list("title", flat=True)[:_MOST_TITLES])
    if not titles:
        return False

    def write() -> mail.Letter:
        count = len(titles)
        return mail.Letter(
            subject=ngettext("%(n)d piece of news from Atrium", "%(n)d pieces of news from Atrium", count)
            % {"n": count},
            paragraphs=tuple(titles),
            url=f"{settings.ATRIUM.web_url}/notifications/",
            action=_("Read all"),
            why=_why(),
        )

    key = f"digest:{user.pk}:{now:%Y%m%d}"
    return mail.post(user.email, write, language=user.language, key=key) is not None
