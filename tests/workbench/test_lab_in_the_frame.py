"""A person opens JupyterLab and MLflow inside the portal, in a real browser, with the real servers behind them."""

import re
import shutil
import threading
from dataclasses import replace

import pytest
from django.db import connections
from django.test import Client
from playwright.sync_api import sync_playwright

from apps.compute import environments
from apps.compute.services import remove_workload
from apps.workbench import reconcile
from apps.workbench.launch import folder_of
from apps.workbench.models import Workspace
from portal.supervisor.system import browser as chromium_path
from tests.stack import CHROMIUM_FLAGS
from tests.workbench.conftest import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

SLOW_MS = 90_000


@pytest.fixture
def portal(live_server, live_process, settings):
    """Web and live under the names that browsers use; gives the portal's address."""
    web_url = f"http://portal.localhost:{live_server.thread.port}"
    live_url = f"http://portal.localhost:{live_process}"
    settings.ATRIUM = replace(settings.ATRIUM, web_url=web_url, live_url=live_url, live_port=live_process)
    return web_url


@pytest.fixture
def reconciler(portal):
    """The worker's periodic look at workspaces."""
    environments.build("base", say=lambda words: None)
    over = threading.Event()

    def look():
        while not over.wait(0.5):
            reconcile.reconcile_workspaces()
        connections.close_all()

    thread = threading.Thread(target=look)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.fixture
def page(portal):
    path = chromium_path()
    assert path, "no Chromium on the path"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        context = browser.new_context(base_url=portal)
        context.set_default_timeout(SLOW_MS)
        yield context.new_page()
        browser.close()


@pytest.fixture
def cookies_of_ada(ada, portal, settings):
    client = Client()
    client.force_login(ada)
    name = settings.SESSION_COOKIE_NAME
    return [{"name": name, "value": client.cookies[name].value, "url": portal}]


@pytest.fixture
def made(transactional_db):
    """Numbers of the workspaces that a test makes; nothing of them stays."""
    numbers = []
    yield numbers
    for number in numbers:
        remove_workload(f"w{number}")
        shutil.rmtree(folder_of(Workspace(pk=number)), ignore_errors=True)


def test_from_an_empty_list_to_a_running_cell_and_a_terminal(
    made, cookies_of_ada, reconciler, page, monkeypatch
):
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright runs a loop in this thread
    page.context.add_cookies(cookies_of_ada)
    page.goto("/workspaces/")
    page.get_by_role("main").get_by_role("link", name="New workspace").first.click()
    page.get_by_label("Name").fill("alarms")
    page.get_by_role("button", name="Create and start").click()
    page.wait_for_url(re.compile(r"/workspaces/\d+/$"))
    number = int(page.url.split("/")[-2])
    made.append(number)

    lab = page.frame_locator("iframe#ide")
    lab.locator(".jp-LauncherCard", has_text="Data sets").wait_for()
    with page.expect_popup() as opened:
        lab.locator(".jp-LauncherCard", has_text="Submit as job").click()
    opened.value.wait_for_url(re.compile(rf"/workspaces/{number}/run/$"))
    opened.value.close()
    lab.get_by_text("welcome.ipynb").first.dblclick()
    lab.locator(".jp-Notebook").wait_for()
    for tile, onward in (("Submit as job", "run"), ("Register model", "register")):
        lab.locator(".lm-TabBar-tab", has_text="Launcher").first.click()
        with page.expect_popup() as opened:
            lab.locator(".jp-LauncherCard:visible", has_text=tile).click()
        opened.value.wait_for_url(re.compile(rf"/workspaces/{number}/{onward}/\?path=welcome\.ipynb$"))
        opened.value.close()
    assert "Traceback" not in page.content()
    assert page.frame(url=re.compile(r"/lab")).url.startswith(f"http://w{number}.portal.localhost:")

    page.get_by_role("link", name="Terminals").click()
    terminal = page.frame_locator("iframe#ide")
    terminal.locator(".xterm-screen").first.wait_for()
    terminal.locator(".screen:not([hidden]) .xterm-helper-textarea").focus()
    page.keyboard.type("echo forty-$((40+2)) > proof.txt\n")
    proof = folder_of(Workspace(pk=number)) / "home" / "proof.txt"
    wait_for(lambda: proof.exists() and proof.read_text() == "forty-42\n", 60)


def test_mlflow_stands_in_the_frame_from_its_own_origin(tracker, cookies_of_ada, page, monkeypatch):
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    page.context.add_cookies(cookies_of_ada)
    page.goto("/experiments/")
    page.get_by_role("link", name="Open MLflow").click()

    page.frame_locator("iframe#ide").get_by_text("Experiments").first.wait_for()

    assert page.frame(url=re.compile(r"^http://mlflow\.portal\.localhost:\d+/mlflow/"))
    page.locator("#ide-state").wait_for(state="detached")
    with page.expect_popup() as opened:
        page.get_by_role("button", name="In a tab of its own").click()
    opened.value.get_by_text("Experiments").first.wait_for()
