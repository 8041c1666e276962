"""Every address of the call log: who gets in, who does not; and what is seen and said there."""

from __future__ import annotations

from uuid import UUID

import pytest

from apps.gateway import api_urls, urls
from apps.gateway.dataplane import segments
from apps.gateway.ingest import ingest_once
from apps.gateway.models import Outcome
from apps.gateway.selectors import moment_of
from tests.access import PEOPLE, Row, differences, uncovered
from tests.gateway.test_ingest import ANSWER, REQUEST, facts, log, served  # noqa: F401 - fixtures

A = "/api/v1/"
CALL = "01a20537-4c0f-790e-8857-92b133d8c175"
TABLE = [
    Row("GET", "/calls/", (302, 200, 200, 200, 200, 200)),
    Row("GET", f"/calls/{CALL}/", (302, 200, 200, 200, 404, 200)),
    Row("POST", f"/calls/{CALL}/feedback/", (302, 302, 302, 302, 404, 302), {"correct": "wrong"}),
    # The key is the team's own, so its members read what they sent; the bodies lie in no files.
    Row("POST", f"/calls/{CALL}/unmask/", (302, 200, 200, 200, 404, 200)),
    Row("GET", f"/calls/{CALL}/request/", (302, 404, 404, 404, 404, 404)),
    Row("GET", f"/calls/{CALL}/response/", (302, 404, 404, 404, 404, 404)),
    Row("GET", "/calls/retention/digits/", (302, 200, 200, 200, 404, 200)),
    Row("POST", "/calls/retention/digits/", (302, 403, 403, 302, 404, 302), {"days": 30}),
    Row("POST", f"{A}calls/{CALL}/unmask/", (401, 200, 200, 200, 404, 200)),
    Row("GET", f"{A}calls/{CALL}/bodies/request/", (401, 404, 404, 404, 404, 404)),
    Row("GET", f"{A}retention/digits/", (401, 200, 200, 200, 404, 200)),
    Row("PUT", f"{A}retention/digits/", (401, 403, 403, 200, 404, 200), {"days": 30}),
    Row("GET", A + "calls/", (401, 200, 200, 200, 200, 200)),
    Row("GET", f"{A}calls/{CALL}/", (401, 200, 200, 200, 404, 200)),
    Row("GET", A + "overloads/", (401, 200, 200, 200, 200, 200)),
    Row("GET", "/calls/export/digits/", (302, 200, 200, 200, 404, 200)),
    Row("GET", "/calls/exports/7/", (302, 404, 404, 404, 404, 404)),
    Row("POST", "/calls/exports/7/cancel/", (302, 404, 404, 404, 404, 404)),
    Row("GET", A + "calls/look/?where=score", (401, 200, 200, 200, 200, 200)),
    Row("GET", A + "call-exports/", (401, 200, 200, 200, 200, 200)),
    Row("POST", A + "call-exports/", (401, 422, 422, 422, 422, 422)),
    Row("GET", A + "call-exports/7/", (401, 404, 404, 404, 404, 404)),
    Row("POST", A + "call-exports/7/cancel/", (401, 404, 404, 404, 404, 404)),
    Row("GET", A + "feedback/", (401, 200, 200, 200, 200, 200)),
    Row("POST", A + "feedback/", (401, 422, 422, 422, 422, 422)),
]


@pytest.fixture
def call(log, served):  # noqa: F811
    """One logged call."""
    told = facts(served, id=CALL, at=moment_of(UUID(CALL)).timestamp())
    log(segments.pack(told, REQUEST, ANSWER), segments.pack(facts(served, status=503, error="no-replica")))
    ingest_once(log.folder)
    return told["id"]


def test_each_address_lets_in_whom_it_should(call, ada, bo, ole, cy, root):
    people = dict(zip(PEOPLE, (None, ada, bo, ole, cy, root), strict=True))

    assert differences(TABLE, people) == {}


def test_the_table_names_every_address():
    assert uncovered([*urls.urlpatterns, *api_urls.urlpatterns], TABLE) == set()


def test_the_list_shows_and_filters_in_a_constant_number_of_queries(
    call, served, client, ada, cy, django_assert_max_num_queries,  # noqa: F811
):  # fmt: skip
    client.force_login(ada)
    with django_assert_max_num_queries(16):
        page = client.get("/calls/").content.decode()
    assert served[0].slug in page
    assert "no-replica" in page
    assert "no-replica" not in client.get("/calls/?outcome=answered&since=hour").content.decode()
    assert client.get("/calls/?outcome=everything").status_code == 422
    client.force_login(cy)
    assert "No calls yet" in client.get("/calls/").content.decode()


def test_a_person_says_once_whether_an_answer_was_right(call, client, ada):
    client.force_login(ada)
    page = client.get(f"/calls/{call}/").content.decode()
    assert "model_name" in page
    for word in ("right", "wrong"):
        client.post(f"/calls/{call}/feedback/", {"correct": word, "comment": "it is a seven"})

    outcome = Outcome.objects.get()
    assert (outcome.request_id, outcome.correct, outcome.by) == (UUID(call), False, ada)
    seen = client.get(f"/api/v1/calls/{call}/").json()
    assert seen["outcomes"][0]["comment"] == "it is a seven"
    assert seen["request"]["inputs"][0]["name"] == "x"
    posted = client.post("/api/v1/feedback/", {"request_id": call, "correct": True}, "application/json")
    assert posted.status_code == 201
    assert client.get("/api/v1/feedback/").json()["results"][0]["correct"] is True


def test_what_a_shadow_answered_is_for_the_team_and_not_for_the_caller(log, served, client, ada, cy):  # noqa: F811
    _, _, grant = served
    grant.team, grant.user = None, cy
    grant.save()
    mirrored = facts(served, kind="shadow")
    log(segments.pack(mirrored, REQUEST, ANSWER), segments.pack(facts(served), REQUEST, ANSWER))
    ingest_once(log.folder)

    client.force_login(ada)
    assert mirrored["id"] in client.get("/calls/?shadow=1").content.decode()
    assert mirrored["id"] not in client.get("/calls/").content.decode()
    assert "A shadow answered" in client.get(f"/calls/{mirrored['id']}/").content.decode()
    assert len(client.get("/api/v1/calls/?shadow=1").json()["results"]) == 1
    client.force_login(cy)
    assert mirrored["id"] not in client.get("/calls/?shadow=1").content.decode()
    assert client.get(f"/calls/{mirrored['id']}/").status_code == 404
