"""Walks the portal by its links, as each role: every kind of page that somebody can reach, once.

python -m tests.journeys.walking http://127.0.0.1:8000 http://portal.localhost:8000 --to var/pictures
"""

from __future__ import annotations

import argparse
import html
import os
import re
from collections import deque
from pathlib import Path
from urllib.parse import urlsplit

import requests
from django.urls import Resolver404, resolve

from tests.ui.looking import SAMPLE_PASSWORD, Findings, chromium, look_at

ROLES = ("consumer", "dev", "qa", "ops", "annotator", "admin")
#: More links than this are not followed for one role; each kind of page is opened once.
MOST_PAGES = 150
#: Pages that are somebody else's work (the administration that Django makes) or hold a frame of another origin.
NOT_OURS = ("admin:", "api", "schema")


def _links(text: str) -> list[str]:
    """The addresses on the same host that a page links to, without those that a script posts to."""
    return [html.unescape(found) for found in re.findall(r'<a\b[^>]*?href="(/[^"#]*)', text)]


def _kind(path: str) -> str | None:
    """The name of the view that answers, or None where the link leaves our pages."""
    try:
        name = resolve(urlsplit(path).path).view_name
    except Resolver404:
        return "nothing:" + path
    return None if not name or name.startswith(NOT_OURS) else name


def walk(session: requests.Session, base: str, seen: dict[str, str]) -> list[str]:
    """Add to `seen` a page of each kind that is not there yet; gives the dead links in words."""
    waiting, asked, dead = deque(["/"]), {"/"}, []
    queued: set[str] = set()
    while waiting and len(asked) < MOST_PAGES:
        path = waiting.popleft()
        answer = session.get(base + path, timeout=60, stream=True)
        if answer.status_code >= requests.codes.bad:
            dead.append(f"{path}: {answer.status_code}")
            continue
        attached = answer.headers.get("Content-Disposition", "").startswith("attachment")
        if attached or not answer.headers.get("Content-Type", "").startswith("text/html"):
            answer.close()
            continue
        kind = _kind(answer.url)
        if kind is not None:
            seen.setdefault(kind, path)
        for link in _links(answer.text):
            kind = _kind(link)
            if kind is not None and kind not in queued:
                queued.add(kind)
                asked.add(link)
                waiting.append(link)
    return dead


def logged_in(base: str, username: str) -> requests.Session:
    """A session of a sample person."""
    session = requests.Session()
    page = session.get(f"{base}/login/", timeout=30)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token, "the login page has no form"
    form = {"username": username, "password": SAMPLE_PASSWORD, "csrfmiddlewaretoken": token[1]}
    session.post(f"{base}/login/", data=form, headers={"Referer": f"{base}/login/"}, timeout=30)
    return session


def look_everywhere(
    browser,
    base: str,
    named: str,
    to: Path | None = None,
    *,
    apps: tuple[str, ...] = (),
    thorough: bool = True,
) -> tuple[list[str], list[Findings]]:
    """Dead links in words, and what is wrong with each kind of page.

    `base` is the portal's address for programs, `named` its name for browsers. `apps` limits what is looked at, not
    what is followed.
    """
    seen: dict[str, str] = {}
    dead: list[str] = []
    findings: list[Findings] = []
    for role in ROLES:
        known = set(seen)
        dead += [f"{role} {words}" for words in walk(logged_in(base, role), base, seen)]
        pages = [
            path for kind, path in seen.items() if kind not in known and (not apps or kind.startswith(apps))
        ]
        findings += look_at(browser, named, pages, role, to, thorough=thorough) if pages else []
    return dead, findings


def main() -> int:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base")
    parser.add_argument("named")
    parser.add_argument("--to", type=Path, default=None)
    asked = parser.parse_args()
    with chromium() as browser:
        dead, findings = look_everywhere(browser, asked.base, asked.named, asked.to)
    for words in dead:
        print("dead link:", words)
    for found in findings:
        print(found.page, "ok" if not found.problems else found.problems)
    return int(bool(dead) or any(found.problems for found in findings))


if __name__ == "__main__":
    raise SystemExit(main())
