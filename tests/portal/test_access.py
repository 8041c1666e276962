"""Nobody gets in without logging in: every address of the portal, but those listed here with their reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

from apps.core import package
from tests.access import PEOPLE, Row, differences, uncovered

TESTS = Path(__file__).parent.parent

PUBLIC = {
    "login/": "the door",
    "logout/": "leads to the door",
    "admin/logout/": "leads to the door",
    "admin/login/": "leads to the door",
    "language/": "the door speaks both languages",
    "theme/": "the door is light or dark",
    "healthz": "load balancers ask it",
    "api/schema/": "tools read the description of the API; it holds no data",
}
ARGUMENTS = {"int": "1", "slug": "x", "str": "x", "path": "x", "uuid": "00000000-0000-0000-0000-000000000000"}


def _filled(pattern: object) -> str:
    """A pattern's address with something in place of its arguments."""
    text = str(pattern)
    if isinstance(pattern, RegexPattern):
        text = re.sub(r"\(\?P<\w+>(?:[^()]|\([^()]*\))*\)", "1", text)
        text = text.replace("(?:", "").replace("^", "").replace("$", "").replace("\\Z", "").replace("\\", "")
        return re.sub(r"\.1?/?\)?\?$", "", text).rstrip("?")
    return re.sub(r"<(?:(\w+):)?\w+>", lambda m: ARGUMENTS.get(m[1] or "str", "x"), text)


def addresses(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    """Every address, with something in place of its arguments."""
    for entry in patterns:
        here = prefix + _filled(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from addresses(entry.url_patterns, here)
        else:
            yield here


def all_addresses() -> list[str]:
    found = addresses(get_resolver().url_patterns)
    return sorted(set(found) - set(PUBLIC))


def test_a_visitor_reads_nothing(client, db):
    let_in = []
    for address in all_addresses():
        answer = client.get(f"/{address}")
        sent_away = answer.status_code == 302 and "/login/" in answer.url
        if not sent_away and answer.status_code not in (401, 403, 404, 405):
            let_in.append((address, answer.status_code))

    assert let_in == []


def test_a_visitor_changes_nothing(client, db):
    let_in = []
    for address in all_addresses():
        answer = client.post(f"/{address}", {}, content_type="application/json")
        sent_away = answer.status_code == 302 and "/login/" in answer.url
        if not sent_away and answer.status_code not in (401, 403, 404, 405):
            let_in.append((address, answer.status_code))

    assert let_in == []


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_answers_visitors(client, db, address):
    assert client.get(f"/{address}").status_code in (200, 302, 405, 503)


EVERYBODY = (302, 200, 200, 200, 200, 200)
TABLE = [
    Row("GET", "/", (302, 302, 302, 302, 302, 302)),
    Row("GET", "/home/", EVERYBODY),
    Row("GET", "/search/?q=x", EVERYBODY),
    Row("GET", "/api/docs/", EVERYBODY),
    Row("GET", "/api/schema/", (200, 200, 200, 200, 200, 200)),
    Row("GET", "/healthz?part=web", (200, 200, 200, 200, 200, 200)),
    # pip logs nobody in; the package holds no secret.
    Row("GET", f"/package/{package.wheel().name}", (200, 200, 200, 200, 200, 200)),
]


def test_the_portals_own_addresses_let_in_whom_they_should(ada, bo, ole, cy, root):
    people = dict(zip(PEOPLE, (None, ada, bo, ole, cy, root), strict=True))

    assert differences(TABLE, people) == {}


def test_every_address_stands_in_a_table_of_who_gets_in():
    """Pages and API; sockets have theirs in test_access_to_sockets, the admin its own tests."""
    tables = [
        import_module(f"tests.{path.parent.name}.test_access") for path in TESTS.glob("*/test_access.py")
    ]
    rows = [row for module in tables for row in module.TABLE]
    views = uncovered(get_resolver().url_patterns, rows)
    missing = {
        view
        for view in views
        if view.startswith(("apps.", "portal.")) and "administration.LookingSite" not in view
    }

    assert missing == set()


def test_most_addresses_really_exist(client, db, root):
    """The made-up arguments reach views: else the tests above would be content with 404 for everything."""
    client.force_login(root)
    plain = [address for address in all_addresses() if not re.search(r"/(1|x|0{8}-)", address)]

    assert len(plain) > 40
    missing = [address for address in plain if client.get(f"/{address}").status_code == 404]
    assert missing == []
