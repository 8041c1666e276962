"""Data set versions are read-only inside a workspace, and only those that its owner may read."""

import re
import shutil
from dataclasses import replace

import pytest

from apps.compute import environments
from apps.compute.adapters import engine
from apps.compute.models import Job
from apps.compute.selectors import job_log
from apps.compute.services import submit_script
from apps.core import lineage
from apps.core.errors import NotAllowed
from apps.datasets.models import DatasetVersion
from apps.datasets.services import create_version, split_version, tag_version
from apps.workbench import mounted, services, sweeps
from apps.workbench.launch import folder_of, home_of, lay_out, workload_of
from apps.workbench.models import Environment, Workspace
from apps.workbench.runs import run_file
from tests.compute.conftest import run
from tests.factories import make_dataset, make_user, put_files, rows_of
from tests.workbench.conftest import wait_for

pytestmark = pytest.mark.django_db

SCRIPT = """
import atrium
frame = atrium.dataset("towers")
print("rows", len(frame), "version", frame.attrs["version"])
parts = [atrium.dataset("towers", split=part) for part in ("train", "test")]
print("parts", [len(part) for part in parts], sorted(name for part in parts for name in part.name))
try:
    open("/datasets/towers/1/towers.csv", "a")
except OSError as error:
    print(type(error).__name__, error.strerror)
"""


@pytest.fixture
def version(ada, radio):
    """The first version of a data set of Ada's team."""
    files = put_files({"towers.csv": b"name,height\nwest,30\neast,45\n"})
    made = create_version(make_dataset(radio, ada, "towers"), files, by=ada)
    shutil.rmtree(mounted.settings.ATRIUM.data_dir / "mounted" / str(made.pk), ignore_errors=True)
    return made


@pytest.fixture
def workspace(ada, radio):
    made = services.create_workspace("signals", team=radio, by=ada)
    shutil.rmtree(folder_of(made), ignore_errors=True)
    yield made
    engine().remove(made.workload_id)
    shutil.rmtree(folder_of(made), ignore_errors=True)


def test_code_in_the_workspace_reads_it_and_cannot_write_it(workspace, version, ada):
    environments.build("base", say=lambda words: None)
    split_version(version, by=ada, shares={"train": 0.5, "test": 0.5})
    services.mount_datasets(workspace, [version], by=ada)
    lay_out(workspace)
    script = replace(
        workload_of(workspace, "none"), argv=["python", "-c", SCRIPT], port=False, network="none"
    )
    engine().start(replace(script, restart="never"))
    wait_for(lambda: engine().observe(workspace.workload_id).ended, 60)
    said = engine().log(workspace.workload_id)[0].decode()
    assert "rows 2 version" in said
    assert "parts [1, 1] ['east', 'west']" in said
    assert "Read-only file system" in said or "Permission denied" in said
    assert DatasetVersion.objects.get(pk=version.pk).digest == version.digest


def test_only_the_owner_chooses_and_only_what_they_may_read(workspace, version, dan, ada, transport):
    with pytest.raises(NotAllowed):
        services.mount_datasets(workspace, [version], by=dan)
    zoe = make_user("zoe", team=transport, role="developer")
    foreign = services.create_workspace("theirs", team=transport, by=zoe)
    with pytest.raises(NotAllowed):
        services.mount_datasets(foreign, [version], by=zoe)


def test_a_right_that_ended_takes_the_data_away_at_the_next_start(workspace, version, ada):
    services.mount_datasets(workspace, [version], by=ada)
    assert [mount.target for mount in mounted.mounts_of(workspace, ada)] == ["/datasets/towers/1"]
    ada.memberships.all().delete()
    ada = type(ada).objects.get(pk=ada.pk)
    assert mounted.mounts_of(workspace, ada) == []


def test_they_are_chosen_on_the_page_and_through_the_api(client, workspace, version, ada):
    client.force_login(ada)
    page = f"/workspaces/{workspace.pk}/settings/"
    fields = {"flavour": "small", "idle_minutes": "60", "environment": "base", "datasets": ["towers/1"]}
    assert client.post(page, fields).status_code == 302
    assert "towers v1" in client.get(page).content.decode()
    here, as_json = f"/api/v1/workspaces/{workspace.pk}/", {"content_type": "application/json"}
    assert client.get(here).json()["datasets"] == [version.pk]
    assert client.patch(here, {"datasets": []}, **as_json).json()["datasets"] == []
    assert client.patch(here, {"datasets": [999_999]}, **as_json).status_code == 422


def test_a_new_workspace_takes_them_from_the_form_and_through_the_api(client, version, ada, radio, transport):
    client.force_login(ada)
    page = {"team": radio.pk, "flavour": "small", "environment": "base"}
    answer = client.post("/workspaces/new/", {**page, "name": "by page", "datasets": ["towers/1"]})
    assert answer.status_code == 302, answer.content
    sent = {"team": radio.slug, "name": "by api", "datasets": [version.pk]}
    answer = client.post("/api/v1/workspaces/", sent, content_type="application/json")
    assert answer.status_code == 201, answer.content
    assert [list(each.datasets.all()) for each in Workspace.objects.all()] == [[version], [version]]

    cy = make_user("cy", team=transport, role="developer")
    client.force_login(cy)
    answer = client.post(
        "/workspaces/new/", {**page, "team": transport.pk, "name": "x", "datasets": ["towers/1"]}
    )
    assert answer.status_code == 422
    sent |= {"team": transport.slug, "name": "y"}
    assert client.post("/api/v1/workspaces/", sent, content_type="application/json").status_code == 422
    assert not Workspace.objects.filter(owner=cy).exists()


@pytest.mark.parametrize(
    ("status", "asks"), [("starting", "every 2s"), ("running", "every 10s"), ("stopped", None)]
)
def test_the_list_is_asked_for_again_while_something_is_in_use(client, workspace, ada, status, asks):
    Workspace.objects.filter(pk=workspace.pk).update(status=status)
    client.force_login(ada)
    page = client.get("/workspaces/").content.decode()
    assert (f'hx-trigger="{asks}"' in page) if asks else ('hx-trigger="every' not in page)


# -- jobs -------------------------------------------------------------------------------------------

AS_JSON = {"content_type": "application/json"}


def places_of(job):
    return {target for _source, target, readonly in job.mounts if readonly}


def taught(job):
    """What the lineage says that a job was made from."""
    return {edge.source for edge in lineage.upstream(job, depth=1) if edge.kind == "trained on"}


def test_a_script_reads_what_it_was_given_and_cannot_write_it(version, ada, radio, monkeypatch):
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    environments.build("base", say=lambda words: None)
    split_version(version, by=ada, shares={"train": 0.5, "test": 0.5})

    job = run(
        submit_script("Count", SCRIPT, by=ada, team=radio, datasets=["towers@1"], network="none"), seconds=60
    )

    said = job_log(job, 0, 1 << 16)[0].decode()
    assert job.status == "succeeded", said
    assert "rows 2 version towers/1" in said
    assert "parts [1, 1] ['east', 'west']" in said
    assert "Read-only file system" in said or "Permission denied" in said


@pytest.mark.parametrize("name", ["towers@1", "towers/1", "towers@golden"])
def test_a_job_over_rest_names_versions_and_comes_from_them(client, version, ada, radio, name):
    tag_version(version, "golden", by=ada)
    client.force_login(ada)
    sent = {"title": "t", "team": radio.slug, "script": "1", "datasets": [name, "towers@1"]}
    answer = client.post("/api/v1/jobs/", sent, **AS_JSON)
    assert answer.status_code == 201, answer.content
    job = Job.objects.get()
    assert places_of(job) == {"/datasets/towers/1"}
    assert taught(job) == {lineage.urn(version)}


def test_a_job_without_data_comes_from_none(client, version, ada, radio):
    client.force_login(ada)
    client.post("/api/v1/jobs/", {"title": "t", "team": radio.slug, "script": "1"}, **AS_JSON)
    job = Job.objects.get()
    assert (job.mounts, taught(job)) == ([], set())


def test_what_is_not_there_or_not_theirs_to_read_is_named_and_nothing_is_queued(
    client, version, ada, radio, transport
):
    client.force_login(ada)
    sent = {"title": "t", "team": radio.slug, "script": "1"}
    for wrong in ("towers@9", "towers@nothing", "towers", "nowhere@1"):
        answer = client.post("/api/v1/jobs/", {**sent, "datasets": [wrong]}, **AS_JSON)
        assert (answer.status_code, list(answer.json()["fields"])) == (422, ["datasets"]), wrong
    assert client.post("/api/v1/jobs/", {**sent, "datasets": ["towers@1"] * 51}, **AS_JSON).status_code == 422

    client.force_login(make_user("zoe", team=transport, role="developer"))
    sent |= {"team": transport.slug, "datasets": ["towers@1"]}
    assert client.post("/api/v1/jobs/", sent, **AS_JSON).status_code == 422
    page = {"title": "t", "team": transport.pk, "script": "1", "environment": "base", "cpu": "1"}
    page |= {"memory_mb": "256", "timeout_s": "60", "max_attempts": "1"} | rows_of("params")
    assert client.post("/jobs/new/", page).status_code == 302
    assert "towers" not in client.get("/jobs/new/").content.decode()
    assert places_of(Job.objects.get()) == set()


def test_the_page_of_a_script_offers_them(client, version, ada, radio):
    client.force_login(ada)
    assert offered(client.get("/jobs/new/")) == {"towers/1": False}
    page = {"title": "t", "team": radio.pk, "script": "1", "environment": "base", "cpu": "1"}
    page |= {"memory_mb": "256", "timeout_s": "60", "max_attempts": "1", "datasets": ["towers/1"]}
    page |= rows_of("params")
    assert client.post("/jobs/new/", page).status_code == 302
    assert taught(Job.objects.get()) == {lineage.urn(version)}
    assert client.post("/jobs/new/", {**page, "datasets": ["towers/2"]}).status_code == 422


def offered(page):
    """{name: chosen} of the versions that a picker on a page shows."""
    boxes = re.findall(
        r'<input type="(?:checkbox|radio)"[^>]* value="([^"]+)"( checked)?>', page.content.decode()
    )
    return {name: bool(chosen) for name, chosen in boxes}


def test_a_picker_searches_and_keeps_what_is_chosen(client, version, ada, radio, transport):
    for _number in range(30):
        create_version(version.dataset, put_files({"a.csv": b"a\n1\n"}), by=ada)
    create_version(make_dataset(radio, ada, "masts"), put_files({"a.csv": b"a\n1\n"}), by=ada)
    client.force_login(ada)
    assert list(offered(client.get("/jobs/new/"))) == ["masts/1", *(f"towers/{n}" for n in (31, 30, 29, 28))]
    here = "/jobs/data/?field=datasets&datasets=towers/3&datasets=masts/7&words="
    assert offered(client.get(f"{here}mast")) == {"towers/3": True, "masts/1": False}
    assert offered(client.get(f"{here}towers v12")) == {"towers/3": True, "towers/12": False}
    assert len(offered(client.get(f"{here}towers"))) == 1 + 20
    assert offered(client.get(f"{here}nothing%27")) == {"towers/3": True}
    assert 'type="radio"' in client.get(f"{here}mast&single=1").content.decode()

    client.force_login(make_user("zoe", team=transport, role="developer"))
    assert offered(client.get(f"{here}towers")) == {}


def test_a_refused_form_keeps_what_was_chosen(client, version, ada, radio):
    client.force_login(ada)
    for _number in range(9):
        create_version(version.dataset, put_files({"a.csv": b"a\n1\n"}), by=ada)
    answer = client.post("/jobs/new/", {"team": radio.pk, "datasets": ["towers/1"]})
    assert (answer.status_code, offered(answer)["towers/1"]) == (422, True)


def of_another_team(team):
    """The first version of a data set that a developer of that team made for it."""
    zoe = make_user("zoe", team=team, role="developer")
    return create_version(make_dataset(team, zoe, "masts"), put_files({"a.csv": b"a\n1\n"}), by=zoe)


def who_joins(person, team):
    """The person, now a developer of that team as well."""
    person.memberships.create(team=team, role="developer")
    return type(person).objects.get(pk=person.pk)


def test_the_page_of_a_job_tells_what_it_reads_to_whom_may_know(
    client, workspace, version, ada, dan, transport
):
    """Dan is of the team, the masts are of another one's, to which Ada belongs as well."""
    masts, ada = of_another_team(transport), who_joins(ada, transport)
    services.mount_datasets(workspace, [masts], by=ada)
    split_version(version, by=ada, shares={"train": 0.5, "test": 0.5})
    (home_of(workspace)).mkdir(parents=True)
    (home_of(workspace) / "train.py").write_text("1")
    job = run_file(workspace, "train.py", by=ada, datasets=[version])

    def seen_by(person):
        client.force_login(person)
        names = [
            (one["name"], one["origin"]) for one in client.get(f"/api/v1/jobs/{job.pk}/datasets/").json()
        ]
        return names, client.get(f"/jobs/{job.pk}/").content.decode()

    names, page = seen_by(ada)
    assert names == [("towers/1", True), ("masts/1", False)]
    assert page.index("/datasets/towers/versions/1/") < page.index("/datasets/masts/versions/1/")
    assert "may be read, too" in page
    names, page = seen_by(dan)
    assert names == [("towers/1", True)]
    assert "masts" not in page
    assert "1 that you may not see" in page


def test_a_retry_asks_for_the_right_to_the_data_again(client, version, ada, radio, transport):
    secret, ada = of_another_team(transport), who_joins(ada, transport)
    job = submit_script("t", "1", by=ada, team=radio, datasets=["masts@1"])
    Job.objects.filter(pk=job.pk).update(status="failed", reason="exit code 1")
    ada.memberships.filter(team=transport).delete()
    client.force_login(ada)
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    assert "The job reads data that you may not" in page
    assert f"/jobs/{job.pk}/retry/" not in page
    assert client.post(f"/jobs/{job.pk}/retry/").status_code == 403
    assert client.post(f"/api/v1/jobs/{job.pk}/retry/").status_code == 403
    assert Job.objects.get().status == "failed"

    secret.dataset.visibility = "organisation"
    secret.dataset.save()
    assert client.post(f"/jobs/{job.pk}/retry/").status_code == 302
    assert Job.objects.get().status == "queued"


@pytest.mark.parametrize("by_page", [True, False])
def test_a_file_of_the_workspace_gets_others_beside_its_own_and_another_environment(
    client, workspace, version, ada, radio, monkeypatch, by_page
):
    newer = create_version(version.dataset, put_files({"towers.csv": b"name\nsouth\n"}), by=ada)
    masts = create_version(make_dataset(radio, ada, "masts"), put_files({"a.csv": b"a\n1\n"}), by=ada)
    services.mount_datasets(workspace, [newer, masts], by=ada)
    Environment.objects.create(
        name="boost", team=radio, requirements="x", status="ready", lock_name="own-1", created_by=ada
    )
    monkeypatch.setattr(environments, "exists", lambda name: name in ("base", "own-1"))
    home_of(workspace).mkdir(parents=True)
    (home_of(workspace) / "train.py").write_text("1")
    client.force_login(ada)
    asked = {"path": "train.py", "environment": "own-1"}
    if by_page:
        asked |= {"cpu": 1, "memory_mb": 512, "minutes": 5, "datasets": ["towers/1"]} | rows_of("params")
        answer = client.post(f"/workspaces/{workspace.pk}/run/", asked)
    else:
        asked |= {"datasets": ["towers@1"]}
        answer = client.post(f"/api/v1/workspaces/{workspace.pk}/run/", asked, **AS_JSON)
    assert answer.status_code == (302 if by_page else 201), answer.content
    job = Job.objects.get()
    assert places_of(job) == {
        "/datasets/towers/1",
        "/datasets/masts/1",
    }  # the newer one would hide the chosen one
    assert (taught(job), job.environment) == ({lineage.urn(version)}, "own-1")


def test_the_trials_of_a_sweep_read_them(client, version, ada, radio):
    client.force_login(ada)
    sent = {"title": "s", "team": radio.slug, "script": "1", "space": {"depth": [1]}, "metric": "f1"}
    answer = client.post("/api/v1/sweeps/", {**sent, "datasets": ["towers@1"]}, **AS_JSON)
    assert answer.status_code == 201, answer.content
    sweeps.advance_sweep(answer.json()["id"])
    job = Job.objects.get()
    assert (places_of(job), taught(job)) == ({"/datasets/towers/1"}, {lineage.urn(version)})
    assert client.post("/api/v1/sweeps/", {**sent, "datasets": ["towers@9"]}, **AS_JSON).status_code == 422
