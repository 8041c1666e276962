"""Fills an instance with what a large organisation would have, straight into the tables; `python -m` runs it.

10,000 capabilities of 60 teams with packages, traffic and standings; 4,000 of them with plans, which have 100,000
subscriptions with a key each; a month of rollups of 10 million calls, a third of them at one capability that 100 keys
call in every hour; 10,000 open requests and 10,000 releases that wait for quality assurance.
"""

from __future__ import annotations

import os
import random
from datetime import timedelta
from importlib import import_module

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from apps.accounts.models import Membership, Role, Site, Team, User  # noqa: E402
from apps.catalog.models import Capability, Version  # noqa: E402
from apps.datasets.models import Dataset, DatasetVersion  # noqa: E402
from apps.evaluation.models import Report, Run, Suite  # noqa: E402
from apps.gateway import histogram  # noqa: E402
from apps.instances.models import Deployment, TrafficWeight  # noqa: E402
from apps.releases.content import content_of, digest_of  # noqa: E402
from apps.releases.models import Policy, Release  # noqa: E402
from apps.requests.models import Request, Step  # noqa: E402
from apps.store.models import Plan, Standing  # noqa: E402
from tests.benchmarks.pages import BUSIEST, MANY, PASSWORD  # noqa: E402

TEAMS, SITES, ANSWERING, SUBSCRIBERS, KEYS, DAYS = 60, 12, 4000, 25, 100, 30
# fmt: off
WORDS = (
    "alarm", "antenna", "beam", "billing", "cell", "churn", "core", "coverage", "customer", "drift", "energy",
    "fault", "fibre", "forecast", "fraud", "handover", "image", "intent", "interference", "invoice", "latency",
    "line", "load", "log", "mobility", "network", "node", "noise", "optical", "outage", "packet", "power",
    "quality", "radio", "roaming", "route", "signal", "site", "slice", "speech", "spectrum", "station", "text",
    "ticket", "tower", "traffic", "voice", "weather",
)
# fmt: on
DOMAINS = ("radio", "core network", "transport", "service", "energy", "planning", "security", "customer care")
FRAMEWORKS = ("sklearn", "onnx", "xgboost", "pytorch", "lightgbm")
BADGES = ("signed", "available", "documented", "tested")

chance = random.Random(7)
now = timezone.now()


def people() -> tuple[list[Team], User]:
    """Teams on sites, a consumer, a provider and somebody from quality assurance."""
    sites = Site.objects.bulk_create(
        Site(slug=f"site-{n}", name=f"Site {n}", kind="province") for n in range(SITES)
    )
    teams = Team.objects.bulk_create(
        Team(slug=f"team-{n}", name=f"Team {n}", site=sites[n % SITES]) for n in range(TEAMS)
    )
    owner = User.objects.create_user(username="bench-owner", password=PASSWORD)
    Membership.objects.create(user=owner, team=teams[0], role=Role.DEVELOPER)
    people = (
        ("consumer", Role.CONSUMER, teams[1:2]), ("qa", Role.QA, teams[:1]), ("signer", Role.QA, teams),
    )  # fmt: skip
    for name, role, theirs in people:
        user = User.objects.create_user(username=f"bench-{name}", password=PASSWORD)
        Membership.objects.bulk_create(Membership(user=user, team=team, role=role) for team in theirs)
    return teams, owner


def words(count: int) -> str:
    return " ".join(chance.choices(WORDS, k=count))


def prose(count: int) -> str:
    """Text as cards have it: a few words of the trade among thousands of others."""
    return " ".join(
        chance.choice(WORDS) if chance.random() < 0.02 else f"w{int(chance.paretovariate(0.6)) % 4000}"
        for _ in range(count)
    )


def capabilities(teams: list[Team], owner: User) -> None:
    """Nine of ten for the whole organisation, each with one package; the first thousands answer calls."""
    made = Capability.objects.bulk_create(
        [
            Capability(
                slug=BUSIEST if n == 0 else f"capability-{n}",
                name=f"{words(3).capitalize()} {n}",
                summary=f"{words(3)} {prose(15)}".capitalize(),
                card=f"# {words(4)}\n\n{prose(400)}",
                domain=chance.choice(DOMAINS),
                tags=chance.sample(WORDS, 4),
                team=teams[0] if n == 0 else chance.choice(teams),
                visibility=chance.choices(("organisation", "team", "private"), (90, 6, 4))[0],
                status="published",
                published_at=now - timedelta(minutes=7 * n),
                created_by=owner,
            )
            for n in range(MANY)
        ],
        batch_size=1000,
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE catalog_capability SET text = setweight(to_tsvector('simple', name || ' ' || slug), 'A')"
            " || setweight(to_tsvector('simple', summary || ' ' || domain), 'B')"
            " || setweight(to_tsvector('simple', card), 'D')"
        )
    manifest = {f"model/{n}": {"sha256": f"{n:064x}", "size": 4096} for n in range(12)}
    signature = {
        "inputs": [{"name": f"x{n}", "datatype": "FP32", "shape": [-1, 8]} for n in range(8)],
        "outputs": [],
    }
    versions = Version.objects.bulk_create(
        [
            Version(
                capability=each,
                number="1.0.0",
                status="packaged",
                source_manifest=manifest,
                manifest=manifest,
                source_digest=f"{each.pk:064x}",
                digest=f"{each.pk:064x}",
                signature=signature,
                framework=chance.choice(FRAMEWORKS),
                runtime="onnx",
                created_by=owner,
                packaged_at=now,
            )
            for each in made
        ],
        batch_size=1000,
    )
    deployments = Deployment.objects.bulk_create(
        [
            Deployment(
                capability_id=version.capability_id,
                version=version,
                kind="production",
                desired="stopped",
                status="stopped",
                created_by=owner,
            )
            for version in versions[:ANSWERING]
        ],
        batch_size=1000,
    )
    TrafficWeight.objects.bulk_create(
        [
            TrafficWeight(capability_id=d.capability_id, deployment=d, weight=100, salt="x")
            for d in deployments
        ],
        batch_size=1000,
    )
    Standing.objects.bulk_create(
        [
            Standing(
                capability=each,
                rating=round(chance.uniform(1, 5), 1),
                reviews=chance.randrange(40),
                subscribers=chance.randrange(200),
                calls=chance.randrange(10**7),
                framework=chance.choice(FRAMEWORKS),
                licence=chance.choice(("Apache-2.0", "MIT", "internal")),
                data_types=[chance.choice(("image", "text"))],
                badges=chance.sample(BADGES, 2),
                computed_at=now,
            )
            for each in made
        ],
        batch_size=1000,
        ignore_conflicts=True,
    )
    subscriptions(made[:ANSWERING], teams, owner)
    usage(made[0], deployments[0])


def subscriptions(offered: list[Capability], teams: list[Team], owner: User) -> None:
    """Each capability that answers has two plans, and a key for each of 25 teams."""
    plans = Plan.objects.bulk_create(
        [
            Plan(capability=each, name=name, limits=limits, status="published", created_by=owner)
            for each in offered
            for name, limits in (("free", {"per_day": 1000}), ("standard", {"per_month": 1_000_000}))
        ],
        batch_size=1000,
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO store_subscription (plan_id, capability_id, team_id, requested_by_id, use_case, status,"
            " status_reason, created_at, granted_at)"
            " SELECT p.id, p.capability_id, t.id, %(owner)s, 'bench', 'granted', '', now(), now()"
            " FROM store_plan p JOIN accounts_team t ON (t.id + p.capability_id) %% %(teams)s < %(subscribers)s"
            " WHERE p.name = 'free' AND t.id = ANY(%(ids)s)",
            {"owner": owner.pk, "teams": TEAMS, "subscribers": SUBSCRIBERS, "ids": [t.pk for t in teams]},
        )
        cursor.execute(
            "INSERT INTO gateway_grant (key_hash, prefix, kind, capability_id, team_id, pool, limits, scope, addresses,"
            " status, label, created_at) SELECT encode(sha256(s.id::text::bytea), 'hex'), 'atk_' || s.id,"
            " 'subscription', s.capability_id, s.team_id, 'subscription:' || s.id, '{}', 'production', '[]', 'active',"
            " 'bench', now() FROM store_subscription s"
        )
        cursor.execute(
            "INSERT INTO store_subscriptionkey (subscription_id, grant_id, created_by_id, created_at)"
            " SELECT split_part(pool, ':', 2)::bigint, id, %s, now() FROM gateway_grant",
            [owner.pk],
        )
    assert len(plans) == 2 * len(offered)


def usage(capability: Capability, deployment: Deployment) -> None:
    """Three hours of each key, and for one capability every hour of the month by 100 keys, some calls failed."""
    told = {
        "hour": now.replace(minute=0, second=0, microsecond=0),
        "size": histogram.SIZE,
        "busiest": capability.pk,
        "deployment": deployment.pk,
        "keys": KEYS,
        "hours": DAYS * 24,
    }
    columns = "grant_id, capability_id, deployment_id, version, hour, outcome, count, ms, histogram"
    zeros = "array_fill(0::bigint, ARRAY[%%(size)s - 20])"
    counts = f"array_fill(0::bigint, ARRAY[14]) || array_fill(%s::bigint, ARRAY[6]) || {zeros}"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO gateway_usage ({columns}) SELECT g.id, g.capability_id, d.id, '1.0.0',"
            " %(hour)s - ((g.id * 7 + n * 211) %% %(hours)s) * interval '1 hour', '', 24, 900,"
            f" {counts % 4} FROM gateway_grant g JOIN instances_deployment d USING (capability_id)"
            " CROSS JOIN generate_series(1, 3) AS n WHERE g.capability_id <> %(busiest)s",
            told,
        )
        cursor.execute(
            f"INSERT INTO gateway_usage ({columns}) SELECT key, %(busiest)s, %(deployment)s, '1.0.0',"
            " %(hour)s - back * interval '1 hour', outcome, 42, 900,"
            f" {counts % 7} FROM generate_series(1, %(keys)s) AS key, generate_series(0, %(hours)s - 1) AS back,"
            " unnest(ARRAY['', 'rate_limited']) AS outcome WHERE outcome = '' OR key %% 7 = 0",
            told,
        )
        cursor.execute(import_module("apps.gateway.migrations.0006_fill_rollups").FILL)


def requests(teams: list[Team], owner: User) -> None:
    """All open, all decided by the role that the visitor has."""
    made = Request.objects.bulk_create(
        [
            Request(
                kind="store.subscription",
                subject_urn=f"atrium:store.subscription:{n}",
                title=words(6).capitalize(),
                body=words(30),
                url="/store/",
                owner=owner,
                team=teams[n % TEAMS],
            )
            for n in range(MANY)
        ],
        batch_size=1000,
    )
    Step.objects.bulk_create(
        [
            Step(request=each, position=0, role=Role.QA, team=teams[0] if each.pk % 2 else None)
            for each in made
        ],
        batch_size=1000,
    )


def releases(owner: User) -> None:
    """One of each version, on a report of its own, all open and without a signature. The busiest has its pages open.

    Each is about what it says: else the portal would void ten thousand of them while its pages are measured.
    """
    rows = Version.objects.exclude(capability__slug=BUSIEST).select_related("capability__team")
    versions = list(rows.order_by("pk"))
    first = versions[0].capability
    dataset = Dataset.objects.create(slug="bench", name="Bench", team=first.team, created_by=owner)
    data = DatasetVersion.objects.create(dataset=dataset, number=1, digest="0" * 64, created_by=owner)
    suite = Suite.objects.create(
        capability=first, number=1, name="bench", dataset_version=data, target="y", created_by=owner
    )
    policy = Policy.objects.create(team=first.team, number=1, created_by=owner)
    deployment = Deployment.objects.order_by("pk").first()
    runs = Run.objects.bulk_create(
        [
            Run(
                suite=suite, version=each, version_digest=each.digest, deployment=deployment, status="reported",
                started_by=owner, ended_at=now,
            )
            for each in versions
        ],
        batch_size=1000,
    )  # fmt: skip
    reports = Report.objects.bulk_create(
        [
            Report(
                run=run, version=run.version, digest=run.version_digest, verdict="passed", headline=headline()
            )
            for run in runs
        ],
        batch_size=1000,
    )
    asked = Request.objects.bulk_create(
        [
            Request(
                kind="release", subject_urn=f"atrium:release:{n}", title=f"Sign the release of {version}",
                url="/releases/", owner=owner, team=version.capability.team,
            )
            for n, version in enumerate(versions)
        ],
        batch_size=1000,
    )  # fmt: skip
    Step.objects.bulk_create(
        [Step(request=each, position=0, role=Role.QA, team=each.team) for each in asked], batch_size=1000
    )
    Release.objects.bulk_create(
        [
            Release(
                version=version, capability=version.capability, report=report, policy=policy, request=request,
                content_digest=digest_of(content_of(report, policy)), opened_by=owner,
            )
            for version, report, request in zip(versions, reports, asked, strict=True)
        ],
        batch_size=1000,
    )  # fmt: skip


def headline() -> dict[str, object]:
    """The main figure of a report, and how it compares with production."""
    better = round(chance.uniform(-0.02, 0.03), 4)
    interval = {"value": better, "low": better - 0.01, "high": better + 0.01}
    return {"main": "accuracy", "value": round(chance.uniform(0.8, 0.99), 4), "difference": interval}


def main() -> None:
    """Everything, then fresh statistics for the planner, as autovacuum would soon make them."""
    teams, owner = people()
    capabilities(teams, owner)
    requests(teams, owner)
    releases(owner)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    main()
