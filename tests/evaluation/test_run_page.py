"""The page of an evaluation on its way: steps, its job, and what went wrong."""

import pytest

from apps.compute.models import Job
from apps.evaluation import runs
from apps.evaluation.models import Run
from apps.requests.models import Notification
from tests.factories import make_capability, make_deployment, make_packaged_version, make_suite

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(radio, ada):
    capability = make_capability(radio, ada, "digits")
    version = make_packaged_version(capability, ada, "1.0.0")
    return Run.objects.create(
        suite=make_suite(capability, ada),
        version=version,
        version_digest=version.digest,
        deployment=make_deployment(version, ada),
        job=Job.objects.create(
            kind="evaluation", title="Evaluate", status=Job.Status.RUNNING, progress=0.4, progress_message="rows",
            created_by=ada, team=radio,
        ),
        status=Run.Status.MEASURING,
        started_by=ada,
    )  # fmt: skip


def test_while_it_measures_its_job_is_one_click_away(client, run, ada):
    client.force_login(ada)
    for headers in ({}, {"HX-Request": "true"}):
        page = client.get(f"/evaluations/{run.pk}/", headers=headers)
        assert page.status_code == 200
        assert f'href="/jobs/{run.job_id}/"' in page.text


def test_its_job_is_not_run_again_since_its_keys_have_ended(client, run, ada):
    Job.objects.filter(pk=run.job_id).update(status=Job.Status.FAILED)
    client.force_login(ada)

    answer = client.post(f"/api/v1/jobs/{run.job_id}/retry/")

    assert (answer.status_code, "Begin a new evaluation" in answer.json()["detail"]) == (403, True)
    assert Job.objects.get(pk=run.job_id).status == "failed"
    assert "/retry/" not in client.get(f"/jobs/{run.job_id}/").text


def test_whoever_started_it_hears_why_it_failed(client, run, ada):
    Job.objects.filter(pk=run.job_id).update(status=Job.Status.FAILED, reason="The rows have no column y.")

    for _look in range(2):
        runs.proceed(Run.objects.get(pk=run.pk))

    told = Notification.objects.get(user=ada)
    assert (told.url, "failed" in told.title) == (f"/evaluations/{run.pk}/", True)
    assert "no column y" in told.body
    client.force_login(ada)
    assert "no column y" in client.get(told.url).text
