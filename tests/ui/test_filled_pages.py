"""Pages of catalog, operations and plans with something on them: axe narrow and dark, wide and light; no overflow.

Those of test_every_menu_page are looked at empty; here tables have rows, states differ and something has failed.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.utils import timezone

from apps.accounts.models import Membership, Role, Team, User
from apps.catalog.models import Capability, Version
from apps.catalog.services import set_parsing_rules
from apps.compute import adapters
from apps.compute.engines.fake import FakeEngine
from apps.instances.models import Deployment, Replica
from apps.instances.services import set_weights
from apps.store.models import Plan, Subscription
from apps.store.services import (
    create_plan,
    issue_key,
    name_successor,
    subscribe,
    suspend_subscription,
    withdraw_plan,
)
from tests.factories import (
    make_deployment,
    make_packaged_version,
    make_plan,
    make_published_capability,
    make_ready_deployment,
    make_usage,
    make_user,
    make_version,
)
from tests.ui.test_every_menu_page import problems

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SIGNATURE = {
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 8, 8]}],
    "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class"}],
}
CARD = "# Digits\n\n## Intended use\n\nReads one digit.\n\n| class | n |\n|---|---|\n| 0 | 178 |\n\n```\na = 1\n```\n"
LONG = "The longest reason that an engine gives: " + "no node has all of these labels, " * 8


@pytest.fixture(autouse=True)
def _outside(monkeypatch):
    """Nothing is started: what runs, waits or has failed are rows."""
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    adapters.use(FakeEngine())
    yield
    adapters.use(None)


@pytest.fixture
def eve(radio: Team, transport: Team, ada: User) -> User:
    """Somebody who holds every role but an administrator's, and so sees every button."""
    Membership.objects.create(user=ada, team=transport, role=Role.CONSUMER)
    make_user("fay", team=radio, role=Role.DEVELOPER)  # who may grant what is asked for
    for role in set(Role.values) - {Role.DEVELOPER, Role.ADMIN}:
        Membership.objects.create(user=ada, team=radio, role=role)
    return ada


@pytest.fixture
def digits(radio: Team, eve: User) -> Capability:
    """Published, with a card, a signature and rules; of its other versions one is packaged, one has failed."""
    made = make_published_capability(
        radio, eve, "digits", name="Digits", card=CARD, domain="vision", tags=["image"]
    )
    newer, failed = make_packaged_version(made, eve, "2.0.0"), make_version(made, eve, "3.0.0")
    Version.objects.filter(pk=failed.pk).update(
        status="failed", failure={"step": "load", "message": LONG, "advice": "Save it again."}
    )
    Version.objects.filter(capability=made, status="packaged").update(
        signature=SIGNATURE, parameters={"forest": {"trees": 80}}, packaged_at=timezone.now()
    )
    set_parsing_rules(newer, {"score": "max(outputs[0].data)"}, by=eve, note="for pulling")
    return made


def look(live_server, paths: list[str]) -> list[str]:
    return problems(live_server.url, paths, "ada", axe_both_ways=True)


def test_pages_of_the_catalog(live_server, digits):
    base = "/catalog/digits/"
    paths = ["/catalog/", base, f"{base}edit/", f"{base}upload/", f"{base}compose/"]
    paths += [f"{base}versions/{number}/" for number in ("2.0.0", "3.0.0")]
    paths += [f"{base}versions/2.0.0/parsing/", f"{base}compare/?show=all"]

    assert look(live_server, paths) == []


@dataclass
class Operated:
    ready: Deployment
    failed: Deployment


@pytest.fixture
def operated(digits: Capability, eve: User, signed: set[str]) -> Operated:
    """Two production deployments that share the traffic, one of them with a dead replica, and a failed test."""
    old, new = digits.versions.filter(status="packaged").order_by("pk")
    signed |= {old.digest, new.digest}
    first, second = make_ready_deployment(old, eve), make_ready_deployment(new, eve)
    set_weights(digits, {first.pk: 90, second.pk: 10}, by=eve)
    Replica.objects.create(
        deployment=first,
        generation=1,
        workload_id="runner-dead",
        socket="/nowhere/dead.sock",
        status=Replica.Status.FAILED,
        failure=LONG,
        failure_at=timezone.now(),
    )
    failed = make_deployment(new, eve, kind="test")
    Deployment.objects.filter(pk=failed.pk).update(status=Deployment.Status.FAILED, status_reason=LONG)
    return Operated(first, failed)


def test_pages_of_operations(live_server, digits, operated):
    version = operated.ready.version_id
    paths = ["/operations/", f"/operations/{operated.ready.pk}/", f"/operations/{operated.failed.pk}/"]
    paths += [f"/operations/deploy/{version}/", "/operations/traffic/digits/"]
    paths += [f"/operations/{operated.failed.pk}/test/"]

    assert look(live_server, paths) == []


@pytest.fixture
def subscribed(digits: Capability, radio: Team, eve: User, transport: Team) -> Subscription:
    """Plans in every state; one has subscribers, who hold a key that was used, wait, or are suspended."""
    free = make_plan(digits, eve, "free", limits={"per_day": 1000, "rate_per_s": 5}, description=LONG[:200])
    standard = make_plan(
        digits, eve, "standard", approval="one", limits={"per_month": 1_000_000}, valid_days=90
    )
    leaving = make_plan(digits, eve, "leaving", limits={"per_day": 10})
    create_plan(digits, "draft", by=eve, limits={"concurrent": 4})
    mine = subscribe(free, radio, by=eve)
    key, _secret = issue_key(mine, by=eve)
    make_usage(digits, grant_id=key.grant_id, hours_ago=2, latencies=(1.0, 2.0, 40.0))
    make_usage(digits, grant_id=key.grant_id, outcome="rate_limited", latencies=(0.2,))
    subscribe(standard, transport, by=eve, use_case="Read the meters of all stations.")
    subscribe(leaving, transport, by=eve)
    withdraw_plan(leaving, by=eve)
    name_successor(leaving, free, by=eve)
    suspend_subscription(subscribe(free, transport, by=eve), by=eve, reason="It calls far too often.")
    return mine


def test_pages_of_plans_and_subscriptions(live_server, digits, subscribed):
    assert set(Plan.objects.values_list("status", flat=True)) == set(Plan.Status.values)
    paths = ["/store/digits/plans/", "/store/digits/subscribe/", "/store/digits/usage/?span=week"]
    paths += ["/subscriptions/", f"/subscriptions/{subscribed.pk}/"]
    paths += [f"/subscriptions/{each.pk}/" for each in Subscription.objects.exclude(status="granted")]

    assert look(live_server, paths) == []
