"""A notebook is read in the portal without a server, and nothing in it acts at the portal's origin."""

import json
import os
import shutil

import pytest
from django.utils import timezone

from apps.core.errors import Invalid
from apps.workbench import notebooks, services, snapshots
from apps.workbench.launch import folder_of, home_of, lay_out
from tests.factories import make_user

pytestmark = pytest.mark.django_db

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="


def notebook_of(*cells):
    return json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def code(source, *outputs):
    return {"cell_type": "code", "source": source, "execution_count": 3, "outputs": list(outputs)}


@pytest.fixture
def home(ada, radio):
    """The files of a workspace of Ada's that was never started."""
    workspace = services.create_workspace("signals", team=radio, by=ada)
    shutil.rmtree(folder_of(workspace), ignore_errors=True)
    lay_out(workspace)
    yield workspace, home_of(workspace)
    shutil.rmtree(folder_of(workspace), ignore_errors=True)


def test_text_and_pictures_are_shown_and_nothing_that_could_run():
    evil = "<script>alert(1)</script>"
    data = notebook_of(
        {"cell_type": "markdown", "source": ["# Title\n", evil, "\n[x](javascript:alert(1))"]},
        code("1 + 1", {"output_type": "execute_result", "data": {"text/html": evil, "text/plain": "2"}}),
        code("plot()", {"output_type": "display_data", "data": {"image/png": PNG}}),
        code("svg()", {"output_type": "display_data", "data": {"image/svg+xml": "<svg onload=alert(1)>"}}),
        code("fake()", {"output_type": "display_data", "data": {"image/png": "PHNjcmlwdD4="}}),
        code("1/0", {"output_type": "error", "traceback": ["\x1b[31mZeroDivisionError\x1b[0m"]}),
    )
    text, html, picture, svg, fake, error = notebooks.cells_of(data)
    assert "<h2>Title</h2>" in text.html
    assert "<script" not in text.html
    assert "javascript:" not in text.html.replace("[x](javascript:alert(1))", "")
    assert html.outputs == [notebooks.Output(text="2")]
    assert picture.outputs[0].picture.startswith("data:image/png;base64,iVBOR")
    assert not svg.outputs[0].picture
    assert not fake.outputs[0].picture
    assert error.outputs == [notebooks.Output(text="ZeroDivisionError", is_error=True)]


@pytest.mark.parametrize("data", [b"", b"[]", b'{"cells": 3}', b'{"cells": [7]}', b"\xff\xfe"])
def test_what_is_no_notebook_is_refused(data):
    with pytest.raises(Invalid):
        notebooks.cells_of(data)


def test_the_team_reads_it_and_outsiders_do_not(client, home, dan, transport):
    workspace, files = home
    (files / "sub").mkdir()
    (files / "sub" / "own.ipynb").write_bytes(notebook_of(code("<b>bold</b>")))
    here = f"/workspaces/{workspace.pk}/notebooks/"
    client.force_login(dan)
    page = client.get(here).content.decode()
    assert "welcome.ipynb" in page
    assert "sub/own.ipynb" in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in client.get(f"{here}sub/own.ipynb").content.decode()
    assert client.get(f"{here}welcome.ipynb").status_code == 200
    assert client.get(f"{here}missing.ipynb").status_code == 404

    client.force_login(make_user("zoe", team=transport, role="developer"))
    assert client.get(f"{here}welcome.ipynb").status_code == 404


def test_programs_list_and_read_them_with_those_that_were_deleted(client, home, dan):
    workspace, files = home
    (files / "sub").mkdir()
    (files / "sub" / "own.ipynb").write_bytes(notebook_of(code("x = 1")))
    moment = timezone.now().timestamp() - 60
    os.utime(files / "sub" / "own.ipynb", (moment, moment))
    snapshots.snapshot_workspace(workspace)
    client.force_login(dan)
    here = f"/api/v1/workspaces/{workspace.pk}/notebooks/"
    rows = {row["path"]: row for row in client.get(here).json()}
    assert set(rows) == {"welcome.ipynb", "sub/own.ipynb"}
    assert (rows["sub/own.ipynb"]["snapshots"], rows["sub/own.ipynb"]["deleted"]) == (1, False)
    assert json.loads(client.get(f"{here}sub/own.ipynb/").content)["cells"][0]["source"] == "x = 1"

    (files / "sub" / "own.ipynb").unlink()
    gone = client.get(here).json()[-1]
    assert (gone["path"], gone["size"], gone["deleted"], gone["snapshots"]) == (
        "sub/own.ipynb",
        None,
        True,
        1,
    )
    assert client.get(f"{here}sub/own.ipynb/").status_code == 404


def test_what_is_hidden_or_no_notebook_is_not_given_to_readers(client, home, dan):
    workspace, files = home
    for name in (".kept/a.ipynb", ".b.ipynb", "notes.txt"):
        (files / name).parent.mkdir(exist_ok=True)
        (files / name).write_bytes(notebook_of(code("secret")))
    client.force_login(dan)
    for place in (f"/workspaces/{workspace.pk}/notebooks/", f"/api/v1/workspaces/{workspace.pk}/notebooks/"):
        for name in (".kept/a.ipynb", ".b.ipynb", "notes.txt", "a%00.ipynb"):
            end = "/" if place.startswith("/api") else ""
            assert client.get(f"{place}{name}{end}").status_code == 404, (place, name)


def test_links_and_ways_out_lead_nowhere(client, home, ada, tmp_path):
    workspace, files = home
    (tmp_path / "secret.ipynb").write_bytes(notebook_of(code("secret")))
    (files / "link.ipynb").symlink_to(tmp_path / "secret.ipynb")
    (files / "folder").symlink_to(tmp_path)
    client.force_login(ada)
    for path in ("link.ipynb", "folder/secret.ipynb", "../etc/identity.key", "%2Fetc%2Fpasswd"):
        assert client.get(f"/workspaces/{workspace.pk}/notebooks/{path}").status_code == 404, path
        assert client.get(f"/api/v1/workspaces/{workspace.pk}/notebooks/{path}/").status_code == 404, path
