"""Tasks in a notebook: put into one's own workspace, it loads exactly these and shows what its reader may see."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import atrium
from apps.accounts.services import create_token
from apps.annotation.models import Project, Task
from apps.compute import environments
from apps.core.models import AuditEntry
from apps.workbench.launch import home_of
from apps.workbench.models import Workspace
from apps.workbench.services import create_workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def workspace(radio, ada):
    return create_workspace("lab", team=radio, by=ada)


def cells_of(workspace, path):
    return json.loads((home_of(workspace) / path).read_text())["cells"]


def run(cells, **variables):
    """Its code in the workspaces' own environment, and what that prints of the table at last."""
    code = [*("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"), _TELL]
    python = environments.build("base", say=lambda words: None) / "bin" / "python"
    sdk = Path(atrium.__file__).parents[1]
    done = subprocess.run(
        [python, "-c", "\n".join(code)], env={"PYTHONPATH": str(sdk), "MPLBACKEND": "agg", **variables},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


_TELL = "import json; print(json.dumps([list(table.index), list(table.status), pixels.iloc[0].tolist()]))"


@pytest.mark.django_db(transaction=True)
def test_the_notebook_loads_the_tasks_of_the_page(project, tasks, ada, workspace, client, live_server):
    Project.objects.update(show="image")
    Task.objects.update(inputs={"image": [[0, 1], [2, 3]]})
    client.force_login(ada)
    link = client.get(f"/annotation/{project.pk}/").context["named"]
    chosen = ",".join(link.split(",")[:2])
    page = f"/annotation/{project.pk}/notebook/?tasks={chosen}"
    assert "2 tasks of “Complaints”" in client.get(page).content.decode()

    answer = client.post(page, {"workspace": workspace.pk})

    workspace.refresh_from_db()
    assert answer.url == f"/workspaces/{workspace.pk}/?open=Complaints-tasks.ipynb"
    assert 'data-next="/lab/tree/' not in client.get(answer.url).content.decode()  # it is still starting
    assert workspace.status == "starting"
    assert AuditEntry.objects.filter(action="workbench.workspace.notebook_put").exists()
    token = create_token(ada, "test", by=ada)[1]
    cells = cells_of(workspace, "Complaints-tasks.ipynb")
    loaded = run(cells, ATRIUM_URL=live_server.url, ATRIUM_TOKEN=token)
    assert loaded == [[int(pk) for pk in chosen.split(",")], ["open", "open"], [0, 1, 2, 3]]


def test_nothing_is_overwritten_and_links_are_not_followed(project, tasks, ada, workspace, client, tmp_path):
    client.force_login(ada)
    url, body = f"/api/v1/annotation-projects/{project.pk}/notebook/", {
        "workspace": workspace.pk, "tasks": [tasks[0].pk],
    }  # fmt: skip
    first = client.post(url, body, "application/json").json()["path"]
    (home_of(workspace) / "Complaints-tasks 2.ipynb").symlink_to(tmp_path / "outside")

    second = client.post(url, body, "application/json").json()["path"]

    assert (first, second) == ("Complaints-tasks.ipynb", "Complaints-tasks 3.ipynb")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("asked", "status"), [("", 422), ("1;2", 422), ("999999", 404), (",".join("1" * 201), 422)]
)
def test_what_is_no_list_of_tasks_is_refused(project, ada, client, asked, status):
    client.force_login(ada)

    assert client.get(f"/annotation/{project.pk}/notebook/?tasks={asked}").status_code == status


@pytest.mark.parametrize(("onward", "back"), [("", True), ("https://example.org/", False)])
def test_who_has_no_workspace_makes_one_and_comes_back(project, tasks, radio, ada, client, onward, back):
    client.force_login(ada)
    page = f"/annotation/{project.pk}/notebook/?tasks={tasks[0].pk}"
    make = client.get(page).context["make"] if not onward else f"/workspaces/new/?next={onward}"

    said = {"name": "first", "team": radio.pk, "flavour": "small", "environment": "base"}
    answer = client.post(make, said)

    made = Workspace.objects.get(name="first")
    assert answer.url == (page if back else made.get_absolute_url())
    assert client.get(page).context["form"].fields["workspace"].initial == made
