"""A caller that is pinned stays with its version until the moment, whatever the shares say."""

import hashlib
import time

from apps.gateway.dataplane.routing import choose_route
from apps.gateway.dataplane.snapshot import Snapshot, dump
from tests.gateway.conftest import KEY, grant, picture


def version_of(pins, *, asked=None, **key):
    """The version that a call gets when all the traffic goes to 1.1.0."""
    told = picture(routes={"1.1.0": 100, "1.0.0": 0}, keys={KEY: grant(**key)}, pins=pins)
    told["capabilities"]["digits"]["routes"] = told["capabilities"]["digits"]["routes"][:1]
    snapshot = Snapshot.parse(dump(1, told))
    caller = snapshot.grant(hashlib.sha256(KEY.encode()).digest())
    return choose_route(snapshot, caller, snapshot.capability("digits"), asked, "somebody")[0].version


def test_the_pinned_caller_keeps_the_old_version_and_others_do_not():
    pins = {"pool-1": ["11", time.time() + 60]}

    assert version_of(pins) == "1.0.0"
    assert version_of(pins, pool="pool-2") == "1.1.0"
    assert version_of(pins, scope="deployment:10") == "1.1.0"


def test_a_pin_ends_by_the_clock_and_with_its_deployment():
    assert version_of({"pool-1": ["11", time.time() - 1]}) == "1.1.0"
    assert version_of({"pool-1": ["99", time.time() + 60]}) == "1.1.0"


def test_who_is_pinned_may_name_either_version():
    pins = {"pool-1": ["11", time.time() + 60]}

    assert version_of(pins, asked="1.0.0") == "1.0.0"
    assert version_of(pins, asked="1.1.0") == "1.1.0"
