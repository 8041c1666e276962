"""How long the server takes for pages and API lists when there is much to show: 10,000 of each, one client."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from portal.environment import ROOT
from tests.benchmarks import Left, Result
from tests.stack import PortalSession, Stack, new_stack
from tests.ui.looking import chromium, log_in

MANY = 10_000
BUSIEST = "busiest"
PASSWORD = "bench-password"
ROUNDS = int(os.environ.get("ATRIUM_BENCH_PAGES", "12"))
STORE = (
    "/store/",
    "/store/?sort=name",
    "/store/?sort=popular",
    "/store/?sort=rating",
    "/store/?sort=used",
    "/store/?domain=radio&framework=onnx",
    "/store/?badge=signed&sort=popular",
    "/store/?q={word}",
    "/store/?q={word}+{other}&site=site-3",
    "/api/v1/store/",
    "/api/v1/store/?q={word}&sort=relevance",
    "/api/v1/store/?sort=popular&team=team-7",
    "/api/v1/capabilities/",
)
CAPABILITY = (
    *(
        f"/store/{BUSIEST}/{tab}"
        for tab in ("", "try/", "try/batch/", "api/", "versions/", "quality/", "reviews/")
    ),
    f"/store/{BUSIEST}/plans/",
    "/demands/",
    "/subscriptions/",
    "/subscriptions/{subscription}/",
    "/subscriptions/{subscription}/?span=month",
    f"/api/v1/store/{BUSIEST}/",
    "/api/v1/subscriptions/",
)
USAGE = tuple(
    f"/store/{BUSIEST}/{page}?span={span}"
    for page in ("usage/", "usage.csv")
    for span in ("day", "week", "month")
)
REQUESTS = ("/requests/", "/requests/?view=all", "/requests/?view=all&status=open", "/api/v1/requests/")

INBOX = ("/qa/", "/releases/", "/releases/?status=signing", "/api/v1/releases/")
PAINTED = (
    ("bench-consumer", "/store/"),
    ("bench-owner", f"/store/{BUSIEST}/"),
    ("bench-owner", f"/store/{BUSIEST}/usage/"),
)
OBSERVED = """() => new Promise(resolve => new PerformanceObserver(list => {
  const found = list.getEntriesByName("first-contentful-paint");
  if (found.length) resolve(found[0].startTime);
}).observe({type: "paint", buffered: true}))"""


def measure() -> Iterator[Result]:
    """A running portal without samples is filled, then asked again and again over one connection."""
    with tempfile.TemporaryDirectory(prefix="atrium-p-") as folder:
        stack = new_stack(Path(folder), ATRIUM_SAMPLES="0")
        stack.start()
        try:
            stack.wait_until_up()
            _fill(stack)
            for name, user, paths in (
                ("store.list10k.p95_ms", "bench-consumer", STORE),
                ("store.capability.p95_ms", "bench-owner", CAPABILITY),
                ("usage.page.p95_ms", "bench-owner", USAGE),
                ("requests.inbox10k.p95_ms", "bench-qa", REQUESTS),
                ("qa.inbox10k.p95_ms", "bench-signer", INBOX),
            ):
                yield _measured(name, stack.logged_in(user, PASSWORD), paths)
            yield _painted(stack)
        finally:
            stack.end()


def _painted(stack: Stack) -> Result:
    """The first contentful paint in a browser that has seen the portal before, the median of each page's loads."""
    middle: dict[str, float] = {}
    with chromium() as browser:
        for user, path in PAINTED:
            context = browser.new_context(base_url=stack.web_url, viewport={"width": 1440, "height": 900})
            log_in(context, stack.web_url, user, PASSWORD)
            page = context.new_page()
            times = []
            for _round in range(ROUNDS + 1):
                page.goto(path, wait_until="load")
                times.append(page.evaluate(OBSERVED))
            middle[path] = sorted(times[1:])[len(times[1:]) // 2]
            print(f"    {middle[path]:7.1f} ms  first paint of {path}")
            context.close()
    slowest = max(middle, key=middle.__getitem__)
    return Result(
        "store.first_paint_ms",
        round(middle[slowest], 1),
        "ms",
        "<= 500",
        f"the slowest of {len(middle)} pages, {slowest}",
    )


def _fill(stack: Stack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks._crowd"],
        cwd=ROOT,
        env=stack.child_variables(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise Left(f"the crowd could not be made: {done.stderr[-2000:]}")


def _measured(name: str, session: PortalSession, paths: tuple[str, ...]) -> Result:
    """The p95 over all requests, first rounds apart; what was slowest is named."""
    host = session.base.removeprefix("http://")
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in session.cookies)
    connection = http.client.HTTPConnection(host, timeout=60)
    newest = session.get("/api/v1/subscriptions/").json()["results"]
    paths = tuple(path.replace("{subscription}", str(newest[0]["id"] if newest else 0)) for path in paths)
    times: dict[str, list[float]] = {path: [] for path in paths}
    for round_ in range(ROUNDS + 1):
        for path in paths:
            took = _ask(connection, _with_words(path, round_), cookies)
            if round_:
                times[path].append(took)
    connection.close()
    everything = sorted(took for each in times.values() for took in each)
    middle = {path: sorted(each)[len(each) // 2] for path, each in times.items()}
    for path, took in middle.items():
        print(f"    {took:7.1f} ms  {path}")
    slowest = max(middle, key=middle.__getitem__)
    return Result(
        name,
        round(everything[int(len(everything) * 0.95)], 1),
        "ms",
        "<= 60",
        f"{len(everything)} requests, p50 {everything[len(everything) // 2]:.0f} ms; slowest {slowest}",
    )


def _with_words(path: str, round_: int) -> str:
    words = (
        "fault",
        "radio",
        "alarm",
        "voice",
        "cell",
        "image",
        "tower",
        "text",
        "signal",
        "churn",
        "beam",
        "load",
        "log",
    )
    return path.format(word=words[round_ % len(words)], other=words[(round_ * 5 + 3) % len(words)])


def _ask(connection: http.client.HTTPConnection, path: str, cookies: str) -> float:
    began = time.perf_counter()
    connection.request("GET", path, headers={"Cookie": cookies, "Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    answer.read()
    took = (time.perf_counter() - began) * 1000
    if answer.status != 200:
        raise Left(f"{path} was answered {answer.status}")
    return took
