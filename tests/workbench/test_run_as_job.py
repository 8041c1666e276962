"""Notebooks and scripts of a workspace as jobs: what is copied, what they carry, what is kept."""

import json
import subprocess

import pytest

from apps.accounts.models import PersonalToken
from apps.compute import environments, job_environment
from apps.compute.engines import cards
from apps.compute.models import Job
from apps.compute.services import submit_script
from apps.core import events, lineage, objects
from apps.core.errors import Invalid, NotAllowed
from apps.core.models import Event
from apps.workbench import job_tokens, services
from apps.workbench.launch import home_of
from apps.workbench.models import Workspace
from apps.workbench.runs import run_file
from tests.factories import make_capability, rows_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def workspace(ada, radio, settings, tmp_path):
    from dataclasses import replace

    settings.ATRIUM = replace(settings.ATRIUM, data_dir=tmp_path)
    made = services.create_workspace("signals", team=radio, by=ada)
    home = home_of(made)
    (home / "lib").mkdir(parents=True)
    (home / "train.py").write_text("print('trains')")
    (home / "lib" / "model.ipynb").write_text("{}")
    return made


def test_the_files_are_copied_as_they_are_now(workspace, ada):
    job = run_file(workspace, "lib/model.ipynb", by=ada, params={"trees": 3})
    assert job.argv == ["python", "-m", "atrium.notebook", "/work/inputs/workspace/lib/model.ipynb"]
    assert set(job.inputs) == {"workspace/train.py", "workspace/lib/model.ipynb"}
    assert objects.open_object(job.inputs["workspace/train.py"]).read() == b"print('trains')"
    assert (job.params, job.network, job.team) == ({"trees": 3}, "forwarder", workspace.team)


def test_the_form_proposes_the_cards_of_the_workspace_and_says_that_it_holds_them(
    client, workspace, ada, monkeypatch, tmp_path
):
    monkeypatch.setattr(cards, "DEVICES", tmp_path)
    (tmp_path / "nvidia0").touch()
    services.change_workspace(workspace, by=ada, flavour="half-gpu")
    assert run_file(workspace, "train.py", by=ada).resources["gpu"] == 0

    client.force_login(ada)
    page = f"/workspaces/{workspace.pk}/run/"
    held = "The workspace holds 0.5 itself"
    assert '<input type="number" name="gpu" value="0.5"' in client.get(page).text
    assert held not in client.get(page).text
    Workspace.objects.update(status="running")
    assert held in client.get(page).text
    asked = {"path": "train.py", "environment": "base", "cpu": 1, "memory_mb": 256, "minutes": 9, "gpu": "1"}
    assert client.post(page, asked | rows_of("params")).status_code == 302
    job = Job.objects.latest("pk")
    assert job.resources["gpu"] == 1
    assert "graphics cards: <span" in client.get(f"/jobs/{job.pk}/").text


def test_how_long_a_cell_may_hang_is_told_to_notebooks_alone(workspace, ada, radio):
    option = ["--cell-timeout", "90"]
    assert run_file(workspace, "lib/model.ipynb", by=ada, cell_timeout_s=90).argv[-2:] == option
    assert "--cell-timeout" not in run_file(workspace, "train.py", by=ada, cell_timeout_s=90).argv
    text = notebook("1 + 1")
    assert submit_script("t", notebook=text, by=ada, team=radio, cell_timeout_s=90).argv[-2:] == option
    assert submit_script("t", notebook=text, by=ada, team=radio).argv[-1] == "/work/notebook.ipynb"


def test_links_and_hidden_files_are_left_out(workspace, ada):
    home = home_of(workspace)
    (home / "passwd.py").symlink_to("/etc/passwd")
    (home / "etc").symlink_to("/etc")
    (home / ".secret").write_text("x")
    assert set(run_file(workspace, "train.py", by=ada).inputs) == {
        "workspace/train.py",
        "workspace/lib/model.ipynb",
    }
    with pytest.raises(Invalid, match="no file"):
        run_file(workspace, "passwd.py", by=ada)


def test_only_notebooks_and_scripts_of_the_workspace_run(workspace, ada, bo):
    for path in ("../x.py", "/etc/passwd", "notes.txt", "missing.py"):
        with pytest.raises(Invalid):
            run_file(workspace, path, by=ada)
    with pytest.raises(NotAllowed):
        run_file(workspace, "train.py", by=bo)


def test_the_page_queues_the_job_and_goes_to_it(client, workspace, ada):
    client.force_login(ada)
    url = f"/workspaces/{workspace.pk}/run/"
    assert "train.py" in client.get(url).content.decode()
    asked = {"path": "lib/model.ipynb", "cpu": 1, "memory_mb": 512, "minutes": 5, "silent_minutes": 2}
    asked |= {"max_attempts": 3, "priority": 1, "environment": "base"}
    values = {"a": "1", "b": "true", "c": "mse", "d": "[0.5, 1]"}
    rows = [{"name": name, "value": value} for name, value in values.items()]
    answer = client.post(url, asked | rows_of("params", *rows))
    job = Job.objects.get()
    assert answer["Location"] == f"/jobs/{job.pk}/"
    assert (job.argv[-1], job.max_attempts, job.priority) == ("120", 3, 1)
    assert (job.params, job.timeout_s) == ({"a": 1, "b": True, "c": "mse", "d": [0.5, 1]}, 300)
    assert client.post(url, asked | rows_of("params", {"name": "a"})).status_code == 422


def test_a_program_runs_a_file_over_rest(client, workspace, ada, dan):
    url, as_json = f"/api/v1/workspaces/{workspace.pk}/run/", {"content_type": "application/json"}
    asked = {"path": "lib/model.ipynb", "params": {"trees": 3}, "resources": {"memory_mb": 512}}
    asked |= {"cell_timeout_s": 90, "timeout_s": 300, "max_attempts": 2, "priority": 1}
    client.force_login(ada)
    answer = client.post(url, asked, **as_json)
    assert answer.status_code == 201, answer.content
    job = Job.objects.get(pk=answer.json()["id"])
    assert (job.argv[-1], job.params, job.timeout_s) == ("90", {"trees": 3}, 300)
    assert (job.resources["cpu"], job.resources["memory_mb"]) == (1.0, 512)
    assert (job.max_attempts, job.priority, job.subject) == (2, 1, lineage.urn(workspace))
    assert client.post(url, {"path": "train.py", "cores": 2}, **as_json).status_code == 422

    client.force_login(dan)  # reads along, and runs nothing
    assert client.post(url, asked, **as_json).status_code == 403
    assert Job.objects.count() == 1


def test_a_job_carries_a_token_that_ends_with_it(workspace, ada):
    job = run_file(workspace, "train.py", by=ada)
    variables = job_environment.variables_for(job)
    token = PersonalToken.objects.get()
    assert variables["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] == "true"
    assert variables["ATRIUM_URL"] == "http://127.0.0.1:8780"
    assert variables["ATRIUM_TOKEN"] == variables["MLFLOW_TRACKING_TOKEN"]
    assert (token.job_id, token.user) == (job.pk, ada)
    events.publish("compute.job_finished", job.pk, status="failed", kind="script", subject="")
    assert events.deliver(Event.objects.get(name="compute.job_finished").pk)
    token.refresh_from_db()
    assert token.revoked_at is not None


def test_a_job_without_a_door_carries_none(workspace, ada):
    job = run_file(workspace, "train.py", by=ada)
    job.network = "none"
    assert job_tokens.variables_of(job) == {}


def test_what_a_job_registers_names_the_job(client, workspace, ada):
    capability = make_capability(workspace.team, ada)
    job = run_file(workspace, "train.py", by=ada)
    secret = job_environment.variables_for(job)["ATRIUM_TOKEN"]
    sha256, _size = objects.put([b"a model"])
    body = {
        "capability": capability.slug,
        "number": "1.2.3",
        "files": {"model.onnx": sha256},
        "package": False,
    }
    headers = {"Authorization": f"Bearer {secret}"}
    answer = client.post("/api/v1/versions/", body, content_type="application/json", headers=headers)
    assert answer.status_code == 201, answer.content
    assert answer.json()["training_job_urn"] == lineage.urn(job)
    version = f"atrium:catalog.version:{answer.json()['id']}"
    assert lineage.urn(job) in {edge.source for edge in lineage.upstream(version)}


def notebook(*sources):
    """A notebook of code cells; the first one is tagged `parameters`."""
    cells = [
        {
            "cell_type": "code",
            "id": f"c{n}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
        for n, source in enumerate(sources)
    ]
    cells[0]["metadata"]["tags"] = ["parameters"]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def run_notebook(folder, text, params, *options):
    environments.build("base", say=lambda words: None)
    (folder / "train.ipynb").write_text(text)
    (folder / "params.json").write_text(json.dumps(params))
    python = environments.path("base") / "bin" / "python"
    env = {
        "ATRIUM_WORK": str(folder),
        "PYTHONPATH": "sdk",
        "HOME": str(folder),
        "PATH": f"{python.parent}:/usr/bin:/bin",
    }
    argv = [str(python), "-m", "atrium.notebook", str(folder / "train.ipynb"), *options]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("job")


def test_a_notebook_gets_its_parameters_and_is_kept_as_executed(folder):
    done = run_notebook(folder, notebook("trees = 1", "print('trees', trees)"), {"trees": 7})
    assert done.returncode == 0, done.stderr
    assert "[cell 3/3]" in done.stdout
    assert "trees 7" in done.stdout
    kept = json.loads((folder / "outputs" / "train.ipynb").read_text())
    assert kept["cells"][2]["outputs"][0]["text"] in ("trees 7\n", ["trees 7\n"])
    assert json.loads((folder / "progress.json").read_text())["fraction"] == 1.0


def test_a_failing_cell_is_named_and_what_ran_is_kept(folder):
    done = run_notebook(folder, notebook("1 + 1", "raise ValueError('bad rows')", "never = 1"), {})
    assert done.returncode == 1
    assert "cell 2 of 3 failed: ValueError: bad rows" in done.stderr
    kept = json.loads((folder / "outputs" / "train.ipynb").read_text())
    assert kept["cells"][0]["execution_count"] == 1
    assert kept["cells"][2]["execution_count"] is None


def test_a_kernel_that_dies_is_noticed(folder):
    done = run_notebook(folder, notebook("import os", "os.kill(os.getpid(), 9)"), {})
    assert done.returncode == 3
    assert "the kernel died in cell 2 of 2" in done.stderr


def test_a_cell_that_hangs_is_interrupted_named_and_shows_where(folder):
    wait = "import threading  # waits for ever\nthreading.Event().wait()"
    done = run_notebook(folder, notebook("print('before')", wait, "never = 1"), {}, "--cell-timeout", "3")
    assert done.returncode == 4
    assert "cell 2 of 3 hung: no output and no processor time for 3 s" in done.stderr
    assert "“import threading  # waits for ever”" in done.stderr
    kept = json.loads((folder / "outputs" / "train.ipynb").read_text())
    assert kept["cells"][0]["outputs"][0]["text"] in ("before\n", ["before\n"])
    assert kept["cells"][1]["outputs"][0]["ename"] == "KeyboardInterrupt"
    assert "threading.Event().wait()" in "".join(kept["cells"][1]["outputs"][0]["traceback"])
    assert kept["cells"][2]["execution_count"] is None


def test_a_kernel_that_is_stopped_and_obeys_nothing_is_killed(folder):
    stop = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"
    done = run_notebook(folder, notebook("1 + 1", stop), {}, "--cell-timeout", "2")
    assert done.returncode == 4
    assert "cell 2 of 2 hung" in done.stderr


def test_a_cell_that_only_computes_or_only_prints_is_left_alone(folder):
    computes = "import time\nuntil = time.time() + 5\nwhile time.time() < until: pass"
    prints = "for n in range(5):\n    time.sleep(1)\n    print(n)"
    done = run_notebook(folder, notebook(computes, prints), {}, "--cell-timeout", "3")
    assert done.returncode == 0, done.stderr
