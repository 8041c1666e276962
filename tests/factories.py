"""`make_<noun>()`: rows as the services would make them, with sensible defaults."""

from __future__ import annotations

from itertools import count

from apps.accounts.models import Membership, Role, Site, Team, User

_number = count(1)


def make_site(name: str = "", *, kind: str = Site.Kind.PROVINCE) -> Site:
    slug = name.lower() or f"site-{next(_number)}"
    return Site.objects.create(slug=slug, name=name or slug, kind=kind)


def make_team(name: str = "", *, site: Site | None = None) -> Team:
    slug = name.lower() or f"team-{next(_number)}"
    return Team.objects.create(slug=slug, name=name or slug, site=site or make_site())


def make_user(
    name: str = "", *, team: Team | None = None, role: str = Role.DEVELOPER, **fields: object
) -> User:
    user = User.objects.create_user(
        username=name or f"user-{next(_number)}", password="pw-of-this-test", **fields
    )
    if team is not None:
        Membership.objects.create(user=user, team=team, role=role)
    return user
