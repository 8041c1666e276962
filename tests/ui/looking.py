"""Looks at pages as a person would: both widths, both themes, axe, no overflow, a silent console.

Tests call `look_at(browser, base_url, page, user)`; from the command line it also keeps the pictures:

    python -m tests.ui.looking http://portal.localhost:8000 dev /store/ /jobs/ --to var/pictures
"""

from __future__ import annotations

import argparse
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

WIDTHS = {"wide": (1440, 900), "narrow": (390, 844)}
THEMES = ("light", "dark")
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
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    found = Axe().run(page, options=options).response["violations"]
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


def _look_once(context, base_url: str, path: str, theme: str, name: str, to: Path | None) -> Findings:
    found = Findings(f"{path} {name} {theme}")
    page = context.new_page()
    page.on("console", lambda m: m.type == "error" and found.problems.append(f"console: {m.text}"))
    page.on("pageerror", lambda error: found.problems.append(f"script: {error}"))
    answer = page.goto(base_url + path)
    if answer is None or answer.status >= 500:
        found.problems.append(f"status {answer.status if answer else 'none'}")
    page.evaluate("theme => document.documentElement.dataset.bsTheme = theme", theme)
    page.wait_for_timeout(400)
    found.problems += _overflow(page) + _axe_problems(page)
    if to is not None:
        slug = re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "root"
        picture = to / f"{slug}.{name}.{theme}.png"
        page.screenshot(path=picture, full_page=True)
        found.pictures.append(picture)
    page.close()
    return found


def look_at(
    browser,
    base_url: str,
    paths: list[str],
    user: str | None = None,
    to: Path | None = None,
    *,
    quick: bool = False,
    only: str = "",
    password: str = SAMPLE_PASSWORD,
) -> list[Findings]:
    """Look at each page in both widths and both themes; `quick`: wide light and narrow dark; `only`: that width."""
    if to is not None:
        to.mkdir(parents=True, exist_ok=True)
    findings = []
    for number, (name, (width, height)) in enumerate(WIDTHS.items()):
        if only and name != only:
            continue
        context = browser.new_context(viewport={"width": width, "height": height}, bypass_csp=False)
        if user:
            log_in(context, base_url, user, password)
        for theme in [THEMES[number]] if quick else THEMES:
            findings += [_look_once(context, base_url, path, theme, name, to) for path in paths]
        context.close()
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base_url")
    parser.add_argument("user", help="a sample account, or - for nobody")
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--to", type=Path, default=None)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    user = None if asked.user == "-" else asked.user
    with chromium() as browser:
        findings = look_at(browser, asked.base_url, asked.paths, user, asked.to, quick=asked.quick)
    for found in findings:
        print(found.page, "ok" if not found.problems else "")
        for problem in found.problems:
            print("   ", problem)
    return int(any(found.problems for found in findings))


if __name__ == "__main__":
    raise SystemExit(main())
