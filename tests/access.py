"""Who gets in and who does not: a table of addresses, asked as each person in turn."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import SimpleCookie

from django.conf import settings
from django.http import HttpResponse
from django.test import Client

PEOPLE = ("visitor", "developer", "qa", "operator", "outsider", "admin")


@dataclass(frozen=True)
class Row:
    """One address with the status for each of PEOPLE, in their order."""

    method: str
    path: str
    statuses: tuple[int, int, int, int, int, int]
    body: object = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def ask(self, client: Client, names: dict[str, object]) -> HttpResponse:
        """What this client is answered."""
        path = self.path.format(**names)
        if self.method == "GET":
            return client.get(path)
        body = self.body or {}
        if isinstance(body, dict):
            body = {key: _named(value, names) for key, value in body.items()}
        if path.startswith("/api/"):
            return client.generic(self.method, path, _json(body), "application/json")
        return client.post(path, body)


class Sessions:
    """A fresh client for each question; a session stays until a question changes it, for to log in takes long."""

    def __init__(self, people: dict[str, object]) -> None:
        self.people, self._cookies = people, {}

    def status(self, who: str, row: Row, names: dict[str, object]) -> int:
        """The status that this person gets."""
        client = Client(raise_request_exception=True)
        if self.people[who] is not None:
            if who not in self._cookies:
                client.force_login(self.people[who])
                self._cookies[who] = client.cookies
            client.cookies = SimpleCookie(self._cookies[who])
        answer = row.ask(client, names)
        if settings.SESSION_COOKIE_NAME in answer.cookies:
            self._cookies.pop(who, None)
        return answer.status_code


def _named(value: object, names: dict[str, object]) -> object:
    """The value with the names put in, also in a list of texts."""
    if isinstance(value, list):
        return [_named(part, names) for part in value]
    return value.format(**names) if isinstance(value, str) else value


def _json(body: object) -> bytes:
    import json

    return json.dumps(body).encode()


def differences(
    table: list[Row], people: dict[str, object], **names: object
) -> dict[str, dict[str, tuple[int, int]]]:
    """{address: {person: (status found, status in the table)}} where the two are not the same."""
    found, sessions = {}, Sessions(people)
    for row in table:
        pairs = [(who, sessions.status(who, row, names)) for who in people]
        told = zip(pairs, row.statuses, strict=True)
        if wrong := {who: (status, expected) for (who, status), expected in told if status != expected}:
            found[str(row)] = wrong
    return found


def uncovered(module_urls: list, rows: list[Row]) -> set[str]:
    """Routes of an app's URL modules that no row of the table names."""
    from django.urls import URLPattern, URLResolver

    routes: set[str] = set()

    def walk(patterns: list, prefix: str) -> None:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns, route)
            elif isinstance(pattern, URLPattern):
                routes.add(_view(pattern.callback, pattern.name))

    walk(module_urls, "")
    from django.urls import resolve

    seen = set()
    for row in rows:
        match = resolve(_filled(row.path))
        seen.add(_view(match.func, match.url_name))
    return routes - seen


def _view(function: Callable[..., object], name: str | None) -> str:
    return f"{function.__module__}.{function.__qualname__} {name}"


def _filled(path: str) -> str:
    """A path of that shape: a number in place of each name in braces."""
    return re.sub(r"\{\w+\}", "1", path).partition("?")[0]
