"""Claim and submit over the public API at 1, 8 and 32 annotators, and on the screen; a large import and export; the
list of a million tasks; a rule over a million logged calls."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.benchmarks import Result
from tests.benchmarks._processes import FOLDER, Server, free_port, median

TASKS = int(os.environ.get("ATRIUM_BENCH_TASKS", "100000"))
MANY = int(os.environ.get("ATRIUM_BENCH_MANY", "1000000"))
ROUNDS = int(os.environ.get("ATRIUM_BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("ATRIUM_BENCH_SECONDS", "5"))
CALLS = int(os.environ.get("ATRIUM_BENCH_CALLS", "1000000"))
ON_SCREEN = int(os.environ.get("ATRIUM_BENCH_SCREEN", "200"))
PEOPLE = 32


def measure() -> Iterator[Result]:
    os.environ["ATRIUM_DATA_DIR"] = str(FOLDER / "data")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    os.environ.setdefault("ATRIUM_SAMPLES", "0")
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from portal.supervisor.postgres import Postgres

    settings.ATRIUM.make_directories()
    postgres = Postgres.of(settings.ATRIUM)
    postgres.start()
    try:
        call_command("migrate", verbosity=0, skip_checks=True)
        call_command("collectstatic", interactive=False, verbosity=0)
        yield from _measured()
    finally:
        postgres.stop()


def _measured() -> Iterator[Result]:
    from apps.core import background

    # No broker runs here; waiting for one that does not answer is no part of what is measured.
    background.enqueue = lambda *_args, **_facts: True
    project, tokens, manager = _project("bench")
    began = time.perf_counter()
    added = _add(project, manager, TASKS)
    took = time.perf_counter() - began
    yield Result(
        "annotation.import100k_s", round(took, 2), "s", "<= 10", f"{added} rows made into tasks by COPY"
    )
    began = time.perf_counter()
    written = _export(project, manager)
    took = time.perf_counter() - began
    yield Result("annotation.export100k_s", round(took, 2), "s", "<= 10", f"{written} tasks as JSON lines")
    port = free_port()
    with _web(port):
        for people in (1, 8, 32):
            runs = [_label(port, project.pk, tokens[:people], SECONDS) for _ in range(ROUNDS)]
            rate = median([run["tasks"] / run["seconds"] for run in runs])
            name = f"annotation.claim_submit.c{people}"
            yield Result(
                f"{name}.tasks_per_s", round(rate, 1), "tasks/s", "", f"{TASKS} tasks, two requests each"
            )
            yield Result(
                f"{name}.p99_ms", round(median([r["p99_ms"] for r in runs]), 1), "ms", "<= 100", "a request"
            )
        yield _on_screen(port, project, tokens[0])
        yield Result("annotation.claim_submit.duplicates", _duplicates(project), "tasks", "0")
        many, _tokens, owner = _project("bench-many")
        _add(many, owner, MANY)
        p95 = _list(port, many.pk, tokens[0])
        yield Result(
            "tasks.list1m.p95_ms", round(p95, 1), "ms", "<= 60", f"{MANY} tasks, pages of 50, one client"
        )
    yield _pulled()
    _forget()


def _project(slug: str) -> tuple:
    """A project of `PEOPLE` annotators, their tokens, and who manages it."""
    from apps.accounts.models import Membership, Role, Site, Team, User
    from apps.accounts.services import create_token
    from apps.annotation.services import create_project
    from apps.catalog.services import create_capability
    from apps.datasets.services import create_dataset

    mark = f"{slug}-{int(time.time() * 1000)}"
    team = Team.objects.create(slug=mark, name=mark, site=Site.objects.create(slug=mark, name=mark))
    people = [User.objects.create(username=f"{mark}-{number}") for number in range(PEOPLE + 1)]
    Membership.objects.bulk_create(
        Membership(team=team, user=person, role=Role.ANNOTATOR) for person in people[1:]
    )
    Membership.objects.create(team=team, user=people[0], role=Role.DEVELOPER)
    project = create_project(
        create_capability(mark, team=team, by=people[0]), by=people[0], name=mark, question="Which?", show="row",
        labels=["a", "b"], dataset=create_dataset(mark, team=team, by=people[0]), target="y", overlap=1,
    )  # fmt: skip
    return project, [create_token(person, "bench", by=person)[1] for person in people[1:]], people[0]


def _add(project: object, by: object, count: int) -> int:
    from apps.annotation.adding import add_tasks

    rows = (
        {"inputs": {"text": f"call {number} of cell {number % 977} was dropped"}} for number in range(count)
    )
    return add_tasks(project, rows, by=by).tasks


def _web(port: int) -> Server:
    from django.conf import settings

    words = [
        *(
            sys.executable,
            "-m",
            "granian",
            "--interface",
            "wsgi",
            "--no-ws",
            "--http",
            "1",
            "--host",
            "127.0.0.1",
        ),
        *("--port", str(port), "--workers", "1", "--blocking-threads", str(settings.ATRIUM.web_threads)),
        *("--log-level", "warning", "portal.wsgi:application"),
    ]
    return Server("annotation-web", words, lambda: _get(port, "/api/v1/tasks/", "")[0] == 401)


def _get(port: int, path: str, token: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _label(port: int, project: int, tokens: list[str], seconds: float) -> dict:
    """People who label as fast as they can, in a process of their own."""
    asked = json.dumps({"port": port, "project": project, "tokens": tokens, "seconds": seconds})
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks._annotators"],
        input=asked, capture_output=True, text=True, timeout=seconds + 120, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def _export(project: object, by: object) -> int:
    """The file that the worker would write, written here."""
    from apps.annotation import transfers

    made = transfers.start_export(project, "jsonl", by=by)
    transfers.run(made.pk)
    made.refresh_from_db()
    assert made.status == "done", made.reason
    return made.rows


_LABEL = """async (times) => {
  const frame = () => new Promise(requestAnimationFrame);
  const took = [];
  while (took.length < times) {
    await new Promise((done) => setTimeout(done, 400));
    const was = document.getElementById("task").dataset.slot;
    const began = performance.now();
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "1", bubbles: true }));
    while (document.getElementById("task")?.dataset.slot === was) {
      await frame();
      if (performance.now() - began > 20000) throw new Error("no next task");
    }
    await frame();
    took.push(performance.now() - began);
  }
  return took;
}"""


def _on_screen(port: int, project: object, token: str) -> Result:
    """From the key that answers to the next task drawn, in a browser, by somebody who looks for 0.4 s."""
    from django.conf import settings
    from django.test import Client

    from apps.accounts.models import PersonalToken
    from apps.core.secrets import digest
    from tests.ui.looking import chromium

    client = Client()
    client.force_login(PersonalToken.objects.get(digest=digest(token)).user)
    name = settings.SESSION_COOKIE_NAME
    cookie = {"name": name, "value": client.cookies[name].value, "url": f"http://127.0.0.1:{port}"}

    def label() -> list[float]:
        with chromium() as browser:
            context = browser.new_context()
            context.add_cookies([cookie])
            page = context.new_page()
            page.goto(f"{cookie['url']}/annotation/{project.pk}/label/")
            return page.evaluate(_LABEL, ON_SCREEN)

    # Playwright keeps a running loop in its thread, where Django refuses its database.
    with ThreadPoolExecutor(1) as thread:
        took = sorted(thread.submit(label).result())
    p95 = took[int(len(took) * 0.95)]
    told = f"{len(took)} answers in Chromium, p50 {took[len(took) // 2]:.0f} ms"
    return Result("annotation.next_on_screen.p95_ms", round(p95, 1), "ms", "<= 100", told)


_LOG = """
INSERT INTO gateway_call (request_id, at, capability_id, version, subject, status, error_kind, latency_ms, stage_weight,
    shadow, request, response, digested, score)
SELECT gen_random_uuid(), now() - n * interval '10 milliseconds', %(capability)s, '1.0.0', '', 200, '', 3, 1, false,
    convert_to('{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[' || n || ',1]}]}', 'UTF8'),
    convert_to('{"outputs":[{"name":"class","shape":[1],"datatype":"INT64","data":[3]}]}', 'UTF8'), true, random()
FROM generate_series(1, %(n)s) n
"""


def _pulled() -> Result:
    """A rule that takes the one uncertain call in a hundred, over calls of the last hours, until it has them all."""
    from datetime import timedelta

    from django.db import connection
    from django.utils import timezone

    from apps.annotation import pulling
    from apps.annotation.services import add_rule
    from apps.catalog.models import Version
    from apps.gateway import partitions
    from tests.factories import make_packaged_version

    project, _tokens, manager = _project("bench-pull")
    version = make_packaged_version(project.capability, manager, "1.0.0")
    Version.objects.filter(pk=version.pk).update(
        signature={
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
            "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class"}],
        }
    )
    for days in range(2):
        partitions.make((timezone.now() - timedelta(days=days)).date())
    with connection.cursor() as cursor:
        cursor.execute(_LOG, {"capability": project.capability_id, "n": CALLS})
        cursor.execute("ANALYZE gateway_call")
    rule = add_rule(project, by=manager, kind="uncertain", below=0.01)
    began, taken = time.perf_counter(), 0
    while found := pulling.pull(rule).tasks:
        taken += found
    took = time.perf_counter() - began
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM gateway_call WHERE capability_id = %s", [project.capability_id])
    return Result("annotation.pull1m_s", round(took, 1), "s", "<= 30", f"{CALLS} calls, {taken} new tasks")


def _duplicates(project: object) -> int:
    """Tasks that more people were given than its overlap."""
    from django.db.models import Count

    from apps.annotation.models import Task

    rows = Task.objects.filter(project=project).annotate(n=Count("annotations")).filter(n__gt=1)
    return rows.count()


def _list(port: int, project: int, token: str) -> float:
    """Server time of pages that somebody turns, the 95th percentile in milliseconds."""
    from apps.accounts.models import Membership, PersonalToken
    from apps.annotation.models import Project
    from apps.core.secrets import digest

    user = PersonalToken.objects.get(digest=digest(token)).user
    Membership.objects.create(user=user, team=Project.objects.get(pk=project).team, role="annotator")
    path, times = f"/api/v1/tasks/?project={project}", []
    for _page in range(200):
        began = time.perf_counter()
        code, body = _get(port, path, token)
        times.append(1000 * (time.perf_counter() - began))
        assert code == 200, body[:300]
        path = json.loads(body)["next"].partition(str(port))[2]
    return sorted(times)[int(len(times) * 0.95)]


def _forget() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE annotation_annotation, annotation_slot, annotation_task, annotation_tally CASCADE"
        )
