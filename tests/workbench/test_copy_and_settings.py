"""Copies of workspaces, their settings, and the same through REST."""

import shutil

import pytest

from apps.core.errors import NotAllowed
from apps.workbench import reconcile, services
from apps.workbench.launch import folder_of, home_of, lay_out
from apps.workbench.models import Workspace
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def source(ada, radio, tmp_path):
    """Ada's workspace with a notebook, a hidden secret and a link out of it."""
    made = services.create_workspace("signals", team=radio, by=ada)
    shutil.rmtree(folder_of(made), ignore_errors=True)
    lay_out(made)
    (home_of(made) / "data").mkdir()
    (home_of(made) / "data" / "numbers.csv").write_text("1,2\n")
    (home_of(made) / ".netrc").write_text("secret")
    (tmp_path / "outside").write_text("of the machine")
    (home_of(made) / "link").symlink_to(tmp_path / "outside")
    yield made
    for workspace in Workspace.objects.all():
        shutil.rmtree(folder_of(workspace), ignore_errors=True)


def test_a_copy_has_the_files_but_neither_links_nor_hidden_ones(source, ada):
    copy = services.clone_workspace(source, "second", by=ada)
    shutil.rmtree(folder_of(copy), ignore_errors=True)
    reconcile.copy_files(copy.pk)
    found = {str(path.relative_to(home_of(copy))) for path in home_of(copy).rglob("*") if path.is_file()}
    assert found == {"welcome.ipynb", "data/numbers.csv"}
    assert (copy.owner, copy.status, copy.cloned_from) == (ada, "stopped", source)


def test_a_team_mate_gets_a_copy_of_their_own_and_outsiders_none(source, dan, cy):
    assert services.clone_workspace(source, "mine", by=dan).owner == dan
    with pytest.raises(NotAllowed):
        services.clone_workspace(source, "theirs", by=cy)


def test_the_settings_page_changes_and_copies(client, source, ada, dan):
    client.force_login(ada)
    page = f"/workspaces/{source.pk}/settings/"
    assert (
        client.post(page, {"flavour": "medium", "idle_minutes": "240", "environment": "base"}).status_code
        == 302
    )
    source.refresh_from_db()
    assert (source.flavour, source.idle_minutes) == ("medium", 240)
    assert (
        client.post(page, {"flavour": "huge", "idle_minutes": "240", "environment": "base"}).status_code
        == 422
    )
    answer = client.post(f"/workspaces/{source.pk}/clone/", {"name": "signals"})
    assert answer.status_code == 422
    assert "already" in answer.content.decode()

    client.force_login(dan)
    assert (
        client.post(page, {"flavour": "small", "idle_minutes": "60", "environment": "base"}).status_code
        == 403
    )
    answer = client.post(f"/workspaces/{source.pk}/clone/", {"name": "dans"})
    assert answer.url == Workspace.objects.get(name="dans").get_absolute_url()


def test_the_api_does_the_same(client, source, ada, radio, dan, transport):
    client.force_login(ada)
    as_json = {"content_type": "application/json"}
    body = {"name": "by-api", "team": "radio", "flavour": "medium"}
    made = client.post("/api/v1/workspaces/", body, **as_json)
    assert (made.status_code, made.json()["status"], made.json()["memory_mb"]) == (201, "stopped", 4096)
    here = f"/api/v1/workspaces/{made.json()['id']}/"
    assert client.patch(here, {"idle_minutes": 720}, **as_json).json()["idle_minutes"] == 720
    assert client.patch(here, {"idle_minutes": 7}, **as_json).status_code == 422
    assert client.post(f"{here}start/").json()["status"] == "starting"
    assert client.post(f"{here}renew/").json()["lease_until"]
    assert client.post(f"{here}stop/").json()["status"] == "stopping"
    assert client.post(f"{here}archive/").status_code == 409
    assert client.post(f"{here}clone/", {"name": "third"}, **as_json).status_code == 201
    assert client.post("/api/v1/workspaces/", {"name": "x", "team": "nowhere"}, **as_json).status_code == 422
    names = [row["name"] for row in client.get("/api/v1/workspaces/?team=radio").json()["results"]]
    assert names == ["by-api", "signals", "third"]

    client.force_login(dan)
    assert client.post(f"{here}start/").status_code == 403
    client.force_login(make_user("zoe", team=transport, role="developer"))
    assert client.get(here).status_code == 404
