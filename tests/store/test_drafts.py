"""The draft of a plan: changed and thrown away as long as nobody relies on it."""

import pytest
from django.test import Client
from django.utils.translation import override

from apps.core.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.core.models import AuditEntry
from apps.store import services
from apps.store.models import Plan
from tests.factories import make_plan


@pytest.fixture
def draft(digits, ada) -> Plan:
    return services.create_plan(digits, "gold", by=ada, limits={"per_day": 10}, description="For all")


@pytest.fixture
def as_ada(ada) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def test_what_is_left_out_stays(draft, ada):
    services.edit_plan(draft, by=ada, limits={"per_day": 20, "rate_per_s": 2}, approval="one")

    draft.refresh_from_db()
    assert (draft.name, draft.description) == ("gold", "For all")
    assert (draft.limits, draft.approval) == ({"per_day": 20, "rate_per_s": 2}, "one")
    entry = AuditEntry.objects.get(action="store.plan.edited")
    assert entry.facts["before"] == {"limits": {"per_day": 10}, "approval": "auto"}


def test_nothing_changed_leaves_no_trace(draft, ada):
    services.edit_plan(draft, by=ada, limits={"per_day": 10})
    assert not AuditEntry.objects.filter(action="store.plan.edited").exists()


def test_it_goes_for_good_and_its_name_is_free_again(draft, digits, ada):
    services.remove_plan(draft, by=ada)

    assert not Plan.objects.filter(name="gold").exists()
    assert AuditEntry.objects.get(action="store.plan.removed").facts["limits"] == {"per_day": 10}
    assert services.create_plan(digits, "gold", by=ada, limits={}).pk


def test_a_plan_that_somebody_published_meanwhile_does_not_change(draft, ada, ole):
    services.publish_plan(Plan.objects.get(pk=draft.pk), by=ole)

    with pytest.raises(Conflict, match="no draft any more"):
        services.edit_plan(draft, by=ada, limits={})
    with pytest.raises(Conflict, match="no draft any more"):
        services.remove_plan(draft, by=ada)
    draft.refresh_from_db()
    assert draft.limits == {"per_day": 10}


def test_a_draft_that_somebody_removed_meanwhile_cannot_be_published(draft, ada, ole):
    services.remove_plan(Plan.objects.get(pk=draft.pk), by=ole)
    with pytest.raises(NotFound, match="removed"):
        services.publish_plan(draft, by=ada)


def test_others_leave_it_alone(draft, cy):
    with pytest.raises(NotAllowed):
        services.edit_plan(draft, by=cy, limits={})
    with pytest.raises(NotAllowed):
        services.remove_plan(draft, by=cy)


def test_a_taken_name_is_said_and_the_draft_stays(draft, digits, ada):
    make_plan(digits, ada, "silver")
    with pytest.raises(Invalid) as refusal:
        services.edit_plan(draft, by=ada, name="silver")
    assert set(refusal.value.fields) == {"name"}
    assert Plan.objects.get(pk=draft.pk).name == "gold"


def test_the_page_shows_what_it_says_and_saves_it(draft, as_ada):
    place = f"/store/digits/plans/{draft.pk}/edit/"
    page = as_ada.get(place).text
    assert 'value="gold"' in page
    assert 'value="10"' in page
    wanted = {"name": "gold", "approval": "auto", "per_day": "30", "per_month": "300"}
    assert as_ada.post(place, wanted).status_code == 302
    draft.refresh_from_db()
    assert draft.limits == {"per_day": 30, "per_month": 300}

    as_ada.post(f"/store/digits/plans/{draft.pk}/remove/")
    assert "gold" not in as_ada.get("/store/digits/plans/").text


@pytest.mark.parametrize("path", ["", "{pk}/edit/"])
def test_a_wrong_limit_and_a_taken_name_are_told_at_their_fields(path, draft, digits, as_ada, ada):
    make_plan(digits, ada, "silver")
    place = "/store/digits/plans/" + path.format(pk=draft.pk)
    wrong = as_ada.post(place, {"name": "x", "approval": "auto", "per_day": "9", "per_month": "5"})
    assert wrong.status_code == 422
    assert wrong.context["form"].errors == {"per_day": ["9 is more than the 5 of “Calls per month”"]}
    taken = as_ada.post(place, {"name": "silver", "approval": "auto"})
    assert taken.status_code == 422
    assert set(taken.context["form"].errors) == {"name"}


def test_a_wrong_limit_is_told_in_the_readers_language(digits, ada, compiled_messages):
    with override("zh-hans"), pytest.raises(Invalid) as refusal:
        services.create_plan(digits, "x", by=ada, limits={"burst": 5})
    assert refusal.value.fields == {"limits": "burst: 需要同时设置“每秒调用数”"}


def test_by_program(draft, as_ada):
    place = f"/api/v1/plans/{draft.pk}/"
    told = as_ada.patch(place, {"limits": {"concurrent": 2}, "capability": "x"}, "application/json").json()
    assert (told["name"], told["capability"], told["limits"]) == ("gold", "digits", {"concurrent": 2})
    refusal = as_ada.patch(place, {"limits": {"per_week": 1}}, "application/json")
    assert (refusal.status_code, refusal.json()["fields"]["limits"][:9]) == (422, "per_week:")
    assert as_ada.delete(place).status_code == 204
    assert as_ada.get(place).status_code == 404


def test_the_providers_plans_are_paged(digits, ada, as_ada):
    for number in range(30):
        services.create_plan(digits, f"plan-{number:02}", by=ada, limits={})
    page = as_ada.get("/store/digits/plans/")
    assert (page.text.count("<strong>plan-"), "plan-04" in page.text) == (25, False)
    rest = as_ada.get(f"/store/digits/plans/?cursor={page.context['page'].next_cursor}")
    assert [plan.name for plan in rest.context["page"].items] == [f"plan-{n:02}" for n in range(4, -1, -1)]


@pytest.mark.django_db
@pytest.mark.parametrize("limits", [5, [], [[1]], "many"])
def test_limits_that_are_no_limits_are_refused(digits, ada, limits):
    with pytest.raises(Invalid):
        services.create_plan(digits, "x", by=ada, limits=limits)
