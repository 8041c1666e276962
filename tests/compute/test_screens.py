"""A job's page in a real browser, against the really running portal."""

import os
import re
import signal
import time

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.stack, pytest.mark.browser]

READY_WITHIN_MS = 240_000


def run_script(page, title: str, script: str) -> None:
    page.goto("/jobs/new/")
    page.fill("#id_title", title)
    page.fill("#id_script", script)
    page.click("main button:has-text('Run')")
    page.wait_for_url(re.compile(r"/jobs/\d+/$"))


def test_developer_runs_a_script_follows_it_to_its_result_and_sweeps_its_parameters(new_page):
    page = new_page("dev")
    script = "import time, atrium\nfor n in range(1, 4):\n  print('line', n); atrium.progress(n / 4); time.sleep(1)\n"
    script += "open('result.json', 'w').write('{\"answer\": 42}')"

    run_script(page, "Count", script)

    expect(page.locator("#log")).to_contain_text("line 1", timeout=READY_WITHIN_MS)
    expect(page.locator("#job-state")).to_contain_text("Succeeded", timeout=READY_WITHIN_MS)
    expect(page.locator("#job-state")).to_contain_text('"answer": 42')
    expect(page.locator("#log")).to_contain_text("line 3", timeout=READY_WITHIN_MS)
    page.fill("#log-find", "line 2")
    expect(page.locator("#log mark")).to_have_text(["line 2"])

    page.get_by_role("link", name="Sweep its parameters").click()
    page.get_by_role("button", name="Add a parameter").click()
    page.fill("[name=space-0-name]", "rate")
    page.fill("[name=space-0-values]", "1, 2")
    page.fill("#id_metric", "answer")
    page.get_by_role("button", name="Begin").click()
    page.wait_for_url(re.compile(r"/sweeps/\d+/$"))
    expect(page.locator("#sweep")).to_contain_text("2 of 2 trials have ended", timeout=READY_WITHIN_MS)
    expect(page.locator("#sweep")).to_contain_text("is the best: answer 42")
    expect(page.locator("#sweep > .card tbody tr")).to_have_count(2)
    expect(page.locator("#sweep .js-plotly-plot").first).to_be_visible(timeout=READY_WITHIN_MS)
    expect(page.get_by_role("button", name="Cancel the rest")).to_have_count(0)


def test_stop_asks_once_and_ends_the_job(new_page):
    page = new_page("dev")
    run_script(page, "Sleep", "print('up')\nimport time; time.sleep(600)")
    expect(page.locator("#log")).to_contain_text("up", timeout=READY_WITHIN_MS)

    page.click("button:has-text('Stop the job')")
    page.click("dialog[open] button.btn-danger")

    expect(page.locator("#job-state")).to_contain_text("Cancelled", timeout=READY_WITHIN_MS)
    expect(page.locator("#job-state")).to_contain_text("cancelled by Wei Chen")


def test_job_goes_on_when_the_worker_is_killed(stack):
    dev = stack.api("dev")
    script = "import time\nfor n in range(6): print(n); time.sleep(0.5)"
    body = {"title": "Survive", "team": "network-ai", "script": script, "resources": {"memory_mb": 128}}
    job = dev.post("/api/v1/jobs/", json=body).json()["id"]
    wait_for(lambda: dev.get(f"/api/v1/jobs/{job}/log/").text, 240)

    os.kill(stack.process("worker").pid, signal.SIGKILL)

    wait_for(lambda: dev.get(f"/api/v1/jobs/{job}/").json()["status"] == "succeeded", 240)
    assert dev.get(f"/api/v1/jobs/{job}/").json()["attempt"] == 1
    assert dev.get(f"/api/v1/jobs/{job}/log/").text.split() == list("012345")


def wait_for(ask, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.2)
