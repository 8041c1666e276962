"""The demand board, and what an owner's capability still lacks."""

import pytest
from django.test import Client

from apps.accounts.models import Role
from apps.catalog.models import Version
from apps.catalog.services import edit_capability
from apps.core.errors import IllegalMove, Invalid, NotAllowed
from apps.requests.models import Notification
from apps.store import services, standing
from apps.store.checklist import checklist_of
from apps.store.models import Demand
from tests.factories import make_capability, make_packaged_version, make_report, make_team, make_user

CARD = "---\nlicense: mit\n---\n" + "".join(
    f"## {title}\n{title} in a few words.\n"
    for title in ("What it does", "Intended use", "Data", "Quality", "Limits", "Contact")
)


@pytest.fixture
def demand(cy) -> Demand:
    return services.post_demand("Meter reading", "Numbers of gas meters from photos", by=cy)


@pytest.fixture
def eve():
    return make_user("eve", team=make_team("Other"), role=Role.CONSUMER)


def titles(user) -> list[str]:
    return list(Notification.objects.filter(user=user).order_by("pk").values_list("title", flat=True))


def test_a_team_takes_it_answers_it_and_everybody_who_needs_it_hears(demand, eve, radio, ada, cy, digits):
    services.add_need(demand, "Water meters too", by=eve)
    services.add_need(demand, "Water and gas", by=eve)
    services.take_demand(demand, radio, by=ada)
    services.answer_demand(demand, digits, by=ada)

    assert demand.status == "answered"
    assert demand.version == digits.versions.get()
    for user in (cy, eve):
        assert titles(user) == ["Radio builds “Meter reading”", "“Meter reading”: Digits answers it"]
    assert demand.needs.get().text == "Water and gas"


def test_two_teams_cannot_take_the_same(demand, radio, ada):
    services.take_demand(demand, radio, by=ada)
    with pytest.raises(IllegalMove):
        services.take_demand(Demand.objects.get(pk=demand.pk), radio, by=ada)
    services.give_back(demand, by=ada)
    services.take_demand(demand, radio, by=ada)


def test_who_does_not_develop_takes_nothing(demand, transport, cy, radio):
    for team in (transport, radio):
        with pytest.raises(NotAllowed):
            services.take_demand(demand, team, by=cy)


def test_what_the_asker_cannot_see_is_no_answer(demand, radio, ada):
    hidden = make_capability(radio, ada, "hidden")
    with pytest.raises(Invalid, match="Publish it first"):
        services.answer_demand(demand, hidden, by=ada)


def test_only_its_author_withdraws_it_and_the_team_hears(demand, radio, ada, cy, eve):
    services.take_demand(demand, radio, by=ada)
    with pytest.raises(NotAllowed):
        services.withdraw_demand(demand, by=eve)
    services.withdraw_demand(demand, by=cy)
    assert "“Meter reading” is no longer wanted" in titles(ada)
    with pytest.raises(Invalid, match="closed"):
        services.add_need(demand, "", by=eve)


def test_page_and_api_do_the_same(cy, ada, eve, radio, digits):
    client = Client()
    client.force_login(cy)
    assert client.post("/demands/", {"title": "", "need": ""}).status_code == 422
    client.post("/demands/", {"title": "Cracks", "need": "In blades"})
    made = client.post("/api/v1/demands/", {"title": "Noise", "need": "Of fans"}, "application/json").json()
    client.force_login(eve)
    client.post(f"/demands/{made['id']}/need/", {"text": "Pumps"})
    assert client.get(f"/api/v1/demands/{made['id']}/").json()["others"] == 1
    client.force_login(ada)
    assert "Cracks" in client.get("/demands/").text
    url = f"/api/v1/demands/{made['id']}/act/"
    assert client.post(url, {"verb": "take", "team": "transport"}, "application/json").status_code == 422
    assert (
        client.post(url, {"verb": "take", "team": radio.slug}, "application/json").json()["status"] == "taken"
    )
    client.post(f"/demands/{made['id']}/answer/", {"capability": "digits"})
    page = client.get(f"/demands/{made['id']}/").text
    assert "answers it" in page
    assert "/store/digits/" in page
    assert client.post(f"/demands/{made['id']}/fly/").status_code == 404


def lacking(capability) -> set[str]:
    standing.refresh([capability.pk])
    capability.refresh_from_db()
    items = checklist_of(capability, capability.versions.get(), capability.standing)
    return {item.name for item in items if not item.done}


def test_the_checklist_names_what_is_missing_until_nothing_is(digits, ada, free):
    assert {"card", "licence", "cases", "example", "contact", "evaluated", "signed"} == lacking(digits)
    edit_capability(digits, by=ada, card=CARD)
    signature = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 8, 8], "kind": "image"}],
        "outputs": [],
    }
    Version.objects.update(cases_count=3, signature=signature)
    make_report(digits.versions.get(), ada)
    ada.email = "ada@example.org"
    ada.save()
    assert lacking(digits) == {"signed"}


def test_three_headings_are_no_card_and_what_is_unsaid_is_named(digits, ada):
    edit_capability(
        digits, by=ada, card="# A\n" + "words " * 80 + "\n## B\nx\n## Limits\nRain is not covered.\n"
    )
    [card] = [item for item in checklist_of(digits, None, None) if item.name == "card"]

    assert not card.done
    assert card.advice == (
        "It says nothing yet about: What it does, Intended use, Training data, Quality, Contact."
    )


def test_the_capability_and_its_versions_lead_on(digits, ada, cy):
    make_packaged_version(digits, ada, "2.0.0")
    client = Client()
    client.force_login(ada)
    assert 'href="/store/digits/plans/"' in client.get("/catalog/digits/").text
    assert 'href="/catalog/digits/compare/"' in client.get("/store/digits/versions/").text
    client.force_login(cy)
    assert "/catalog/digits/compare/" not in client.get("/store/digits/versions/").text


def test_the_owner_sees_it_and_others_do_not(digits, ada, cy):
    client = Client()
    client.force_login(ada)
    assert "Ready for others?" in client.get("/store/digits/plans/").text
    assert client.get("/api/v1/store/digits/checklist/").json()["ready"] is False
    client.force_login(cy)
    assert client.get("/api/v1/store/digits/checklist/").status_code == 403
