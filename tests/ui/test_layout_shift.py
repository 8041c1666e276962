"""Nothing jumps while a page of the store appears: the browser's own measure of it (CLS), at both widths."""

import pytest

from tests.ui.looking import WIDTHS

MOST = 0.005
PAGES = (
    "/store/",
    "/store/?q=digits",
    "/store/digits/",
    "/store/digits/try/",
    "/store/digits/usage/?span=month",
)
WATCH = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue;
    const moved = entry.sources.map((source) => source.node?.nodeName + "." + (source.node?.className ?? ""));
    window.shifts.push({ value: entry.value, moved });
  }
}).observe({ type: "layout-shift", buffered: true });
"""

pytestmark = [pytest.mark.stack, pytest.mark.browser]


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_of_the_store_do_not_jump(new_page, stack, width):
    stack.manage("key", "consumer", "digits")  # waits for the sample
    wide, high = WIDTHS[width]
    page = new_page("dev", viewport={"width": wide, "height": high})
    page.add_init_script(WATCH)
    found = {}
    for path in PAGES:
        page.goto(path)
        page.wait_for_load_state("networkidle")
        shifts = page.evaluate("window.shifts")
        if sum(shift["value"] for shift in shifts) > MOST:
            found[path] = shifts
    assert found == {}
