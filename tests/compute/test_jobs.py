"""Jobs on the real engine and the real database; tasks are called as the worker would call them."""

import errno
import json

import pytest
from django.urls import reverse
from django.utils import translation

from apps.accounts.models import User
from apps.compute import adapters, environments, tasks
from apps.compute.engines.local import LocalEngine
from apps.compute.models import Attempt, Job, Reservation
from apps.compute.selectors import in_use, job_log, jobs_visible_to
from apps.compute.services import attempts, cancel_job, retry_job
from apps.core import objects
from apps.core.errors import IllegalMove, Invalid, NotAllowed
from apps.core.models import AuditEntry, Event
from apps.requests.models import Notification

from .conftest import run, submit

pytestmark = pytest.mark.usefixtures("outside")


def test_job_reads_its_inputs_and_leaves_result_outputs_and_log(ada, radio, engine):
    sha256, _ = objects.put([b"21"])
    script = "import json; n = int(open('inputs/n').read()) * json.load(open('params.json'))['by']\n"
    script += "import os; os.makedirs('outputs/deep'); open('outputs/deep/n', 'w').write(str(n))\n"
    script += "json.dump({'n': n}, open('result.json', 'w')); print('done')"

    job = submit(
        radio,
        ada,
        "python3",
        "main.py",
        files={"main.py": script},
        inputs={"n": sha256},
        params={"by": 2},
    )
    run(job)

    assert (job.status, job.reason, job.result) == ("succeeded", "", {"n": 42})
    assert objects.path(job.outputs["deep/n"]["sha256"]).read_text() == "42"
    assert job_log(job)[0] == b"done\n"
    assert engine.list() == []
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert [a.removeprefix("compute.job.") for a in actions] == ["queued", "starting", "running", "succeeded"]


def test_end_is_told_by_event(ada, radio, fake, monkeypatch):
    monkeypatch.setattr("apps.core.events._handlers", {"compute.job_finished": [lambda *facts: None]})
    job = submit(radio, ada, "true")

    run(job)

    event = Event.objects.get(name="compute.job_finished")
    assert (event.key, event.facts["status"]) == (str(job.pk), "succeeded")


def test_owner_hears_of_a_failure_and_not_of_a_quick_success(ada, radio, fake):
    run(submit(radio, ada, "true"))
    assert not Notification.objects.exists()

    job = run(submit(radio, ada, "false"))

    told = Notification.objects.get(user=ada)
    assert (told.title, told.url, told.body) == ("Job failed: A job", f"/jobs/{job.pk}/", "exit code 1")


@pytest.mark.parametrize(
    ("argv", "facts", "reason"),
    [
        (["sh", "-c", "echo the key is missing; exit 1"], {}, "exit code 1: the key is missing"),
        (["sh", "-c", "kill -9 $$"], {}, "killed by signal 9 (SIGKILL)"),
        (["sleep", "60"], {"timeout_s": 0.5}, "time limit of 0.5 s"),
        (["sh", "-c", "echo nonsense > result.json"], {}, "result.json is no JSON"),
        (["python3", "-c", "x = bytearray(100 << 30)"], {}, "out of memory at 1,024 MB"),
    ],
)
def test_failure_says_why(ada, radio, engine, argv, facts, reason):
    job = run(submit(radio, ada, *argv, **facts))

    assert job.status == "failed"
    assert job.reason.startswith(reason)


WHAT_NO_ROW_KEEPS = {
    "a NUL in its result": (
        r"""json.dump({"a\0": ["b\0"]}, open("result.json", "w"))""",
        {"a\ufffd": ["b\ufffd"]},
    ),
    "half of a pair": (r"""json.dump({"a": "\ud83d"}, open("result.json", "w"))""", {"a": "\ufffd"}),
    "a loss of NaN": (
        """json.dump({"loss": [float("nan"), float("-inf"), 0.5]}, open("result.json", "w"))""",
        {"loss": ["NaN", "-Infinity", 0.5]},
    ),
    "a number without end": ("""open("result.json", "w").write("[1e999]")""", ["Infinity"]),
    "its progress": (r"""json.dump({"message": "a\0"}, open("progress.json", "w"))""", None),
    "its progress as a number too large": (
        """open("progress.json", "w").write('{"fraction": 1' + 400 * "0" + "}")""",
        None,
    ),
    "a step too large": ("""open("reports.jsonl", "w").write('{"step": 1' + 400 * "0" + "}")""", None),
    "a figure too large": (
        """open("reports.jsonl", "w").write('{"step": 1, "loss": 1' + 400 * "0" + "}")""",
        None,
    ),
    "a file's name": (r"""os.mkdir("outputs"); open(b"outputs/\xff", "w").close()""", None),
}


@pytest.mark.parametrize("what", WHAT_NO_ROW_KEEPS)
def test_a_job_that_leaves_what_no_row_can_keep_ends_like_any_other(ada, radio, engine, what):
    code, result = WHAT_NO_ROW_KEEPS[what]
    job = run(submit(radio, ada, "python3", "-c", f"import json, os; {code}"))

    assert (job.status, job.result, job.reason) == ("succeeded", result, "")


def test_files_whose_names_differ_only_in_what_no_row_can_keep_are_all_kept(ada, radio, engine):
    code = r"""import os; os.mkdir("outputs")
for byte in (b"\xfd", b"\xfe", b"\xff"):
    with open(b"outputs/" + byte + b".txt", "wb") as file:
        file.write(byte)
"""
    job = run(submit(radio, ada, "python3", "-c", code))

    assert sorted(job.outputs) == ["\ufffd-2.txt", "\ufffd-3.txt", "\ufffd.txt"]
    assert len({kept["sha256"] for kept in job.outputs.values()}) == 3


def test_a_job_that_fails_with_words_that_no_row_can_keep_says_the_rest(ada, radio, engine):
    job = run(submit(radio, ada, "sh", "-c", r"printf 'no \000 key\n'; exit 1"))

    assert (job.status, job.reason) == ("failed", "exit code 1: no \ufffd key")


def test_a_result_that_is_nested_too_deeply_is_no_json(ada, radio, engine):
    code = "open('result.json', 'w').write('[' * 100_000 + ']' * 100_000)"
    job = run(submit(radio, ada, "python3", "-c", code))

    assert job.status == "failed"
    assert job.reason.startswith("result.json is no JSON")


def test_a_failed_job_keeps_its_notebook_as_far_as_it_came_and_nothing_half_written(ada, radio, engine):
    code = "mkdir -p outputs; echo {} > outputs/own.ipynb; echo x > outputs/half.bin; exit 1"
    job = run(submit(radio, ada, "sh", "-c", code))
    assert (job.status, list(job.outputs)) == ("failed", ["own.ipynb"])


def test_failed_attempt_is_repeated_from_its_checkpoint(ada, radio, engine):
    script = "import os, sys\nos.makedirs('checkpoints', exist_ok=True)\n"
    script += "n = len(os.listdir('checkpoints')); open(f'checkpoints/{n}', 'w').write('x'); print(n)\nsys.exit(n < 2)"
    job = run(submit(radio, ada, "python3", "-c", script, max_attempts=3))

    assert (job.status, job.attempt, job.failures) == ("succeeded", 3, 2)
    logs = [job_log(job, attempt=number)[0] for number in (1, 2, 3)]
    assert logs == [b"0\n", b"1\n", b"2\n"]
    assert [attempt.exit_code for attempt in job.attempts.order_by("number")] == [1, 1, 0]


def test_how_attempts_ended_is_said_in_the_readers_language(compiled_messages, client, ada, radio, engine):
    job = run(submit(radio, ada, "sh", "-c", "echo no such column; exit 3", max_attempts=2))
    User.objects.filter(pk=ada.pk).update(language="zh-hans")
    client.force_login(ada)

    with translation.override("en"):
        page = client.get(reverse("jobs:detail", args=[job.pk])).content.decode()
        told = client.get(f"/api/v1/jobs/{job.pk}/").json()

    assert job.reason == "exit code 3: no such column"
    assert told["reason"] == "退出码 3：no such column"
    assert page.count("退出码 3：no such column") == 3  # the job's, and each attempt's
    assert "exit code" not in page
    assert Job.objects.get(pk=job.pk).shown_result is None


def test_who_cancelled_a_job_is_told_by_name_in_the_readers_language(compiled_messages, ada, radio, fake):
    User.objects.filter(pk=ada.pk).update(first_name="Ada", last_name="Byron")
    ada.refresh_from_db()
    waiting, running = submit(radio, ada, "run"), submit(radio, ada, "run")
    attempts.start_job(running.pk)

    for job in (waiting, running):
        cancel_job(Job.objects.get(pk=job.pk), by=ada)
    run(Job.objects.get(pk=running.pk))

    for job in Job.objects.all():
        assert (job.status, job.reason) == ("cancelled", "cancelled by Ada Byron")
        with translation.override("zh-hans"):
            assert job.reason_words == "由 Ada Byron 取消"


def test_attempts_end(ada, radio, fake):
    job = run(submit(radio, ada, "false", max_attempts=2))

    assert (job.status, job.attempt) == ("failed", 2)


def test_what_does_not_fit_waits_and_says_why(compiled_messages, ada, radio, fake, monkeypatch):
    monkeypatch.setattr("apps.compute.selectors.capacity", lambda: attempts.ledger.Amount(2, 3000, 0))
    first = submit(radio, ada, "run", resources={"memory_mb": 2000})
    second = submit(radio, ada, "true", resources={"memory_mb": 2000})

    attempts.reconcile()
    second.refresh_from_db()
    assert second.status == "queued"
    assert second.reason == "waits: 2,000 MB of memory are needed, 1,000 are free"
    with translation.override("zh-hans"):
        assert second.reason_words == "等待：需要 2,000 MB 内存，空闲 1,000"

    fake.finish(Attempt.objects.get(job=first).workload_id)
    run(first)
    assert run(second).status == "succeeded"
    assert in_use().memory_mb == 0


def test_what_never_fits_is_refused(ada, radio):
    with pytest.raises(Invalid, match="never fit on any node"):
        submit(radio, ada, "true", resources={"memory_mb": 10**9})


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"environment": "nowhere"}, "no environment “nowhere”"),
        ({"timeout_s": 0}, "time limit is 0 s"),
        ({"max_attempts": 0}, "attempts"),
        ({"resources": {"memory": 5}}, "no resource “memory”"),
        ({"resources": {"memory_mb": "much"}}, "must be a number"),
        ({"files": {"../up": b""}}, "no path below"),
        ({"inputs": {"/etc/x": "0" * 64}}, "no path below"),
        ({"inputs": {"x": "0" * 64}}, "is not stored here"),
    ],
)
def test_impossible_job_is_refused_with_the_value(ada, radio, facts, message):
    with pytest.raises(Invalid, match=message):
        submit(radio, ada, "true", **facts)

    assert not Job.objects.exists()


def test_waiting_job_is_cancelled_at_once(ada, radio, fake):
    job = submit(radio, ada, "true")

    cancel_job(job, by=ada)
    attempts.reconcile()

    job.refresh_from_db()
    assert (job.status, job.reason) == ("cancelled", "cancelled by ada")
    assert fake.list() == []


def test_running_job_is_stopped_by_cancel(ada, radio, engine):
    job = submit(radio, ada, "sleep", "60")
    attempts.start_job(job.pk)
    job.refresh_from_db()
    assert job.status == "running"

    cancel_job(job, by=ada)
    run(job)

    assert (job.status, job.reason) == ("cancelled", "cancelled by ada")


def test_outsider_neither_sees_nor_cancels(ada, cy, bo, radio, fake):
    job = submit(radio, ada, "true")

    assert not jobs_visible_to(cy).exists()
    assert jobs_visible_to(bo).get() == job
    with pytest.raises(NotAllowed, match="role"):
        cancel_job(job, by=cy)


def test_failed_job_can_be_repeated_and_succeeded_cannot(ada, radio, fake):
    job = run(submit(radio, ada, "run-until-told", max_attempts=1, timeout_s=0.01))
    assert job.status == "failed"

    retry_job(job, by=ada)
    assert job.status == "queued"
    attempts.start_job(job.pk)
    job.refresh_from_db()
    fake.finish(job.workload_id)
    run(job)

    assert (job.status, job.attempt) == ("succeeded", 2)
    with pytest.raises(NotAllowed, match="failed or cancelled"):
        retry_job(job, by=ada)


def test_progress_is_shown_while_it_runs(ada, radio, fake):
    job = submit(radio, ada, "run")
    attempts.start_job(job.pk)
    job.refresh_from_db()
    fake.write(job.workload_id, "progress.json", json.dumps({"fraction": 0.4, "message": "fitting"}).encode())

    fake.write(
        job.workload_id, "reports.jsonl", b'{"step": 1, "f1": 0.5, "note": "x"}\n{"step": 2, "f1": NaN}\n{"st'
    )

    attempts.reconcile()

    job.refresh_from_db()
    assert (job.progress, job.progress_message) == (0.4, "fitting")
    assert job.reports == [{"step": 1, "f1": 0.5}, {"step": 2}]


def test_kill_between_admission_and_start_loses_nothing(ada, radio, fake, monkeypatch):
    job = submit(radio, ada, "true")
    monkeypatch.setattr(attempts, "_launch", lambda job: None)  # the worker dies here
    attempts.start_job(job.pk)
    monkeypatch.undo()
    assert fake.list() == []

    adapters.use(fake)
    monkeypatch.setattr(environments, "path", lambda name: None)
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    attempts.reconcile()

    job.refresh_from_db()
    assert run(job).status == "succeeded"
    assert job.attempt == 1


def test_a_job_that_the_machine_cannot_start_fails_with_the_reason(ada, radio, engine, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device", "/var/workloads")

    monkeypatch.setattr(LocalEngine, "_prepare", full)
    job = submit(radio, ada, "true")

    attempts.start_job(job.pk)

    job.refresh_from_db()
    assert job.status == "failed"
    assert "No space left on device" in job.reason


def test_killed_supervisor_repeats_the_job_without_counting_the_attempt(ada, radio, engine):
    import os

    from apps.compute.engines.shim import read_json

    job = submit(radio, ada, "sh", "-c", "test $ATRIUM_ATTEMPT = 2 || sleep 60; echo again")
    attempts.start_job(job.pk)
    job.refresh_from_db()
    os.kill(read_json(str(engine.root / job.workload_id / "status.json"))["shim"][0], 9)

    run(job)

    assert (job.status, job.attempt, job.losses, job.failures) == ("succeeded", 2, 1, 0)
    assert Attempt.objects.get(job=job, number=1).reason == "its supervisor process was killed"


def test_vanished_workload_is_repeated(ada, radio, fake):
    job = submit(radio, ada, "true")
    attempts.start_job(job.pk)
    fake.lives.clear()

    assert run(Job.objects.get(pk=job.pk)).status == "succeeded"


def test_two_workers_start_a_job_once(ada, radio, fake):
    job = submit(radio, ada, "run")

    assert [attempts.start_job(job.pk), attempts.start_job(job.pk)] == [True, False]
    assert len(fake.list()) == 1


def test_stray_workload_is_removed_and_reserved_one_kept(ada, radio, fake):
    from apps.compute.engines.base import Workload
    from apps.compute.services import remove_workload, start_workload

    fake.start(Workload("stray", ["run"]))
    start_workload(Workload("r1", ["run"]), purpose="a replica", trusted=True)

    assert attempts.reap() == ["stray"]
    assert [observed.id for observed in fake.list()] == ["r1"]
    remove_workload("r1")
    assert not Reservation.objects.exists()


def test_secret_variables_are_not_readable_in_the_row(ada, radio, fake):
    job = submit(radio, ada, "run", env={"TOKEN": "do not tell"})
    attempts.start_job(job.pk)

    job.refresh_from_db()
    assert "do not tell" not in job.variables
    assert fake.lives[job.workload_id].workload.env["TOKEN"] == "do not tell"


def test_succeeded_job_cannot_become_anything_else(ada, radio, fake):
    job = run(submit(radio, ada, "true"))

    with pytest.raises(IllegalMove):
        Job.lifecycle.move(job, "failed", by=None)


def test_a_job_says_what_the_installer_of_its_environment_says(ada, radio, fake, monkeypatch):
    def install(name, root, say, watch):
        watch("download", "Resolved 3 packages\nDownloading xgboost (124.3MiB)\n")
        attempts.start_job(job.pk)
        told.append(Job.objects.get(pk=job.pk).reason)
        raise environments.BuildError("uv pip failed with exit code 2:\nno route to the index")

    told: list[str] = []
    job = submit(radio, ada, "true")
    monkeypatch.setattr(environments, "is_ready", lambda name: False)
    monkeypatch.setattr("apps.compute.environments.builder.build", install)

    tasks.build_environments()
    attempts.start_job(job.pk)

    assert told == [
        "waits until the environment “base” is built; it is downloaded: Downloading xgboost (124.3MiB)"
    ]
    assert Job.objects.get(pk=job.pk).reason.endswith(
        "; that failed and is tried again: no route to the index"
    )
