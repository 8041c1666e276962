"""A copy of production calls for a version that nobody depends on yet."""

import pytest

from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.gateway.snapshot import picture
from apps.instances.selectors import shadow_of
from apps.instances.services import set_shadow, set_weights, stop_deployment
from tests.factories import make_capability, make_packaged_version, make_ready_deployment

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def without_a_worker(monkeypatch):
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)


@pytest.fixture
def digits(radio, ada):
    return make_capability(radio, ada, "digits")


@pytest.fixture
def candidate(digits, ada):
    return make_ready_deployment(make_packaged_version(digits, ada), ada, kind="test")


def test_an_operator_mirrors_calls_and_the_gateway_is_told(digits, candidate, ole):
    set_shadow(digits, candidate, 25, by=ole)

    told = picture()["capabilities"]["digits"]["shadow"]
    assert told == [{"deployment": str(candidate.pk), "version": candidate.version.number, "weight": 25}]
    assert AuditEntry.objects.filter(action="instances.shadow.set").count() == 1

    set_shadow(digits, None, by=ole)
    assert "shadow" not in picture()["capabilities"]["digits"]


def test_developers_may_not(digits, candidate, ada):
    with pytest.raises(NotAllowed):
        set_shadow(digits, candidate, by=ada)
    assert shadow_of(digits) is None


def test_what_cannot_be_a_shadow_is_refused(digits, candidate, radio, ada, ole):
    other = make_ready_deployment(make_packaged_version(make_capability(radio, ada), ada), ada, kind="test")
    with pytest.raises(Invalid, match="no deployment"):
        set_shadow(digits, other, by=ole)
    with pytest.raises(Invalid, match="1 to 100"):
        set_shadow(digits, candidate, 0, by=ole)


def test_what_answers_production_calls_is_no_shadow(digits, ada, ole, signed):
    version = make_packaged_version(digits, ada)
    serving = make_ready_deployment(version, ole)
    signed.add(version.digest)
    set_shadow(digits, serving, by=ole)

    set_weights(digits, {serving.pk: 100}, by=ole)

    assert shadow_of(digits) is None
    with pytest.raises(Conflict, match="answers production calls"):
        set_shadow(digits, serving, by=ole)


def test_a_shadow_ends_with_its_deployment(digits, candidate, ole):
    set_shadow(digits, candidate, by=ole)

    stop_deployment(candidate, by=ole)

    assert shadow_of(digits) is None


def test_the_page_sets_and_ends_the_mirror(client, digits, candidate, ole):
    make_ready_deployment(candidate.version, ole)
    client.force_login(ole)
    page = client.post(
        "/operations/traffic/digits/shadow/", {"deployment": candidate.pk, "percent": 30}, follow=True
    ).content.decode()
    assert "30 % of the production calls" in page

    page = client.post("/operations/traffic/digits/shadow/", {"percent": 100}, follow=True).content.decode()
    assert "No deployment gets a copy" in page
