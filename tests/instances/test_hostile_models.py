"""A model that hangs, leaks, crashes or prints megabytes hurts its own replica alone, and the page says so."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time

import pytest

from apps.catalog.models import Version
from apps.compute import adapters, environments
from apps.core import manifests
from apps.instances import reconcile
from apps.instances.models import Deployment, Replica
from apps.instances.selectors import ready_replicas
from apps.instances.services import deploy_version
from tests.factories import make_capability, make_version, put_files
from tests.sdk.conftest import Base, package

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]

MODEL = """
import os, time

def predict(inputs):
    what = inputs["what"][0].decode() if hasattr(inputs["what"][0], "decode") else str(inputs["what"][0])
    if what == "hang":
        time.sleep(600)
    if what == "crash":
        os.abort()
    if what == "leak":
        kept = []
        while True:
            kept.append(bytearray(os.urandom(1 << 20) * 16))
    if what == "print":
        for _ in range(20):
            print("x" * (1 << 20))
    return {"said": inputs["what"]}
"""
TENSOR = {"datatype": "BYTES", "shape": [-1]}


@pytest.fixture
def engine(monkeypatch):
    """The engine that the portal would use, below the tests' data folder."""
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    engine = adapters.engine()
    yield engine
    for observed in engine.list():
        engine.remove(observed.id)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    """The package of a model that does what its input says."""
    source = tmp_path_factory.mktemp("source") / "hostile"
    source.mkdir()
    (source / "model.py").write_text(MODEL)
    signature = {"inputs": [{"name": "what", **TENSOR}], "outputs": [{"name": "said", **TENSOR}]}
    (source / "signature.json").write_text(json.dumps(signature))
    one = {"datatype": "BYTES", "shape": [1], "data": ["hello"]}
    case = {"name": "one", "inputs": [{"name": "what", **one}], "expected": [{"name": "said", **one}]}
    (source / "cases.json").write_text(json.dumps([case]))
    base = Base(environments.build("base") / "bin" / "python")
    packaged = package(base, source, tmp_path_factory.mktemp("job"), batching={"hang_s": 1})
    assert packaged.code == 0, packaged.log
    folder = packaged.folder
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def deployment(radio, ada, engine, files) -> Deployment:
    """Two replicas of it."""
    manifest = manifests.build(put_files(files))
    version = make_version(make_capability(radio, ada, "hostile"), ada)
    facts = {"status": "packaged", "manifest": manifest, "digest": manifests.digest(manifest)}
    Version.objects.filter(pk=version.pk).update(**facts, framework="python", runtime="python")
    version.refresh_from_db()
    return deploy_version(version, kind="test", by=ada, replicas=2, resources={"memory_mb": 400})


def ask(path: str, what: str, timeout: float = 30) -> int:
    """The status of a call on one replica; 0 when it broke off."""
    connection = http.client.HTTPConnection("runner", timeout=timeout)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(timeout)
        connection.sock.connect(path)
        body = json.dumps({"inputs": [{"name": "what", "shape": [1], "datatype": "BYTES", "data": [what]}]})
        connection.request("POST", "/v2/models/hostile/infer", body)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def until(found, seconds: float = 90.0):
    """The first true answer while the reconciler turns."""
    end = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < end, list(Replica.objects.values("status", "reason", "failure"))
        reconcile.reconcile()
        time.sleep(0.3)
    return answer


def both_ready():
    found = list(ready_replicas())
    return found if len(found) == 2 else None


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("crash", "signal 6"),
        ("leak", "memory"),
        ("hang", "has been at one call for"),
        ("print", None),
    ],
)
def test_what_one_replica_suffers_the_other_does_not_and_the_page_says_it(
    deployment, client, ada, monkeypatch, what, says
):
    monkeypatch.setattr(reconcile, "REPLACE_AFTER", 6)
    victim, other = until(both_ready)
    calling = threading.Thread(target=ask, args=(victim.socket, what))
    calling.start()
    client.force_login(ada)
    if says is None:
        calling.join(30)
        assert ask(victim.socket, "hello") == 200
        page = client.get(f"/operations/{deployment.pk}/").content
        assert len(page) < 200_000
        return

    def told():
        assert ask(other.socket, "hello") == 200
        return says in Replica.objects.get(pk=victim.pk).failure

    until(told)
    assert says in client.get(f"/operations/{deployment.pk}/").content.decode()
    until(both_ready)
    assert Replica.objects.get(pk=other.pk).restarts == 0
    assert ask(Replica.objects.get(pk=victim.pk).socket, "hello") == 200
    page = client.get(f"/operations/{deployment.pk}/").content.decode()
    assert "Last failure" in page
    assert says in page
    calling.join(40)
