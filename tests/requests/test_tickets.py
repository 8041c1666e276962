"""The list of requests: the same filters for the page, REST and the download."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.core.errors import Invalid
from apps.requests import kinds, services, tickets
from apps.requests.models import Request
from apps.requests.services import Need, Rule


@pytest.fixture
def asked(ada, bo, ole, radio, transport) -> dict[str, Request]:
    """Ada and Ole of radio ask its QA; one was granted, one is old, one is of another kind, one is of no team."""
    kinds.register("test", "Test")
    kinds.register("other", "Another kind")
    rule = Rule([Need("qa", radio.pk)])

    def ask(title, by, kind="test", team=radio):
        return services.open_request(kind, radio, title, by=by, rule=rule, url="/", team=team)

    made = {
        "old": ask("Old one", ada),
        "granted": ask("Granted one", ada),
        "other": ask("Other one", ole, kind="other"),
        "none": ask("=SUM(A1)", ole, team=None),
    }
    services.decide(made["granted"], True, by=bo)
    Request.objects.filter(pk=made["old"].pk).update(created_at=timezone.now() - timedelta(days=40))
    return made


def names(asked, rows) -> set[str]:
    known = {row.pk: name for name, row in asked.items()}
    return {known[row.pk] for row in rows}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, {"old", "granted", "other", "none"}),
        ({"kind": "other"}, {"other"}),
        ({"person": "OL"}, {"other", "none"}),
        ({"person": "nobody"}, set()),
        ({"team": "radio"}, {"old", "granted", "other"}),
        ({"team": "transport"}, set()),
        ({"status": "granted"}, {"granted"}),
        ({"kind": "test", "status": "open", "person": "ada"}, {"old"}),
    ],
)
def test_each_filter_and_all_of_them_together(asked, root, said, found):
    assert names(asked, tickets.tickets_of(root, "all", said)) == found


def test_by_age_in_whole_days_to_their_end(asked, root):
    day = timezone.localdate()
    assert names(asked, tickets.tickets_of(root, "all", {"until": str(day - timedelta(days=39))})) == {"old"}
    assert "old" not in names(asked, tickets.tickets_of(root, "all", {"since": str(day - timedelta(days=1))}))
    assert len(tickets.tickets_of(root, "all", {"until": str(day)})) == 4


def test_people_are_found_by_the_name_that_is_shown(asked, root, ole):
    ole.first_name, ole.last_name = "Ole", "Nordmann"
    ole.save()
    assert names(asked, tickets.tickets_of(root, "all", {"person": "nord ole"})) == {"other", "none"}


@pytest.mark.parametrize(
    ("said", "field"), [({"kind": "x"}, "kind"), ({"status": "x"}, "status"), ({"since": "soon"}, "since")]
)
def test_a_filter_that_says_nothing_is_named(asked, root, client, said, field):
    with pytest.raises(Invalid) as refusal:
        tickets.tickets_of(root, "all", said)
    assert set(refusal.value.fields) == {field}
    client.force_login(root)
    assert client.get("/requests/", {"view": "all", **said}).status_code == 422
    assert client.get("/api/v1/requests/", said).status_code == 422


def test_nobody_finds_what_is_not_theirs_to_see(asked, cy, ada, client):
    assert not tickets.tickets_of(cy, "all", {})
    assert names(asked, tickets.tickets_of(ada, "mine", {})) == {"old", "granted"}
    client.force_login(cy)
    answer = client.get("/requests/export.csv?view=all")
    assert len(answer.getvalue().decode().splitlines()) == 1


def test_page_rest_and_download_agree(asked, root, client, monkeypatch):
    monkeypatch.setattr(tickets, "_AT_ONCE", 1)
    client.force_login(root)
    query = "view=all&person=ole&status=open"

    page = client.get(f"/requests/?{query}")
    assert names(asked, page.context["page"].items) == {"other", "none"}
    assert "/requests/export.csv?view=all&amp;person=ole&amp;status=open" in page.text
    rows = client.get(f"/api/v1/requests/?{query}").json()["results"]
    assert {row["id"] for row in rows} == {asked["other"].pk, asked["none"].pk}
    for place in ("/requests/export.csv", "/api/v1/requests/export/"):
        answer = client.get(f"{place}?{query}")
        assert answer["Content-Type"].startswith("text/csv")
        lines = answer.getvalue().decode().splitlines()
        assert [line.split(",")[0] for line in lines] == ["id", str(asked["other"].pk), str(asked["none"].pk)]
        assert "'=SUM(A1)" in lines[-1]


def test_the_list_asks_the_same_number_of_questions_for_any_length(
    asked, root, client, ole, radio, django_assert_max_num_queries
):
    client.force_login(root)
    rule = Rule([Need("qa", radio.pk)])
    with django_assert_max_num_queries(12):
        assert client.get("/api/v1/requests/").status_code == 200
    for number in range(10):
        services.open_request("test", radio, f"No {number}", by=ole, rule=rule, url="/", team=radio)
    with django_assert_max_num_queries(12):
        assert len(client.get("/api/v1/requests/").json()["results"]) == 14
