"""What journeys through the running portal share: the samples are there, people have browsers of their own."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sklearn.datasets import load_digits

PASSWORD = "atrium-sample"


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
    """A v2 request with a real image of a digit."""
    digits: Any = load_digits()
    image = digits.images[digits.target == digit][0]
    return {
        "inputs": [{"name": "image", "shape": [1, 8, 8], "datatype": "FP32", "data": image.ravel().tolist()}]
    }
