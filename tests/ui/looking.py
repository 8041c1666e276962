"""Looks at pages as a person would: both widths, both themes, axe, no overflow, a silent console.

Tests call `look_at(browser, base_url, page, user)`; from the command line it also keeps the pictures:

    python -m tests.ui.looking http://portal.localhost:8000 dev /store/ /jobs/ --to var/pictures
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.base import AXE_SCRIPT as AXE
from playwright.sync_api import sync_playwright

WIDTHS = {"narrow": (390, 844), "wide": (1440, 900)}
THEMES = ("dark", "light")
#: (width, theme) in the order in which they are looked at: a page is loaded in the first, the narrow and dark one.
WAYS = [("narrow", "dark"), ("wide", "light")]
ALL_WAYS = [(width, theme) for width in WIDTHS for theme in THEMES]
#: Fonts are there, what htmx fetches is swapped, and the charts in view are drawn; given up after five seconds.
SETTLED = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  const waits = () => document.querySelector(".htmx-request") ||
    [...document.querySelectorAll("[data-chart] .chart-plot:not(.js-plotly-plot)")].some(plot =>
      plot.checkVisibility() && plot.getBoundingClientRect().top < innerHeight);
  const until = performance.now() + 5000;
  await document.fonts.ready;
  do { await frame(); await frame(); } while (waits() && performance.now() < until);
}"""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SAMPLE_PASSWORD = "atrium-sample"


@dataclass
class Findings:
    """What is wrong with one page, in words; empty when it is fine."""

    page: str
    problems: list[str] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)


def chromium_path() -> str | None:
    """The system's Chromium, or None for playwright's own."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def chromium():
    """A headless browser that reaches nothing but what the tests open."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def log_in(context, base_url: str, user: str, password: str = SAMPLE_PASSWORD) -> None:
    """Log a browser context in through the login page."""
    page = context.new_page()
    page.goto(f"{base_url}/login/")
    page.fill("#id_username", user)
    page.fill("#id_password", password)
    page.press("#id_password", "Enter")
    page.wait_for_url(lambda url: "/login/" not in url)
    page.close()


def _axe_problems(page) -> list[str]:
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    # Nothing is fetched anew: our pages have no media, and their style sheets are of their own origin.
    options = {"runOnly": rules, "resultTypes": ["violations"], "preload": False}
    page.evaluate(AXE)
    # Only what is wrong travels: all that is right is some hundred kilobytes for each page.
    found = page.evaluate(f"axe.run({json.dumps(options)}).then(found => found.violations)")
    return [
        f"axe {rule['id']} ({rule['impact']}): {node['target']} {node['failureSummary'].splitlines()[-1].strip()}"
        for rule in found
        for node in rule["nodes"][:4]
    ]


def _overflow(page) -> list[str]:
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide <= 0:
        return []
    culprits = page.evaluate(
        """() => [...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right >
           document.documentElement.clientWidth + 1 && !e.closest(".table-responsive, pre, .tabs, .chart"))
           .slice(0, 3).map(e => e.tagName + "." + e.className)"""
    )
    return [f"overflows by {wide} px: {culprits}"]


def _show(page, width: str, theme: str) -> None:
    """Resize the window and change the system's theme, and wait until the page has followed."""
    page.set_viewport_size(dict(zip(("width", "height"), WIDTHS[width], strict=True)))
    page.emulate_media(color_scheme=theme)
    page.evaluate(SETTLED)


def _look_at_page(page, address: str, ways, with_axe, to: Path | None) -> Findings:
    path = urlsplit(address).path
    found = Findings(path)
    page.on("console", lambda m: m.type == "error" and found.problems.append(f"console: {m.text}"))
    page.on("pageerror", lambda error: found.problems.append(f"script: {error}"))
    answer = page.goto(address)
    if answer is None or answer.status >= 500:
        found.problems.append(f"status {answer.status if answer else 'none'}")
    for way in ways:
        _show(page, *way)
        problems = _overflow(page) + (_axe_problems(page) if way in with_axe else [])
        found.problems += [f"{' '.join(way)}: {problem}" for problem in problems]
        if to is not None:
            slug = re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "root"
            picture = to / f"{slug}.{'.'.join(way)}.png"
            page.screenshot(path=picture, full_page=True)
            found.pictures.append(picture)
    return found


def look_at(
    browser,
    base_url: str,
    paths: list[str],
    user: str | None = None,
    to: Path | None = None,
    *,
    thorough: bool = False,
    axe_both_ways: bool = False,
    password: str = SAMPLE_PASSWORD,
) -> list[Findings]:
    """What is wrong with each page, narrow and dark and then wide and light.

    It is loaded once. Axe looks at one of the two ways, by turns, or at both (`axe_both_ways`); if `thorough`, at both
    widths in both themes.
    """
    if to is not None:
        to.mkdir(parents=True, exist_ok=True)
    (width, height), theme = WIDTHS[WAYS[0][0]], WAYS[0][1]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce"
    )
    if user:
        log_in(context, base_url, user, password)
    findings = []
    for number, path in enumerate(paths):
        page = context.new_page()
        ways = ALL_WAYS if thorough else WAYS
        with_axe = ways if thorough or axe_both_ways else [WAYS[number % 2]]
        findings.append(_look_at_page(page, base_url + path, ways, with_axe, to))
        page.close()
    context.close()
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base_url")
    parser.add_argument("user", help="a sample account, or - for nobody")
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--to", type=Path, default=None)
    asked = parser.parse_args()
    user = None if asked.user == "-" else asked.user
    with chromium() as browser:
        findings = look_at(browser, asked.base_url, asked.paths, user, asked.to, thorough=True)
    for found in findings:
        print(found.page, "ok" if not found.problems else "")
        for problem in found.problems:
            print("   ", problem)
    return int(any(found.problems for found in findings))


if __name__ == "__main__":
    raise SystemExit(main())
