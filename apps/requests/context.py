"""What the shell of every page shows: the menu by role, the bell's count, the theme, the live address."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from django.urls import NoReverseMatch, reverse
from django.utils.functional import SimpleLazyObject

from apps.accounts.policy import is_platform_admin, roles_of
from apps.core import csp, fragments, menu
from apps.requests.selectors import unread_count, waiting_badge

if TYPE_CHECKING:
    from django.http import HttpRequest

_THEMES = ("auto", "light", "dark")


@dataclass(frozen=True)
class Link:
    """One entry of the navigation."""

    label: str
    url: str
    icon: str
    active: bool
    count: int


@dataclass(frozen=True)
class Section:
    """Entries under one heading, which may be empty."""

    label: str
    links: tuple[Link, ...]


def menu_of(request: HttpRequest) -> tuple[Section, ...]:
    """The navigation of this person; the longest address that fits is the active one."""
    user = request.user
    if not user.is_authenticated:
        return ()
    counts = {"requests:inbox": waiting_badge(user)}
    roles = roles_of(user) | ({"admin"} if is_platform_admin(user) else set())
    found = [(item, url) for item in menu.items_for(roles) if (url := _url_of(item.url_name))]
    fitting = [
        url for _item, url in found if url == request.path or (url != "/" and request.path.startswith(url))
    ]
    active = max(fitting, key=len, default="")
    sections: dict[str, list[Link]] = {}
    for item, url in found:
        link = Link(str(item.label), url, item.icon, url == active, counts.get(item.url_name, 0))
        sections.setdefault(str(item.section), []).append(link)
    return tuple(Section(label, tuple(links)) for label, links in sections.items())


@cache
def _url_of(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


def theme_of(request: HttpRequest) -> str:
    """The person's theme; a visitor's from the cookie."""
    user = getattr(request, "user", None)
    theme = (
        user.theme
        if user is not None and user.is_authenticated
        else request.COOKIES.get("atrium_theme", "auto")
    )
    return theme if theme in _THEMES else "auto"


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor of base.html. The menu is computed only where a page shows it."""
    user = getattr(request, "user", None)
    if user is None:
        return {"theme": theme_of(request)}
    return {
        "theme": theme_of(request),
        "live_origin": csp.live_origin(request),
        "sidebar": lambda: fragments.render("components/sidebar.html", menu=menu_of(request)),
        "unread": SimpleLazyObject(lambda: unread_count(user)),
    }
