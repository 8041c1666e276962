"""How busy a server would be with all the traffic: counted look by look, judged at a stage that limits it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.core.errors import NotAllowed
from apps.instances.models import Replica
from apps.releases.load import Server, mean_cores, noted, projected
from apps.releases.models import Release
from apps.releases.rollout import active_stage, proceed, promote
from tests.factories import make_calls

pytest_plugins = ["tests.releases.test_stages"]


def looks(*servers_then):
    load = {}
    for servers in servers_then:
        load = noted(load, servers)
    return load


def test_what_servers_used_is_added_up_over_restarts():
    load = looks(
        [Server("1", 100.0, 0), Server("2", 5.0, 0)],
        [Server("1", 130.0, 60), Server("2", 5.0, 60)],
        [Server("1", 2.0, 90), Server("3", 9.0, 90)],  # the first began anew, the second is gone
        [Server("1", 4.0, 100), Server("3", 9.0, 100)],
    )

    assert (load["cpu_s"], load["s"]) == (32.0, 140.0)
    assert mean_cores(load) == pytest.approx(32 / 140)


def test_less_than_a_minute_says_nothing():
    assert mean_cores(looks([Server("1", 0, 0)], [Server("1", 59, 59)])) is None
    assert mean_cores({}) is None


@pytest.mark.parametrize(("cores", "mine", "everything"), [(None, 10, 100), (0.5, 0, 100)])
def test_without_calls_or_a_mean_nothing_is_projected(cores, mine, everything):
    assert projected(cores, mine, everything) is None


@pytest.fixture
def loaded(start):
    """At the 20 % stage, which allows two busy cores; `go` lets the candidate's server use so many for two minutes."""
    release = start(stages=[{"weight": 20, "worse_by": 0.45, "server_cpu": 2}])
    began = timezone.now() - timedelta(minutes=3)
    mine = Replica.objects.filter(deployment=release.deployment)
    mine.update(cpu_s=7, observed_at=began)
    proceed(release)

    def go(cores):
        mine.update(cpu_s=7 + cores * 120, observed_at=began + timedelta(minutes=2))
        make_calls(release.deployment, good=200, bad=0)
        make_calls(release.baseline, good=800, bad=0)
        proceed(release)
        release.refresh_from_db()
        return release

    return go


@pytest.mark.django_db
def test_a_candidate_whose_servers_would_not_hold_is_rolled_back(loaded):
    release = loaded(0.5)

    assert release.status == Release.Status.ROLLED_BACK
    assert "would keep 2.50 cores busy" in release.reason_words


@pytest.mark.django_db
def test_one_whose_servers_hold_can_be_promoted(loaded, ole, client):
    release = loaded(0.3)

    told = active_stage(release).evidence["load"]
    assert (told["cores"], told["projected"], told["outcome"]) == (0.3, 1.5, "success")
    client.force_login(ole)
    assert "1.50 cores busy" in client.get(f"/releases/{release.pk}/").content.decode()
    assert promote(release, by=ole)


@pytest.mark.django_db
def test_before_a_minute_was_measured_nothing_passes(start, ole):
    release = start(stages=[{"weight": 20, "worse_by": 0.45, "server_cpu": 2}])
    make_calls(release.deployment, good=200, bad=0)
    make_calls(release.baseline, good=800, bad=0)
    proceed(release)

    assert active_stage(release).outcome == "undecided"
    with pytest.raises(NotAllowed, match="being measured"):
        promote(release, by=ole)
