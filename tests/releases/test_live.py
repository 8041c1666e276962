"""What a stage shows while it goes on: over the websocket, and by asking where there is none."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from channels.routing import URLRouter
from django.db import OperationalError, connections
from django.utils import timezone
from playwright.sync_api import expect

from apps.accounts.models import Membership, User
from apps.gateway import reach
from apps.releases import consumers, live
from apps.releases.course import POINTS, course_of
from apps.releases.models import Stage, StageMinute
from apps.releases.rollout import active_stage, proceed, promote
from apps.releases.routing import websocket_urlpatterns
from apps.releases.selectors import releases_visible_to
from tests.compute.test_live_log import Socket
from tests.factories import make_calls
from tests.ui.live import Live, websockets_for
from tests.ui.looking import chromium, log_in

COMES_WITHIN_MS = 20_000


@pytest.fixture(autouse=True)
def _answers(monkeypatch):
    monkeypatch.setattr(reach, "answers", lambda: True)
    monkeypatch.setattr(consumers, "LOOK_EVERY_S", 0.1)


def call(release, *, good, bad=0):
    """So many calls of both, and the stage is judged again."""
    make_calls(release.deployment, good=good, bad=bad, share=1)
    make_calls(release.baseline, good=good, bad=0, share=99)
    proceed(release)


@pytest.mark.django_db
def test_the_course_of_a_long_stage_is_drawn_with_as_many_points_as_of_a_short_one(rolling):
    stage = active_stage(rolling)
    Stage.objects.filter(pk=stage.pk).update(started_at=timezone.now() - timedelta(days=14))
    stage.refresh_from_db()
    minute = stage.started_at.replace(second=0, microsecond=0)
    StageMinute.objects.bulk_create(
        StageMinute(
            stage=stage, deployment_id=rolling.deployment_id, minute=minute + timedelta(minutes=nth), calls=2,
            errors=1, slow=0, bad=1, histogram=[0] * 10 + [2] + [0] * 53,
        )
        for nth in range(0, 14 * 24 * 60, 10)
    )  # fmt: skip

    mine, other = course_of(rolling, stage)

    assert (len(mine), other) == (POINTS, [])
    assert sum(point.calls for point in mine) == 2 * 14 * 24 * 6
    assert {round(point.p95_ms, 1) for point in mine} == {0.9}
    figure = live.charts.comparison(mine, other)
    assert (figure["data"][0]["y"][-1], len(figure["data"][1]["y"])) == (50.0, POINTS)


@pytest.mark.django_db
def test_the_course_is_added_up_once_for_each_count_whoever_looks(rolling, django_assert_num_queries):
    call(rolling, good=20)
    stage = active_stage(rolling)
    first = course_of(rolling, stage)

    with django_assert_num_queries(0):
        assert course_of(rolling, stage) == first
    call(rolling, good=5)
    mine, _other = course_of(rolling, active_stage(rolling))
    assert sum(point.calls for point in mine) == 25


@pytest.mark.django_db
def test_the_page_says_when_an_undecided_stage_pauses_and_does_not_once_it_is_decided(rolling, ole, client):
    client.force_login(ole)
    address = f"/releases/{rolling.pk}/"
    assert "undecided at" in client.get(address).content.decode()

    call(rolling, good=4000)

    assert "undecided at" not in client.get(address).content.decode()


@pytest.mark.django_db
def test_looking_costs_as_many_queries_whatever_was_called(rolling, ole, django_assert_max_num_queries):
    call(rolling, good=500)

    def look():
        return live.told(live.shown(releases_visible_to(ole).get(pk=rolling.pk), user=ole))

    with django_assert_max_num_queries(14) as few:
        look()
    call(rolling, good=2500)
    with django_assert_max_num_queries(len(few)):
        look()


@pytest.mark.django_db
def test_what_blocks_it_comes_with_the_buttons(rolling, ole, client):
    """It stood on the page as it was when somebody opened it, whatever the stage showed since."""
    client.force_login(ole)

    def fetched():
        return client.get(f"/releases/{rolling.pk}/", headers={"HX-Request": "true"}).content.decode()

    Stage.objects.update(evidence={})
    assert "Stage of 1 %: its calls are being counted" in fetched()
    call(rolling, good=500)
    assert "The stage of 1 % is a success; an operator promotes it." in fetched()


async def opened(user, release) -> Socket:
    scope = {"type": "websocket", "path": f"/ws/releases/{release.pk}/", "headers": [], "user": user}
    socket = Socket(URLRouter(websocket_urlpatterns), scope)
    await socket.send_input({"type": "websocket.connect"})
    assert (await socket.receive_output(5))["type"] == "websocket.accept"
    return socket


@pytest.fixture
async def _close_connections():
    """The thread of the consumers' queries has a connection of its own, which would keep the database open."""
    yield
    await database_sync_to_async(connections.close_all)()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_close_connections")
async def test_the_socket_tells_what_changes_in_the_viewers_language_and_when_buttons_do(
    rolling, ole, compiled_messages
):
    await User.objects.filter(pk=ole.pk).aupdate(language="zh-hans")
    socket = await opened(ole, rolling)
    first = await socket.receive_json_from(timeout=5)
    assert (first["figure"]["data"], "候选" in first["stages"]) == ([], True)

    await database_sync_to_async(call)(rolling, good=40)
    told = await socket.receive_json_from(timeout=5)
    assert told["mark"] == first["mark"]
    assert told["figure"]["data"][0]["y"] == [0.0]
    assert told["table"].count("<tr>") == 2
    assert told["blockers"] != first["blockers"]  # which says how many calls are missing

    await database_sync_to_async(call)(rolling, good=4000)
    success = await socket.receive_json_from(timeout=5)
    assert (success["why_not"], success["mark"] == told["mark"]) == ("", False)
    await database_sync_to_async(promote)(rolling, by=ole)
    assert (await socket.receive_json_from(timeout=5))["mark"] != success["mark"]
    await socket.disconnect()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_close_connections")
async def test_who_leaves_the_team_hears_no_more(rolling, ole):
    socket = await opened(ole, rolling)
    await socket.receive_json_from(timeout=5)

    await Membership.objects.filter(user=ole).adelete()

    assert (await ApplicationCommunicator.receive_output(socket, 5))["code"] == 4404


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_close_connections")
async def test_a_look_that_fails_ends_the_socket_so_that_the_page_asks_by_itself(rolling, ole, monkeypatch):
    socket = await opened(ole, rolling)
    await socket.receive_json_from(timeout=5)

    def away(*_args, **_facts):
        raise OperationalError("the server is away")

    monkeypatch.setattr(live, "shown", away)

    assert (await ApplicationCommunicator.receive_output(socket, 5))["code"] == 1011


@pytest.fixture
def served(live_server, settings):
    served = Live(websockets_for(live_server.url))
    settings.ATRIUM = replace(settings.ATRIUM, live_port=served.port)
    served.start()
    yield served
    served.end()


def fetched(asked):
    """The fragments of the release among what a page asked for."""
    return [url for htmx, url in asked if htmx and "/releases/" in url]


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_page_follows_without_asking_and_asks_where_the_socket_is_away(rolling, ole, served, live_server):
    asked = []

    def errand():
        with chromium() as browser:
            context = browser.new_context(base_url=live_server.url, reduced_motion="reduce")
            log_in(context, live_server.url, "ole", "pw-of-this-test")
            page = context.new_page()
            page.on("request", lambda request: asked.append((request.headers.get("hx-request"), request.url)))
            page.goto(f"/releases/{rolling.pk}/")
            stages, chart = page.locator("#live-stages"), page.locator("#live-comparison")
            expect(chart).to_be_hidden()

            other(call, rolling, good=20)

            expect(stages).to_contain_text("0 / 20", timeout=COMES_WITHIN_MS)
            expect(chart.locator(".js-plotly-plot")).to_be_visible(timeout=COMES_WITHIN_MS)
            asked.clear()
            other(call, rolling, good=5)
            expect(stages).to_contain_text("0 / 25", timeout=COMES_WITHIN_MS)
            page.wait_for_timeout(2500)
            assert not fetched(asked)  # the socket said it

            served.end()
            other(call, rolling, good=5)
            expect(stages).to_contain_text("0 / 30", timeout=COMES_WITHIN_MS)
            assert fetched(asked)
            expect(chart.locator(".js-plotly-plot")).to_be_visible()

            served.start()
            other(call, rolling, good=4000)
            expect(page.get_by_role("button", name="Next stage")).to_be_enabled(timeout=COMES_WITHIN_MS)

    def other(what, *args, **facts):
        def go():
            try:
                what(*args, **facts)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(1) as thread:
            thread.submit(go).result()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(errand).result()
