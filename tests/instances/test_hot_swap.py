"""A new version takes over from the old one while calls run: loaded, its cases run, switched to, the old one drained.

Real runners of the real engine behind a real gateway that follows the portal; no call is lost.
"""

from __future__ import annotations

import time

import pytest
from django.conf import settings

from apps.catalog.models import Version
from apps.compute import adapters, environments
from apps.core import manifests
from apps.core.errors import Conflict
from apps.gateway.services import create_grant
from apps.instances import reconcile
from apps.instances.models import Deployment, Replica
from apps.instances.services import deploy_version, restart_deployment, set_weights, stop_deployment
from tests.factories import make_capability, make_version, put_files
from tests.gateway.conftest import KEY, folder, gateway  # noqa: F401 - fixtures
from tests.gateway.test_faults import Callers
from tests.gateway.test_feed import live  # noqa: F401 - a fixture
from tests.sdk.conftest import write_package

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]

SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "sum", "datatype": "FP64", "shape": [-1]}],
}
CODE = "def predict(inputs):\n    return {'sum': inputs['x'].sum(axis=1)}\n"


def case(answer: float) -> dict[str, object]:
    asked = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
    told = {"name": "sum", "datatype": "FP64", "shape": [1], "data": [answer]}
    return {"name": "one to four", "inputs": [asked], "expected": [told]}


@pytest.fixture
def world(monkeypatch, tmp_path, radio, ada, ole, signed):
    """`make(number, answer)` is a signed version whose case expects that answer; `until` turns the reconciler."""
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    environments.build("base")
    engine = adapters.engine()
    digits = make_capability(radio, ada, "digits")

    def make(number: str, answer: float = 10.0) -> Version:
        where = write_package(tmp_path / number, CODE, SIGNATURE, version=number, cases=[case(answer)])
        files = {str(p.relative_to(where)): p.read_bytes() for p in where.rglob("*") if p.is_file()}
        manifest = manifests.build(put_files(files))
        facts = {"manifest": manifest, "digest": manifests.digest(manifest), "signature": SIGNATURE}
        version = make_version(digits, ada, number)
        Version.objects.filter(pk=version.pk).update(
            status="packaged", framework="python", runtime="python", **facts
        )
        version.refresh_from_db()
        signed.add(version.digest)
        return version

    yield digits, make
    for observed in engine.list():
        engine.remove(observed.id)


def until(found, seconds: float = 60.0):
    """The first true answer while the reconciler turns, as its task turns it in the portal."""
    end = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < end, list(Replica.objects.values("status", "reason"))
        reconcile.reconcile()
        time.sleep(0.2)
    return answer


def ready(deployment: Deployment) -> bool:
    return Replica.objects.filter(deployment=deployment, status="ready").exists()


def test_a_new_version_takes_over_under_load_and_no_call_is_lost(world, live, gateway, ole):  # noqa: F811
    digits, make = world
    first = deploy_version(make("1.0.0"), kind="production", by=ole)
    second, broken = make("2.0.0"), make("3.0.0", answer=11.0)
    until(lambda: ready(first))
    set_weights(digits, {first.pk: 100}, by=ole)
    create_grant(kind="trial", capability=digits, user=ole, by=ole, secret=KEY)
    serving = gateway(live_url=live, token=settings.ATRIUM.gateway_token, processes=2)
    until(lambda: serving.infer().status == 200)

    with Callers(serving, 4) as callers:
        wrong = deploy_version(broken, kind="production", by=ole)
        new = deploy_version(second, kind="production", by=ole)
        until(lambda: ready(new))
        until(lambda: "shipped cases fail" in "".join(wrong.replica_set.values_list("reason", flat=True)))
        with pytest.raises(Conflict):
            set_weights(digits, {wrong.pk: 100}, by=ole)
        set_weights(digits, {new.pk: 100}, by=ole)
        until(lambda: serving.infer().getheader("Atrium-Version") == "2.0.0")
        stop_deployment(first, by=ole)
        until(lambda: not first.replica_set.exists())
        old = new.replica_set.get().workload_id
        restart_deployment(new, by=ole)
        until(lambda: ready(new) and not new.replica_set.filter(workload_id=old).exists())
        enough = len(callers.statuses) + 20
        until(lambda: len(callers.statuses) > enough)

    assert (set(callers.statuses), callers.cut) == ({200}, 0)
    facts = sorted((record.facts for record in serving.records()), key=lambda each: each["at"])
    assert {each["version"] for each in facts} == {"1.0.0", "2.0.0"}
    assert {each["version"] for each in facts[-20:]} == {"2.0.0"}
    assert set(callers.acknowledged) <= {each["id"] for each in facts}
