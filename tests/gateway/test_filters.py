"""The log narrowed to what somebody looks for: on the page, by program, in an export; and what a call's page tells."""

from __future__ import annotations

import orjson
import pytest

from apps.accounts.models import Role
from apps.gateway import exporting, scanning
from apps.gateway.dataplane import segments
from apps.gateway.ingest import ingest_once
from apps.gateway.models import Call
from apps.gateway.services import create_grant, give_feedback
from tests.factories import make_dataset, make_site, make_team, make_user
from tests.gateway.test_ingest import ANSWER, REQUEST, facts, log, served  # noqa: F401 - fixtures


@pytest.fixture
def calls(log, served, radio):  # noqa: F811
    """Of six calls of two teams, made by their score: 0.0 to 0.5, the fields {"class": score * 10, "who": "a`'b"}."""
    capability, _deployment, own = served
    transport = make_team("Transport")
    other, _key = create_grant(kind="subscription", capability=capability, team=transport, by=None)
    keys = [own.pk, own.pk, own.pk, other.pk, other.pk, other.pk]
    told = [facts(served, grant=key, stage=25.0) for key in keys]
    log(*[segments.pack(each, REQUEST, ANSWER) for each in told])
    ingest_once(log.folder)
    made = [Call.objects.get(request_id=each["id"]) for each in told]
    for number, call in enumerate(made):
        call.score, call.parsed = number / 10, {"class": number, "who": "a`'b"}
        call.save(update_fields=["score", "parsed"])
    make_user("cato", team=transport, role=Role.CONSUMER)
    return made


def numbers(results):
    return sorted(row["parsed"]["class"] for row in results)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"subscriber": "transport"}, [3, 4, 5]),
        ({"subscriber": "nobody"}, []),
        ({"score_from": "0.1", "score_below": "0.3"}, [1, 2]),
        ({"feedback": "right"}, [0]),
        ({"feedback": "wrong"}, [1]),
        ({"feedback": "none"}, [2, 3, 4, 5]),
        ({"site": "elsewhere"}, []),
    ],
)
def test_each_filter_leaves_what_it_names(calls, client, ada, asked, found):
    give_feedback(calls[0], correct=True, by=ada)
    give_feedback(calls[1], correct=False, by=ada)
    client.force_login(ada)

    listed = client.get("/api/v1/calls/", asked).json()["results"]
    page = client.get("/calls/", asked).content.decode()

    assert numbers(listed) == found
    assert [str(call.request_id) in page for call in calls] == [n in found for n in range(6)]


def test_a_subscribers_calls_are_not_those_that_the_portal_asked_for_its_team(calls, served, client, ada):  # noqa: F811
    team = served[2].team
    own, _key = create_grant(kind="evaluation", capability=served[0], team=team, user=ada, by=None)
    Call.objects.filter(request_id=calls[1].request_id).update(grant_id=own.pk)
    client.force_login(ada)

    listed = client.get("/api/v1/calls/", {"subscriber": team.slug}).json()["results"]

    assert numbers(listed) == [0, 2]
    assert len(client.get("/api/v1/calls/").json()["results"]) == 6


def test_a_site_is_where_the_deployment_stands(calls, served, client, ada):  # noqa: F811
    deployment = served[1]
    deployment.site = make_site("harbour")
    deployment.save(update_fields=["site"])
    client.force_login(ada)

    assert len(client.get("/api/v1/calls/?site=harbour").json()["results"]) == 6
    told = client.get(f"/api/v1/calls/{calls[3].request_id}/").json()
    assert (told["site"], told["caller"]) == ("harbour", "Transport")
    page = client.get(f"/calls/{calls[3].request_id}/").content.decode()
    assert "Transport" in page
    assert "harbour" in page
    assert "25" in page


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"field": "class", "value": "4"}, [4]),
        ({"field": "class", "value": "4", "where": "score > `0.4`"}, []),
        ({"field": "class", "value": "0", "where": "score > `1` || `true`"}, [0]),
        ({"field": "who", "value": "a`'b"}, [0, 1, 2, 3, 4, 5]),
        ({"field": "class"}, [0, 1, 2, 3, 4, 5]),
        ({"field": 'no such "field"'}, []),
    ],
)
def test_a_parsed_field_is_looked_for_as_it_is_written(calls, client, ada, asked, found):
    client.force_login(ada)

    assert numbers(client.get("/api/v1/calls/look/", asked).json()["results"]) == found
    assert f"6 calls were looked at, {len(found)} match." in client.get("/calls/", asked).content.decode()


def test_a_value_without_its_field_is_refused(calls, client, ada):
    client.force_login(ada)

    assert "Name the field" in client.get("/calls/?value=7").content.decode()
    assert client.get("/api/v1/calls/look/?value=7").status_code == 422


def test_what_the_list_shows_is_what_an_export_takes(calls, served, radio, ada, client):  # noqa: F811
    dataset = make_dataset(radio, ada)
    client.force_login(ada)
    asked = {"capability": served[0].slug, "subscriber": "transport", "field": "class", "value": "4"}
    page = client.get("/calls/", asked).content.decode()
    assert f"/calls/export/{served[0].slug}/?subscriber=transport&amp;where=to_string" in page

    where = scanning.expression_of(asked)
    made = exporting.start_export(served[0], dataset, {**asked, "where": where}, by=ada)
    exporting.run(made.pk)

    made.refresh_from_db()
    assert (made.looked_at, made.found) == (3, 1)
    assert orjson.loads(orjson.dumps(made.asked)).keys() == {"subscriber", "where", "until"}


def test_the_list_costs_the_same_whatever_it_shows(calls, client, ada, django_assert_max_num_queries):
    client.force_login(ada)
    client.get("/calls/")
    for asked in ("", "?subscriber=transport", "?feedback=none&score_from=0.1&site=x"):
        with django_assert_max_num_queries(17):
            client.get(f"/calls/{asked}")
