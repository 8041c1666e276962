"""A model whose packages the base lacks gets an environment of its own: locked once by uv, then built and used."""

import pytest

from apps.catalog import requirements
from apps.catalog.models import EnvironmentLock, Version
from apps.catalog.services import (
    create_version,
    environment_to_serve,
    package_in_base,
    package_version,
    take_lock_result,
    take_packaging_result,
)
from apps.compute import environments
from apps.compute.models import Job
from apps.core import manifests, objects
from apps.core.errors import Invalid
from tests.factories import make_capability, put_files

BASE = {"numpy": "2.2.6", "scikit-learn": "1.7.1", "mlflow-skinny": "3.17.2", "pandas": "2.3.0"}
LOCK = "lightgbm==4.6.0 \\\n    --hash=sha256:00\nnumpy==2.2.6 \\\n    --hash=sha256:11\n"


def named(text: str) -> list[str]:
    return [str(requirement) for requirement in requirements.read(text)]


def test_pins_that_the_base_has_need_nothing_else():
    wanted = requirements.read("mlflow==2.22.0\nscikit-learn==1.7.1\nnumpy>=2,<3  # arrays\n\n# end\n")

    assert requirements.missing_in(BASE, wanted) == []


def test_another_version_and_an_unknown_package_are_missing():
    wanted = requirements.read("scikit-learn==1.6.0\nlightgbm==4.6.0\npywin32==1 ; sys_platform == 'win32'\n")

    assert requirements.missing_in(BASE, wanted) == [
        ("scikit-learn==1.6.0", "1.7.1"),
        ("lightgbm==4.6.0", None),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "model @ https://example.org/model.whl",
        "git+https://example.org/x.git",
        "-r other.txt",
        "--index-url https://example.org/simple",
        "./local",
        "numpy==",
    ],
)
def test_addresses_paths_and_options_are_refused_by_line(line):
    with pytest.raises(Invalid, match=r"requirements\.txt: "):
        requirements.read(f"numpy==2.2.6\n{line}\n")


def test_conda_files_give_their_pip_part():
    text = "channels: [conda-forge]\ndependencies:\n- python=3.11\n- pip<=25\n- pip:\n  - mlflow==3.1\n  - shap\n"

    assert [str(found) for found in requirements.read_conda(text)] == ["mlflow==3.1", "shap"]


def test_the_lock_has_what_the_runner_needs_and_the_converter():
    lines = requirements.to_lock(requirements.read("xgboost==3.1.0\nnumpy==2.2.6\n"))

    assert "xgboost-cpu==3.1.0" in lines
    assert "numpy==2.2.6" in lines
    assert "numpy" not in lines
    assert {"onnxruntime", "uvicorn", "onnxmltools"} <= set(lines)


@pytest.fixture(autouse=True)
def _outside(monkeypatch, tmp_path):
    monkeypatch.setattr("apps.compute.services.jobs.require", lambda verdict: None)
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    monkeypatch.setattr(environments, "root", lambda: tmp_path)


def upload(radio, ada, wanted: str, number: str = "1.0.0") -> Version:
    from apps.catalog.models import Capability

    capability = Capability.objects.filter(slug="digits").first() or make_capability(radio, ada, "digits")
    files = put_files({"model.lgb": b"tree", "requirements.txt": wanted.encode()})
    return create_version(capability, number, files=files, by=ada)


def locked(job: Job) -> None:
    sha256, size = objects.put([LOCK.encode()])
    outputs = {"environment.lock": {"sha256": sha256, "size": size}}
    Job.objects.filter(pk=job.pk).update(status="succeeded", outputs=outputs, result={"packages": 2})


@pytest.mark.django_db
def test_what_the_base_satisfies_is_packaged_in_the_base(radio, ada):
    job = package_version(upload(radio, ada, "numpy>=1\n"), by=ada)

    assert (job.kind, job.environment) == ("packaging", "base")


@pytest.mark.django_db
def test_packages_are_locked_first_and_the_packaging_waits_for_the_environment(radio, ada):
    version = upload(radio, ada, "lightgbm==4.6.0\n")

    first = package_version(version, by=ada)
    assert (first.kind, first.network) == ("environment", "forwarder")
    locked(first)
    take_lock_result(first.pk)

    version.refresh_from_db()
    second = Job.objects.get(pk=version.job_id)
    assert second.kind == "packaging"
    assert second.environment.startswith("own-")
    assert environments.lock_text(second.environment) == LOCK
    assert {"package": "lightgbm==4.6.0", "base": None} in second.params["own_packages"]
    assert take_lock_result(first.pk) is None  # the event may come twice


@pytest.mark.django_db
def test_the_same_packages_are_locked_once(radio, ada):
    job = package_version(upload(radio, ada, "lightgbm==4.6.0\n"), by=ada)
    locked(job)
    take_lock_result(job.pk)

    other = package_version(upload(radio, ada, "lightgbm==4.6.0\n", "1.1.0"), by=ada)

    assert other.kind == "packaging"
    assert other.environment == EnvironmentLock.objects.get().environment


@pytest.mark.django_db
def test_a_runner_that_is_not_onnx_starts_in_the_same_environment(radio, ada, tmp_path):
    version = upload(radio, ada, "lightgbm==4.6.0\n")
    job = package_version(version, by=ada)
    locked(job)
    take_lock_result(job.pk)
    version.refresh_from_db()
    manifest = manifests.build(put_files({"package.json": b"{}"}))
    result = {
        "status": "packaged",
        "digest": manifests.digest(manifest),
        "runtime": "python",
        "signature": {},
    }
    outputs = {f"package/{path}": entry for path, entry in manifest.items()}
    Job.objects.filter(pk=version.job_id).update(status="succeeded", result=result, outputs=outputs)

    take_packaging_result(version.job_id)

    version.refresh_from_db()
    name = environment_to_serve(version)
    assert name == version.environment == EnvironmentLock.objects.get().environment
    for lock in (tmp_path / "locks").glob("*.lock"):  # another machine has no locks yet
        lock.unlink()
    assert environments.exists(environment_to_serve(version))
    version.runtime = "onnx"
    assert environment_to_serve(version) == "base"


@pytest.mark.django_db
def test_packages_that_cannot_be_had_fail_the_version_with_uvs_words(radio, ada):
    version = upload(radio, ada, "lightgbm==99\n")
    job = package_version(version, by=ada)
    told = {"step": "environment", "message": "no version of lightgbm==99", "advice": "Correct it."}
    Job.objects.filter(pk=job.pk).update(status="failed", result={"failure": told})

    take_lock_result(job.pk)

    version.refresh_from_db()
    assert (version.status, version.failure) == (Version.Status.FAILED, told)
    again = package_in_base(version, by=ada)
    assert (again.kind, again.environment) == ("packaging", "base")


@pytest.mark.django_db
def test_a_line_that_cannot_be_taken_refuses_the_upload(radio, ada):
    with pytest.raises(Invalid, match="--index-url"):
        upload(radio, ada, "--index-url https://example.org\n")
    assert not Version.objects.exists()
