"""A version goes only when nothing runs it and nobody has called it for a chosen time."""

import pytest
from django.test import Client

from apps.catalog.services import retire_version
from apps.core.errors import Conflict, Invalid
from apps.core.models import AuditEntry
from apps.instances.models import Deployment
from apps.instances.services import set_weights
from apps.store import services
from tests.factories import make_packaged_version, make_ready_deployment, make_usage


@pytest.fixture
def old(digits, ada, signed):
    """1.1.0 of `digits`, which nothing runs."""
    version = make_packaged_version(digits, ada, "1.1.0")
    signed.add(version.digest)
    return version


@pytest.fixture
def as_ada(ada) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def test_production_traffic_holds_it(old, digits, ole):
    deployment = make_ready_deployment(old, ole)
    set_weights(digits, {deployment.pk: 100}, by=ole)

    with pytest.raises(Conflict, match=f"#{deployment.pk} takes 100 % of the production traffic") as refusal:
        retire_version(old, by=ole)
    assert refusal.value.facts["uses"][0]["url"] == f"/operations/{deployment.pk}/"
    old.refresh_from_db()
    assert old.status == "packaged"
    assert not AuditEntry.objects.filter(action="catalog.version.retired").exists()


def test_a_deployment_without_traffic_holds_it_until_it_is_stopped(old, ada):
    deployment = make_ready_deployment(old, ada, kind="test")

    with pytest.raises(Conflict, match=f"deployment #{deployment.pk} runs it"):
        retire_version(old, by=ada)
    Deployment.objects.filter(pk=deployment.pk).update(status="stopped")
    assert retire_version(old, by=ada).status == "retired"


def test_a_team_that_called_it_holds_it_for_the_chosen_days(old, digits, ada, cy, subscription):
    key, _secret = services.issue_key(subscription, by=cy)
    make_usage(digits, hours_ago=60, grant_id=key.grant_id, version=old.number)

    with pytest.raises(Conflict, match=r"Transport called it 2 times.* 7 days after") as refusal:
        retire_version(old, by=ada)
    assert refusal.value.facts["uses"][0]["url"] == "/store/digits/usage/?span=month"
    assert retire_version(old, by=ada, quiet_days=1).status == "retired"


def test_calls_of_another_version_and_of_builders_tests_hold_nothing(old, digits, ada, cy, subscription):
    key, _secret = services.issue_key(subscription, by=cy)
    make_usage(digits, grant_id=key.grant_id, version="1.0.0")
    tested = make_ready_deployment(old, ada, kind="test")
    grant, _secret = services.trial_grant(ada, digits, tested)
    make_usage(digits, grant_id=grant.pk, version=old.number)
    Deployment.objects.filter(pk=tested.pk).update(status="stopped")

    assert retire_version(old, by=ada).status == "retired"


@pytest.mark.parametrize("days", [0, 91, -1])
def test_the_time_is_one_to_ninety_days(old, ada, days):
    with pytest.raises(Invalid):
        retire_version(old, by=ada, quiet_days=days)


def test_the_page_names_the_uses_in_place_of_the_button(old, ada, as_ada):
    place = f"/catalog/digits/versions/{old.number}/"
    assert "Retire this version?" in as_ada.get(place).text
    deployment = make_ready_deployment(old, ada, kind="test")

    page = as_ada.get(place).text
    assert "Retire this version?" not in page
    assert f'<a href="/operations/{deployment.pk}/">deployment #{deployment.pk} runs it</a>' in page


def test_a_script_chooses_the_days_and_is_told_who_calls(old, digits, cy, subscription, as_ada):
    key, _secret = services.issue_key(subscription, by=cy)
    make_usage(digits, hours_ago=60, grant_id=key.grant_id, version=old.number)
    place = f"/api/v1/versions/{old.pk}/retire/"

    refusal = as_ada.post(place, content_type="application/json")
    assert refusal.status_code == 409
    assert [use["words"] for use in refusal.json()["uses"]] == ["Transport called it 2 times"]
    assert as_ada.post(place, {"quiet_days": 0}, content_type="application/json").status_code == 422
    assert (
        as_ada.post(place, {"quiet_days": 1}, content_type="application/json").json()["status"] == "retired"
    )
