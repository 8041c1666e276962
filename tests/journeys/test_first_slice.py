"""The first path through Atrium, on real input: find, read, try, subscribe, call, see the usage."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import pytest
from playwright.sync_api import expect

from portal.environment import ROOT
from tests.stack import log_in

# Journeys change what runs in production, so they follow one another.
pytestmark = [pytest.mark.stack, pytest.mark.browser]

#: How people write a seven, as strokes in parts of the board.
SEVENS = {
    "plain": [[(0.28, 0.2), (0.72, 0.2), (0.45, 0.85)]],
    "with a bar": [[(0.27, 0.18), (0.74, 0.17), (0.52, 0.55), (0.46, 0.86)], [(0.38, 0.5), (0.68, 0.48)]],
    "small in a corner": [[(0.1, 0.1), (0.34, 0.1), (0.2, 0.42)]],
}


def draw(page, strokes) -> None:
    """Draw with the mouse, in small steps as a hand does."""
    page.click("[data-clear]")
    board = page.locator("canvas")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    for stroke in strokes:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=12)
        page.mouse.up()


def ask(page) -> str:
    """Send the form; returns the answer's words. (The pages forbid eval, so nothing waits by a function.)"""
    with page.expect_response(lambda answer: answer.request.method == "POST" and "/try/" in answer.url):
        page.click("#try-form button[type=submit]")
    page.wait_for_load_state("networkidle")
    return page.locator("[data-answer]").inner_text()


def test_a_drawn_seven_is_recognised(ready, page):
    log_in(page, "consumer")
    page.goto("/store/")
    page.fill("#store-q", "handwritten")
    page.wait_for_url(re.compile("q=handwritten"))
    page.click("text=Handwritten digits")
    page.get_by_role("link", name="Try it").first.click()
    page.wait_for_selector("canvas")

    for style, strokes in SEVENS.items():
        draw(page, strokes)
        assert ask(page) == "7", style

    # Another journey may have a second version in gray release meanwhile.
    assert page.locator("[data-version]").inner_text() in {"1.0.0", "1.1.0"}
    assert "ms" in page.locator("[data-latency]").inner_text()
    assert int(page.locator("[data-left]").inner_text()) > 0
    page.wait_for_selector("#answer .js-plotly-plot .bars", state="attached")
    page.click("#answer [data-chart-toggle]")
    assert page.locator("#answer .chart-table tbody tr").count() == 10


def test_a_drawing_made_by_keyboard_is_sent(ready, page):
    log_in(page, "consumer")
    page.goto("/store/digits/try/")
    page.locator("[data-seen]").focus()
    for key in ("ArrowRight", "Space", "ArrowRight", "Space"):
        page.keyboard.press(key)
    assert ask(page) in set("0123456789")


def test_a_wrong_answer_is_reported(ready, page):
    log_in(page, "consumer")
    page.goto("/store/digits/try/?case=7")
    assert ask(page) == "7"
    page.click("text=This answer is wrong")
    page.select_option("#expected", "1")
    page.click("text=Report it")
    page.wait_for_selector("text=kept with exactly this call")


def test_the_table_is_filled_by_one_click_and_wrong_numbers_are_marked(ready, page):
    log_in(page, "consumer")
    page.goto("/store/breast-cancer/try/")
    page.click(".examples >> text=malignant 1")
    expect(page.locator("[name=in-0-0]")).not_to_have_value("")
    assert page.locator(".number-grid input").count() == 30
    assert ask(page) == "malignant"

    page.fill("[name=in-0-3]", "-5")
    page.click("#try-form button[type=submit]")
    page.wait_for_selector("text=The form has mistakes")
    assert "-5" in page.locator("[data-error=in-0-3]").inner_text()


def test_a_ticket_is_read_from_a_text_box(ready, page):
    log_in(page, "consumer")
    page.goto("/store/fault-tickets/try/")
    page.fill("textarea", "Excavator damaged the cable near Panyu-11, 12 fibres broken")
    assert ask(page) == "fibre-cut"


def test_subscribe_get_a_key_call_with_the_shown_line_and_see_the_usage(ready, page):
    log_in(page, "consumer")
    page.goto("/store/digits/")
    existing = page.locator("a:has-text('keys and usage')")
    if existing.count():
        existing.first.click()
    else:
        page.locator(".plan", has_text="free").get_by_role("link", name="Subscribe").click()
        page.get_by_role("button", name="Subscribe").click()
    page.wait_for_url(re.compile(r"/subscriptions/\d+/"))
    place = page.url
    page.fill("#key-label", "first slice")
    page.get_by_role("button", name="Make a key").click()
    page.wait_for_selector(".fresh-key")
    secret, line = page.locator(".fresh-key pre").all_inner_texts()

    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    assert '"model_name":"digits"' in done.stdout, done.stdout

    snippets = snippets_of(page, "digits")
    for name in ("tritonclient", "atrium"):
        run_python(snippets[name], secret)
    run_javascript(snippets["javascript"], secret)

    page.goto(place)
    assert secret not in page.content()
    wait_for_usage(page, place, at_least=4)


def snippets_of(page, slug: str) -> dict[str, str]:
    """The code on the API tab by name."""
    page.goto(f"/store/{slug}/api/")
    names = ("curl", "tritonclient", "atrium", "javascript")
    return {name: page.locator(f"[data-snippet={name}] pre").inner_text() for name in names}


def with_key(code: str, secret: str) -> str:
    """The code with the whole key where its prefix stands."""
    return re.sub(r"atk_[\w-]*…", secret, code)


def run_python(code: str, secret: str) -> None:
    """A snippet works as it is, with the key put in."""
    variables = os.environ | {"PYTHONPATH": str(ROOT / "sdk")}
    subprocess.run([sys.executable, "-c", with_key(code, secret)], check=True, timeout=60, env=variables)


def run_javascript(code: str, secret: str) -> None:
    """The same in a JavaScript engine outside of the browser."""
    command = ["node", "--input-type=module", "-e", with_key(code, secret)]
    subprocess.run(command, check=True, timeout=60)


def wait_for_usage(page, place: str, *, at_least: int) -> None:
    """The calls arrive on the usage page within seconds."""
    for _attempt in range(30):
        page.goto(place)
        shown = page.locator(".stat .stat-value")
        if shown.count() and int(shown.first.inner_text().replace(",", "")) >= at_least:
            return
        page.wait_for_timeout(1000)
    pytest.fail("the calls did not arrive on the usage page")


@pytest.mark.parametrize("slug", ["breast-cancer", "fault-tickets"])
def test_every_snippet_of_the_other_samples_runs(ready, page, slug):
    log_in(page, "consumer")
    secret = ready.manage("key", "consumer", slug).strip().splitlines()[-1]
    time.sleep(3)
    snippets = snippets_of(page, slug)
    line = with_key(snippets["curl"], secret)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    assert f'"model_name":"{slug}"' in done.stdout, done.stdout
    run_python(snippets["tritonclient"], secret)
    run_python(snippets["atrium"], secret)
    run_javascript(snippets["javascript"], secret)
