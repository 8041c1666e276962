"""The inbox, a request's page, notifications: as people use them."""

from __future__ import annotations

import pytest
from django.utils import translation

from apps.core.telling import say
from apps.requests import kinds, services
from apps.requests.models import Notification, Request, Step
from apps.requests.selectors import waiting_count
from apps.requests.services import Need, Rule
from tests.factories import make_user


@pytest.fixture
def request_of_ada(ada, bo, radio):
    kinds.register("test", "Test")
    return services.open_request(
        "test",
        radio,
        "Sign digits 1.0",
        by=ada,
        rule=Rule([Need("qa", radio.pk)]),
        url="/",
        body="It is good.",
    )


def test_an_approver_decides_in_one_click_from_the_notifications(client, bo, request_of_ada):
    client.force_login(bo)
    page = client.get("/notifications/").content.decode()
    assert f'action="/requests/{request_of_ada.pk}/decide/"' in page

    answer = client.post(
        f"/requests/{request_of_ada.pk}/decide/", {"decision": "approve", "next": "/notifications/"}
    )

    assert answer.url == "/notifications/"
    request_of_ada.refresh_from_db()
    assert request_of_ada.status == "granted"


def test_the_page_shows_the_history_with_comments(client, ada, bo, request_of_ada):
    services.comment_on(request_of_ada, "Which data?", by=bo)
    services.decide(request_of_ada, False, "Data unclear", by=bo)
    client.force_login(ada)

    page = client.get(f"/requests/{request_of_ada.pk}/").content.decode()

    assert page.index("It is good.") < page.index("Which data?") < page.index("Data unclear")


def test_each_reads_a_title_in_their_own_language_whoever_asked(client, ada, bo, radio, compiled_messages):
    kinds.register("test", "Test")
    rule = Rule([Need("qa", radio.pk)])
    with translation.override("zh-hans"):
        title = say("%(team)s, %(capability)s: %(what)s") % {
            "team": radio, "capability": "Digits", "what": say("renew")
        }  # fmt: skip
        row = services.open_request("test", radio, title, by=ada, rule=rule, url="/")

    assert row.title == f"{radio}, Digits: renew"
    assert Notification.objects.get(user=bo).title == f"Please decide: {radio}, Digits: renew"
    client.force_login(bo)
    for language, renew in (("en", "renew"), ("zh-hans", "续订")):
        bo.language = language
        bo.save(update_fields=["language"])
        words = [str(radio), "Digits", renew]
        for page in (f"/requests/{row.pk}/", "/requests/", "/home/"):
            assert all(word in client.get(page).text for word in words)
        told = client.get(f"/api/v1/requests/{row.pk}/", headers={"Accept-Language": language}).json()[
            "title"
        ]
        assert all(word in told for word in words)
        found = client.get(f"/api/v1/search/?q={renew}", headers={"Accept-Language": language})
        assert [hit["url"] for hit in found.json()] == [f"/requests/{row.pk}/"]


def test_who_has_decided_is_asked_no_more_and_nobody_is_once_it_is_closed(ada, bo, radio):
    bea = make_user("bea", team=radio, role="qa")
    ben = make_user("ben", team=radio, role="qa")
    kinds.register("test", "Test")
    row = services.open_request("test", radio, "More", by=ada, rule=Rule([Need("qa", radio.pk, 2)]), url="/")

    def still_asked():
        rows = Notification.objects.filter(request=row, read_at=None)
        return set(rows.values_list("user__username", flat=True))

    assert still_asked() == {"bo", "bea", "ben"}
    services.decide(row, True, by=bo)
    assert still_asked() == {"bea", "ben"}
    services.decide(row, True, by=bea)
    assert still_asked() == set()
    assert Notification.objects.filter(user=ben, read_at=None).count() == 0


def test_what_stands_below_a_title_is_told_whole(bo):
    services.notify([bo], "t" * 300, url="/", body="b" * 300)

    told = Notification.objects.get(user=bo)
    assert (len(told.title), len(told.body)) == (200, 300)


def test_an_outsider_is_told_that_there_is_nothing(client, cy, request_of_ada):
    client.force_login(cy)

    assert client.get(f"/requests/{request_of_ada.pk}/").status_code == 404
    assert client.post(f"/requests/{request_of_ada.pk}/decide/", {"decision": "approve"}).status_code == 404


def test_the_inbox_asks_the_same_number_of_questions_for_any_length(
    client, ada, bo, radio, request_of_ada, django_assert_max_num_queries
):
    for _ in range(12):
        services.open_request("test", radio, "More", by=ada, rule=Rule([Need("qa", radio.pk)]), url="/")
    client.force_login(bo)

    with django_assert_max_num_queries(15):
        assert client.get("/requests/").status_code == 200


def test_opening_a_notification_marks_it_and_leads_on(client, bo, request_of_ada):
    row = Notification.objects.get(user=bo)
    client.force_login(bo)

    assert client.get(f"/notifications/{row.pk}/").url == f"/requests/{request_of_ada.pk}/"
    row.refresh_from_db()
    assert row.read_at is not None


def test_the_api_decides_under_the_same_rules(client, ada, bo, request_of_ada):
    address = f"/api/v1/requests/{request_of_ada.pk}/decide/"
    client.force_login(ada)
    refused = client.post(address, {"approve": True}, content_type="application/json")
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:atrium:problem:not-allowed")

    client.force_login(bo)
    answer = client.post(address, {"approve": True}, content_type="application/json")

    assert answer.json()["status"] == "granted"
    assert answer.json()["steps"][0]["decisions"][0]["user"] == "bo"


def test_the_menus_count_is_never_behind_ones_own_decisions(
    client, bo, request_of_ada, django_capture_on_commit_callbacks
):
    client.force_login(bo)
    before = client.get("/requests/?view=mine").context["sidebar"]()
    with django_capture_on_commit_callbacks(execute=True):
        services.decide(request_of_ada, True, by=bo)

    after = client.get("/requests/?view=mine").context["sidebar"]()

    assert '<span class="count">1</span>' in before
    assert '<span class="count">' not in after


def test_the_count_of_what_waits_stops_at_a_hundred(client, bo, ada, radio, django_assert_max_num_queries):
    kinds.register("test", "Test")
    rows = Request.objects.bulk_create(
        [Request(kind="test", subject_urn=f"urn:{n}", title=f"Request {n}", owner=ada) for n in range(120)]
    )
    Step.objects.bulk_create([Step(request=row, position=0, role="qa", team=radio) for row in rows])
    client.force_login(bo)

    with django_assert_max_num_queries(17):
        page = client.get("/requests/").text

    assert page.count("99+") == 2, "the menu and the tab"
    assert waiting_count(bo) == 100
