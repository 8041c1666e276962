"""Every label type is answered in a real browser without a mouse, and what was begun outlives a crash."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from apps.annotation.label_types import TYPES
from apps.annotation.models import Annotation, Project, Slot, Task
from apps.annotation.services import create_project, keyed
from tests.annotation.conftest import make_task
from tests.factories import make_capability, make_dataset
from tests.ui.looking import chromium, log_in, look_at

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

KEYS = {
    "single": ["2"],
    "multi": ["1", "3", "Enter"],
    "taxonomy": ["2"],
    "spans": ["ArrowRight", "Shift+ArrowRight", "1", "Enter"],
    "boxes": ["1", "Shift+ArrowRight", "ArrowUp", "Enter"],
    "polygons": ["2", "+", "Shift+ArrowUp", "Enter"],
    "ranges": ["1", "ArrowLeft", "Shift+ArrowRight", "Enter"],
    "rows": ["1", "2", "Enter"],
    "text": ["l", "o", "s", "t", "Control+Enter"],
    "rating": ["4"],
    "pairwise": ["ArrowRight"],
}
SAID = {
    "single": "8",
    "multi": ["power", "weather"],
    "taxonomy": ["Power", "Battery"],
    "spans": [{"start": 5, "end": 12, "label": "cell"}],
    "boxes": [{"x": 0.35, "y": 0.34, "width": 0.31, "height": 0.3, "label": "loop"}],
    "ranges": [{"start": 41.0, "end": 53.0, "label": "surge"}],
    "rows": ["normal", "fault"],
    "text": "lost",
    "rating": 4,
    "pairwise": "right",
}


@pytest.fixture
def projects(radio, ada):
    """A project with two tasks of each label type."""
    capability, dataset = make_capability(radio, ada, "cells"), make_dataset(radio, ada)
    made = {}
    for kind in TYPES.values():
        example = kind.example
        project = create_project(
            capability, by=ada, name=kind.slug, question="What do you see?", show=example.show, kind=kind.slug,
            labels=list(example.setting.labels), options=example.setting.options, dataset=dataset, target="y",
        )  # fmt: skip
        for number in range(2):
            task = make_task(project, number)
            Task.objects.filter(pk=task.pk).update(inputs=example.setting.inputs)
        made[kind.slug] = project.pk
    return made


def in_a_browser(live_server, errand, person="ann"):
    """In a thread of its own: Playwright keeps a running loop in its thread, where Django refuses its database."""

    def go():
        with chromium() as browser:
            context = browser.new_context()
            log_in(context, live_server.url, person, "pw-of-this-test")
            return errand(context)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(go).result()


def test_every_label_type_is_answered_by_keys_alone(live_server, projects, ann):
    def errand(context):
        page = context.new_page()
        for slug, pk in projects.items():
            page.goto(f"{live_server.url}/annotation/{pk}/label/")
            task = page.locator("#task").get_attribute("data-task")
            for key in KEYS[slug]:
                page.keyboard.press(key)
            page.wait_for_function(
                "was => { const t = document.getElementById('task'); return t && t.dataset.task !== was; }",
                arg=task,
            )

    in_a_browser(live_server, errand)

    said = {a.task.project.kind: a.value for a in Annotation.objects.select_related("task__project")}
    outline = said.pop("polygons")
    assert said == SAID
    assert len(outline[0]["points"]) == 5


def test_the_next_task_is_fetched_ahead_and_given_back_when_the_page_is_left(live_server, projects, ann):
    pk = projects["single"]
    third = make_task(Project.objects.get(pk=pk), 9)

    def errand(context):
        page, place = context.new_page(), f"{live_server.url}/annotation/{pk}/"
        page.goto(f"{place}label/")
        first = page.locator("#task[data-holds]").get_attribute("data-task")
        with page.expect_response(f"{place}slots/*/") as answer:
            page.keyboard.press("2")
        page.locator(f'#task[data-holds]:not([data-task="{first}"])').wait_for()
        slot = page.locator("#task").get_attribute("data-slot")
        undo = page.locator("[data-before] form").count()
        page.goto(f"{live_server.url}/annotation/")
        return answer.value.headers.get("x-next"), int(slot), undo

    told, slot, undo = in_a_browser(live_server, errand)

    assert (told, undo) == ("ahead", 1)
    assert Slot.objects.get(pk=slot, user=ann).task != third
    until = time.monotonic() + 10
    while Slot.objects.filter(ahead=True).exists():  # a beacon is answered to nobody
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_was_begun_is_there_again_after_a_crash_and_can_be_taken_back(live_server, projects, ann):
    address = f"{live_server.url}/annotation/{projects['boxes']}/label/"

    def errand(context):
        page = context.new_page()
        page.goto(address)
        page.keyboard.press("1")
        page.keyboard.press("c")
        page.keyboard.type("the loop is not closed")
        page.close()
        page = context.new_page()
        page.goto(address)
        found = (
            page.locator("#task input[name=value]").input_value(),
            page.locator("#task-comment").input_value(),
        )
        task = page.locator("#task").get_attribute("data-task")
        page.keyboard.press("Escape")
        page.keyboard.press("Enter")
        page.wait_for_function(
            "was => { const t = document.getElementById('task'); return t && t.dataset.task !== was; }",
            arg=task,
        )
        page.keyboard.press("u")
        page.wait_for_function("was => document.getElementById('task')?.dataset.task === was", arg=task)
        return found

    value, comment = in_a_browser(live_server, errand)

    assert '"label":"loop"' in value
    assert comment == "the loop is not closed"
    assert not Annotation.objects.exists()


def test_an_image_that_does_not_load_is_said(live_server, projects, ann):
    Project.objects.filter(pk=projects["single"]).update(labels=keyed(["3", "8"]))
    Task.objects.filter(project=projects["single"]).update(inputs={"image": "data:image/png;base64,AAAA"})

    def errand(context):
        page = context.new_page()
        page.goto(f"{live_server.url}/annotation/{projects['single']}/label/")
        page.locator("[role=alert]", has_text="does not load").wait_for()

    in_a_browser(live_server, errand)


def test_the_screens_are_without_faults(live_server, projects, ann, ada):
    """Axe and both widths; ATRIUM_PICTURES names a folder that keeps the pictures."""
    keep = os.environ.get("ATRIUM_PICTURES")
    paths = [f"/annotation/{pk}/label/" for pk in projects.values()]
    managed = ["/annotation/new/", f"/annotation/{projects['spans']}/"]

    def look():
        with chromium() as browser:
            options = {"password": "pw-of-this-test", "to": Path(keep) if keep else None}
            found = look_at(browser, live_server.url, paths, "ann", **options)
            return found + look_at(browser, live_server.url, managed, "ada", **options)

    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(look).result()
    assert [f"{p.page}: {text}" for p in found for text in p.problems if "WebSocket" not in text] == []
