"""A copy at another site really answers: the key's calls go to its replica, and back to the provider at its end."""

import time

import pytest
import requests

pytestmark = pytest.mark.stack
ZERO = {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 8, 8], "data": [0.0] * 64}]}


def until(ask, seconds: float = 60):
    """What `ask` gives as soon as it gives anything."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := ask():
            return found
        time.sleep(0.5)
    raise AssertionError("it did not come about in time")


@pytest.fixture
def north(stack):
    """`annotator2` operates the machines of a team of another site than the provider's."""
    admin = stack.api("admin")
    admin.post("/api/v1/teams/", json={"slug": "north", "name": "North", "site": "guangdong"})
    role = admin.post("/api/v1/teams/north/members/", json={"user": "annotator2", "role": "operator"})
    assert role.status_code == 201, role.text
    yield stack.api("annotator2")
    admin.delete(f"/api/v1/teams/north/members/{role.json()['id']}/")


@pytest.fixture
def plan(stack) -> int:
    """Terms that let subscribers run it themselves."""
    stack.manage("key", "consumer", "digits")  # waits for the sample
    dev = stack.api("dev")
    terms = {"capability": "digits", "name": "own-machines", "limits": {}, "reuse": True}
    made = dev.post("/api/v1/plans/", json=terms)
    assert made.status_code == 201, made.text
    assert dev.post(f"/api/v1/plans/{made.json()['id']}/publish/").status_code == 200
    return made.json()["id"]


def test_one_click_and_the_keys_are_answered_by_the_own_replica(stack, north, plan):
    copies = "/api/v1/store/digits/copies/"
    asked = north.post(copies, json={"team": "north", "plan": plan})
    assert asked.status_code == 201, asked.text
    copy = until(lambda: next((c for c in north.get(copies).json() if c["status"] == "running"), None))
    try:
        keys = f"/api/v1/subscriptions/{copy['subscription']}/keys/"
        secret = north.post(keys, json={"label": "gate"}).json()["secret"]

        assert until(lambda: answered_by(stack, north, secret)) == copy["deployment"]
    finally:
        assert north.delete(f"{copies}{copy['id']}/").status_code == 204
    provider = until(lambda: {answered_by(stack, north, secret)} - {copy["deployment"]})
    assert None not in provider


def answered_by(stack, person, secret: str) -> int | None:
    """The deployment that answered a call with the key, by the call log; None while the gateway does not know it."""
    answer = requests.post(
        f"{stack.gateway_url}/v2/models/digits/infer",
        json=ZERO,
        headers={"Authorization": f"Bearer {secret}"},
        timeout=30,
    )
    if answer.status_code != 200:
        return None
    call = f"/api/v1/calls/{answer.headers['X-Request-Id']}/"
    logged = until(lambda: person.get(call) if person.get(call).status_code == 200 else None, 20)
    return logged.json()["deployment_id"]
