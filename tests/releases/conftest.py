"""Ada made a version that was evaluated well; Bo and Bea are QA, Ole operates."""

import pytest

from apps.accounts.models import Role
from apps.releases.models import Policy, Release, Replay
from apps.releases.signing import open_release, sign_release
from apps.store.models import Plan, Subscription
from tests.factories import (
    make_capability,
    make_packaged_version,
    make_ready_deployment,
    make_report,
    make_user,
)

PASSWORD = "pw-of-this-test"


@pytest.fixture
def bea(radio):
    return make_user("bea", team=radio, role=Role.QA)


@pytest.fixture
def digits(radio, ada):
    return make_capability(radio, ada, "digits")


@pytest.fixture
def version(digits, ada):
    return make_packaged_version(digits, ada, "1.0.0")


@pytest.fixture
def signed(version, ada, bo, bea):
    """Evaluated, opened, and signed by both."""
    return sign(version, ada, bo, bea)


def sign(version, author, *signers):
    make_report(version, author)
    release = open_release(version, by=author)
    for signer in signers:
        release = sign_release(release, by=signer, password=PASSWORD)
    return release


@pytest.fixture
def rolling(digits, signed, ada, bo, bea, ole, django_capture_on_commit_callbacks):
    """1.0.0 runs in production; 1.1.0 is signed and at its first stage."""
    from apps.instances.models import Deployment
    from apps.releases.rollout import proceed, start_rollout

    first = make_ready_deployment(signed.version, ole)
    proceed(start_rollout(signed, by=ole))
    assert first.traffic.weight == 100
    second = sign(make_packaged_version(digits, ada, "1.1.0"), ada, bo, bea)
    make_ready_deployment(second.version, ole)
    second = start_rollout(second, by=ole)
    proceed(second)
    second.refresh_from_db()
    assert second.deployment.status == Deployment.Status.READY
    return second


def make_replay(release, consumer):
    """What the calls of the person's team showed on a release."""
    team = consumer.memberships.get().team
    capability = release.capability
    plan = Plan.objects.create(capability=capability, name=f"plan-{release.pk}", created_by=consumer)
    subscription = Subscription.objects.create(
        plan=plan, capability=capability, team=team, requested_by=consumer, status="granted"
    )
    return Replay.objects.create(release=release, subscription=subscription)


def make_release_elsewhere(person):
    """A release of another capability, of this person's team."""
    team = person.memberships.get().team
    author = make_user("author-elsewhere", team=team, role=Role.DEVELOPER)
    version = make_packaged_version(make_capability(team, author), author)
    return Release.objects.create(
        version=version,
        capability=version.capability,
        report=make_report(version, author),
        policy=Policy.objects.create(team=team, capability=version.capability, number=1),
        content_digest="0" * 64,
        opened_by=author,
    )
