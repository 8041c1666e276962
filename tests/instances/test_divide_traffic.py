"""Production traffic passes one guard, which fails closed."""

import pytest

from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.instances import guard, routes
from apps.instances.guard import may_take_production_traffic
from apps.instances.models import TrafficWeight
from apps.instances.selectors import production_versions, weights_of
from apps.instances.services import (
    deploy_version,
    set_weights,
    stop_deployment,
)
from tests.factories import make_capability, make_packaged_version, make_ready_deployment, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def digits(radio, ada):
    return make_capability(radio, ada, "digits")


@pytest.fixture
def version(digits, ada):
    return make_packaged_version(digits, ada)


@pytest.fixture
def running(version, ole):
    return make_ready_deployment(version, ole)


def test_without_any_check_nothing_passes(version, monkeypatch):
    monkeypatch.setattr(guard, "_checks", {})

    assert not may_take_production_traffic(version)


def test_unsigned_bytes_get_no_traffic_and_the_reason_is_told(digits, running, ole, signed):
    with pytest.raises(NotAllowed, match="nobody has signed"):
        set_weights(digits, {running.pk: 100}, by=ole)

    assert weights_of(digits) == {}


def test_signed_bytes_may_take_traffic(digits, version, running, ole, signed):
    signed.add(version.digest)

    set_weights(digits, {running.pk: 100}, by=ole)

    assert weights_of(digits) == {running.pk: 100}
    assert production_versions(digits) == [version]


def test_a_signature_on_other_bytes_does_not_count(version, signed):
    signed.add("0" * 64)

    assert not may_take_production_traffic(version)


def test_developers_do_not_divide(digits, version, running, ada, signed):
    signed.add(version.digest)
    with pytest.raises(NotAllowed):
        set_weights(digits, {running.pk: 100}, by=ada)


def test_a_test_deployment_never_takes_production_traffic(digits, version, ole, signed):
    signed.add(version.digest)
    test = make_ready_deployment(version, ole, kind="test")

    with pytest.raises(Conflict, match="test deployment"):
        set_weights(digits, {test.pk: 100}, by=ole)


def test_a_deployment_that_does_not_answer_gets_no_traffic(digits, version, ole, signed):
    signed.add(version.digest)
    cold = deploy_version(version, kind="production", by=ole)

    with pytest.raises(Conflict, match="pending"):
        set_weights(digits, {cold.pk: 100}, by=ole)


@pytest.mark.parametrize("weight", [50, 101, -1, True])
def test_impossible_shares_are_refused(digits, version, running, ole, weight, signed):
    signed.add(version.digest)

    with pytest.raises(Invalid):
        set_weights(digits, {running.pk: weight}, by=ole)


def test_the_salt_stays_when_shares_change(digits, ada, ole, version, running, signed):
    other = make_packaged_version(digits, ada)
    second = make_ready_deployment(other, ole)
    for each in (version, other):
        signed.add(each.digest)
    set_weights(digits, {running.pk: 100}, by=ole)
    salt = TrafficWeight.objects.get().salt

    set_weights(digits, {running.pk: 90, second.pk: 10}, by=ole)
    set_weights(digits, {second.pk: 100}, by=ole)

    assert TrafficWeight.objects.get().salt == salt


def test_a_deployment_under_traffic_is_not_stopped(digits, version, running, ole, signed):
    signed.add(version.digest)
    set_weights(digits, {running.pk: 100}, by=ole)

    with pytest.raises(Conflict, match="100 %"):
        stop_deployment(running, by=ole)

    set_weights(digits, {}, by=ole)
    assert stop_deployment(running, by=ole).status == "stopping"


def test_only_packaged_versions_are_deployed(digits, ada):
    draft = make_version(digits, ada)

    with pytest.raises(NotAllowed, match="Only a packaged version"):
        deploy_version(draft, kind="test", by=ada)


def test_production_is_for_operators_and_outsiders_get_nothing(version, ada, cy):
    with pytest.raises(NotAllowed):
        deploy_version(version, kind="production", by=ada)
    with pytest.raises(NotAllowed):
        deploy_version(version, kind="test", by=cy)


def test_the_data_plane_hears_of_changes_inside_the_transaction(version, running, ole, monkeypatch):
    heard = []
    monkeypatch.setattr(routes, "_callbacks", [lambda *_: heard.append(1)])

    stop_deployment(running, by=ole)

    assert heard
