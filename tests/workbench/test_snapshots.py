"""Snapshots of notebooks: taken when a notebook has come to rest, read and put back without a server."""

import os
import shutil
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.core import objects
from apps.core.errors import Conflict, NotAllowed
from apps.core.models import AuditEntry
from apps.workbench import services, snapshots
from apps.workbench.launch import folder_of, home_of, lay_out
from apps.workbench.models import NotebookSnapshot
from tests.factories import make_user
from tests.workbench.test_read_notebooks import code, notebook_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def home(ada, radio):
    """The files of a workspace of Ada's that was never started, without the welcome notebook."""
    workspace = services.create_workspace("signals", team=radio, by=ada)
    shutil.rmtree(folder_of(workspace), ignore_errors=True)
    lay_out(workspace)
    (home_of(workspace) / "welcome.ipynb").unlink()
    yield workspace, home_of(workspace)
    shutil.rmtree(folder_of(workspace), ignore_errors=True)


def save(home, source, *, ago=60, name="a.ipynb"):
    """As an editor saves, so many seconds ago."""
    (home / name).write_bytes(notebook_of(code(source)))
    moment = timezone.now().timestamp() - ago
    os.utime(home / name, (moment, moment))


def test_a_notebook_is_kept_once_it_has_come_to_rest_and_again_when_it_changed(home):
    workspace, folder = home
    save(folder, "x = 1")
    assert snapshots.snapshot_workspace(workspace) == 1
    save(folder, "x = 2", ago=1)
    assert snapshots.snapshot_workspace(workspace) == 0  # somebody types
    later = timezone.now() + timedelta(seconds=30)
    assert snapshots.snapshot_workspace(workspace, now=later) == 1
    assert snapshots.snapshot_workspace(workspace, now=later) == 0


def test_while_somebody_types_it_is_kept_every_two_minutes(home):
    workspace, folder = home
    save(folder, "x = 1")
    snapshots.snapshot_workspace(workspace)
    NotebookSnapshot.objects.update(taken_at=timezone.now() - timedelta(minutes=3))
    save(folder, "x = 2", ago=1)

    assert snapshots.snapshot_workspace(workspace) == 1


def test_what_is_half_written_a_link_or_unchanged_is_not_kept(home):
    workspace, folder = home
    (folder / "half.ipynb").write_bytes(b'{"cells": [')
    (folder / "link.ipynb").symlink_to("/etc/passwd")
    save(folder, "x = 1")
    snapshots.snapshot_workspace(workspace)
    save(folder, "x = 1", ago=30)

    assert snapshots.snapshot_workspace(workspace) == 0
    assert list(NotebookSnapshot.objects.values_list("path", flat=True)) == ["a.ipynb"]


def test_a_snapshot_is_shown_with_what_changed_and_put_back_keeping_what_was_there(home, client, ada):
    workspace, folder = home
    save(folder, "x = 1")
    snapshots.snapshot_workspace(workspace)
    save(folder, "x = 2", ago=30)
    first = NotebookSnapshot.objects.get()
    client.force_login(ada)
    page = client.get(f"/workspaces/{workspace.pk}/notebooks/a.ipynb?snapshot={first.pk}").content.decode()
    assert "What changed since" in page
    assert 'class="removed"' in page

    answer = client.post(f"/workspaces/{workspace.pk}/snapshots/{first.pk}/restore/")

    assert answer.url == f"/workspaces/{workspace.pk}/notebooks/a.ipynb"
    assert (folder / "a.ipynb").read_bytes() == notebook_of(code("x = 1"))
    kept = [objects.open_object(row.sha256).read() for row in NotebookSnapshot.objects.order_by("pk")]
    assert kept == [notebook_of(code(f"x = {n}")) for n in (1, 2, 1)]
    assert AuditEntry.objects.filter(action="workbench.snapshot.restored", actor_name="ada").exists()
    assert snapshots.snapshot_workspace(workspace) == 0


def test_a_deleted_notebook_is_listed_and_comes_back(home, client, ada):
    workspace, folder = home
    save(folder, "x = 1")
    snapshots.snapshot_workspace(workspace)
    (folder / "a.ipynb").unlink()
    client.force_login(ada)
    assert "deleted" in client.get(f"/workspaces/{workspace.pk}/notebooks/").content.decode()
    assert "has been deleted" in client.get(f"/workspaces/{workspace.pk}/notebooks/a.ipynb").content.decode()

    kept = client.get(f"/api/v1/workspaces/{workspace.pk}/snapshots/").json()["results"][0]
    content = client.get(f"/api/v1/workspaces/{workspace.pk}/snapshots/{kept['id']}/content/")
    back = client.post(f"/api/v1/workspaces/{workspace.pk}/snapshots/{kept['id']}/restore/")

    assert back.status_code == 204
    assert b"".join(content.streaming_content) == (folder / "a.ipynb").read_bytes()


def test_nothing_outside_is_written_and_team_mates_only_read(home, radio):
    workspace, folder = home
    (folder / "sub").mkdir()
    save(folder, "x = 1", name="sub/a.ipynb")
    snapshots.snapshot_workspace(workspace)
    shutil.rmtree(folder / "sub")
    (folder / "sub").symlink_to("/tmp")
    kept = NotebookSnapshot.objects.get()
    with pytest.raises(Conflict):
        snapshots.restore_snapshot(workspace, kept, by=workspace.owner)
    with pytest.raises(NotAllowed):
        snapshots.restore_snapshot(workspace, kept, by=make_user("dan", team=radio))


def test_old_ones_are_thinned_to_one_an_hour_then_one_a_day(home):
    workspace, _folder = home
    now = timezone.now()
    for minutes in range(0, 60 * 24 * 5, 20):
        row = NotebookSnapshot.objects.create(
            workspace=workspace, path="a.ipynb", sha256="0" * 64, size=1, cells=1, saved_at=now
        )
        NotebookSnapshot.objects.filter(pk=row.pk).update(taken_at=now - timedelta(minutes=minutes))

    snapshots.forget_old(workspace, now=now)

    ages = [(now - row.taken_at) / timedelta(hours=1) for row in NotebookSnapshot.objects.all()]
    assert sum(age < 6.5 for age in ages) == 20
    assert 17 <= sum(6.5 <= age < 24 for age in ages) <= 19
    assert 4 <= sum(age >= 24 for age in ages) <= 6


def test_a_workspace_keeps_a_gigabyte_at_most(home):
    workspace, _folder = home
    for _n in range(5):
        NotebookSnapshot.objects.create(
            workspace=workspace,
            path="a.ipynb",
            sha256="0" * 64,
            size=300 << 20,
            cells=1,
            saved_at=timezone.now(),
        )

    snapshots.forget_old(workspace, now=timezone.now())

    assert NotebookSnapshot.objects.count() == 3
