"""A version that runs for tests is asked on its page; an input is kept with its answer and asked again."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.stack, pytest.mark.browser]


def test_it_is_asked_and_all_cases_are_run(ready, new_page):
    page = new_page("dev", locale="en-GB")
    page.goto("/catalog/digits/versions/1.0.0/")
    page.get_by_role("button", name="Deploy for test").click()
    page.wait_for_url(re.compile(r"/operations/\d+/"))
    deployment = int(re.search(r"/operations/(\d+)/", page.url)[1])
    name = f"an eight {time.time():.0f}"
    try:
        page.get_by_role("link", name="Open the test page").click()
        page.get_by_role("link", name="Fill the form with a handwritten 8").click()
        expect(page.locator("#try-form input[type=hidden][name=in-0]")).to_have_value(re.compile("[1-9]"))
        deadline = time.monotonic() + 120
        while not page.locator("#answer [data-answer]").count() and time.monotonic() < deadline:
            page.locator("#try-form button[type=submit]").click()  # until its runner is up
            page.wait_for_timeout(2000)
        expect(page.locator("#answer [data-answer]")).to_have_text("8")

        page.fill("#case-name", name)
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator("#test-cases").get_by_role("rowheader", name=name)).to_be_visible()
        page.get_by_role("button", name="Run all").click()

        expect(page.locator("#test-cases").get_by_role("status")).to_contain_text("All", timeout=30_000)
        expect(page.get_by_role("row", name=name)).to_contain_text("Passed")
    finally:
        api = ready.api("dev")
        for case in api.get("/api/v1/saved-cases/?capability=digits").json()["results"]:
            if case["name"] == name:
                api.delete(f"/api/v1/saved-cases/{case['id']}/")
        api.post(f"/api/v1/deployments/{deployment}/stop/")
