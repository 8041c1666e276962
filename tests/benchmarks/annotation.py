"""Claim and submit over the public API at 1, 8 and 32 annotators; a large import; the list of a million tasks."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.benchmarks import Result
from tests.benchmarks._processes import FOLDER, Server, free_port, median

TASKS = int(os.environ.get("ATRIUM_BENCH_TASKS", "100000"))
MANY = int(os.environ.get("ATRIUM_BENCH_MANY", "1000000"))
ROUNDS = int(os.environ.get("ATRIUM_BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("ATRIUM_BENCH_SECONDS", "5"))
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
        yield from _measured()
    finally:
        postgres.stop()


def _measured() -> Iterator[Result]:
    project, tokens, manager = _project("bench")
    began = time.perf_counter()
    added = _add(project, manager, TASKS)
    took = time.perf_counter() - began
    yield Result(
        "annotation.import100k_s", round(took, 2), "s", "<= 10", f"{added} rows made into tasks by COPY"
    )
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
        yield Result("annotation.claim_submit.duplicates", _duplicates(project), "tasks", "0")
        many, _tokens, owner = _project("bench-many")
        _add(many, owner, MANY)
        p95 = _list(port, many.pk, tokens[0])
        yield Result(
            "tasks.list1m.p95_ms", round(p95, 1), "ms", "<= 60", f"{MANY} tasks, pages of 50, one client"
        )
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
