"""A warm server waits for whoever starts a workspace next, and becomes that workspace's own."""

import shutil

import pytest

from apps.compute import environments
from apps.compute.adapters import engine
from apps.compute.models import Reservation
from apps.workbench import reconcile, services, spares
from apps.workbench.launch import home_of
from apps.workbench.models import SpareServer, Workspace
from tests.workbench.conftest import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def spare(monkeypatch):
    """A spare that has loaded."""
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    environments.build("base", say=lambda words: None)
    if not spares._can_be():
        pytest.skip("the sandbox of this machine has no mounts")
    spares.keep_spares()
    row = SpareServer.objects.get()
    wait_for(lambda: b"loaded" in engine().log(row.workload_id)[0], 90)
    yield row
    for left in {row.workload_id, *SpareServer.objects.values_list("workload_id", flat=True)}:
        engine().remove(left)
    shutil.rmtree(spares._folder("x").parent, ignore_errors=True)


def settled(workspace, status):
    def look():
        reconcile.reconcile_workspace(workspace.pk)
        workspace.refresh_from_db()
        return workspace.status == status

    wait_for(look, 60)


def test_a_start_takes_the_spare_with_the_files_and_a_stop_leaves_them(spare, ada, radio):
    spares.keep_spares()
    assert SpareServer.objects.count() == 1
    assert Reservation.objects.get().memory_mb == 200

    workspace = services.create_workspace("w", team=radio, by=ada)
    home = home_of(workspace)
    (home / "sub").mkdir(parents=True)
    (home / "sub" / "mine.txt").write_text("kept")
    services.start_workspace(workspace, by=ada)
    settled(workspace, "running")
    assert workspace.workload_id == spare.workload_id
    assert Reservation.objects.get().memory_mb == 2048
    assert engine().read(workspace.workload_id, "sub/mine.txt") == b"kept"
    (home / "later.txt").write_text("seen inside: it is the same folder")
    assert engine().read(workspace.workload_id, "later.txt")
    assert engine().observe(workspace.workload_id).disk_mb < 100

    services.stop_workspace(workspace, by=ada)
    settled(workspace, "stopped")
    assert (home / "sub" / "mine.txt").read_text() == "kept"
    assert not home.is_symlink()
    assert (workspace.server, SpareServer.objects.count()) == ("", 0)
    assert not list(spares._folder("x").parent.glob("*"))


def test_a_kill_between_claiming_and_binding_is_made_good(spare, ada, radio):
    workspace = services.create_workspace("w", team=radio, by=ada)
    services.start_workspace(workspace, by=ada)
    assert spares.take(workspace)
    home = home_of(workspace)
    home.mkdir(parents=True)
    for name in ("a", "b"):
        (home / name).write_text(name)
    (home / "a").rename(spares._folder(workspace.server) / "home" / "a")  # the kill came here
    assert spares.is_unbound(Workspace.objects.get(pk=workspace.pk))
    settled(workspace, "running")
    assert {name: (home / name).read_text() for name in ("a", "b")} == {"a": "a", "b": "b"}


def test_a_larger_workspace_starts_cold_and_leaves_the_spare(spare, ada, radio):
    workspace = Workspace.objects.create(name="w", owner=ada, team=radio, flavour="large")
    assert not spares.take(workspace)
    assert SpareServer.objects.get().workspace is None


def test_without_the_setting_there_is_none(spare, settings):
    from dataclasses import replace

    settings.ATRIUM = replace(settings.ATRIUM, spare_workspaces=0)
    spares.keep_spares()
    assert not SpareServer.objects.exists()
    assert engine().observe(spare.workload_id) is None
    assert not Reservation.objects.exists()
