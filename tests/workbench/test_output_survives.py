"""A cell that runs goes on without a browser, and its output is in the notebook when somebody comes back."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from apps.workbench import services
from apps.workbench.launch import home_of, lay_out
from portal.supervisor.system import browser as chromium_path
from tests.stack import CHROMIUM_FLAGS
from tests.workbench.conftest import wait_for
from tests.workbench.test_lab_in_the_frame import (  # noqa: F401  fixtures
    SLOW_MS,
    cookies_of_ada,
    made,
    portal,
    reconciler,
)
from tests.workbench.test_server_killed import kill_server, server_of

pytestmark = pytest.mark.django_db(transaction=True)

CELL = """import pathlib, time
print("before", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.1)
print("after", flush=True)
6 * 7"""


@pytest.fixture
def running(made, reconciler, ada, radio):  # noqa: F811
    """A running workspace whose one notebook waits in its cell for the file `go`."""
    workspace = services.create_workspace("long", team=radio, by=ada)
    made.append(workspace.pk)
    lay_out(workspace)
    cell = {"cell_type": "code", "id": "long-run", "metadata": {}, "source": CELL}
    cell |= {"outputs": [], "execution_count": None}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (home_of(workspace) / "long.ipynb").write_text(json.dumps(notebook))
    services.start_workspace(workspace, by=ada)

    def is_running():
        workspace.refresh_from_db()
        return workspace.status == "running"

    wait_for(is_running, 120)
    return workspace


def kill_browser(profile):
    """kill -9 for every process of the browser with this profile folder: a crash."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            if f"--user-data-dir={profile}".encode() in words:
                os.kill(int(entry.name), signal.SIGKILL)
        except (OSError, ProcessLookupError):
            continue


def open_notebook(context, cookies, workspace):
    context.set_default_timeout(SLOW_MS)
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(workspace.get_absolute_url())
    lab = page.frame_locator("iframe#ide")
    lab.get_by_role("listitem", name=re.compile("long.ipynb")).dblclick()
    lab.locator(".jp-Notebook .jp-CodeCell .cm-content").first.wait_for()
    return page, lab


def outputs_on_disk(workspace):
    """What the file holds; None while Jupyter is writing it."""
    try:
        [cell, *_more] = json.loads((home_of(workspace) / "long.ipynb").read_text())["cells"]
    except json.JSONDecodeError:
        return None
    outputs = cell["outputs"]
    streams = "".join("".join(one["text"]) for one in outputs if one["output_type"] == "stream")
    values = ["".join(one["data"]["text/plain"]) for one in outputs if one["output_type"] == "execute_result"]
    return streams, values


def test_a_cell_goes_on_after_the_browser_has_crashed(
    running,
    portal,  # noqa: F811
    cookies_of_ada,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright runs a loop in this thread
    options = {"executable_path": chromium_path(), "args": CHROMIUM_FLAGS, "base_url": portal}
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(str(tmp_path / "profile"), **options)
        page, lab = open_notebook(context, cookies_of_ada, running)
        lab.get_by_text("Python 3 | Idle").wait_for()
        lab.locator(".jp-Notebook .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        lab.locator(".jp-OutputArea-output").get_by_text("before").wait_for()
        kill_browser(tmp_path / "profile")

    (home_of(running) / "go").touch()
    wait_for(lambda: outputs_on_disk(running) == ("before\nafter\n", ["42"]), 60)

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(str(tmp_path / "another"), **options)
        _page, lab = open_notebook(context, cookies_of_ada, running)
        lab.locator(".jp-OutputArea-output").get_by_text("42").wait_for()
        assert lab.locator(".jp-OutputArea-output").get_by_text("after").is_visible()
        context.close()


def test_the_open_page_goes_on_with_its_cell_after_the_server_was_killed(
    running,
    portal,  # noqa: F811
    cookies_of_ada,  # noqa: F811
    monkeypatch,
):
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright runs a loop in this thread
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        page, lab = open_notebook(browser.new_context(base_url=portal), cookies_of_ada, running)
        lab.get_by_text("Python 3 | Idle").wait_for()
        lab.locator(".jp-Notebook .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        lab.locator(".jp-OutputArea-output").get_by_text("before").wait_for()

        server = kill_server(running)
        wait_for(lambda: server_of(running) not in (None, server), 20)
        (home_of(running) / "go").touch()

        lab.locator(".jp-OutputArea-output").get_by_text("42").wait_for()
        assert lab.locator(".jp-OutputArea-output").get_by_text("after").is_visible()
        assert lab.locator(".jp-Dialog").count() == 0
        page.locator("#facts").get_by_text("Kernels, cells and terminals went on").wait_for()
        assert page.locator("iframe#ide").bounding_box()["y"] < 400  # the notice leaves the Lab its place
        browser.close()
