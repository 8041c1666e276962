"""While a part is away people and programs are told so, and what was typed is not lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import OperationalError

from tests.ui.looking import chromium, log_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def broken(client, ada, monkeypatch):
    """Pages and API that end in the given error of the database."""
    client.force_login(ada)
    client.raise_request_exception = False

    def because(cause):
        def ask(*_args, **_facts):
            raise OperationalError("no answer") from cause

        monkeypatch.setattr("apps.store.views.browse.find", ask)
        monkeypatch.setattr("apps.store.api.listings.find", ask)
        return client

    return because


@pytest.mark.parametrize("cause", [psycopg.errors.AdminShutdown("ends"), psycopg.OperationalError("refused")])
def test_a_database_that_is_away_is_told_as_that(broken, cause):
    client = broken(cause)

    page, api = client.get("/store/"), client.get("/api/v1/store/")

    assert (page.status_code, page["Retry-After"]) == (503, "5")
    assert "The database does not answer" in page.content.decode()
    assert 'http-equiv="refresh"' in page.content.decode()
    assert (api.status_code, api["Content-Type"]) == (503, "application/problem+json")
    assert api.json()["type"] == "urn:atrium:problem:unavailable"


def test_any_other_fault_of_the_database_is_ours(broken):
    client = broken(psycopg.errors.QueryCanceled("too slow"))

    page, api = client.get("/store/"), client.get("/api/v1/store/")

    assert (page.status_code, api.status_code) == (500, 500)
    assert api.json()["type"] == "urn:atrium:problem:internal"


@pytest.fixture
def wanting(live_server, ada):
    """Lets an errand begin on a page on which Ada has begun to type what she wants; gives what the errand gives."""

    def at(errand):
        def go():
            with chromium() as browser:
                context = browser.new_context()
                log_in(context, live_server.url, "ada", "pw-of-this-test")
                page, place = context.new_page(), f"{live_server.url}/demands/"
                page.goto(place)
                page.fill("#id_title", "Tell a cough from a sneeze")
                return errand(page, place)

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(go).result()

    return at


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_form_sent_while_the_portal_is_away_is_filled_again(wanting):
    def errand(page, place):
        with page.expect_response("**/theme/"):  # what else the page has sent says nothing of the form
            page.locator("[data-theme-switch]").click()
        page.route("**/*", lambda route: route.abort("connectionrefused"))
        with page.expect_event("requestfailed", lambda request: request.method == "POST"):
            page.get_by_role("button", name="Post it").click()
        page.wait_for_url("chrome-error://**")
        page.unroute("**/*")
        seen = []
        for _time in range(2):
            page.goto(place)
            told = page.get_by_text("you had typed is back").count()
            seen.append((page.input_value("#id_title"), told))
        return seen

    assert wanting(errand) == [("Tell a cough from a sneeze", 1), ("", 0)]


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_form_that_arrived_is_not_filled_again(wanting):
    def errand(page, place):
        page.fill("#id_need", "Ten seconds of sound, from a phone.")
        with page.expect_navigation():
            page.get_by_role("button", name="Post it").click()
        page.goto(place)
        return page.input_value("#id_title")

    assert wanting(errand) == ""


def test_only_a_form_is_told_that_it_arrived(client, ada):
    client.force_login(ada)
    told = {"title": "Tell a cough from a sneeze", "need": "Ten seconds of sound"}

    def taken(**headers):
        return "atrium_taken" in client.post("/demands/", told, headers=headers).cookies

    assert taken()
    assert not taken(**{"Sec-Fetch-Mode": "cors"})
    assert not taken(**{"HX-Request": "true"})
