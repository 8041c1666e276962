"""The bell in an open page: it rings at once when somebody else acts, and again after a lost connection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from apps.requests import kinds, services
from apps.requests.models import Notification
from apps.requests.services import Need, Rule
from tests.ui.live import Live, websockets_for
from tests.ui.looking import chromium, log_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PASSWORD = "pw-of-this-test"
COMES_WITHIN_MS = 20_000


@pytest.fixture
def live(live_server, settings):
    served = Live(websockets_for(live_server.url))
    settings.ATRIUM = replace(settings.ATRIUM, live_port=served.port)
    served.start()
    yield served
    served.end()


@pytest.fixture
def browse(live_server):
    """Run an errand with a function that opens a page as somebody, in a thread of its own: see test_every_menu_page."""

    def at(errand):
        def go():
            with chromium() as browser:

                def page_of(name, path):
                    context = browser.new_context(base_url=live_server.url, reduced_motion="reduce")
                    log_in(context, live_server.url, name, PASSWORD)
                    page = context.new_page()
                    page.goto(path)
                    return page

                errand(page_of)

        with ThreadPoolExecutor(1) as thread:
            thread.submit(go).result()

    expect.set_options(timeout=COMES_WITHIN_MS)  # of a busy machine; what is promised is measured elsewhere
    yield at
    expect.set_options(timeout=5_000)


@pytest.fixture
def request_page(radio, ada, bo):
    """A request of Ada's that waits for Bo, who has read of it."""
    kinds.register("test", "Test")
    rule = Rule([Need("qa", radio.pk)])
    made = services.open_request("test", radio, "Sign digits", by=ada, rule=rule, url="/teams/", body="Good.")
    services.comment_on(made, "Which data?", by=bo)
    Notification.objects.all().delete()
    return f"/requests/{made.pk}/"


def comment(page, text: str) -> None:
    page.fill("#comment-text", text)
    with page.expect_navigation():
        page.click("form:has(#comment-text) button")


def marked(page) -> None:
    """Note in the page itself that it was not loaded anew."""
    page.evaluate("window.sameAsBefore = true")


def test_it_rings_in_the_open_pages_of_another_person_and_falls_silent_in_all_of_them(
    live, browse, request_page
):
    def errand(page_of):
        bos, adas = page_of("bo", "/home/"), page_of("ada", request_page)
        second = bos.context.new_page()
        second.goto("/profile/")
        for page in (bos, second):
            expect(page.locator("#bell-count")).to_be_hidden()
            marked(page)

        comment(adas, "The ones of May.")

        for page in (bos, second):
            expect(page.locator("#bell-count")).to_have_text("1")
            expect(page.get_by_role("button", name="Notifications (1)")).to_be_visible()
        expect(bos.get_by_role("status").filter(has_text="ada commented on: Sign digits")).to_be_visible()
        expect(adas.locator("#bell-count")).to_be_hidden()

        bos.click("#bell")
        rows = bos.locator("#bell-items .hit")
        expect(rows).to_have_count(1)
        expect(rows.locator("strong")).to_contain_text("commented on: Sign digits")

        comment(adas, "And those of June.")

        expect(bos.locator("#bell-count")).to_have_text("2")
        expect(rows).to_have_count(2)  # the open list follows
        assert bos.evaluate("window.sameAsBefore")

        bos.click("#bell-items button:has-text('Mark all as read')")

        for page in (bos, second):
            expect(page.locator("#bell-count")).to_be_hidden()
        assert second.evaluate("window.sameAsBefore")

    browse(errand)


def test_after_a_lost_connection_the_page_is_told_what_it_missed_and_rings_again(live, browse, request_page):
    def errand(page_of):
        bos, adas = page_of("bo", "/home/"), page_of("ada", request_page)
        comment(adas, "The ones of May.")
        expect(bos.locator("#bell-count")).to_have_text("1")
        marked(bos)

        live.end()
        comment(adas, "And those of June.")  # nobody hears it
        live.start()

        expect(bos.locator("#bell-count")).to_have_text("2")
        comment(adas, "And July.")
        expect(bos.locator("#bell-count")).to_have_text("3")
        assert bos.evaluate("window.sameAsBefore")

    browse(errand)


def test_who_opens_one_of_them_lowers_the_count_by_one(live, browse, request_page):
    def errand(page_of):
        bos, adas = page_of("bo", "/home/"), page_of("ada", request_page)
        comment(adas, "The ones of May.")
        comment(adas, "And those of June.")
        expect(bos.locator("#bell-count")).to_have_text("2")

        bos.click("#bell")
        bos.locator("#bell-items .hit").first.click()

        bos.wait_for_url(f"**{request_page}")
        expect(bos.locator("#bell-count")).to_have_text("1")

    browse(errand)
