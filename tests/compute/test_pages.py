"""The pages and the REST of jobs, as people of the team and others see them."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import translation

from apps.accounts.models import User
from apps.compute.engines import sandbox
from apps.compute.models import Job
from apps.compute.services import attempts
from apps.core import objects
from apps.core.audit import AuditEntry
from atrium.told import patterns_of, tell
from tests.factories import rows_of

from .conftest import run, submit

pytestmark = pytest.mark.usefixtures("outside")


def test_list_shows_the_teams_jobs_with_a_constant_number_of_queries(
    client, ada, radio, fake, django_assert_max_num_queries
):
    for _ in range(12):
        submit(radio, ada, "true")
    client.force_login(ada)

    with django_assert_max_num_queries(14):
        page = client.get(reverse("jobs:list"))

    assert page.content.decode().count("A job") >= 12


def test_list_filters_and_says_when_nothing_matches(client, ada, radio, fake):
    submit(radio, ada, "true")
    client.force_login(ada)

    assert "A job" in client.get("/jobs/?status=queued&mine=1&q=job").content.decode()
    assert "No job matches" in client.get("/jobs/?status=failed").content.decode()


def test_page_shows_result_files_and_log(client, ada, radio, fake):
    job = submit(radio, ada, "run")
    attempts.start_job(job.pk)
    job.refresh_from_db()
    fake.say(job.workload_id, "<b>fitting</b>\n")
    fake.write(job.workload_id, "result.json", json.dumps({"accuracy": 0.97}).encode())
    fake.write(job.workload_id, "outputs/deep/model.bin", b"weights")
    fake.finish(job.workload_id)
    run(job)
    client.force_login(ada)

    page = client.get(reverse("jobs:detail", args=[job.pk])).content.decode()

    assert "0.97" in page
    assert "&lt;b&gt;fitting&lt;/b&gt;" in page
    file = client.get(reverse("jobs:output", args=[job.pk, "deep/model.bin"]))
    assert b"".join(file.streaming_content) == b"weights"
    assert "attachment" in file["Content-Disposition"]
    log = client.get(reverse("jobs:log", args=[job.pk]))
    assert b"".join(log.streaming_content) == b"<b>fitting</b>\n"


def test_a_failed_job_shows_what_happened_in_the_list_and_what_to_do_beside_it(client, ada, radio, fake):
    job = submit(radio, ada, "run")
    attempts.start_job(job.pk)
    job.refresh_from_db()
    failure = {"message": "No module named 'acme'", "advice": "Add the line acme."}
    fake.write(job.workload_id, "result.json", json.dumps({"failure": failure}).encode())
    fake.finish(job.workload_id, 1, "exit code 1: Add the line acme.")
    run(job)
    client.force_login(ada)

    assert job.reason == "No module named 'acme'"
    rows = client.get(reverse("jobs:list")).content.decode()
    assert "No module named &#x27;acme&#x27;" in rows
    assert "Add the line" not in rows
    page = client.get(reverse("jobs:detail", args=[job.pk])).content.decode()
    assert page.index("No module named &#x27;acme&#x27;") < page.index("Add the line acme.")


def test_what_a_failed_job_says_is_read_in_the_readers_language(client, ada, radio, fake, compiled_messages):
    job = submit(radio, ada, "run")
    attempts.start_job(job.pk)
    job.refresh_from_db()
    why = tell("output '%(name)s' is missing in the answer", name="y")
    result = {"failure": {"message": why, "advice": tell("Correct signature.json.")}}
    result |= {"told": patterns_of(result)}
    fake.write(job.workload_id, "result.json", json.dumps(result).encode())
    fake.finish(job.workload_id, 1, "exit code 1")
    run(job)
    User.objects.filter(pk=ada.pk).update(language="zh-hans")
    client.force_login(ada)

    with translation.override("en"):  # what the request activates ends with it
        rows = client.get(reverse("jobs:list")).content.decode()
        page = client.get(reverse("jobs:detail", args=[job.pk])).content.decode()
        told = client.get(f"/api/v1/jobs/{job.pk}/").json()

    assert "回答中缺少输出“y”" in rows
    assert "回答中缺少输出“y”" in page
    assert "请改正 signature.json。" in page
    assert told["reason"] == "回答中缺少输出“y”"


@pytest.fixture
def asked(radio):
    """What the form of a new job is sent at least."""
    return {
        "team": radio.pk,
        "environment": "base",
        "cpu": "1",
        "memory_mb": "256",
        "timeout_s": "60",
    } | rows_of("params")


def code(name, text):
    return SimpleUploadedFile(name, text.encode() if isinstance(text, str) else text)


def file_of(job, path):
    return objects.path(job.files[path]).read_text(encoding="utf-8")


def test_a_notebook_is_chosen_and_runs_without_a_workspace(client, ada, fake, asked):
    client.force_login(ada)
    notebook = json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    asked |= {"script": "the example", "silent_minutes": "2", "priority": "2"}
    asked |= rows_of("params", {"name": "trees", "value": "30"}, {"name": "loss", "value": "mse"})
    answer = client.post("/jobs/new/", asked | {"file": code("Fit trees.ipynb", notebook)})
    job = Job.objects.get()
    assert answer["Location"] == f"/jobs/{job.pk}/"
    assert (job.kind, job.title, job.priority) == ("notebook", "Fit trees.ipynb", 2)
    assert (file_of(job, "notebook.ipynb"), job.params) == (notebook, {"trees": 30, "loss": "mse"})
    assert job.argv[-2:] == ["--cell-timeout", "120"]


def test_a_script_is_chosen_or_written(client, ada, fake, asked):
    client.force_login(ada)
    client.post("/jobs/new/", asked | {"title": "Mine", "file": code("a.py", "\ufeffprint('é')")})
    client.post("/jobs/new/", asked | {"script": "print(2)"})
    written, sent = Job.objects.order_by("-pk")
    assert (sent.kind, sent.title, file_of(sent, "main.py")) == ("script", "Mine", "print('é')")
    assert (written.title, file_of(written, "main.py")) == ("Script", "print(2)")


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({}, "Choose a file, or write a script."),
        ({"script": " "}, "Choose a file, or write a script."),
        ({"file": code("a.ipynb", "print(1)")}, "This is no notebook"),
        ({"file": code("a.txt", "print(1)")}, "neither a notebook (.ipynb) nor a Python script"),
        ({"file": code("a.py", b"\xff\xfe\x00")}, "no text in UTF-8"),
        ({"file": code("a.py", "#" * 1_000_001)}, "at most 1 MB"),
        ({"file": code("a.py", "")}, "empty"),
        ({"script": "1", **rows_of("params", {"name": "a", "value": "1"}, {"name": "a", "value": "2"})}, "twice"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_at_the_form_with_the_reason(client, ada, fake, asked, sent, why):
    client.force_login(ada)
    answer = client.post("/jobs/new/", asked | sent)
    assert (answer.status_code, why in answer.content.decode()) == (422, True)
    assert not Job.objects.exists()


def test_outsider_gets_not_found_everywhere(client, ada, cy, radio, fake):
    job = submit(radio, ada, "true")
    client.force_login(cy)

    for name in ("detail", "state", "log"):
        assert client.get(reverse(f"jobs:{name}", args=[job.pk])).status_code == 404
    for name in ("cancel", "retry"):
        assert client.post(reverse(f"jobs:{name}", args=[job.pk])).status_code == 404
    assert client.get(f"/api/v1/jobs/{job.pk}/").status_code == 404
    assert client.get("/api/v1/jobs/").json()["results"] == []
    assert client.get(reverse("jobs:machine")).status_code == 403
    job.refresh_from_db()
    assert job.status == "queued"


def test_nobody_is_sent_to_the_login(client, db):
    assert client.get("/jobs/").status_code == 302
    assert client.get("/api/v1/jobs/").status_code in (401, 403)


def test_qa_sees_a_job_but_does_not_stop_it(client, ada, bo, radio, fake):
    job = submit(radio, ada, "true")
    client.force_login(bo)

    page = client.get(reverse("jobs:detail", args=[job.pk])).content.decode()

    assert "Stop the job" not in page
    assert client.post(reverse("jobs:cancel", args=[job.pk])).status_code == 403


def test_developer_stops_a_job_and_runs_it_again(client, ada, radio, fake):
    job = submit(radio, ada, "true")
    client.force_login(ada)

    client.post(reverse("jobs:cancel", args=[job.pk]))
    job.refresh_from_db()
    assert job.status == "cancelled"
    assert AuditEntry.objects.filter(action="compute.job.cancelled", actor=ada).exists()

    client.post(reverse("jobs:retry", args=[job.pk]))
    job.refresh_from_db()
    assert job.status == "queued"


def test_script_from_the_page_becomes_a_job(client, ada, radio, fake):
    client.force_login(ada)
    assert client.get("/jobs/new/").status_code == 200

    answer = client.post(
        "/jobs/new/",
        {
            "title": "Count",
            "team": radio.pk,
            "script": "print(1)",
            "environment": "base",
            "cpu": "1",
            "memory_mb": "256",
            "timeout_s": "60",
            "max_attempts": "1",
            "priority": "2",
            **rows_of("params"),
        },
    )

    job = Job.objects.get()
    assert (job.priority, job.network) == (2, "forwarder")
    assert answer.url == reverse("jobs:detail", args=[job.pk])
    assert (job.title, job.resources["memory_mb"], job.argv) == ("Count", 256, ["python", "main.py"])


@pytest.mark.parametrize(("field", "value"), [("memory_mb", "999999999"), ("script", ""), ("team", "0")])
def test_impossible_form_names_the_problem(client, ada, radio, fake, field, value):
    client.force_login(ada)
    good = {"title": "x", "team": radio.pk, "script": "1", "environment": "base", "cpu": "1"}
    good |= {"memory_mb": "256", "timeout_s": "60", "max_attempts": "1"}

    answer = client.post("/jobs/new/", good | {field: value})

    assert answer.status_code == 422
    assert not Job.objects.exists()


def test_script_over_rest_runs_and_is_read_back(client, ada, radio, engine):
    client.force_login(ada)
    body = {"title": "Add", "team": radio.slug, "params": {"a": 2}, "resources": {"memory_mb": 256}}
    body["script"] = (
        "import json; json.dump(json.load(open('params.json'))['a'] + 1, open('result.json', 'w'))\n"
    )
    body["script"] += "import os; os.mkdir('outputs'); open('outputs/a.txt', 'w').write('b'); print('done')"

    answer = client.post("/api/v1/jobs/", body, content_type="application/json")
    assert answer.status_code == 201, answer.json()
    job = Job.objects.get(pk=answer.json()["id"])
    Job.objects.update(argv=["python3", "main.py"], network="none")
    job.refresh_from_db()
    run(job)

    told = client.get(f"/api/v1/jobs/{job.pk}/").json()
    assert (told["status"], told["result"]) == ("succeeded", 3)
    log = client.get(f"/api/v1/jobs/{job.pk}/log/?offset=2")
    assert (log.content, log["X-Next-Offset"]) == (b"ne\n", "5")
    file = client.get(f"/api/v1/jobs/{job.pk}/outputs/a.txt/")
    assert b"".join(file.streaming_content) == b"b"
    assert client.get(f"/api/v1/jobs/{job.pk}/outputs/none.txt/").status_code == 404
    assert [a["number"] for a in client.get(f"/api/v1/jobs/{job.pk}/attempts/").json()] == [1]
    assert client.post(f"/api/v1/jobs/{job.pk}/cancel/").status_code == 403


def test_repeated_post_with_one_key_makes_one_job(client, ada, radio, fake):
    client.force_login(ada)
    body = {"title": "Add", "team": radio.slug, "script": "1"}

    for _ in range(2):
        answer = client.post(
            "/api/v1/jobs/", body, content_type="application/json", headers={"Idempotency-Key": "k1"}
        )
        assert answer.status_code == 201

    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"team": "nobody"}, "nobody"),
        ({"script": "  "}, "empty"),
        ({"environment": "mars"}, "mars"),
        ({"resources": {"memory_mb": 10**9}}, "never fit"),
        ({"inputs": {"x": "zz"}}, "inputs"),
        ({"timeout_s": -1}, "timeout_s"),
    ],
)
def test_bad_request_names_the_value(client, ada, radio, fake, change, word):
    client.force_login(ada)
    body = {"title": "Add", "team": radio.slug, "script": "1"} | change

    answer = client.post("/api/v1/jobs/", body, content_type="application/json")

    assert answer.status_code in (400, 422), answer.content
    assert word in answer.json()["detail"]
    assert not Job.objects.exists()


def test_consumer_of_the_team_cannot_run_code_for_it(client, bo, radio, fake):
    client.force_login(bo)

    answer = client.post(
        "/api/v1/jobs/", {"title": "x", "team": radio.slug, "script": "1"}, content_type="application/json"
    )

    assert answer.status_code == 403


def test_administrator_sees_the_sandbox_and_the_machine(client, root, fake):
    client.force_login(root)

    page = client.get(reverse("jobs:machine")).content.decode()

    assert "What each level holds" in page
    assert "A fork bomb hurts only itself" in page


def test_the_machine_names_the_job_that_a_workload_runs(client, root, ada, radio, fake):
    job = submit(radio, ada, "run")
    attempts.start_job(job.pk)
    client.force_login(root)

    page = client.get(reverse("jobs:machine")).content.decode()

    assert f'<a href="{reverse("jobs:detail", args=[job.pk])}">A job</a>' in page


def test_the_machine_is_told_by_rest_as_on_its_page(client, root, ada, radio, fake):
    job = submit(radio, ada, "run")
    attempts.start_job(job.pk)
    job.refresh_from_db()
    client.force_login(root)

    told = client.get("/api/v1/machine/").json()

    (workload,) = told["workloads"]
    assert (workload["id"], workload["job"], workload["state"]) == (job.workload_id, job.pk, "running")
    assert told["used"]["memory_mb"] == job.resources["memory_mb"]
    assert told["capacity"]["memory_mb"] > told["used"]["memory_mb"]
    assert told["sandbox"]["level"] in sandbox.LEVELS
    assert "base" in [built["name"] for built in told["environments"]]
    page = client.get(reverse("jobs:machine")).content.decode()
    assert job.workload_id in page
    assert reverse("jobs:detail", args=[job.pk]) in page


def test_it_says_to_each_reader_why_no_stronger_fence_works(
    compiled_messages, client, root, fake, monkeypatch
):
    monkeypatch.setattr("apps.compute.engines.sandbox.shutil.which", lambda program: None)
    monkeypatch.setattr("apps.compute.engines.sandbox.os.geteuid", lambda: 0)
    monkeypatch.setattr("apps.compute.selectors.sandbox.probe", sandbox.probe.__wrapped__)
    client.force_login(root)

    english = client.get("/api/v1/machine/").json()["sandbox"]
    User.objects.filter(pk=root.pk).update(language="zh-hans")
    chinese = client.get("/api/v1/machine/").json()["sandbox"]

    assert (english["level"], english["strong"]) == ("rlimits", False)
    assert english["why_not"]["bubblewrap"] == "bwrap is missing: install the package bubblewrap"
    assert english["why_not"]["bubblewrap-rootless"] == "the portal runs as root"
    assert chinese["why_not"]["bubblewrap"] == "缺少 bwrap：请安装软件包 bubblewrap"
    assert chinese["why_not"]["own-uid"].endswith("：缺少 setpriv：请安装软件包 util-linux")
    page = client.get(reverse("jobs:machine")).content.decode()
    assert chinese["why_not"]["bubblewrap"] in page
