"""The picture of keys and routes is large, and swapped as a whole."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time

import pytest

from apps.gateway.dataplane.problems import Refused
from apps.gateway.dataplane.routing import by_weight, choose_replica, point_of
from apps.gateway.dataplane.snapshot import (
    BadSnapshot,
    Capability,
    Deployment,
    Grant,
    Route,
    Snapshot,
    changes,
    dump,
    forget_changes,
    keep,
    keep_changes,
)
from apps.gateway.dataplane.upstream import Pool
from tests.gateway.conftest import ROOT, grant, picture


def large() -> bytes:
    """100,000 keys and 10,000 routes."""
    shot = picture()
    limits = {"rate_per_s": 10, "burst": 20, "per_day": 5000, "per_month": 100000, "concurrent": 4}
    shot["keys"] = {
        hashlib.sha256(str(n).encode()).hexdigest(): grant(grant=n, pool=f"subscription:{n}", limits=limits)
        for n in range(100_000)
    }
    for n in range(5_000):
        shot["capabilities"][f"capability-{n}"] = {
            "id": n,
            "routes": [
                {"deployment": str(100 + 2 * n + k), "version": f"{k}.0.0", "weight": 50} for k in (0, 1)
            ],
        }
        for k in (0, 1):
            shot["deployments"][str(100 + 2 * n + k)] = {
                "capability": f"capability-{n}", "version": f"{k}.0.0", "digest": "", "kind": "production",
                "replicas": [{"id": 1, "socket": f"/run/{n}-{k}.sock"}],
            }  # fmt: skip
    return dump(1, shot)


MEASURE = """
import sys, time, resource
from pathlib import Path
from apps.gateway.dataplane import process
from apps.gateway.dataplane.snapshot import Snapshot
from apps.gateway.dataplane.metrics import memory_bytes
began = time.process_time()
snapshot = Snapshot.load(Path(sys.argv[1]))
print(time.process_time() - began, memory_bytes() / 1e6, snapshot.counts()["deployments"], snapshot.counts()["keys"])
"""


def test_a_hundred_thousand_keys_load_in_two_seconds_and_stay_below_120_mb(tmp_path):
    path = tmp_path / "snapshot.json"
    path.write_bytes(large())
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    seconds, megabytes, deployments, keys = map(float, done.stdout.split())

    assert (deployments, keys) == (10_001, 100_000)
    assert seconds < 2
    assert megabytes < 120


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"atrium-snapshot/1 3\nkeys",
        b"atrium-snapshot/1 x\n",
        b"atrium-snapshot/1 1\nkeys zz {}\n",
        b"atrium-snapshot/1 1\nkeys 00 {\n",
    ],
)
def test_what_is_no_snapshot_is_refused(text):
    with pytest.raises(BadSnapshot):
        Snapshot.parse(text)


def test_weights_hold_over_many_callers_and_only_those_on_the_boundary_move():
    callers = [point_of(f"caller-{n}", "salt") for n in range(20_000)]
    before = [by_weight([Route("1", "a", 90), Route("2", "b", 10)], point) for point in callers]
    after = [by_weight([Route("1", "a", 80), Route("2", "b", 20)], point) for point in callers]

    share = sum(route.version == "b" for route in before) / len(callers)
    assert abs(share - 0.10) < 0.01
    moved = [(x.version, y.version) for x, y in zip(before, after, strict=True) if x.version != y.version]
    assert set(moved) == {("a", "b")}
    assert abs(len(moved) / len(callers) - 0.10) < 0.01


def test_callers_of_a_site_have_the_shares_of_their_site():
    told = {
        "routes": [{"deployment": "1", "version": "a", "weight": 100}, {"deployment": "2", "version": "b"}],
        "sites": {"guangdong": [50, 50]},
    }
    capability = Capability.parse("c", told)
    points = [point_of(f"caller-{n}", "salt") for n in range(2000)]

    def share(site):
        return sum(by_weight(capability.routes_at(site), point).version == "b" for point in points) / 2000

    assert (share("centre"), share("")) == (0, 0)
    assert abs(share("guangdong") - 0.5) < 0.05


def test_the_least_busy_replica_that_is_up_is_chosen_and_a_full_one_is_refused():
    pool, deployment = Pool(), Deployment("1", "c", "1", "production", "", ("a", "b", "c"), {})
    pool.replica("a").in_flight = 2
    pool.replica("b").in_flight = 1
    pool.replica("c").down_until = time.monotonic() + 60

    assert choose_replica(pool, deployment, 10).address == "b"
    pool.replica("b").in_flight = 10
    assert choose_replica(pool, deployment, 10).address == "a"
    pool.replica("a").in_flight = 10
    with pytest.raises(Refused, match="busy"):
        choose_replica(pool, deployment, 10)


def digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def test_changes_lead_from_one_revision_to_the_next():
    shot = picture(keys={"a": grant(), "b": grant(grant=2)})
    first = Snapshot.parse(dump(5, shot))
    assert first.grant(digest("a")).status == "active"
    lines = {
        b"keys " + digest("a").hex().encode(): b"-",
        b"keys " + digest("c").hex().encode(): b'{"grant":3,"pool":"p","capability":"digits"}',
        b"capabilities other": b'{"id":9}',
    }

    second = first.after(changes(5, 8, lines))

    assert (first.grant(digest("a")).id, second.grant(digest("a"))) == (1, None)
    assert (second.grant(digest("b")).id, second.grant(digest("c")).id) == (2, 3)
    assert (second.capability("other").id, second.capability("digits").id) == (9, 7)
    assert second.counts() == {"revision": 8, "keys": 2, "capabilities": 2, "deployments": 1}
    again = Snapshot.parse(second.text())
    assert again.counts() == second.counts()
    assert again.grant(digest("c")).id == 3


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"atrium-changes/1 4 8\n",
        b"atrium-changes/1 5 8\nkeys zz {}\n",
        b"atrium-changes/1 5 8\ncapabilities x {\n",
        b"atrium-changes/1 5 8\nkeys",
    ],
)
def test_changes_of_another_revision_or_cut_ones_are_refused(text):
    first = Snapshot.parse(dump(5, picture()))
    with pytest.raises(BadSnapshot):
        first.after(text)
    assert first.revision == 5


def test_kept_changes_are_found_at_the_next_start(tmp_path):
    path = tmp_path / "snapshot"
    keep(path, dump(5, picture()))
    for before, after, number in ((5, 6, 60), (6, 9, 90), (5, 9, 91), (3, 12, 0)):
        keep_changes(path, changes(before, after, {b"capabilities other": b'{"id":%d}' % number}))

    found = Snapshot.load(path)

    assert (found.revision, found.capability("other").id) == (9, 91)
    forget_changes(path, 9)
    assert [each.name for each in (tmp_path / "changes").glob("*-*")] == ["3-12"]


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.0.0.1", False),
        ("::1", False),
        ("fd00::7", True),
        ("", True),
    ],
)
def test_a_key_bound_to_addresses_admits_those_in_either_spelling(address, admitted):
    bound = Grant.parse(grant(addresses=["10.0.0.0/8", "fd00::/8"]))
    assert bound.admits(address) is admitted
