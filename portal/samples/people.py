"""The sample people, whose password everybody knows and the login page tells."""

from __future__ import annotations

from typing import NamedTuple

from django.contrib.auth.hashers import make_password
from django.db import transaction

from apps.accounts.models import Membership, Role, Site, Team, User
from apps.core import audit

PASSWORD = "atrium-sample"  # noqa: S105  public on purpose; refused unless the portal is bound to loopback

MAIL_DOMAIN = "atrium.example"
"""Reserved for examples (RFC 2606): pages show whom to write to, and no letter is ever sent there."""


class Person(NamedTuple):
    """A sample person with one role in one team."""

    username: str
    full_name: str
    team: str
    role: Role


SITES = {
    "centre": ("Centre", Site.Kind.CENTRE),
    "zhejiang": ("Zhejiang", Site.Kind.PROVINCE),
    "guangdong": ("Guangdong", Site.Kind.PROVINCE),
}
#: What one province provides, another uses.
TEAMS = {"network-ai": ("Network AI", "zhejiang"), "guangdong-ops": ("Guangdong operations", "guangdong")}
PEOPLE = (
    Person("admin", "Ming Zhao", "network-ai", Role.ADMIN),
    Person("dev", "Wei Chen", "network-ai", Role.DEVELOPER),
    Person("qa", "Lan Liu", "network-ai", Role.QA),
    Person("qa2", "Jun Sun", "network-ai", Role.QA),
    Person("ops", "Tao Huang", "network-ai", Role.OPERATOR),
    Person("annotator", "Yue Wu", "network-ai", Role.ANNOTATOR),
    Person("annotator2", "Hao Zhou", "network-ai", Role.ANNOTATOR),
    Person("consumer", "Mei Lin", "guangdong-ops", Role.CONSUMER),
)


@transaction.atomic
def make_people() -> dict[str, User]:
    """Make what is missing of sites, teams and people; returns the people by user name. May be repeated."""
    sites = {
        slug: Site.objects.get_or_create(slug=slug, defaults={"name": name, "kind": kind})[0]
        for slug, (name, kind) in SITES.items()
    }
    teams = {
        slug: Team.objects.get_or_create(slug=slug, defaults={"name": name, "site": sites[site]})[0]
        for slug, (name, site) in TEAMS.items()
    }
    missing = {each.username for each in PEOPLE} - set(User.objects.values_list("username", flat=True))
    password = make_password(PASSWORD) if missing else ""
    for each in PEOPLE:
        if each.username in missing:
            _make_person(each, teams[each.team], password)
    return {user.username: user for user in User.objects.filter(sample=True)}


def _make_person(each: Person, team: Team, password: str) -> None:
    first, _space, last = each.full_name.partition(" ")
    user = User.objects.create(
        username=each.username,
        first_name=first,
        last_name=last,
        email=f"{each.username}@{MAIL_DOMAIN}",
        password=password,
        sample=True,
    )
    Membership.objects.create(user=user, team=team, role=each.role)
    audit.record("accounts.user.created", user, by=None, username=each.username, sample=True)
