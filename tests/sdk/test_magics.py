"""`%atrium` and `%release`, in real kernels that nobody has told to load them."""

import json
import subprocess
from pathlib import Path

import pytest

from apps.accounts.services import create_token
from apps.compute import environments
from apps.compute.models import Job
from tests.workbench.test_run_as_job import notebook

SDK = Path(__file__).parents[2] / "sdk"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(live_server, ada, radio, tmp_path, monkeypatch):
    """Executes a notebook of cells as a job does, as Ada; gives the process and the folder."""
    environments.build("base", say=lambda words: None)
    monkeypatch.setattr("apps.compute.services.jobs.require", lambda verdict: None)
    _row, secret = create_token(ada, "tests", by=ada)
    python = environments.path("base") / "bin" / "python"
    env = {
        "ATRIUM_WORK": str(tmp_path),
        "ATRIUM_URL": live_server.url,
        "ATRIUM_TOKEN": secret,
        "ATRIUM_TEAM": radio.slug,
        "PYTHONPATH": str(SDK),
        "HOME": str(tmp_path),
        "PATH": f"{python.parent}:/usr/bin:/bin",
    }

    def execute(*cells):
        (tmp_path / "own.ipynb").write_text(notebook(*cells))
        argv = [str(python), "-m", "atrium.notebook", str(tmp_path / "own.ipynb")]
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)

    return execute


def test_a_notebook_submits_itself_and_a_script_with_parameters(run, radio, ada, tmp_path):
    (tmp_path / "train.py").write_text("print('trains')")
    ended = run(
        "depth = 4",
        "%atrium submit own.ipynb --param depth={depth} --title 'a deep one'",
        "%atrium submit train.py --param loss=mse --cpu 2 --memory 512 --timeout 90 --attempts 3 --priority 1",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    first, second = Job.objects.order_by("pk")
    assert (first.kind, first.title, first.params) == ("notebook", "a deep one", {"depth": 4})
    assert (second.resources["cpu"], second.resources["memory_mb"]) == (2.0, 512)
    assert (second.timeout_s, second.max_attempts, second.priority) == (90, 3, 1)
    assert (second.kind, second.title, second.params) == ("script", "train.py", {"loss": "mse"})
    assert {(job.team, job.created_by) for job in (first, second)} == {(radio, ada)}
    assert f"Job {second.pk} is queued." in ended.stdout


def test_what_does_not_fit_fails_the_cell_in_one_line(run):
    ended = run("%release check digits", "%atrium submit missing.ipynb")
    assert ended.returncode == 1
    assert "Write: %release check <capability> <version>" in ended.stdout
    outputs = json.dumps(ended.stdout + ended.stderr)
    assert "missing.ipynb: No such file" in outputs
    assert "atrium submit missing.ipynb did not succeed" in outputs
    assert not Job.objects.exists()
