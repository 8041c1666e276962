"""The store's pages as people see them; what they look like is for the browser tests."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.catalog.models import Version
from apps.catalog.services.capabilities import index_words
from apps.instances.models import TrafficWeight
from apps.instances.services import set_weights
from apps.store import search, services, standing
from tests.factories import make_dataset, make_plan, make_published_capability, make_ready_deployment

SIGNATURE = {
    "inputs": [
        {
            "name": "image",
            "datatype": "FP32",
            "shape": [-1, 8, 8],
            "kind": "image",
            "minimum": 0,
            "maximum": 16,
        }
    ],
    "outputs": [
        {
            "name": "class",
            "datatype": "INT64",
            "shape": [-1],
            "kind": "class",
            "labels": [str(n) for n in range(10)],
        }
    ],
}


@pytest.fixture
def as_cy(cy) -> Client:
    client = Client()
    client.force_login(cy)
    return client


@pytest.fixture
def as_ada(ada) -> Client:
    client = Client()
    client.force_login(ada)
    return client


@pytest.fixture
def live(digits, ada, ole, signed) -> Version:
    """`digits` answers in production, as far as the tables say."""
    version = digits.versions.get()
    Version.objects.filter(pk=version.pk).update(signature=SIGNATURE)
    signed.add(version.digest)
    set_weights(digits, {make_ready_deployment(version, ole).pk: 100}, by=ole)
    assert TrafficWeight.objects.exists()
    return version


def test_a_visitor_is_sent_to_the_login(client, digits):
    assert client.get("/store/").status_code == 302


def test_the_store_shows_what_is_published(as_cy, digits):
    page = as_cy.get("/store/")
    assert "Digits" in page.text
    assert "Reads handwritten digits" in page.text


def test_an_unpublished_or_hidden_capability_is_never_listed(as_cy, radio, ada):
    make_published_capability(radio, ada, "hidden", name="Hidden thing", visibility="team")
    from tests.factories import make_capability

    make_capability(radio, ada, "draft", name="Draft thing", visibility="organisation")

    page = as_cy.get("/store/")
    assert "Hidden thing" not in page.text
    assert "Draft thing" not in page.text
    assert as_cy.get("/store/hidden/").status_code == 404
    assert as_cy.get("/store/draft/").status_code == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=handwritten", True),
        ("q=hand", True),
        ("q=tickets", False),
        ("domain=vision", True),
        ("domain=text", False),
        ("framework=onnx", True),
        ("team=radio", True),
        ("q=digits&team=transport", False),
        ("sort=name", True),
        ("sort=popular", True),
        ("q=digits&sort=relevance", True),
        ("q=%27%22%3A%26%7C", False),
        ("sort=nonsense&site=", True),
    ],
)
def test_words_and_filters_narrow_the_list(as_cy, digits, query, found):
    standing.refresh([digits.pk])
    page = as_cy.get(f"/store/?{query}")
    assert page.status_code == 200
    assert ("/store/digits/" in page.text) is found


def test_the_list_takes_as_many_queries_for_many_as_for_one(
    as_cy, digits, radio, ada, django_assert_max_num_queries
):
    for number in range(8):
        make_published_capability(radio, ada, f"more-{number}")
    with django_assert_max_num_queries(16):
        as_cy.get("/store/?sort=popular")


@pytest.mark.parametrize("path", ["/store/", "/api/v1/store/", "/api/v1/capabilities/"])
def test_each_list_takes_the_same_queries_however_many_there_are(
    as_cy, digits, radio, ada, path, django_assert_num_queries
):
    for number in range(2):
        make_published_capability(radio, ada, f"few-{number}")
    as_cy.get(path)
    search.forget()
    with CaptureQueriesContext(connection) as few:
        as_cy.get(path)
    for number in range(20):
        make_published_capability(radio, ada, f"more-{number}")
    search.forget()
    with django_assert_num_queries(len(few)):
        as_cy.get(path)


@pytest.mark.parametrize("tab", ["", "try/", "api/", "versions/", "quality/", "reviews/"])
def test_every_tab_opens_for_a_reader(as_cy, live, free, tab):
    assert as_cy.get(f"/store/digits/{tab}").status_code == 200


def test_a_tab_that_is_not_mine_says_why(as_cy, live, free):
    assert as_cy.get("/store/digits/usage/").status_code == 403
    assert as_cy.get("/store/digits/plans/").status_code == 403


def test_the_card_is_shown_without_what_could_act(as_cy, digits, ada):
    from apps.catalog.services import edit_capability

    card = "---\nlicense: x\n---\n# Title\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) **bold**"
    edit_capability(digits, by=ada, card=card)
    text = as_cy.get("/store/digits/").text
    assert "<strong>bold</strong>" in text
    assert "alert(1)</script>" not in text
    assert 'href="javascript' not in text
    assert "license: x" not in text


def test_the_code_names_the_address_and_the_own_keys_prefix(as_cy, live, subscription, cy, settings):
    key, _secret = services.issue_key(subscription, by=cy)
    text = as_cy.get("/store/digits/api/").text
    assert f"{settings.ATRIUM.gateway_url}/v2/models/digits/infer" in text
    assert key.grant.prefix in text
    assert "tritonclient" in text


def test_subscribing_leads_to_the_key_which_is_shown_once(as_cy, live, free, transport):
    done = as_cy.post("/store/digits/subscribe/", {"plan": free.pk, "team": transport.pk}, follow=True)
    place = done.redirect_chain[-1][0]
    fresh = as_cy.post(f"{place}keys/", {"label": "app"})

    assert "atk_" in fresh.text
    assert "curl -sS" in fresh.text
    assert fresh["Cache-Control"] == "no-store"
    secret = fresh.context["secret"]
    assert secret not in as_cy.get(place).text


def test_a_plan_with_approval_asks_for_a_reason_in_the_form(as_cy, standard, transport):
    page = as_cy.post("/store/digits/subscribe/", {"plan": standard.pk, "team": transport.pk, "use_case": ""})
    assert page.status_code == 422


def test_the_subscription_is_a_secret_of_its_two_sides(subscription, bo, root, transport):
    from apps.accounts.models import Role
    from tests.factories import make_team, make_user

    eve = make_user("eve", team=make_team("Other"), role=Role.CONSUMER)
    for user, status in ((eve, 404), (bo, 404), (root, 200)):
        client = Client()
        client.force_login(user)
        assert client.get(f"/subscriptions/{subscription.pk}/").status_code == status, user


def test_the_provider_drafts_publishes_and_withdraws_a_plan(as_ada, digits):
    form = {"name": "gold", "approval": "auto", "per_day": "50", "description": ""}
    assert as_ada.post("/store/digits/plans/", form).status_code == 302
    plan = digits.plans.get()
    as_ada.post(f"/store/digits/plans/{plan.pk}/publish/")
    plan.refresh_from_db()
    assert (plan.status, plan.limits) == ("published", {"per_day": 50})
    as_ada.post(f"/store/digits/plans/{plan.pk}/withdraw/")
    plan.refresh_from_db()
    assert plan.status == "withdrawn"


def test_a_burst_without_a_rate_is_marked_at_its_field(as_ada, digits):
    page = as_ada.post("/store/digits/plans/", {"name": "odd", "approval": "auto", "burst": "5"})
    assert page.status_code == 422
    assert "needs “Calls per second” beside it" in page.text


def test_an_empty_drawing_is_not_sent(as_cy, live):
    page = as_cy.post("/store/digits/try/", {"in-0": ""}, headers={"HX-Request": "true"})
    assert page.status_code == 422
    assert "Draw something first" in page.text


def test_a_gateway_that_is_away_is_said_clearly(as_cy, live):
    image = "[" + ",".join(["3"] * 64) + "]"
    page = as_cy.post("/store/digits/try/", {"in-0": image}, headers={"HX-Request": "true"})
    assert page.status_code == 200
    assert "does not answer" in page.text


def test_usage_is_open_to_the_provider_and_downloads_as_csv(as_ada, digits):
    assert as_ada.get("/store/digits/usage/?span=week").status_code == 200
    lines = as_ada.get("/store/digits/usage.csv?span=day").text.splitlines()
    assert lines[0] == "from,answered,failed,p50_ms,p95_ms,p99_ms"
    assert len(lines) == 26


def test_withdrawing_shows_in_the_list_of_subscriptions(as_cy, subscription, standard, cy, transport):
    services.subscribe(standard, transport, by=cy, use_case="more")
    assert as_cy.get("/subscriptions/?status=pending").text.count("/subscriptions/") >= 1
    assert "standard" in as_cy.get("/subscriptions/").text


def test_the_trial_plan_is_not_offered_to_subscribers(as_cy, digits, ada, transport):
    plan = make_plan(digits, ada, "trial-plan", trial=True)
    assert "trial-plan" not in as_cy.get("/store/digits/").text
    page = as_cy.get(f"/store/digits/subscribe/?plan={plan.pk}")
    assert page.status_code == 302


def test_the_store_is_a_table_for_who_wants_one_on_every_device(as_cy, live, cy):
    assert "capability-table" not in as_cy.get("/store/").text

    answer = as_cy.post("/store/-/look/", {"look": "table", "query": "q=digits&sort=name"})
    assert (answer.status_code, answer["Location"]) == (303, "/store/?q=digits&sort=name")
    elsewhere = Client()
    elsewhere.force_login(cy)
    page = elsewhere.get("/store/?sort=name")
    assert 'aria-sort="ascending"' in page.text
    assert "Reads handwritten digits" in page.text

    as_cy.post("/store/-/look/", {"look": "nonsense", "query": "next=//elsewhere"})
    assert as_cy.get("/api/v1/users/me/").json()["looks"] == {"store": "table"}
    as_cy.patch("/api/v1/users/me/", {"looks": {"store": "grid"}}, "application/json")
    assert "capability-table" not in elsewhere.get("/store/").text


@pytest.mark.parametrize("words", ["occupancy", "dBm", "小区负荷", "小区", "handover failed"])
def test_what_a_capability_takes_and_gives_is_found(as_cy, radio, ada, words):
    made = make_published_capability(radio, ada, "load", name="Forecast", summary="Looks ahead")
    assert "/store/load/" not in as_cy.get("/store/", {"q": words}).text
    spec = {"name": "cell_occupancy", "title": "小区负荷", "unit": "dBm", "datatype": "FP32", "shape": [-1]}
    gives = {"name": "why", "datatype": "BYTES", "shape": [-1], "labels": ["handover failed"]}
    Version.objects.filter(capability=made).update(signature={"inputs": [spec], "outputs": [gives]})
    index_words(made)
    assert "/store/load/" in as_cy.get("/store/", {"q": words}).text


def test_a_word_in_the_name_comes_before_one_in_the_card(radio, ada, cy):
    for slug, fields in {
        "named": {"name": "Pylon counter"},
        "carded": {"card": "It looks at a pylon."},
    }.items():
        made = make_published_capability(radio, ada, slug, **fields)
        index_words(made)
    asked = search.search_of({"q": "pylon"})
    found = search.find(cy, asked).order_by(*asked.order)
    assert [each.slug for each in found] == ["named", "carded"]
    assert found[0].relevance > found[1].relevance == 0


def test_similar_are_those_with_words_of_the_headline(digits, radio, ada, cy):
    make_published_capability(radio, ada, "near", name="Digits of meters")
    make_published_capability(radio, ada, "far", name="Churn", summary="Leaves", card="Nothing of digits.")
    assert [each.slug for each in search.similar_to(digits, cy)] == ["near"]


def test_global_search_names_a_capability_once_and_before_a_data_set(as_cy, digits, radio, ada):
    index_words(digits)
    make_dataset(radio, ada, "a-digit", name="A digit", visibility="organisation")
    found = as_cy.get("/search/?q=digit").text
    assert found.count('href="/store/digits/"') == 1
    assert "/catalog/digits/" not in found
    assert found.index("/store/digits/") < found.index("/datasets/a-digit/")
