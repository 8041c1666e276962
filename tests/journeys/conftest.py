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


def digit_call(digit: int) -> dict[str, Any]:
    """A v2 request with a real image of a digit, another at every call: equal inputs would become one task."""
    digits: Any = load_digits()
    image = digits.images[digits.target == digit][0]
    image[0, 0] = random.random()
    return {
        "inputs": [{"name": "image", "shape": [1, 8, 8], "datatype": "FP32", "data": image.ravel().tolist()}]
    }
