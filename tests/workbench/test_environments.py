"""Environments of a team's own: locked by uv in a job, installed once, used by workspaces and jobs."""

import re
import time
from dataclasses import replace

import pytest

from apps.compute.environments.diagnosis import what_happened
from apps.compute.models import Job
from apps.compute.services import attempts, egress, submit_script
from apps.core.errors import Invalid, NotAllowed
from apps.workbench import install_log, packages, services
from apps.workbench.launch import home_of
from apps.workbench.models import Environment, Workspace
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_in_the_background(monkeypatch):
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)


@pytest.fixture
def small_base(monkeypatch, live_process, db):
    """The base's packages are many; one of them is enough here. The index is reached through the forwarder."""
    egress.learn_hosts()
    monkeypatch.setattr(packages, "_base", lambda: "jmespath\n")


def ended(job_id, seconds=120):
    """The job after the reconciler has brought it to its end."""
    job, until = Job.objects.get(pk=job_id), time.monotonic() + seconds
    while not job.ended:
        assert time.monotonic() < until, (job.status, job.reason)
        attempts.reconcile()
        job.refresh_from_db()
        if job.status in Job.ACTIVE:
            attempts.conclude_job(job.pk)
            job.refresh_from_db()
        time.sleep(0.05)
    return job


def told(environment):
    """The environment after its job has ended and its end was told, twice as may happen."""
    job = ended(environment.job_id)
    for _time in range(2):
        packages.when_locked(str(job.pk), {"kind": job.kind})
    environment.refresh_from_db()
    return environment


def test_packages_are_locked_installed_and_used_by_a_job(small_base, ada, radio, client):
    made = packages.create_environment("words", "inflection==0.5.1", team=radio, by=ada)
    assert told(made).status == "building", made.reason
    packages.install_environments()
    made.refresh_from_db()
    assert made.status == "ready", made.reason
    assert ("inflection", "0.5.1") in packages.pins_of(made)
    assert "jmespath" in dict(packages.pins_of(made))
    assert [step["status"] for step in install_log.steps_of(made)] == ["done"] * 4
    client.force_login(ada)
    for address in (f"/environments/{made.pk}/log/", f"/api/v1/environments/{made.pk}/log/"):
        text = b"".join(client.get(address).streaming_content).decode()
        assert re.search(
            r"(?s)  inflection==0.5.1.*Resolved \d+ packages.*(compatible|installed already)", text
        )

    script = "import inflection; print(inflection.pluralize('octopus'))"
    job = submit_script("try", script, by=ada, team=radio, environment=made.lock_name)
    assert ended(job.pk).status == "succeeded", job.reason
    workspace = services.create_workspace("w", team=radio, by=ada, environment=made.lock_name)
    assert workspace.environment == made.lock_name


def test_what_cannot_be_had_fails_with_the_resolvers_words_and_can_be_tried_again(small_base, ada, radio):
    made = packages.create_environment("odd", "inflection==99.0", team=radio, by=ada)
    assert told(made).status == "failed"
    assert "inflection" in made.reason
    assert "99.0" in made.reason
    what, to_do = what_happened(made.reason)
    assert (what[:6], to_do[:6]) == ("No set", "Loosen")
    assert [step["status"] for step in install_log.steps_of(made)][:2] == ["failed", "skipped"]
    packages.retry_environment(made, by=ada)
    assert made.status == "locking"


def test_an_installation_that_was_interrupted_says_so_and_its_log_goes_on(ada, radio):
    made = Environment.objects.create(name="words", team=radio, created_by=ada, status="building")
    killed = install_log.InstallLog(made)
    killed.begin()
    killed("download", "Downloading numpy (16.1MiB)\n")
    again = install_log.InstallLog(made)
    again.begin()
    again("install", "Prepared 1 package\n")

    text, place = install_log.read(made, None, None)

    assert [line for line in text.decode().splitlines() if line] == [
        "Downloading numpy (16.1MiB)",
        "The installation was interrupted and begins again.",
        "Prepared 1 package",
    ]
    assert install_log.read(made, None, place) == (b"", place)
    assert list(made.steps) == ["download", "install"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("Because all versions of uwsgi have no usable wheels and you require uwsgi", "ready made"),
        ("Because zzz was not found in the package registry and you require zzz", "of that name"),
        ("cause: client error (Connect)\n cause: Connection refused (os error 111)", "did not answer"),
        ("cause: Hash mismatch for `jmespath==1.0.1`", "not the one that was locked"),
        ("killed by signal 9", "could not be made"),
    ],
)
def test_the_words_of_uv_become_a_cause_and_what_to_do(words, what):
    assert what in what_happened(words)[0]


def test_addresses_and_bad_names_are_refused(ada, bo, radio):
    for name, text in (("Bad Name", "inflection"), ("fine", "x @ https://evil.example/x.whl"), ("fine", "")):
        with pytest.raises(Invalid):
            packages.create_environment(name, text, team=radio, by=ada)
    with pytest.raises(NotAllowed):
        packages.create_environment("fine", "inflection", team=radio, by=bo)
    assert not Environment.objects.exists()


def test_what_pip_installed_in_a_workspace_is_found_but_not_through_links(tmp_path, ada, dan, radio):
    site = tmp_path / ".local" / "lib" / "python3.11" / "site-packages"
    (site / "inflection-0.5.1.dist-info").mkdir(parents=True)
    (site / "inflection").mkdir()
    assert packages.installed_in(tmp_path) == ["inflection==0.5.1"]

    workspace = Workspace.objects.create(name="w", owner=ada, team=radio)
    with pytest.raises(NotAllowed):
        packages.save_environment(workspace, "saved", home=tmp_path, by=dan)
    saved = packages.save_environment(workspace, "saved", home=tmp_path, by=ada)
    assert (saved.requirements, saved.workspace) == ("inflection==0.5.1", workspace)

    other = tmp_path / "other"
    other.mkdir()
    (other / ".local").symlink_to(tmp_path / ".local")
    assert packages.installed_in(other) == []
    with pytest.raises(Invalid):
        packages.save_environment(workspace, "nothing", home=other, by=ada)


def test_a_program_saves_what_was_installed_in_its_workspace(client, ada, dan, radio, settings, tmp_path):
    settings.ATRIUM = replace(settings.ATRIUM, data_dir=tmp_path)
    workspace = services.create_workspace("signals", team=radio, by=ada)
    site = home_of(workspace) / ".local" / "lib" / "python3.11" / "site-packages"
    (site / "inflection-0.5.1.dist-info").mkdir(parents=True)
    url, as_json = f"/api/v1/workspaces/{workspace.pk}/environment/", {"content_type": "application/json"}
    client.force_login(ada)

    made = client.post(url, {"name": "saved"}, **as_json)

    assert (made.status_code, made.json()["requirements"]) == (201, "inflection==0.5.1"), made.content
    assert Environment.objects.get(pk=made.json()["id"]).workspace == workspace
    assert client.post(url, {"name": "saved"}, **as_json).status_code == 422  # taken
    client.force_login(dan)
    assert client.post(url, {"name": "mine"}, **as_json).status_code == 403


def test_the_pages_and_the_api_are_for_the_team(client, ada, radio, transport):
    client.force_login(ada)
    asked = {"name": "words", "team": radio.pk, "requirements": "inflection==0.5.1"}
    made = client.post("/environments/new/", asked)
    assert made.status_code == 302
    assert client.post("/environments/new/", asked).status_code == 422
    assert "inflection==0.5.1" in client.get(made.url).content.decode()
    assert "words" in client.get("/environments/").content.decode()
    body = {"name": "more", "team": "radio", "requirements": "inflection"}
    by_api = client.post("/api/v1/environments/", body, content_type="application/json")
    assert (by_api.status_code, by_api.json()["status"]) == (201, "locking")
    Environment.objects.filter(name="words").update(status="ready", lock_name="own-1")
    assert '<option value="own-1">words</option>' in client.get("/workspaces/new/").content.decode()
    assert '<option value="own-1">words</option>' in client.get("/jobs/new/").content.decode()

    client.force_login(make_user("zoe", team=transport, role="developer"))
    assert client.get(made.url).status_code == 404
    assert client.get(f"/api/v1/environments/{by_api.json()['id']}/").status_code == 404
    assert "own-1" not in client.get("/workspaces/new/").content.decode()


def test_a_lost_end_of_the_locking_job_is_found_by_the_next_round(ada, radio):
    environment = packages.create_environment("forecasting", "lightgbm==4.6.0", team=radio, by=ada)
    Job.objects.filter(pk=environment.job_id).update(status=Job.Status.FAILED, reason="killed")

    packages.install_environments()

    environment.refresh_from_db()
    assert (environment.status, environment.reason) == ("failed", "killed")
