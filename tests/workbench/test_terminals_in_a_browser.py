"""The page with a workspace's terminals, used as a person uses it, and the player of what was recorded there."""

import re
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect, sync_playwright

from apps.workbench import jupyter, recordings
from apps.workbench.cast import CastWriter
from apps.workbench.launch import home_of
from apps.workbench.live.app import LiveApplication
from apps.workbench.models import Recording, Workspace
from portal.supervisor.system import browser as chromium_path
from tests.stack import CHROMIUM_FLAGS
from tests.ui.live import Live
from tests.workbench.conftest import portal_stub, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

SLOW_MS = 30_000


@pytest.fixture
def live(settings, workspace, live_server):
    """A live process of its own, which a test may end and start again, beside the one that keeps the doors."""
    applications = []

    def make():
        applications.append(LiveApplication(portal_stub, fresh_s=0, recheck_s=0.4))
        return applications[-1]

    served = Live(make, close=lambda: applications[-1]._upstreams.close())
    web_url = f"http://portal.localhost:{live_server.thread.port}"
    live_url = f"http://portal.localhost:{served.port}"
    settings.ATRIUM = replace(settings.ATRIUM, web_url=web_url, live_url=live_url, live_port=served.port)
    served.start()
    yield served
    served.end()


@pytest.fixture
def browser(live, monkeypatch):
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright runs a loop in this thread
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        yield started
        started.close()


@pytest.fixture
def page_of(browser, settings):
    """A page of the portal in a browser of this person's own."""

    def make(user, path):
        client = Client()
        client.force_login(user)
        name = settings.SESSION_COOKIE_NAME
        context = browser.new_context(base_url=settings.ATRIUM.web_url)
        context.set_default_timeout(SLOW_MS)
        context.add_cookies(
            [{"name": name, "value": client.cookies[name].value, "url": settings.ATRIUM.web_url}]
        )
        page = context.new_page()
        page.goto(path)
        return page

    return make


@pytest.fixture
def opened(page_of, ada, workspace):
    """Ada's page with one terminal that is ready; her terminals end with the test."""
    page = page_of(ada, f"/workspaces/{workspace.pk}/terminal/")
    frame = page.frame_locator("iframe#ide")
    frame.get_by_role("tab").first.wait_for()
    run(page, frame, "PS1='> '; clear; echo re''ady")
    expect(shown(frame)).to_contain_text("ready")
    yield page, frame
    jupyter.end_terminals(workspace)


def shown(frame):
    """The rows of the terminal that is in front."""
    return frame.locator(".screen:not([hidden]) .xterm-rows")


def run(page, frame, command):
    frame.locator(".screen:not([hidden]) .xterm-helper-textarea").focus()
    page.keyboard.type(f"{command}\n")


def test_named_sessions_are_there_again_after_a_reload_with_what_they_showed(opened):
    page, frame = opened
    frame.get_by_placeholder("name (optional)").fill("build")
    frame.get_by_role("button", name="New terminal").click()
    expect(frame.get_by_role("tab", selected=True)).to_have_text("build")
    run(page, frame, "echo re''drawn")
    expect(shown(frame)).to_contain_text("redrawn")

    page.reload()

    expect(frame.get_by_role("tab")).to_have_count(2)
    frame.get_by_role("tab", name="build").click()
    expect(shown(frame)).to_contain_text("redrawn")
    frame.get_by_role("button", name="End session build").click()
    expect(frame.get_by_role("tab")).to_have_count(1)


def test_the_search_scrolls_to_what_it_finds_and_says_when_there_is_nothing(opened):
    page, frame = opened
    run(page, frame, "seq 1000 1400; echo do''ne")
    expect(shown(frame)).to_contain_text("done")
    expect(shown(frame)).not_to_contain_text("1137")

    frame.get_by_placeholder("Search the output").fill("1137")
    frame.get_by_placeholder("Search the output").press("Enter")

    expect(shown(frame)).to_contain_text("1137")
    expect(frame.locator(".screen:not([hidden]) .xterm-selection div").first).to_be_attached()
    frame.get_by_placeholder("Search the output").fill("nowhere to be found")
    frame.get_by_placeholder("Search the output").press("Enter")
    expect(frame.get_by_role("status").filter(visible=True)).to_contain_text("“nowhere to be found”")


def test_an_address_is_a_link(opened, settings):
    page, frame = opened
    address = f"{settings.ATRIUM.web_url}/workspaces/?from=terminal"
    run(page, frame, f"echo 'see {address}'; echo do''ne")
    row = shown(frame).locator("div", has_text=re.compile(rf"^see {re.escape(address)}")).first
    row.wait_for()

    box = row.bounding_box()
    at = box["x"] + 80, box["y"] + box["height"] / 2
    page.mouse.move(*at)
    expect(frame.locator(".screen:not([hidden]) .xterm-screen.xterm-cursor-pointer")).to_be_attached()
    with page.expect_popup() as popup:
        page.mouse.click(*at)

    popup.value.wait_for_url(address)


def test_many_lines_are_asked_about_before_they_are_pasted(opened, workspace, settings):
    page, frame = opened
    origin = re.match(r"https?://[^/]+", page.frames[-1].url)[0]
    for of in (settings.ATRIUM.web_url, origin):
        page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=of)
    made = home_of(workspace) / "pasted.txt"
    made.unlink(missing_ok=True)  # of a first try

    def paste(text):
        page.evaluate("text => navigator.clipboard.writeText(text)", text)
        frame.locator(".screen:not([hidden]) .xterm-helper-textarea").focus()
        page.keyboard.press("Control+Shift+V")

    lines = f"echo one >> {made.name}\necho two >> {made.name}\n"
    paste(lines)
    asked = frame.get_by_role("dialog")
    expect(asked).to_contain_text("Paste 2 lines?")
    expect(asked).to_contain_text("echo two")
    asked.get_by_role("button", name="Cancel").click()
    run(page, frame, "echo no''thing")
    expect(shown(frame)).to_contain_text("nothing")
    assert not made.exists()

    paste(lines)
    asked.get_by_role("button", name="Paste").click()
    run(page, frame, "")
    wait_for(lambda: made.exists() and made.read_text() == "one\ntwo\n")
    made.unlink()

    paste("echo with''out asking")
    run(page, frame, "")
    expect(shown(frame)).to_contain_text("without asking")


def test_a_killed_live_process_is_told_and_the_session_goes_on_after_it(opened, live):
    page, frame = opened
    run(page, frame, "(sleep 1; echo mean''while) &")

    live.end()
    expect(frame.get_by_role("status").filter(visible=True)).to_have_text(
        "The connection is lost. Trying again…"
    )
    live.start()

    expect(frame.get_by_text("The connection is lost")).to_be_hidden()
    expect(shown(frame)).to_contain_text("meanwhile")
    run(page, frame, "echo a''gain")
    expect(shown(frame)).to_contain_text("again")


def test_a_team_mate_sees_what_the_owner_shares_and_types_into_nothing(opened, page_of, dan, workspace):
    page, frame = opened
    path = f"/workspaces/{workspace.pk}/terminal/"
    refused = page_of(dan, path)
    expect(refused.get_by_role("main")).to_contain_text("The owner does not share the terminals")
    Workspace.objects.filter(pk=workspace.pk).update(share_terminals=True)

    watching = page_of(dan, path)
    seen = watching.frame_locator("iframe#ide")
    expect(seen.get_by_role("status").filter(visible=True)).to_have_text(
        "You are watching. Only the owner types here."
    )
    run(watching, seen, "touch typed-by-dan")
    run(page, frame, "echo sha''red; ls")

    expect(shown(seen)).to_contain_text("shared")
    expect(seen.get_by_role("button", name="New terminal")).to_have_count(0)
    assert not (home_of(workspace) / "typed-by-dan").exists()


@contextmanager
def recorded(workspace, user):
    """A recording of two words with long pauses between them, a dozen seconds of it when they are cut short."""
    now = timezone.now()
    row = Recording.objects.create(
        workspace=workspace,
        user=user,
        terminal="1",
        started_at=now,
        ended_at=now,
        expires_at=now + timedelta(1),
    )
    clock = [0.0]
    writer = CastWriter(recordings.path_of(row), "1", clock=lambda: clock[0])
    writer.resize(80, 24)
    for clock[0], text in ((0.1, "first\r\n"), *((10.0 * n, ".") for n in range(1, 6)), (60.0, "second\r\n")):
        writer.output(text)
    writer.close()
    try:
        yield row
    finally:
        recordings.path_of(row).unlink(missing_ok=True)


def test_a_recording_is_played_paused_and_gone_through(page_of, ada, workspace):
    with recorded(workspace, ada) as row:
        page = page_of(ada, f"/recordings/{row.pk}/")
        screen, clock = page.locator("#screen .xterm-rows"), page.locator("#clock")

        expect(screen).to_contain_text("first")
        page.get_by_role("button", name="Pause").click()
        expect(screen).not_to_contain_text("second")
        expect(clock).to_contain_text("/ 0:12")
        page.get_by_label("Place in the recording").press("End")
        expect(screen).to_contain_text("second")
        page.get_by_label("Cut pauses short").uncheck()
        expect(clock).to_have_text(re.compile(r"^1:00 / 1:00$|^0:59 / 0:59$"))
        page.get_by_label("Place in the recording").press("Home")
        expect(screen).not_to_contain_text("second")
        page.get_by_label("Speed").select_option("8×")
        page.locator("#screen").press("Space")
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
