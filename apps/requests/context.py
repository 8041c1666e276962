"""What the shell of every page shows: the menu by role, the bell's count, the theme, the live address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.urls import NoReverseMatch, reverse

from apps.accounts.policy import is_platform_admin, roles_of
from apps.core import csp, menu
from apps.requests.selectors import unread_count, waiting_count

if TYPE_CHECKING:
    from django.http import HttpRequest

_THEMES = ("auto", "light", "dark")


def _link(item: menu.MenuItem, path: str, counts: dict[str, int]) -> dict[str, Any] | None:
    try:
        url = reverse(item.url_name)
    except NoReverseMatch:
        return None
    active = path.startswith(url) if url != "/" else path == url
    return {
        "label": item.label,
        "url": url,
        "icon": item.icon,
        "active": active,
        "count": counts.get(item.url_name, 0),
    }


def _menu_of(request: HttpRequest) -> list[dict[str, Any]]:
    """Sections with their links, in order; the longest address that fits is the active one."""
    user = request.user
    counts = {"requests:inbox": waiting_count(user)} if user.is_authenticated else {}
    roles = roles_of(user) | ({"admin"} if is_platform_admin(user) else set())
    sections: dict[str, list[dict[str, Any]]] = {}
    for item in menu.items_for(roles):
        link = _link(item, request.path, counts)
        if link:
            sections.setdefault(str(item.section), []).append(link)
    links = [link for found in sections.values() for link in found]
    best = max((len(link["url"]) for link in links if link["active"]), default=0)
    for link in links:
        link["active"] = link["active"] and len(link["url"]) == best
    return [{"label": label, "links": found} for label, found in sections.items()]


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
        "menu": lambda: _menu_of(request) if user.is_authenticated else [],
        "unread": lambda: unread_count(user),
    }
