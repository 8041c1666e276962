"""A workspace from its first start to its end, with a real server in the sandbox."""

import shutil
from dataclasses import replace

import pytest

from apps.accounts.models import PersonalToken, User
from apps.compute import environments
from apps.compute.adapters import engine
from apps.compute.engines import cards
from apps.compute.engines.base import Observed
from apps.compute.engines.fake import FakeEngine
from apps.compute.models import Job, Reservation
from apps.compute.services import remove_workload
from apps.core.errors import IllegalMove, Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.workbench import launch, reconcile, services
from apps.workbench.launch import folder_of, home_of
from apps.workbench.models import Workspace
from tests.factories import rows_of
from tests.workbench.conftest import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stopped(ada, radio, lab_pk):
    """Its number is apart from those of other tests' folders."""
    made = services.create_workspace("signals", team=radio, by=ada)
    Workspace.objects.filter(pk=made.pk).update(id=lab_pk + 1000)
    workspace = Workspace.objects.get(name="signals")
    shutil.rmtree(folder_of(workspace), ignore_errors=True)
    yield workspace
    remove_workload(workspace.workload_id)


def status_after_a_look(workspace):
    reconcile.reconcile_workspaces()
    workspace.refresh_from_db()
    return workspace.status


def test_it_starts_runs_and_stops(stopped, ada):
    environments.build("base", say=lambda words: None)
    workspace = services.start_workspace(stopped, by=ada)
    wait_for(lambda: status_after_a_look(workspace) == "running", 60)
    assert Reservation.objects.filter(pk=workspace.workload_id).exists()
    assert (home_of(workspace) / "welcome.ipynb").exists()

    services.stop_workspace(workspace, by=ada)
    wait_for(lambda: status_after_a_look(workspace) == "stopped", 30)
    assert engine().observe(workspace.workload_id) is None
    assert not Reservation.objects.exists()
    assert not PersonalToken.objects.filter(revoked_at=None).exists()
    assert "workbench.workspace.running" in AuditEntry.objects.values_list("action", flat=True)


def test_a_server_that_dies_at_once_says_why(stopped, ada, monkeypatch):
    environments.build("base", say=lambda words: None)
    broken = reconcile.workload_of

    def without_lab(workspace, token):

        return replace(
            broken(workspace, token),
            argv=["python", "-c", "raise SystemExit('no Lab here')"],
            restart="never",
        )

    monkeypatch.setattr(reconcile, "workload_of", without_lab)
    workspace = services.start_workspace(stopped, by=ada)
    wait_for(lambda: status_after_a_look(workspace) == "failed")
    assert "exit code 1" in workspace.status_reason
    assert "no Lab here" in workspace.last_log


def test_a_broken_environment_is_named(stopped, ada):
    workspace = services.start_workspace(stopped, by=ada)
    Workspace.objects.update(environment="own-000000000000")
    assert status_after_a_look(workspace) == "failed"
    assert "own-000000000000" in workspace.status_reason


def test_it_waits_for_room_and_says_so(stopped, ada):
    environments.build("base", say=lambda words: None)
    Reservation.objects.create(workload_id="all", cpu=10_000, memory_mb=0)
    workspace = services.start_workspace(stopped, by=ada)
    assert status_after_a_look(workspace) == "starting"
    assert "shares of processor cores are needed" in workspace.status_reason
    assert not PersonalToken.objects.exists()


def test_sizes_with_a_graphics_card_are_offered_where_one_is(
    client, stopped, ada, radio, monkeypatch, tmp_path
):
    monkeypatch.setattr(cards, "DEVICES", tmp_path)
    client.force_login(ada)
    body = {"name": "deep", "team": "radio", "flavour": "half-gpu"}
    refused = client.post("/api/v1/workspaces/", body, content_type="application/json")
    assert (refused.status_code, "No node has a graphics card" in refused.json()["detail"]) == (422, True)
    for page in ("/workspaces/new/", "/jobs/new/"):
        assert "raphics card" not in client.get(page).content.decode()

    (tmp_path / "nvidia0").touch()
    assert "Half a graphics card" in client.get("/workspaces/new/").content.decode()
    made = client.post("/api/v1/workspaces/", body, content_type="application/json").json()
    assert (made["gpu"], made["memory_mb"]) == (0.5, 16_384)
    assert launch.workload_of(Workspace.objects.get(pk=made["id"]), "").resources.gpu == 0.5
    script = {"title": "A", "team": radio.pk, "script": "1", "environment": "base", "cpu": 1, "memory_mb": 64}
    script |= {"timeout_s": 9, "max_attempts": 1, "gpu": "0.5", **rows_of("params")}
    assert client.post("/jobs/new/", script).status_code == 302
    assert Job.objects.get().resources["gpu"] == 0.5

    Reservation.objects.create(workload_id="all", cpu=0, memory_mb=0, gpu=0.6)
    environments.build("base", say=lambda words: None)
    services.change_workspace(stopped, by=ada, flavour="half-gpu")
    services.start_workspace(stopped, by=ada)
    assert status_after_a_look(stopped) == "starting"
    assert "0.50 graphics cards are needed, 0.40 are free" in stopped.status_reason


def test_it_waits_for_a_node_with_its_label_and_says_so_to_each_reader(
    compiled_messages, client, stopped, ada
):
    services.change_workspace(stopped, by=ada, labels=["zone=gpu"])
    services.start_workspace(stopped, by=ada)
    assert status_after_a_look(stopped) == "starting"
    assert stopped.status_reason == "waits: no node has the label “zone=gpu”"
    User.objects.filter(pk=ada.pk).update(language="zh-hans")
    client.force_login(ada)
    assert "没有节点具有标签 “zone=gpu”" in client.get(f"/workspaces/{stopped.pk}/state/").content.decode()


@pytest.mark.parametrize(
    ("state", "says"), [("stopped", "stopped together with the portal"), ("succeeded", "ended by itself")]
)
def test_what_ended_without_a_click_says_how(stopped, ada, monkeypatch, state, says):
    workspace = services.start_workspace(stopped, by=ada)
    Workspace.objects.update(status="running")
    engine = FakeEngine()
    monkeypatch.setattr(engine, "observe", lambda workload_id: Observed(workload_id, state=state))
    monkeypatch.setattr(reconcile, "engine", lambda: engine)
    assert status_after_a_look(workspace) == "stopped"
    assert says in workspace.status_reason


def test_only_its_owner_starts_it(stopped, bo, cy, root):
    for person in (bo, cy, root):
        with pytest.raises(NotAllowed):
            services.start_workspace(stopped, by=person)


def test_consumers_have_no_workspaces(cy, transport):
    with pytest.raises(NotAllowed):
        services.create_workspace("mine", team=transport, by=cy)


def test_a_name_is_used_once_per_owner(stopped, ada, radio):
    with pytest.raises(Invalid, match="signals"):
        services.create_workspace("signals", team=radio, by=ada)


def test_what_runs_is_not_archived(stopped, ada):
    services.start_workspace(stopped, by=ada)
    with pytest.raises(IllegalMove):
        services.archive_workspace(stopped, by=ada)


def test_the_list_shows_mine_and_hides_the_others(client, stopped, ada, cy):
    client.force_login(ada)
    assert "signals" in client.get("/workspaces/").content.decode()
    client.force_login(cy)
    assert "signals" not in client.get("/workspaces/").content.decode()
    assert client.get(f"/workspaces/{stopped.pk}/").status_code == 404


def test_a_new_workspace_starts_from_the_form(client, ada, radio):
    client.force_login(ada)
    answer = client.post(
        "/workspaces/new/", {"name": "alarms", "team": radio.pk, "flavour": "small", "environment": "base"}
    )
    made = Workspace.objects.get(name="alarms")
    assert answer["Location"] == f"/workspaces/{made.pk}/"
    assert made.status == "starting"
    assert "Starting the server" in client.get(answer["Location"]).content.decode()


@pytest.mark.parametrize("tab", ["", "terminal"])
def test_starting_it_comes_back_to_the_tab_that_was_asked_from(client, stopped, ada, tab):
    client.force_login(ada)
    page = f"/workspaces/{stopped.pk}/{tab}/".replace("//", "/")
    asks = 'name="tab" value="terminal"' in client.get(page).content.decode()
    assert asks == bool(tab)

    answer = client.post(f"/workspaces/{stopped.pk}/start/", {"tab": tab} if tab else {})

    assert answer["Location"] == page


def test_a_way_in_is_given_only_by_post_and_only_while_it_runs(client, stopped, ada):
    client.force_login(ada)
    url = f"/workspaces/{stopped.pk}/enter/"
    assert client.get(url).status_code == 405
    assert client.post(url).status_code == 409
    Workspace.objects.update(status="running")
    assert (
        client.post(url)
        .headers["Location"]
        .startswith(f"http://w{stopped.pk}.portal.localhost:8001/atrium/enter?")
    )


def test_by_address_the_page_links_to_the_name(client, stopped, ada):
    client.force_login(ada)
    Workspace.objects.update(status="running")
    page = f"/workspaces/{stopped.pk}/"
    assert (
        f"http://portal.localhost:8000{page}"
        in client.get(page, headers={"host": "127.0.0.1:8000"}).content.decode()
    )
    framed = client.get(page, headers={"host": "portal.localhost:8000"})
    assert "<iframe" in framed.content.decode()
    assert f"http://w{stopped.pk}.portal.localhost:8001" in framed["Content-Security-Policy"]
