"""With nothing pretended: a model that pins what the base lacks is locked, built, packaged and served in its own."""

import io
import subprocess
import zipfile

import pytest

from apps.catalog.services import create_version, environment_to_serve, package_version, take_lock_result
from apps.compute import environments
from apps.compute.models import Job
from apps.core.archives import Upload, store
from apps.instances.selectors import ready_replicas
from apps.instances.services import deploy_version
from tests.factories import make_capability
from tests.instances.test_upload_to_answer import TRAIN, base_environment, call, engine, packaged, until

__all__ = ["base_environment", "engine"]
pytestmark = [pytest.mark.stack, pytest.mark.soak, pytest.mark.django_db(transaction=True)]

PINS = "cloudpickle==3.1.0\nscikit-learn\nhumanize==4.9.0\n"


@pytest.fixture
def pinned_zip(base_environment, tmp_path) -> bytes:
    """A folder of mlflow's whose requirements name another version than the base has, and a package it lacks."""
    folder = tmp_path / "model"
    subprocess.run([base_environment / "bin/python", "-c", TRAIN, folder, "cloudpickle"], check=True)
    (folder / "requirements.txt").write_text(PINS)
    (folder / "conda.yaml").unlink()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(tmp_path))
    return buffer.getvalue()


def step_on(version) -> bool:
    """What the worker would do: take the lock, build the environment; then whether it is packaged."""
    version.refresh_from_db()
    take_lock_result(version.job_id)
    job = Job.objects.filter(pk=version.job_id).first()
    if job is not None and not environments.is_ready(job.environment):
        environments.build(job.environment)
    return packaged(version)


def test_a_pin_other_than_the_bases_is_locked_built_packaged_and_answers(radio, ada, engine, pinned_zip):
    digits = make_capability(radio, ada, "digits", name="Digits")
    files = store([Upload("model.zip", io.BytesIO(pinned_zip), len(pinned_zip))])
    wishes = {"packaging": {"convert": False}}  # else it became ONNX, which the base serves
    version = create_version(digits, "1.0.0", files=files, by=ada, parameters=wishes)

    assert package_version(version, by=ada).kind == "environment"
    until(lambda: step_on(version), seconds=400)

    assert version.environment.startswith("own-")
    assert environment_to_serve(version) == version.environment
    assert "humanize==4.9.0" in environments.lock_text(version.environment)
    assert "cloudpickle==3.1.0" in version.report["steps"][0]["message"]
    deploy_version(version, kind="test", by=ada)
    replica = until(lambda: ready_replicas().first(), seconds=120)
    image = [[0.0] * 8 for _ in range(8)]
    tensor = {"name": "image", "shape": [1, 8, 8], "datatype": "FP32", "data": [image]}
    assert call(replica.socket, {"inputs": [tensor]})["outputs"][0]["shape"] == [1]
