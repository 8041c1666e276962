"""The whole way with nothing pretended: a scikit-learn model saved by mlflow is uploaded, packaged, and answers."""

import http.client
import io
import json
import socket
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from apps.catalog.models import Version
from apps.catalog.services import create_version, package_version, reconcile_packaging
from apps.compute import adapters, environments
from apps.compute.models import Job
from apps.compute.selectors import job_log
from apps.compute.services import attempts
from apps.core.archives import Upload, store
from apps.instances import reconcile
from apps.instances.models import Replica
from apps.instances.selectors import ready_replicas
from apps.instances.services import deploy_version, stop_deployment
from tests.factories import make_capability

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]

TRAIN = """
import json, sys, numpy as np, mlflow.sklearn
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
images, labels = load_digits(return_X_y=True)
model = LogisticRegression(max_iter=2000).fit(images / 16.0, labels)
signature = ModelSignature(
    inputs=Schema([TensorSpec(np.dtype("float32"), (-1, 8, 8), "image")]),
    outputs=Schema([TensorSpec(np.dtype("int64"), (-1,), "class")]),
)
mlflow.sklearn.save_model(model, sys.argv[1], signature=signature, serialization_format=sys.argv[2])
"""


@pytest.fixture(scope="session")
def base_environment() -> Path:
    return environments.build("base")


@pytest.fixture
def engine(monkeypatch):
    """The engine that the portal would use, below the tests' data folder."""
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    engine = adapters.engine()
    yield engine
    for observed in engine.list():
        engine.remove(observed.id)


@pytest.fixture
def model_zip(base_environment: Path, tmp_path: Path) -> bytes:
    subprocess.run(
        [base_environment / "bin/python", "-c", TRAIN, tmp_path / "model", "cloudpickle"], check=True
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (tmp_path / "model").rglob("*"):
            archive.write(file, file.relative_to(tmp_path))
    return buffer.getvalue()


def until(found, seconds: float = 90.0):
    """The first true answer while the loops turn."""
    end = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < end, "it did not happen in time"
        attempts.reconcile()
        for job in Job.objects.filter(status__in=Job.ACTIVE):
            attempts.conclude_job(job.pk)
        reconcile_packaging()
        reconcile.reconcile()
        time.sleep(0.2)
    return answer


def call(path: str, body: dict) -> dict:
    connection = http.client.HTTPConnection("runner")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    connection.request("POST", "/v2/models/digits/infer", json.dumps(body))
    return json.loads(connection.getresponse().read())


def packaged(version: Version) -> bool:
    version.refresh_from_db()
    assert version.status != "failed", (version.failure, job_log(Job.objects.get(pk=version.job_id)))
    return version.status == "packaged"


def test_an_uploaded_mlflow_folder_is_packaged_deployed_and_answers(radio, ada, engine, model_zip):
    digits = make_capability(radio, ada, "digits", name="Digits", card="# Digits")
    files = store([Upload("model.zip", io.BytesIO(model_zip), len(model_zip))])
    version = create_version(digits, "1.0.0", files=files, by=ada)
    package_version(version, by=ada)
    until(lambda: packaged(version))
    assert version.framework == "sklearn"
    assert version.signature["inputs"][0]["name"] == "image"
    assert {step["status"] for step in version.report["steps"]} == {"done"}

    deployment = deploy_version(version, kind="test", by=ada)
    replica = until(lambda: ready_replicas().first())
    image = [[0.0] * 8 for _ in range(8)]
    answer = call(
        replica.socket,
        {"inputs": [{"name": "image", "shape": [1, 8, 8], "datatype": "FP32", "data": [image]}]},
    )
    assert "outputs" in answer, answer
    assert {"class", "probabilities"} <= {output["name"] for output in answer["outputs"]}

    engine.stop(replica.workload_id, 0)  # as a kill from outside: it is replaced
    until(lambda: ready_replicas().exclude(workload_id=replica.workload_id).first())

    stop_deployment(deployment, by=ada)
    until(lambda: not Replica.objects.exists())
    deployment.refresh_from_db()
    assert deployment.status == "stopped"
    assert not engine.list()
