"""`make_<noun>()`: rows as the services would make them, with sensible defaults."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

from django.db import connection
from django.utils import timezone

from apps.accounts.models import Membership, Role, Site, Team, User
from apps.catalog.models import Capability, Version
from apps.catalog.services import create_capability, create_version, publish_capability
from apps.compute.models import Job
from apps.core import manifests, objects
from apps.datasets.models import Dataset
from apps.datasets.services import create_dataset
from apps.datasets.services import create_version as create_dataset_version
from apps.evaluation import runs
from apps.evaluation.models import Report, Run, Suite
from apps.evaluation.selectors import latest_suite
from apps.gateway import histogram, partitions, rollups
from apps.instances.models import Deployment, Replica
from apps.instances.services import deploy_version
from apps.store.models import Plan
from apps.store.services import create_plan, publish_plan

_number = count(1)


def make_site(name: str = "", *, kind: str = Site.Kind.PROVINCE) -> Site:
    slug = name.lower() or f"site-{next(_number)}"
    return Site.objects.create(slug=slug, name=name or slug, kind=kind)


def make_team(name: str = "", *, site: Site | None = None) -> Team:
    slug = name.lower() or f"team-{next(_number)}"
    return Team.objects.create(slug=slug, name=name or slug, site=site or make_site())


def make_user(
    name: str = "", *, team: Team | None = None, role: str = Role.DEVELOPER, **fields: object
) -> User:
    user = User.objects.create_user(
        username=name or f"user-{next(_number)}", password="pw-of-this-test", **fields
    )
    if team is not None:
        Membership.objects.create(user=user, team=team, role=role)
    return user


def put_files(files: dict[str, bytes]) -> dict[str, str]:
    """Store files and return {path: sha256}, as services take them."""
    return {path: objects.put(iter([content]))[0] for path, content in files.items()}


def make_dataset(team: Team, by: User, slug: str = "", **fields: object) -> Dataset:
    return create_dataset(slug or f"data-{next(_number)}", team=team, by=by, **fields)


def make_capability(team: Team, by: User, slug: str = "", **fields: object) -> Capability:
    return create_capability(slug or f"capability-{next(_number)}", team=team, by=by, **fields)


def make_version(capability: Capability, by: User, number: str = "", **fields: object) -> Version:
    number = number or f"1.0.{next(_number)}"
    files = put_files({"model.onnx": f"a model {number}".encode()})
    return create_version(capability, number, files=files, by=by, **fields)


def make_packaged_version(capability: Capability, by: User, number: str = "") -> Version:
    """A version in the state that packaging leaves it in; its package holds no real model."""
    version = make_version(capability, by, number)
    manifest = manifests.build(put_files({"package.json": b"{}", "model.onnx": version.number.encode()}))
    Version.objects.filter(pk=version.pk).update(
        status=Version.Status.PACKAGED,
        manifest=manifest,
        digest=manifests.digest(manifest),
        framework="onnx",
        runtime="onnx",
    )
    version.refresh_from_db()
    return version


def make_deployment(version: Version, by: User, *, kind: str = "test", **fields: object) -> Deployment:
    return deploy_version(version, kind=kind, by=by, **fields)


def make_ready_deployment(version: Version, by: User, *, kind: str = "production") -> Deployment:
    """A deployment as the reconciler leaves it when its replica answers; no process runs."""
    deployment = make_deployment(version, by, kind=kind)
    Replica.objects.create(
        deployment=deployment,
        generation=1,
        workload_id=f"runner-{deployment.pk}-{next(_number)}",
        socket=f"/nowhere/{deployment.pk}.sock",
        status=Replica.Status.READY,
    )
    Deployment.objects.filter(pk=deployment.pk).update(status=Deployment.Status.READY)
    deployment.refresh_from_db()
    return deployment


def make_usage(
    capability: Capability, *, hours_ago: float = 0, grant_id: int = 1, outcome: str = "",
    latencies: tuple[float, ...] = (2.0, 3.0), deployment: int = 1, version: str = "1.0.0",
) -> None:  # fmt: skip
    """Calls of one hour, counted as the ingester counts them."""
    moment = timezone.now().astimezone(UTC) - timedelta(hours=hours_ago)
    tally = rollups.Tally(len(latencies), sum(latencies))
    for ms in latencies:
        tally.histogram[histogram.bucket(ms)] += 1
    hour = moment.replace(minute=0, second=0, microsecond=0)
    rollups.add({(grant_id, hour, capability.pk, deployment, outcome, version): tally})


def make_published_capability(team: Team, by: User, slug: str = "", **fields: object) -> Capability:
    """A capability of a team that everybody sees in the store, with a packaged version."""
    fields = {"summary": "Reads handwritten digits", "visibility": "organisation", **fields}
    capability = make_capability(team, by, slug, **fields)
    version = make_packaged_version(capability, by)
    Version.objects.filter(pk=version.pk).update(packaged_at=timezone.now())
    return publish_capability(capability, by=by)


def make_plan(capability: Capability, by: User, name: str = "", **fields: object) -> Plan:
    """A published plan; at once unless said otherwise."""
    fields = {"limits": {"per_day": 1000, "rate_per_s": 5}, **fields}
    plan = create_plan(capability, name or f"plan-{next(_number)}", by=by, **fields)
    return publish_plan(plan, by=by)


def make_suite(capability: Capability, by: User, **fields: object) -> Suite:
    """The capability's next suite, as QA left it, on a small table: accuracy on all of its 10 rows."""
    dataset = make_dataset(capability.team, by)
    files = put_files({"rows.csv": b"x,y,split\n" + b"1,a,test\n2,b,test\n" * 5})
    version = create_dataset_version(dataset, files=files, by=by)
    gates = [{"metric": "accuracy", "threshold": 0.9, "at_least": 10}]
    number = Suite.objects.filter(capability=capability).count() + 1
    asked = {"name": "Acceptance", "dataset_version": version, "target": "y", "gates": gates}
    return Suite.objects.create(capability=capability, number=number, created_by=by, **(asked | fields))


def make_report(
    version: Version,
    by: User,
    *,
    accuracy: float = 0.97,
    suite: Suite | None = None,
    production: Deployment | None = None,
) -> Report:
    """A report as a finished evaluation leaves it; the figures are given, nothing was called.

    With `production` it was compared with that, which answered the same rows equally well.
    """
    suite = suite or latest_suite(version.capability) or make_suite(version.capability, by)
    run = Run.objects.create(
        suite=suite,
        version=version,
        version_digest=version.digest,
        deployment=make_deployment(version, by),
        production=production,
        status=Run.Status.MEASURING,
        started_by=by,
    )
    figure = {"value": accuracy, "low": accuracy, "high": accuracy, "n": 100}
    measured = {"rows": 100, "labels": ["a", "b"], "figures": {"accuracy": figure}}
    if production is not None:
        measured["differences"] = {"accuracy": {"value": 0.0, "low": 0.0, "high": 0.0, "n": 100}}
    job = Job(status=Job.Status.SUCCEEDED, result=measured, outputs={})
    return runs.report_on(run, job)


_CALLS = """
INSERT INTO gateway_call (request_id, at, capability_id, deployment_id, version, subject, status, error_kind,
  latency_ms, stage_weight, shadow, digested)
SELECT gen_random_uuid(), %(at)s, %(capability)s, %(deployment)s, %(version)s, 'team-' || n %% 7,
  CASE WHEN n < %(good)s THEN 200 ELSE 500 END, CASE WHEN n < %(good)s THEN '' ELSE 'model' END,
  3, %(share)s, false, true
FROM generate_series(0, %(all)s - 1) AS n
"""


def make_calls(
    deployment: Deployment, *, good: int, bad: int, share: float = 0.5, at: datetime | None = None
) -> None:
    """Logged calls of a deployment from now, some answered with a server error; thousands cost a moment."""
    at = at or timezone.now()
    partitions.make(at.date())
    facts = {"at": at, "capability": deployment.capability_id, "deployment": deployment.pk, "share": share}
    facts |= {"version": deployment.version.number, "good": good, "all": good + bad}
    with connection.cursor() as cursor:
        cursor.execute(_CALLS, facts)


def rows_of(name: str, *rows: dict[str, object]) -> dict[str, object]:
    """What a browser posts for a list of rows in a form (`apps/core/rows.py`)."""
    posted = {
        f"{name}-{number}-{key}": value for number, row in enumerate(rows) for key, value in row.items()
    }
    return {f"{name}-TOTAL_FORMS": len(rows), f"{name}-INITIAL_FORMS": 0, **posted}


@contextmanager
def past_the_guard():
    """For the audit log: as somebody who rules the database itself and knows how to switch its triggers off."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield
        cursor.execute("SET LOCAL session_replication_role = origin")
