"""How a sample capability comes to be, through the ordinary services and as the sample people: a state machine.

Each step looks whether it is done and else does it, so that `advance` may be called at any time, after any kill,
by anybody. What was reached stands in the ordinary tables alone. Data set → training job → version → packaging
job → evaluation on the held-out rows → two signatures → release → plans → published.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import Team, User
from apps.catalog.models import Capability, Version
from apps.catalog.services import (
    create_capability,
    create_version,
    edit_capability,
    package_version,
    publish_capability,
)
from apps.compute.models import Job
from apps.compute.services import submit_job
from apps.core import objects
from apps.core.urns import urn
from apps.datasets.models import Dataset, DatasetVersion
from apps.datasets.services import create_dataset
from apps.datasets.services import create_version as create_dataset_version
from apps.evaluation.gates import Verdict
from apps.evaluation.models import Run
from apps.evaluation.selectors import deciding_report, latest_suite
from apps.evaluation.services import create_suite, start_evaluation
from apps.releases.models import Release
from apps.releases.rollout import start_rollout
from apps.releases.signing import open_release, sign_release
from apps.store.models import Plan
from apps.store.services import create_plan, publish_plan
from portal.samples.people import PASSWORD
from portal.samples.retries import Broken, Waiting, after_job, after_release, after_run

ROOT = Path(__file__).resolve().parent.parent.parent
RECIPES = Path(__file__).resolve().parent / "recipes"
TEAM, DEVELOPER, OPERATOR = "network-ai", "dev", "ops"
SIGNERS = ("qa", "qa2")
MOST_LATENCY_MS = 500
NUMBER = "1.0.0"
RUNS_EACH = 3
TAKEN_BACK = (Release.Status.ROLLED_BACK, Release.Status.VOIDED)
_LOCK = 0x53414D50


def _reaching(metric: str, threshold: float, worse_by: float) -> tuple[dict[str, Any], ...]:
    """The gates on a figure: so good at least, and hardly worse than what is in production."""
    return (
        {"metric": metric, "threshold": threshold, "at_least": 100},
        {"metric": metric, "threshold": worse_by, "relative": True, "at_least": 100},
    )


@dataclass(frozen=True)
class Sample:
    """What one sample capability says of itself. The `later` ones are made once the others are there."""

    slug: str
    name: str
    summary: str
    domain: str
    tags: tuple[str, ...]
    data_name: str
    data_description: str
    target: str
    gates: tuple[dict[str, Any], ...]
    slices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    later: bool = False
    changelog: str = "First version."
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def recipe(self) -> str:
        return self.slug.replace("-", "_") + ".py"


SAMPLES = (
    Sample(
        "digits",
        "Handwritten digits",
        "Recognises a handwritten digit in a small image and says how sure it is.",
        "vision",
        ("image", "handwriting", "sample"),
        "Handwritten digits",
        "1,797 images of single digits, 8×8 grey values, from the UCI optical digits data that ships in scikit-learn.",
        "digit",
        _reaching("accuracy", 0.95, 0.02),
    ),
    Sample(
        "breast-cancer",
        "Breast cancer (Wisconsin)",
        "Tells malignant from benign tissue by 30 measures of cell nuclei. A sample, not a medical device.",
        "health",
        ("tabular", "medicine", "sample"),
        "Breast cancer (Wisconsin)",
        "569 biopsies with 30 measures of cell nuclei each, from the UCI data that ships in scikit-learn.",
        "diagnosis",
        _reaching("accuracy", 0.93, 0.02),
    ),
    Sample(
        "fault-tickets",
        "Fault tickets",
        "Names the likely cause of a network fault from the words of its ticket. Trained on generated tickets.",
        "network operations",
        ("text", "tickets", "sample"),
        "Fault tickets (generated)",
        "3,000 network fault tickets. The data is generated from sentence patterns; no ticket is real.",
        "cause",
        _reaching("accuracy", 0.85, 0.02),
    ),
    Sample(
        "diabetes",
        "Diabetes progression",
        "Says from ten measures how far diabetes will have progressed a year later. A sample, not a medical device.",
        "health",
        ("tabular", "regression", "medicine", "sample"),
        "Diabetes",
        "442 patients with ten measures each and their progression, from the study data that ships in scikit-learn.",
        "progression",
        (
            *_reaching("mae", 55, 2),
            {"metric": "r2", "threshold": 0.35, "at_least": 100},
            {"metric": "fairness_gap", "slice": "sex group", "threshold": 20, "at_least": 40},
        ),
        slices=("age group",),
        groups=("sex group",),
        later=True,
    ),
    Sample(
        "cell-load",
        "Cell load",
        "Says from the last 24 hours of a radio cell how busy it will be in the next six. Trained on generated loads.",
        "network operations",
        ("time series", "forecasting", "sample"),
        "Cell load (generated)",
        "Hourly load of 16 radio cells over 56 days. The data is generated; no cell is real.",
        "next hours",
        _reaching("mae", 5, 0.3),
        slices=("area",),
        later=True,
    ),
    Sample(
        "ticket-details",
        "Ticket details",
        "Marks sites, links, cells, ports, boards and times in a network fault ticket. Trained on generated tickets.",
        "network operations",
        ("text", "spans", "tickets", "sample"),
        "Ticket details (generated)",
        "1,200 network fault tickets with the stretches that matter. The data is generated; no ticket is real.",
        "details",
        (*_reaching("span_f1", 0.95, 0.02), {"metric": "parity_failed", "threshold": 0}),
        slices=("length",),
        later=True,
    ),
)

PLANS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "trial",
        {
            "description": "The limits of Try it, for each person.",
            "limits": {"rate_per_s": 5, "burst": 10, "per_day": 200, "concurrent": 2},
            "trial": True,
        },
    ),
    (
        "free",
        {
            "description": "For trying it in an application.",
            "limits": {"rate_per_s": 5, "burst": 10, "per_day": 1000, "concurrent": 4},
        },
    ),
    (
        "standard",
        {
            "description": "For production use; an operator of the team agrees.",
            "limits": {"rate_per_s": 100, "burst": 200, "per_month": 3_000_000, "concurrent": 32},
            "approval": Plan.Approval.ONE,
        },
    ),
)


@dataclass
class Work:
    """One sample with what exists of it."""

    sample: Sample
    team: Team
    developer: User
    operator: User
    signers: list[User]
    data: DatasetVersion | None = None
    capability: Capability | None = None
    job: Job | None = None
    version: Version | None = None
    release: Release | None = None


Step = Callable[[Work], "Waiting | None"]


def have_data(work: Work) -> Waiting | None:
    """The data set with its first version."""
    sample = work.sample
    dataset = Dataset.objects.filter(slug=sample.slug).first() or create_dataset(
        sample.slug,
        team=work.team,
        by=work.developer,
        name=sample.data_name,
        description=sample.data_description,
        visibility=Dataset.Visibility.ORGANISATION,
    )
    work.data = dataset.versions.order_by("number").first()
    if work.data is None:
        files = {f"{sample.slug}.csv": _write_data(sample)}
        work.data = create_dataset_version(dataset, files, by=work.developer, note=sample.data_description)
    return None


def _write_data(sample: Sample) -> str:
    """Make the CSV in a process of its own, so that scikit-learn stays out of the worker's memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{sample.slug}.csv"
        function = f"write_{sample.slug.replace('-', '_')}"
        code = f"import sys, pathlib; from portal.samples import data; data.{function}(pathlib.Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=True, timeout=120)
        with path.open("rb") as stream:
            return objects.put(stream)[0]


def have_capability(work: Work) -> Waiting | None:
    """The description."""
    sample = work.sample
    work.capability = Capability.objects.filter(slug=sample.slug).select_related("team__site").first()
    if work.capability is None:
        work.capability = create_capability(
            sample.slug,
            team=work.team,
            by=work.developer,
            name=sample.name,
            summary=sample.summary,
            domain=sample.domain,
            tags=sample.tags,
            visibility=Capability.Visibility.ORGANISATION,
        )
    return None


def be_trained(work: Work) -> Waiting | None:
    """A training job in the sandbox, on the data set's version."""
    assert work.data is not None
    if Version.objects.filter(capability=work.capability, number=NUMBER).exists():
        return None
    job = work.job = Job.objects.filter(subject=urn(work.data), kind="training").order_by("-pk").first()
    if job is not None and job.status == Job.Status.SUCCEEDED:
        return None
    what = _("Training")
    if job is not None and job.status in Job.ENDED:
        pause, job = after_job(what, job), None
        if pause is not None:
            return pause
    job = job or _train(work)
    words = f"{what}: {job.progress_message}" if job.progress_message else what
    return Waiting(words, f"/jobs/{job.pk}/", job.progress)


def _train(work: Work) -> Job:
    assert work.data is not None
    return submit_job(
        "training",
        _("Train %(name)s") % {"name": work.sample.name},
        by=work.developer,
        team=work.team,
        argv=["python", "train.py"],
        files={"train.py": (RECIPES / work.sample.recipe).read_bytes()},
        inputs={path: entry["sha256"] for path, entry in work.data.manifest.items()},
        params=work.sample.params,
        max_attempts=RUNS_EACH,
        priority=SAMPLES.index(work.sample),
        timeout_s=900,
        subject=work.data,
    )


def have_version(work: Work) -> Waiting | None:
    """Version 1.0.0 of the job's model folder, with lineage to data, job and code."""
    assert work.capability is not None
    work.version = Version.objects.filter(capability=work.capability, number=NUMBER).first()
    if work.version is not None:
        return None
    job = work.job
    assert job is not None
    prefix = "model/"
    files = {
        path.removeprefix(prefix): entry["sha256"]
        for path, entry in job.outputs.items()
        if path.startswith(prefix)
    }
    source = (RECIPES / work.sample.recipe).read_bytes()
    work.version = create_version(
        work.capability,
        NUMBER,
        files=files,
        by=work.developer,
        changelog=work.sample.changelog,
        dataset_version=work.data,
        code_digest=hashlib.sha256(source).hexdigest(),
        training_job_urn=urn(job),
        parameters=(job.result or {}).get("parameters", {}),
    )
    card = next((sha256 for path, sha256 in files.items() if Path(path).name == "card.md"), "")
    if card:
        with objects.open_object(card) as stream:
            text = stream.read().decode()
        edit_capability(work.capability, by=work.developer, card=text)
    return None


def be_packaged(work: Work) -> Waiting | None:
    """One directory with one digest, made and checked in the sandbox."""
    version = work.version
    assert version is not None
    if version.status == Version.Status.PACKAGED:
        return None
    if version.status == Version.Status.DRAFT:
        package_version(version, by=work.developer)
        version.refresh_from_db()
    job = Job.objects.filter(pk=version.job_id or 0).first()
    if version.status == Version.Status.FAILED:
        pause = after_job(_("Packaging"), job, version.failure.get("message")) if job else None
        if pause is not None:
            return pause
        job = package_version(version, by=work.developer)
    return Waiting(_("Packaging"), f"/jobs/{job.pk}/" if job else "", job.progress if job else None)


def be_evaluated(work: Work) -> Waiting | None:
    """A passed report on the held-out rows, by a suite of QA's."""
    version, capability = work.version, work.capability
    assert version is not None
    assert capability is not None
    assert work.data is not None
    suite = latest_suite(capability) or create_suite(
        capability,
        by=work.signers[0],
        name=_("Acceptance"),
        dataset_version=work.data,
        target=work.sample.target,
        slices=list(work.sample.slices),
        groups=list(work.sample.groups),
        gates=[
            *work.sample.gates,
            {"metric": "latency_p95_ms", "threshold": MOST_LATENCY_MS, "at_least": 100},
            {"metric": "cases_failed", "threshold": 0},
        ],
    )
    report = deciding_report(version)
    if report is not None and report.verdict == Verdict.PASSED:
        return None
    run = Run.objects.filter(version=version, suite=suite).select_related("job").order_by("-pk").first()
    if run is not None and run.status in Run.lifecycle.final:
        pause, run = after_run(run), None
        if pause is not None:
            return pause
    run = run or start_evaluation(version, suite, by=work.signers[0])
    job = run.job
    words = job.progress_message if job else ""
    return Waiting(words or _("Evaluation"), f"/evaluations/{run.pk}/", job.progress if job else None)


def be_signed(work: Work) -> Waiting | None:
    """A release of exactly these bytes, signed by both QA engineers; another one where one was taken back."""
    assert work.version is not None
    release = Release.objects.filter(version=work.version).order_by("-pk").first()
    if release is not None and release.status in TAKEN_BACK:
        pause, release = after_release(release), None
        if pause is not None:
            return pause
    if release is None:
        release = open_release(work.version, by=work.developer)
    for signer in work.signers:
        signed = release.signatures.filter(user=signer).exists()
        if release.status == Release.Status.SIGNING and not signed:
            release = sign_release(release, by=signer, password=PASSWORD, comment="sample")
    work.release = release
    return None


def be_released(work: Work) -> Waiting | None:
    """In production. Nothing runs before it, so there are no stages."""
    release = work.release
    assert release is not None
    if release.status == Release.Status.SIGNED:
        release = start_rollout(release, by=work.operator)
    if release.status in (Release.Status.ROLLING, Release.Status.PAUSED):
        return Waiting(release.reason or _("Starting"), f"/releases/{release.pk}/")
    if release.status not in (Release.Status.RELEASED, Release.Status.SUPERSEDED):
        raise Broken(
            _("The release is %(status)s: %(why)s") % {"status": release.status, "why": release.reason}
        )
    return None


def have_plans(work: Work) -> Waiting | None:
    """The trial, one plan that is granted at once and one that needs an approval."""
    assert work.capability is not None
    for name, plan in PLANS:
        found = Plan.objects.filter(capability=work.capability, name=name).order_by("-pk").first()
        if found is None:
            found = create_plan(work.capability, name, by=work.developer, **plan)
        if found.status == Plan.Status.DRAFT:
            publish_plan(found, by=work.developer)
    return None


def be_published(work: Work) -> Waiting | None:
    """Shown in the store."""
    assert work.capability is not None
    work.capability.refresh_from_db()
    if work.capability.published_at is None:
        publish_capability(work.capability, by=work.developer)
    return None


STEPS: tuple[tuple[Any, Step], ...] = (
    (gettext_lazy("Data set"), have_data),
    (gettext_lazy("Description"), have_capability),
    (gettext_lazy("Training"), be_trained),
    (gettext_lazy("Version"), have_version),
    (gettext_lazy("Packaging"), be_packaged),
    (gettext_lazy("Evaluation"), be_evaluated),
    (gettext_lazy("Signatures"), be_signed),
    (gettext_lazy("Release"), be_released),
    (gettext_lazy("Plans"), have_plans),
    (gettext_lazy("Published"), be_published),
)


def wanted() -> Sequence[Sample]:
    """The samples that this instance is to have."""
    return [sample for sample in SAMPLES if sample.slug in settings.ATRIUM.sample_capabilities]


def unfinished() -> list[Sample]:
    """The samples that are still being made: those that were not published once. What people do later is theirs."""
    slugs = [sample.slug for sample in wanted()]
    done = set(
        Capability.objects.filter(slug__in=slugs, published_at__isnull=False).values_list("slug", flat=True)
    )
    return [sample for sample in wanted() if sample.slug not in done]


def advance(sample: Sample) -> tuple[str, Waiting | None]:
    """Do what can be done now; returns the step's name and what it waits for, None when all is done."""
    team = Team.objects.select_related("site").filter(slug=TEAM).first()
    people = {
        user.username: user for user in User.objects.filter(username__in=[DEVELOPER, OPERATOR, *SIGNERS])
    }
    if team is None or len(people) < 2 + len(SIGNERS):
        return "", Waiting(_("Making the sample people"))
    work = Work(sample, team, people[DEVELOPER], people[OPERATOR], [people[name] for name in SIGNERS])
    for name, step in STEPS:
        waiting = step(work)
        if waiting is not None:
            return str(name), waiting
    return "", None


def advance_alone(sample: Sample) -> bool:
    """`advance`, unless another worker is at it right now. Returns whether the sample is done."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK, SAMPLES.index(sample)])
        if not cursor.fetchone()[0]:
            return False
    try:
        return advance(sample)[1] is None
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK, SAMPLES.index(sample)])
