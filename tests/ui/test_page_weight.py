"""What a first visit to a page moves over the wire, in a real browser with an empty cache.

Plotly is apart: only pages with charts load it, after the page is there. So is the interactive API reference, whose
library alone is larger than the limit.
"""

import re
import time

import pytest

from tests.ui.looking import SETTLED

LIMIT = 350_000
APART = ("plotly", "swagger-ui")
PEOPLE = ("dev", "qa", "ops", "consumer", "annotator", "admin")
ALSO = ("/store/digits/", "/store/digits/try/", "/store/digits/api/", "/store/digits/usage/", "/jobs/1/")

pytestmark = [pytest.mark.stack, pytest.mark.browser]


def weigh(page, path: str) -> dict[str, int]:
    """{address: bytes over the wire} of everything that the browser loads for a page."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    addresses, moved, failed = {}, {}, set()
    session.on(
        "Network.requestWillBeSent",
        lambda event: addresses.update({event["requestId"]: event["request"]["url"]}),
    )
    session.on(
        "Network.loadingFinished",
        lambda event: moved.update({event["requestId"]: event["encodedDataLength"]}),
    )
    session.on("Network.loadingFailed", lambda event: failed.add(event["requestId"]))
    page.goto(path)
    page.evaluate(SETTLED)
    until = time.monotonic() + 30
    while addresses.keys() - moved.keys() - failed:
        assert time.monotonic() < until, f"{path} is still loading something"
        page.wait_for_timeout(20)
    session.detach()
    return {addresses.get(request, "?"): int(size) for request, size in moved.items()}


def menu_of(page) -> list[str]:
    """The addresses in a person's menu."""
    page.goto("/home/")
    links = page.eval_on_selector_all(".side-link", "e => e.map(a => a.href)")
    return list(dict.fromkeys(re.sub(r"^https?://[^/]*", "", link) for link in links))


def test_no_page_of_anybodys_menu_is_heavy(new_page):
    weighed: set[str] = set()
    heavy = {}
    for person in PEOPLE:
        page = new_page(person)
        menu = menu_of(page)
        assert len(menu) > 3
        for path in {*menu, *(ALSO if person == "dev" else ())} - weighed:
            found = {
                url: size for url, size in weigh(page, path).items() if not any(word in url for word in APART)
            }
            assert len(found) > 4, f"{path} loaded {list(found)}"
            if sum(found.values()) > LIMIT:
                heavy[path] = sorted(found.items(), key=lambda each: -each[1])[:5]
            weighed.add(path)

    assert heavy == {}


def test_pages_are_sent_compressed(stack):
    assert stack.logged_in("consumer").get("/store/").headers["Content-Encoding"] == "gzip"
