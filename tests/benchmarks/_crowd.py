"""Fills an instance with what a large organisation would have, straight into the tables; `python -m` runs it.

10,000 capabilities of 60 teams with packages, traffic and standings; one of them with a month of hourly usage by
20 keys; 10,000 open requests that wait for quality assurance.
"""

from __future__ import annotations

import os
import random
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from apps.accounts.models import Membership, Role, Site, Team, User  # noqa: E402
from apps.catalog.models import Capability, Version  # noqa: E402
from apps.gateway import histogram  # noqa: E402
from apps.gateway.models import Usage  # noqa: E402
from apps.instances.models import Deployment, TrafficWeight  # noqa: E402
from apps.requests.models import Request, Step  # noqa: E402
from apps.store.models import Standing  # noqa: E402
from tests.benchmarks.pages import BUSIEST, MANY, PASSWORD  # noqa: E402

TEAMS, SITES, ANSWERING, KEYS, DAYS = 60, 12, 4000, 20, 30
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
    for name, role, team in (("consumer", Role.CONSUMER, teams[1]), ("qa", Role.QA, teams[0])):
        user = User.objects.create_user(username=f"bench-{name}", password=PASSWORD)
        Membership.objects.create(user=user, team=team, role=role)
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
    usage(made[0], deployments[0])


def usage(capability: Capability, deployment: Deployment) -> None:
    """Every key called in every hour of the month, some calls failed."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    rows = []
    for back in range(DAYS * 24):
        for key in range(1, KEYS + 1):
            for outcome in ("", "rate_limited") if key % 7 == 0 else ("",):
                counts = [0] * histogram.SIZE
                for place in range(14, 26):
                    counts[place] = chance.randrange(50)
                rows.append(
                    Usage(
                        grant_id=key,
                        capability_id=capability.pk,
                        deployment_id=deployment.pk,
                        version="1.0.0",
                        hour=hour - timedelta(hours=back),
                        outcome=outcome,
                        count=sum(counts),
                        ms=900.0,
                        histogram=counts,
                    )
                )
    Usage.objects.bulk_create(rows, batch_size=2000)


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


def main() -> None:
    """Everything, then fresh statistics for the planner, as autovacuum would soon make them."""
    teams, owner = people()
    capabilities(teams, owner)
    requests(teams, owner)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    main()
