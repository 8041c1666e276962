"""What runs needed is kept, charted, and proposed for the next one."""

from datetime import timedelta
from itertools import pairwise

import pytest
from django.utils import timezone

from apps.compute import needs
from apps.compute.models import Attempt, Job
from apps.compute.selectors import advice_on, measured_needs
from apps.compute.services import submit_script

from .conftest import run


def test_the_next_run_is_offered_the_highest_peak_with_a_margin():
    found = needs.of_runs([needs.Measured(300, 0.4, 10), needs.Measured(410, 1.1, 30)])
    assert (found.memory_mb, found.cpu, found.seconds) == (576, 1.25, 30)
    assert needs.of_runs([]) is None


def test_samples_stay_few_and_cover_the_whole_run():
    samples = []
    for second in range(5000):
        samples = needs.with_sample(samples, (float(second), 100.0 + second % 7, second * 0.5))
    assert len(samples) <= needs.MOST_SAMPLES
    assert (samples[0][0], samples[-1][0]) == (0.0, 4999.0)
    assert len(samples) > needs.MOST_SAMPLES / 4
    assert max(later[0] - earlier[0] for earlier, later in pairwise(samples)) < 5000 / 40
    assert {round(cores, 3) for _second, cores in needs.cores_over_time(samples)} == {0.5}


@pytest.fixture
def ended(ada, radio, outside, fake):
    def make(peak, memory_mb=2048, title="train"):
        job = submit_script(title, "print(1)", by=ada, team=radio, resources={"memory_mb": memory_mb})
        Job.objects.filter(pk=job.pk).update(argv=["true"])
        run(job)
        Job.objects.filter(pk=job.pk).update(peak_memory_mb=peak)
        job.refresh_from_db()
        return job

    return make


def test_a_request_far_off_is_pointed_out(ended):
    assert "384 MB would do" in advice_on(ended(300))
    assert "ask for 2,560 MB" in advice_on(ended(2047)).replace("2560", "2,560")
    assert advice_on(ended(1000, title="fits")) == ""


def test_runs_of_one_script_are_measured_together(ended, client, ada):
    job = ended(300)
    ended(500)
    ended(900, title="another")
    assert measured_needs(job.needs_key).runs == 2
    client.force_login(ada)
    told = client.get(f"/api/v1/jobs/{job.pk}/usage/").json()
    assert told["needs"]["memory_mb"] == 640


def test_the_job_page_shows_memory_and_cores_over_time(client, ended, ada, cy):
    job = ended(300)
    Attempt.objects.filter(job=job).update(usage=[[0, 100, 0], [1, 200, 0.9], [2, 300, 1.9]])
    client.force_login(ada)
    page = client.get(f"/jobs/{job.pk}/usage/").content.decode()
    assert "Memory and processors over time" in page
    client.force_login(cy)
    assert client.get(f"/jobs/{job.pk}/usage/").status_code == 404


def test_the_memory_of_a_job_that_ran_out_of_it_ends_with_the_peak_that_was_measured(client, ended, ada):
    job = ended(300)
    start = timezone.now()
    Attempt.objects.filter(job=job).update(
        usage=[[0, 100, 0]],
        started_at=start,
        finished_at=start + timedelta(seconds=2.5),
        peak_memory_mb=1200.5,
        cpu_s=1.5,
        reason="out of memory at 1,024 MB",
    )
    client.force_login(ada)

    told = client.get(f"/api/v1/jobs/{job.pk}/usage/").json()

    assert told["samples"] == [[0, 100, 0], [2.5, 1200.5, 1.5]]
    Attempt.objects.filter(job=job).update(reason="exit code 1")  # then the peak was anywhere on the way
    assert client.get(f"/api/v1/jobs/{job.pk}/usage/").json()["samples"] == [[0, 100, 0]]


def test_a_notebook_that_is_none_is_refused(client, ada, radio, outside):
    client.force_login(ada)
    asked = {"title": "n", "team": radio.slug, "notebook": "[]"}
    assert client.post("/api/v1/jobs/", asked, "application/json").status_code == 422
    assert (
        client.post("/api/v1/jobs/", {"title": "n", "team": radio.slug}, "application/json").status_code
        == 422
    )
