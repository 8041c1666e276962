"""Each page of the menu: axe, both widths, no overflow, a silent console; each component in both themes.

A new page of the menu is covered without being listed. Pages that need more than an empty database are looked
at on the running stack.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.test import Client

from apps.accounts.models import Membership, Role
from apps.requests import kinds, services
from apps.requests.services import Need, Rule
from tests.factories import make_team, make_user
from tests.ui.looking import chromium, look_at

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ALWAYS = [
    "/home/",
    "/search/?q=radio",
    "/profile/",
    "/profile/password/",
    "/profile/tokens/",
    "/notifications/",
]
PASSWORD = "pw-of-this-test"


def pages_of(user) -> list[str]:
    """The addresses of a person's menu."""
    client = Client()
    client.force_login(user)
    return re.findall(r'class="side-link" href="([^"]+)"', client.get("/home/").text)


def problems(base_url: str, paths: list[str], user: str | None, **how: bool) -> list[str]:
    """What is wrong, without the websocket, whose process does not run here.

    In a thread of its own: Playwright keeps a running loop in its thread, where Django refuses its database.
    """

    def look():
        with chromium() as browser:
            return look_at(browser, base_url, paths, user, password=PASSWORD, **how)

    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(look).result()
    return [f"{page.page}: {text}" for page in found for text in page.problems if "WebSocket" not in text]


def test_visitors_see_a_login_page_without_faults(live_server):
    assert problems(live_server.url, ["/login/"], None, thorough=True) == []


def test_every_page_of_the_menu_is_without_faults(live_server):
    radio = make_team("Radio")
    user = make_user("ada", team=radio, role=Role.ADMIN)
    for role in Role.values[:-1]:
        Membership.objects.create(user=user, team=radio, role=role)

    assert problems(live_server.url, sorted({*pages_of(user), *ALWAYS}), "ada") == []


def test_a_request_with_everything_on_it_is_without_faults(live_server):
    kinds.register("test", "Test")
    radio = make_team("Radio")
    ada = make_user("ada", team=radio, role=Role.DEVELOPER)
    bo = make_user("bo", team=radio, role=Role.QA)
    rule = Rule([Need("qa", radio.pk)])
    request = services.open_request(
        "test", radio, "Sign digits", by=ada, rule=rule, url="/teams/", body="Good."
    )
    services.comment_on(request, "Which data?", by=bo)

    paths = [f"/requests/{request.pk}/", "/requests/", "/notifications/", "/home/"]
    assert problems(live_server.url, paths, "bo") == []


def test_every_component_is_without_faults_and_charts_draw_under_the_strict_policy(live_server, settings):
    settings.ROOT_URLCONF = "tests.ui.gallery"
    make_user("ada", team=make_team("Radio"))

    assert problems(live_server.url, ["/gallery/"], "ada", thorough=True) == []
