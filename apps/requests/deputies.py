"""Who decides while somebody is away: a deputy stands in for the person, and counts as the person."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import Membership, Role, User
from apps.accounts.policy import is_platform_admin
from apps.core import audit
from apps.core.errors import Invalid
from apps.core.policy import Verdict, allow, deny, require
from apps.requests.models import Deputy
from apps.requests.notifications import notify

if TYPE_CHECKING:
    from django.db.models import QuerySet

LONGEST = timedelta(days=90)
ABLE = (Role.DEVELOPER, Role.QA, Role.OPERATOR, Role.ADMIN)


def may_name_deputy(actor: User, person: User) -> Verdict:
    """For oneself; an administrator for anybody, such as somebody who fell ill."""
    if actor.pk == person.pk or is_platform_admin(actor):
        return allow()
    return deny(_("Everybody names a deputy of their own; an administrator can do it for others."))


def possible_deputies(person: User) -> QuerySet[User]:
    """The developers, QA and operators of the person's teams: they see what there is to decide."""
    teams = Membership.objects.filter(user=person).values("team")
    members = Membership.objects.filter(team__in=teams, role__in=ABLE).values("user")
    return User.objects.filter(pk__in=members, is_active=True).exclude(pk=person.pk).order_by("username")


@transaction.atomic
def name_deputy(person: User, deputy: User, *, since: datetime, until: datetime, by: User) -> Deputy:
    """Let somebody decide in a person's place for a time. Raises NotAllowed, Invalid."""
    require(may_name_deputy(by, person))
    if not possible_deputies(person).filter(pk=deputy.pk).exists():
        raise Invalid(
            _("%(who)s cannot stand in: choose a developer, QA engineer or operator of the same team.")
            % {"who": deputy.called},
            fields={"deputy": _("is in none of the teams")},
        )
    if not since < until or until <= timezone.now() or until - since > LONGEST:
        raise Invalid(
            _("A deputy stands in for at most %(days)d days, up to a moment in the future.")
            % {"days": LONGEST.days},
            fields={
                "until": _("must be later, at most %(days)d days after the begin") % {"days": LONGEST.days}
            },
        )
    row = Deputy.objects.create(person=person, deputy=deputy, since=since, until=until, set_by=by)
    audit.record(
        "requests.deputy.named",
        row,
        by=by,
        person=person.username,
        deputy=deputy.username,
        since=since,
        until=until,
    )
    notify(
        [deputy],
        lambda: (
            _("You stand in for %(who)s until %(until)s")
            % {"who": person.called, "until": f"{until:%Y-%m-%d}"}
        ),
        url=reverse("requests:deputies"),
    )
    return row


@transaction.atomic
def end_deputy(row: Deputy, *, by: User) -> None:
    """The person is back: from now on the deputy decides nothing in their place; what was decided stands."""
    require(may_name_deputy(by, row.person))
    now = timezone.now()
    row.since, row.until = min(row.since, now), now
    row.save(update_fields=["since", "until"])
    audit.record("requests.deputy.ended", row, by=by, person=row.person.username, deputy=row.deputy.username)
