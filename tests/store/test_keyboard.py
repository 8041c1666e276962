"""From the search to a key of one's own without a mouse: every step is reached by Tab and seen where it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from apps.gateway.models import Grant
from apps.store.models import Subscription
from tests.ui.looking import chromium, log_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

#: The focused element's words, and whether its focus is drawn.
FOCUSED = """() => {
  const at = document.activeElement;
  const style = getComputedStyle(at);
  const drawn = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none";
  return [(at.innerText || at.getAttribute("aria-label") || at.name || "").trim(), drawn];
}"""


def tab_to(page, words, most=60):
    """Press Tab until what is focused begins with these words."""
    met = []
    for _press in range(most):
        page.keyboard.press("Tab")
        name, drawn = page.evaluate(FOCUSED)
        met.append(name)
        if name.startswith(words):
            assert drawn, f"the focus on “{words}” is not seen"
            return
    pytest.fail(f"“{words}” is not reached by Tab: {met}")


def test_from_the_search_to_a_key_by_keyboard_alone(live_server, free, cy):
    def errand():
        with chromium() as browser:
            context = browser.new_context()
            log_in(context, live_server.url, "cy", "pw-of-this-test")
            page = context.new_page()
            page.goto(f"{live_server.url}/store/")
            page.keyboard.press("/")
            page.keyboard.type("Digits")
            page.keyboard.press("Enter")
            page.wait_for_url("**/search/**")
            assert page.locator("#main .hit", has_text="Digits").count() == 1
            tab_to(page, "Digits")
            page.keyboard.press("Enter")
            page.wait_for_url("**/store/digits/")
            tab_to(page, "Subscribe")
            page.keyboard.press("Enter")
            page.wait_for_url("**/subscribe/**")
            tab_to(page, "Subscribe", most=80)
            page.keyboard.press("Enter")
            page.wait_for_url("**/subscriptions/*/")
            tab_to(page, "Make a key")
            page.keyboard.press("Enter")
            return page.locator(".fresh-key code").first.inner_text()

    with ThreadPoolExecutor(1) as thread:
        secret = thread.submit(errand).result()

    assert Subscription.objects.get().status == "granted"
    assert secret.startswith(Grant.objects.get().prefix)
