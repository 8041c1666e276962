"""Real calls of `fault-tickets` (places in a text) and `breast-cancer` (rows of a table) were called wrong; two people
label them without a mouse, and where they disagree a third decides by keys, too.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect
from sklearn.datasets import load_breast_cancer

from tests.journeys.test_whole_loop import open_as, until

pytestmark = [pytest.mark.stack, pytest.mark.browser]

#: The first two words, or the first alone, get the first label.
BOTH_WORDS, ONE_WORD = ["Shift+ArrowRight", "1", "Enter"], ["1", "Enter"]
SPAN = {"start": 0, "end": 9, "label": "cause"}


@pytest.fixture(scope="module")
def api(ready):
    return ready.api("dev")


def ticket() -> dict[str, Any]:
    """Another one at every call: equal inputs would become one task."""
    text = f"Cable cut near Tianhe {random.randrange(10**9)}, 24 fibres broken"
    return {"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}


def biopsy() -> dict[str, Any]:
    values = [float(value) for value in load_breast_cancer().data[0]]
    values[0] += random.random()
    return {"name": "features", "datatype": "FP32", "shape": [1, 30], "data": values}


def called_wrong(stack, slug: str, tensors: list[dict[str, Any]]) -> set[str]:
    """The ids of calls that were answered and complained about."""
    key = {"Authorization": f"Bearer {stack.manage('key', 'consumer', slug).strip().splitlines()[-1]}"}
    found = set()
    for tensor in tensors:
        address = f"{stack.gateway_url}/v2/models/{slug}/infer"
        answer = requests.post(address, json={"inputs": [tensor]}, headers=key, timeout=30)
        assert answer.status_code == 200, answer.text
        found.add(answer.headers["X-Request-Id"])
        said = {"request_id": answer.headers["X-Request-Id"], "correct": False}
        told = requests.post(f"{stack.gateway_url}/v1/feedback", json=said, headers=key, timeout=30)
        assert told.status_code < 300, told.text
    return found


def tasks_of(api, project: int) -> list[dict[str, Any]]:
    return api.get(f"/api/v1/tasks/?project={project}&page_size=200").json()["results"]


def make_project(api, slug: str, calls: set[str], **asked: Any) -> tuple[int, int]:
    """A project that asks about what was complained about, once these calls are among its tasks, and their number."""
    told = {"capability": slug, "dataset": slug, "name": f"By keys {time.time():.0f}", **asked}
    made = api.post("/api/v1/annotation-projects/", json=told)
    assert made.status_code == 201, made.text
    project = made.json()["id"]
    rule = {"kind": "complained", "every_s": 5, "event": "complaint"}
    assert api.post(f"/api/v1/annotation-projects/{project}/rules/", json=rule).status_code == 201

    def asked_about():
        listed = tasks_of(api, project)
        return calls <= {row["request_id"] for row in listed} and len(listed)

    return project, until(asked_about, seconds=60, what=f"the tasks of {slug}")


def label(page: Page, project: int, answers: list[list[str]]) -> None:
    """Answer what comes, one after the other, by keys alone."""
    page.goto(f"/annotation/{project}/label/")
    for keys in answers:
        task = page.locator("#task").get_attribute("data-task")
        for key in keys:
            page.keyboard.press(key)
        page.wait_for_function(
            "was => { const t = document.getElementById('task'); return t && t.dataset.task !== was; }",
            arg=task,
        )
    expect(page.get_by_text("Nothing left for you here")).to_be_visible()


def decide(page: Page, project: int, keys: list[str]) -> None:
    """Decide the one disagreement that waits."""

    def is_weighed() -> bool:
        page.goto(f"/annotation/{project}/adjudicate/")
        return page.get_by_role("heading", name="Weighed by reliability").is_visible()

    until(is_weighed, seconds=150, what="the round of each minute that weighs the votes")
    for key in keys:
        page.keyboard.press(key)
    expect(page.get_by_text("There is no disagreement left to decide.")).to_be_visible()


def test_places_in_a_text_and_rows_of_a_table_are_labelled_and_decided_by_keys(ready, new_page, api):
    with ThreadPoolExecutor() as both:
        asked = [
            both.submit(called_wrong, ready, "fault-tickets", [ticket(), ticket()]),
            both.submit(called_wrong, ready, "breast-cancer", [biopsy(), biopsy()]),
        ]
        texts, rows = (each.result() for each in asked)
    spans, many_texts = make_project(
        api, "fault-tickets", texts, question="What is named?", show="text", kind="spans",
        labels=["cause", "place"], target="cause",
    )  # fmt: skip
    classes, many_rows = make_project(
        api, "breast-cancer", rows, question="Which tissue?", show="row", labels=["malignant", "benign"],
        target="diagnosis",
    )  # fmt: skip

    for person, last_text, last_row in (("annotator", BOTH_WORDS, "1"), ("annotator2", ONE_WORD, "2")):
        page = open_as(new_page, person, "/annotation/")
        label(page, spans, [*[BOTH_WORDS] * (many_texts - 1), last_text])
        label(page, classes, [*[["1"]] * (many_rows - 1), [last_row]])
    reviewer = open_as(new_page, "qa", "/annotation/")
    decide(reviewer, spans, BOTH_WORDS)
    decide(reviewer, classes, ["1"])

    for project, value in ((spans, [SPAN]), (classes, "malignant")):
        found = tasks_of(api, project)
        assert sorted(row["status"] for row in found) == ["accepted", *["agreed"] * (len(found) - 1)]
        assert [row["value"] for row in found] == [value] * len(found)
