"""What a version is compared with: the production of now, and nobody takes its silence for a good comparison."""

import pytest

from apps.compute.models import Job
from apps.core.errors import NotAllowed
from apps.evaluation import runs
from apps.evaluation.gates import Verdict
from apps.evaluation.models import Run
from apps.evaluation.policy import decides
from apps.evaluation.selectors import content_of
from apps.evaluation.services import start_evaluation
from apps.instances.models import Deployment
from apps.instances.services import set_weights
from apps.releases.signing import open_release
from tests.factories import (
    make_capability,
    make_packaged_version,
    make_ready_deployment,
    make_report,
    make_suite,
)

pytestmark = pytest.mark.django_db
GATES = [
    {"metric": "accuracy", "threshold": 0.9},
    {"metric": "accuracy", "threshold": 0.01, "relative": True},
]
MEASURED = {"rows": 10, "figures": {"accuracy": {"value": 0.95, "n": 10}}}


@pytest.fixture
def digits(radio, ada):
    return make_capability(radio, ada, "digits")


@pytest.fixture
def suite(digits, bo):
    return make_suite(digits, bo, gates=GATES)


@pytest.fixture
def serve(digits, ada, ole, signed):
    """Give all the production calls to a new version."""

    def make(number):
        version = make_packaged_version(digits, ada, number)
        signed.add(version.digest)
        deployment = make_ready_deployment(version, ole)
        set_weights(digits, {deployment.pk: 100}, by=ole)
        return deployment

    return make


@pytest.fixture
def candidate(digits, ada):
    version = make_packaged_version(digits, ada, "2.0.0")
    make_ready_deployment(version, ada, kind="test")
    return version


def measure(version, suite, by):
    """As far as to the job that calls both sides."""
    run = start_evaluation(version, suite, by=by)
    runs.proceed(run)
    run.refresh_from_db()
    assert run.status == Run.Status.MEASURING
    return run


def report(run, **measured):
    return runs.report_on(run, Job(status=Job.Status.SUCCEEDED, result=MEASURED | measured, outputs={}))


def test_production_that_is_not_ready_leaves_the_comparison_undecided(
    serve, candidate, suite, bo, ada, client
):
    Deployment.objects.filter(pk=serve("1.0.0").pk).update(status="starting")
    run = measure(candidate, suite, bo)
    assert "production" not in run.job.params

    made = report(run)

    told = [gate["verdict"] for gate in content_of(made)["gates"]]
    assert (made.verdict, told) == (Verdict.UNDECIDED, ["passed", "undecided"])
    with pytest.raises(NotAllowed, match="gates are undecided"):
        open_release(candidate, by=ada)
    client.force_login(ada)
    page = client.get(f"/reports/{made.pk}/").content.decode()
    assert "1.0.0 is in production and was not asked" in page
    assert "evaluate again once it is" in page


def test_with_nothing_in_production_there_is_nothing_to_be_worse_than(candidate, suite, bo):
    assert report(measure(candidate, suite, bo)).verdict == Verdict.PASSED


def test_what_is_in_production_when_it_is_measured_is_compared_with(serve, candidate, suite, bo, signed):
    serve("1.0.0")
    run = start_evaluation(candidate, suite, by=bo)
    now = serve("1.1.0")
    runs.proceed(run)

    run.refresh_from_db()
    assert run.production == now
    assert "1.1.0" in run.job.params["production"]["path"]


@pytest.mark.parametrize("compared", [True, False])
def test_a_comparison_with_what_was_in_production_opens_nothing(serve, candidate, suite, bo, compared):
    old = serve("1.0.0") if compared else None
    made = make_report(candidate, bo, suite=suite, production=old)
    assert decides(made, candidate)

    serve("1.1.0")

    verdict = decides(made, candidate)
    assert not verdict
    assert "1.1.0 is" in verdict.reason
    assert "Evaluate the version again" in verdict.reason
    assert verdict.url == f"/evaluations/new/{candidate.pk}/"


def test_without_a_gate_against_production_it_does_not_matter(serve, candidate, digits, bo):
    made = make_report(candidate, bo, suite=make_suite(digits, bo, gates=GATES[:1]))
    serve("1.1.0")

    assert decides(made, candidate)


def test_a_version_is_not_asked_to_be_compared_with_itself(candidate, digits, suite, bo, ole, signed):
    made = make_report(candidate, bo, suite=suite)
    signed.add(candidate.digest)
    set_weights(digits, {make_ready_deployment(candidate, ole).pk: 100}, by=ole)

    assert decides(made, candidate)
