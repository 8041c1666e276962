"""Try it over REST: the page's services, with a personal token, under the same quota and rights."""

import pytest

from apps.accounts.services import create_token
from apps.store import adapters, services
from apps.store.adapters import Answer
from tests.factories import make_packaged_version, make_ready_deployment
from tests.store.test_pages import as_cy, live  # noqa: F401  fixtures
from tests.store.test_trying import asked  # noqa: F401  fixture

PLACE = "/api/v1/store/digits/try/"
IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 8, 8], "data": [3] * 64}


@pytest.fixture
def post(client, cy, live):  # noqa: F811
    """A POST by Cy's token, without a session."""
    secret = create_token(cy, "a script", by=cy)[1]

    def send(path: str, body: dict[str, object]):
        headers = {"Authorization": f"Bearer {secret}"}
        return client.post(PLACE + path, body, content_type="application/json", headers=headers)

    return send


@pytest.fixture
def refused(monkeypatch):
    """The gateway refuses each call as it is told to."""

    def refuse(answer: Answer) -> None:
        monkeypatch.setattr(adapters, "infer", lambda *args, **facts: answer)

    return refuse


def test_one_question_is_answered_in_words_and_as_tensors(post, asked):  # noqa: F811
    [answer] = post("", {"inputs": [IMAGE]}).json()["answers"]

    assert (answer["answer"], answer["request_id"], answer["version"]) == ("7", "r", "1.0")
    assert answer["outputs"][0]["data"] == [7]
    assert asked == [("", 1)]


def test_two_versions_are_asked_the_same(post, asked, live, monkeypatch):  # noqa: F811
    from apps.store import selectors

    monkeypatch.setattr(selectors, "comparable", lambda user, capability: {"1.0.0": None, "1.1.0": None})
    answers = post("", {"inputs": [IMAGE], "versions": ["1.0.0", "1.1.0"]}).json()["answers"]

    assert [answer["version"] for answer in answers] == ["1.0.0", "1.1.0"]
    assert asked == [("1.0.0", 1), ("1.1.0", 1)]
    assert post("", {"inputs": [IMAGE], "versions": ["1.0.0", "1.1.0", "1.2.0"]}).status_code == 422


def test_a_version_under_test_is_not_for_others(post, asked, digits, ada):  # noqa: F811
    make_ready_deployment(make_packaged_version(digits, ada, "2.0.0"), ada, kind="test")

    assert post("", {"inputs": [IMAGE], "versions": ["2.0.0"]}).status_code == 404
    assert asked == []


def test_why_gives_each_part_its_weight_for_one_call(post, asked):  # noqa: F811
    told = post("why/", {"inputs": [IMAGE]}).json()

    assert asked == [("", 65)]
    assert len(told["weights"]) == 64
    assert {(w["part"], w["weight"]) for w in told["weights"] if w["weight"]} == {("1/1", 1.0)}


@pytest.mark.parametrize(
    "changes",
    [{"name": "picture"}, {"shape": [1, 8, 7]}, {"shape": [2, 8, 8], "data": [3] * 128}, {"data": 3}],
)
def test_what_cannot_be_explained_costs_no_call(post, asked, changes):  # noqa: F811
    assert post("why/", {"inputs": [IMAGE | changes]}).status_code == 422
    assert asked == []


def test_calls_and_reports_go_to_the_persons_own_trial_pool(post, cy, digits, monkeypatch):
    keys, sent = [], []
    monkeypatch.setattr(
        adapters, "infer", lambda *args, key, **facts: keys.append(key) or Answer(200, {"outputs": []})
    )
    monkeypatch.setattr(
        adapters,
        "send_feedback",
        lambda body, key: (sent.append(body), keys.append(key))[0] or Answer(202, {}),
    )
    post("", {"inputs": [IMAGE]})
    named = "01890a5d-ac96-774b-bcce-b302099a8057"
    report = post("feedback/", {"request_id": named, "correct": False, "expected": "3"})

    grant, key = services.trial_grant(cy, digits)
    assert grant.pool == f"trial:{cy.pk}:{digits.pk}"
    assert keys == [key, key]
    assert report.status_code == 202
    assert sent == [{"request_id": named, "correct": False, "expected": {"class": 3}}]


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (Answer(429, {"detail": "Spent."}, retry_after=40), 429, "Ask again in 40 s"),
        (Answer(429, {"detail": "Spent."}, retry_after=7200), 429, "is used up until"),
        (Answer(422, {"detail": "image is wrong."}), 422, "image is wrong."),
        (Answer(0, {"detail": "Away."}), 503, "Try again"),
    ],
)
def test_a_refusal_says_what_to_do_and_until_when(post, refused, answer, status, words):
    refused(answer)
    told = post("", {"inputs": [IMAGE]})

    assert told.status_code == status
    assert words in told.json()["detail"]
    assert told.headers.get("Retry-After") == (str(int(answer.retry_after)) if answer.retry_after else None)


def test_the_page_says_until_when_the_quota_is_used_up(as_cy, live, refused):  # noqa: F811
    refused(Answer(429, {"detail": "Spent."}, retry_after=7200))
    page = as_cy.post("/store/digits/try/", {"in-0": str(IMAGE["data"])}, headers={"HX-Request": "true"})

    assert "The trial&#x27;s quota is used up until" in page.text


def test_what_may_be_asked_and_how_often_is_told_before(as_cy, live):  # noqa: F811
    told = as_cy.get(PLACE).json()

    assert told["versions"] == [live.number]
    assert told["limits"] == {"rate_per_s": 2, "burst": 5, "per_day": 100, "concurrent": 2}
    assert told["explains"] is True
    page = as_cy.get("/store/digits/try/").text
    assert "100 calls a day · 2 calls a second · bursts of 5 calls · 2 calls at a time" in page
