"""The really running portal: it answers, its log-in works, a browser reaches it by its name."""

import os
import time
from pathlib import Path

import pytest
import requests

from tests.stack import log_in

pytestmark = [pytest.mark.stack]


def test_the_health_page_names_every_part(stack):
    answer = requests.get(stack.url("/healthz"), timeout=10)

    assert answer.status_code == 200
    parts = answer.json()["parts"]
    assert {"web", "database", "valkey", "live", "worker", "beat"} <= set(parts)
    assert all(state in ("up", "done") for part, state in parts.items() if part != "environments")


def test_assets_are_served_for_ever_under_hashed_names(stack):
    page = requests.get(stack.url("/login/"), timeout=20).text
    address = page.partition('href="/static/vendor/tabler.min.')[2].partition('"')[0]

    answer = requests.get(stack.url(f"/static/vendor/tabler.min.{address}"), timeout=10)

    assert answer.status_code == 200
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Encoding"] in ("br", "gzip")


def test_a_second_start_on_the_same_folder_says_so_and_changes_nothing(stack):
    before = stack.process("web")

    second = stack.start()

    assert second.wait(90) == 1
    assert "already runs" in (stack.environment.log_dir / "supervisor.log").read_text()
    assert stack.process("web") == before


@pytest.mark.browser
def test_a_person_logs_in_by_the_portals_name(page):
    log_in(page, "consumer")

    assert page.url.startswith("http://portal.localhost:")
    assert page.locator("nav").count()


def test_the_supervisor_sleeps_when_nothing_happens(stack):
    ticks = Path(f"/proc/{stack.process('supervisor').pid}/stat")

    def used() -> float:
        fields = ticks.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = used()
    time.sleep(6)

    assert used() - before < 0.6
