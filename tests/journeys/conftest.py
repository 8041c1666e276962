"""What journeys through the running portal share: the samples are there, people have browsers of their own."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from playwright.sync_api import Locator, Page
from sklearn.datasets import load_digits

PASSWORD = "atrium-sample"


def press(page: Page, button: Locator) -> None:
    """Click, and go on when the server has taken it: a page looks at rest before its request has begun, too."""
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        button.click()


@pytest.fixture(scope="module")
def ready(stack):
    """The samples are there; a portal that was just started needs a few minutes for them."""
    deadline = time.monotonic() + 600
    session = stack.api("consumer")
    while time.monotonic() < deadline:
        names = {row["capability"] for row in session.get("/api/v1/plans/").json()["results"]}
        if names >= {"digits", "breast-cancer", "fault-tickets"}:
            return stack
        time.sleep(2)
    pytest.fail("the sample capabilities were not made within ten minutes")


@pytest.fixture(scope="module")
def key(ready) -> str:
    """Of the consumer's team for `digits`, under the plan for production: the free one takes five calls a second."""
    consumer = ready.api("consumer")
    plans = consumer.get("/api/v1/plans/", params={"capability": "digits"}).json()["results"]
    asked = {"team": "guangdong-ops", "use_case": "Hundreds of callers"}
    asked["plan"] = next(plan["id"] for plan in plans if plan["name"] == "standard")
    subscription = consumer.post("/api/v1/subscriptions/", json=asked).json()
    if subscription["status"] == "pending":
        decided = f"/api/v1/requests/{subscription['ticket']}/decide/"
        assert ready.api("ops").post(decided, json={"approve": True}).ok
    keys = f"/api/v1/subscriptions/{subscription['id']}/keys/"
    return consumer.post(keys, json={"label": "journeys"}).json()["secret"]


def digit_call(digit: int) -> dict[str, Any]:
    """A v2 request with a real image of a digit, another at every call: equal inputs would become one task."""
    digits: Any = load_digits()
    image = digits.images[digits.target == digit][0]
    image[0, 0] = random.random()
    return {
        "inputs": [{"name": "image", "shape": [1, 8, 8], "datatype": "FP32", "data": image.ravel().tolist()}]
    }
