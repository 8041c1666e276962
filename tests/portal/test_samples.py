"""The sample people: complete, repeatable, and marked as what they are."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.accounts.models import Membership, Team, User
from apps.catalog.models import Version
from apps.compute.models import Job
from apps.core.urns import urn
from apps.datasets.services import create_version as create_dataset_version
from portal.samples import retries
from portal.samples.people import PASSWORD, PEOPLE, make_people
from portal.samples.progress import preparation, where
from portal.samples.steps import SAMPLES, Work, be_packaged
from tests.factories import make_capability, make_dataset, make_version, put_files


@pytest.mark.django_db
def test_sample_people_are_made_once_and_can_log_in(client):
    make_people()
    people = make_people()

    assert set(people) == {each.username for each in PEOPLE}
    assert Membership.objects.count() == len(PEOPLE)
    assert client.login(username="consumer", password=PASSWORD)


@pytest.mark.django_db
def test_a_sample_person_whose_password_was_changed_keeps_it():
    dev = make_people()["dev"]
    dev.set_password("another-long-word")
    dev.save()

    make_people()

    assert User.objects.get(username="dev").check_password("another-long-word")


@pytest.mark.django_db
def test_a_portal_on_the_network_refuses_active_sample_people():
    make_people()
    with pytest.raises(CommandError, match="consumer"):
        call_command("prepare", "refuse-samples")

    User.objects.update(is_active=False)
    call_command("prepare", "refuse-samples")


@pytest.fixture
def unpackaged(db, settings, monkeypatch):
    """A sample whose packaging has just failed for the first time."""
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    settings.ATRIUM = replace(settings.ATRIUM, samples=True)
    people = make_people()
    team, dev = Team.objects.get(slug="network-ai"), people["dev"]
    data = make_dataset(team, dev, "digits")
    create_dataset_version(data, put_files({"digits.csv": b"x,digit\n1,7\n"}), by=dev)
    version = make_version(make_capability(team, dev, "digits"), dev, "1.0.0")
    fail(version)
    signers = [people["qa"], people["qa2"]]
    return Work(SAMPLES[0], team, dev, people["ops"], signers, version=version)


def fail(version, at=None):
    """Leave a version as a packaging that found no package index leaves it."""
    job = Job.objects.filter(pk=version.job_id or 0).first() or Job(
        kind="packaging", team=version.capability.team, subject=urn(version)
    )
    job.status, job.finished_at = "failed", at or timezone.now()
    job.save()
    version.status, version.job_id = Version.Status.FAILED, job.pk
    version.failure = {"message": "the index does not answer"}
    version.save()


def test_a_sample_whose_packaging_failed_says_when_it_is_tried_again_and_is(unpackaged):
    version = unpackaged.version

    waiting = be_packaged(unpackaged)
    shown = preparation(unpackaged.developer)

    assert "(attempt 1 of 16), tried again in 5 s: the index does not answer" in waiting.message
    assert shown.failed
    assert shown.message == waiting.message == where("digits")
    assert version.status == "failed"

    fail(version, timezone.now() - timedelta(seconds=6))
    be_packaged(unpackaged)

    version.refresh_from_db()
    assert version.status == "packaging"
    assert Job.objects.filter(subject=urn(version)).count() == 2


def test_a_sample_that_fails_again_and_again_rests_until_a_person_starts_it(unpackaged):
    version = unpackaged.version
    for _time in range(retries.MOST_ATTEMPTS - 1):
        fail(version, timezone.now() - timedelta(minutes=3))  # never is a pause longer
        be_packaged(unpackaged)
        version.refresh_from_db()
    fail(version, timezone.now() - timedelta(days=1))

    with pytest.raises(retries.Broken, match="failed 16 times"):
        be_packaged(unpackaged)
    assert "failed 16 times" in preparation(unpackaged.developer).message
    assert Job.objects.filter(subject=urn(version)).count() == retries.MOST_ATTEMPTS
