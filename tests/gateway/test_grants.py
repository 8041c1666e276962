"""Keys: made once, shown once, ended at once; and what of them the data plane is told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.core import secrets
from apps.core.errors import Conflict, IllegalMove, Invalid
from apps.core.models import AuditEntry
from apps.gateway.dataplane.snapshot import Snapshot, dump
from apps.gateway.models import Grant
from apps.gateway.services import (
    change_limits,
    create_grant,
    record_outcome,
    resume_grant,
    revoke_grant,
    rotate_grant,
    suspend_grant,
)
from apps.gateway.snapshot import picture
from tests.factories import make_capability, make_packaged_version, make_ready_deployment


@pytest.fixture
def digits(radio, ada):
    return make_capability(radio, ada, "digits")


@pytest.fixture
def key(digits, radio, ada):
    return create_grant(
        kind="subscription", capability=digits, team=radio, limits={"per_day": 5}, pool="sub:1", by=ada
    )


def told(secret: str):
    """What the data plane makes of the present picture for one key."""
    return Snapshot.parse(dump(1, picture())).grant(bytes.fromhex(secrets.digest(secret)))


def test_only_the_digest_of_a_key_is_kept_and_the_data_plane_knows_it(key):
    grant, secret = key

    assert secret.startswith("atk_")
    assert grant.key_hash == secrets.digest(secret)
    assert secret not in str(Grant.objects.values().get())
    assert AuditEntry.objects.filter(action="gateway.grant.created").exists()
    seen = told(secret)
    assert (seen.id, seen.pool, seen.capability, seen.limits.per_day) == (grant.pk, "sub:1", "digits", 5)


def test_suspend_resume_revoke_reach_the_data_plane(key, ada):
    grant, secret = key

    assert told(suspend_grant(grant, by=ada) and secret).status == "suspended"
    resume_grant(grant, by=ada)
    assert told(secret).status == "active"
    revoke_grant(grant, by=ada)
    assert told(secret) is None
    with pytest.raises(IllegalMove):
        resume_grant(grant, by=ada)


def test_rotation_makes_a_successor_in_the_same_pool_and_the_old_key_ends_later(key, ada):
    grant, secret = key

    successor, fresh = rotate_grant(grant, by=ada, overlap=timedelta(hours=1))

    assert fresh != secret
    assert successor.pool == grant.pool
    assert told(fresh).limits == told(secret).limits
    assert told(secret).expires < (timezone.now() + timedelta(hours=2)).timestamp()
    revoke_grant(Grant.objects.get(pk=grant.pk), by=ada)
    with pytest.raises(Conflict):
        rotate_grant(grant, by=ada)


def test_new_limits_of_a_pool_reach_all_its_keys(key, ada):
    _, secret = key
    assert change_limits("sub:1", {"per_day": 9}, by=ada) == 1
    assert told(secret).limits.per_day == 9


def test_a_scope_names_a_deployment_of_the_same_capability(digits, radio, ada):
    other = make_capability(radio, ada, "other")
    deployment = make_ready_deployment(make_packaged_version(other, ada), ada, kind="test")
    for scope in (f"deployment:{deployment.pk}", "deployment:x", "everything"):
        with pytest.raises(Invalid):
            create_grant(kind="test", capability=digits, scope=scope, by=ada)

    _, secret = create_grant(kind="test", capability=other, scope=f"deployment:{deployment.pk}", by=ada)
    assert told(secret).deployment == str(deployment.pk)


def test_an_address_that_is_none_is_refused(digits, ada):
    with pytest.raises(Invalid, match=r"10\.0\.0\.300"):
        create_grant(kind="test", capability=digits, addresses=["10.0.0.300"], by=ada)


def test_ready_replicas_and_weights_are_in_the_picture(digits, ada, django_assert_max_num_queries):
    version = make_packaged_version(digits, ada)
    deployment = make_ready_deployment(version, ada, kind="test")
    with django_assert_max_num_queries(9):
        seen = picture()
    assert seen["deployments"][str(deployment.pk)]["replicas"][0]["socket"].endswith(f"{deployment.pk}.sock")
    assert seen["capabilities"]["digits"]["routes"] == []


def test_a_later_label_replaces_the_one_before(ada):
    request_id = "01a20537-4c0f-790e-8857-92b133d8c175"
    record_outcome(request_id, kind="label", expected=3, by=ada)
    second = record_outcome(request_id, kind="label", expected=4, by=ada)
    assert second.expected == 4
    assert type(second).objects.count() == 1
