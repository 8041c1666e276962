"""Site by site: one site's callers first, the others later, nobody back; judged on these callers' calls alone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Role, Site
from apps.accounts.services import change_team
from apps.core.errors import Invalid
from apps.gateway.dataplane.snapshot import Capability
from apps.gateway.models import Call, Grant
from apps.gateway.services import create_grant
from apps.gateway.snapshot import picture
from apps.instances.selectors import weights_at_sites, weights_of
from apps.releases.history import at_moment
from apps.releases.models import Policy, Stage
from apps.releases.policies import create_policy
from apps.releases.rollout import active_stage, proceed, promote, roll_back
from apps.releases.shares import Shares, shares_of
from apps.store.models import Plan, Subscription
from tests.factories import make_calls, make_site, make_team, make_user, rows_of

pytest_plugins = ["tests.releases.test_stages"]
pytestmark = pytest.mark.django_db
ORDER = [
    {"weight": 5, "worse_by": 0.05, "site": "centre"},
    {"weight": 50, "worse_by": 0.05, "site": "centre"},
    {"weight": 5, "worse_by": 0.05, "site": "guangdong"},
    {"weight": 20, "worse_by": 0.05},
]


@pytest.fixture
def guangdong(db):
    make_site("Centre", kind="centre")
    return make_site("Guangdong")


@pytest.fixture
def in_guangdong(guangdong, digits):
    """A subscriber's key there."""
    team = make_team("gd", site=guangdong)
    mei = make_user("mei", team=team, role=Role.CONSUMER)
    plan = Plan.objects.create(capability=digits, name="p", created_by=mei)
    row = Subscription.objects.create(
        plan=plan, capability=digits, team=team, requested_by=mei, status="granted"
    )
    grant, _secret = create_grant(
        kind=Grant.Kind.SUBSCRIPTION, capability=digits, team=team, pool=f"subscription:{row.pk}", by=mei
    )
    return grant


def shown(stage):
    """What the calls of a stage were counted as: (candidate's, the other's)."""
    return stage.evidence["candidate"]["calls"], stage.evidence["baseline"]["calls"]


def test_one_site_comes_first_and_nobody_is_sent_back(start, guangdong, ole):
    release = start(stages=ORDER)
    old, new = release.baseline_id, release.deployment_id
    seen = []
    for _stage in ORDER:
        seen.append((weights_of(release.capability).get(new, 0), weights_at_sites(release.capability)))
        Stage.objects.filter(status="active").update(outcome="success")
        promote(release, by=ole)

    assert seen == [
        (0, {"centre": {new: 5, old: 95}}),
        (0, {"centre": {new: 50, old: 50}}),
        (0, {"centre": {new: 50, old: 50}, "guangdong": {new: 5, old: 95}}),
        (20, {"centre": {new: 50, old: 50}}),
    ]
    assert (weights_of(release.capability), weights_at_sites(release.capability)) == ({new: 100}, {})


def test_the_gateway_gives_each_caller_the_shares_of_its_site(start, in_guangdong, digits):
    start(stages=[{"weight": 40, "worse_by": 0.05, "site": "guangdong"}])
    told = picture()

    routed = Capability.parse("digits", told["capabilities"]["digits"])
    assert told["keys"][in_guangdong.key_hash]["site"] == "guangdong"
    assert [route.weight for route in routed.routes_at("guangdong")] == [60, 40]
    assert [route.weight for route in routed.routes_at("centre")] == [100, 0]


def test_only_the_calls_of_the_stages_own_callers_are_evidence(start, in_guangdong):
    release = start(
        stages=[
            {"weight": 50, "worse_by": 0.05, "site": "guangdong"},
            {"weight": 60, "worse_by": 0.05, "site": "guangdong"},
            {"weight": 20, "worse_by": 0.05},
        ]
    )
    make_calls(release.baseline, good=0, bad=30)
    make_calls(release.deployment, good=20, bad=0)
    Call.objects.filter(deployment_id=release.deployment_id).update(grant_id=in_guangdong.pk)
    proceed(release)
    assert shown(active_stage(release)) == (20, 0)

    Stage.objects.filter(release=release, position__lt=2).update(status="passed")
    Stage.objects.filter(release=release, position=2).update(
        status="active", started_at=timezone.now() - timedelta(minutes=1)
    )
    proceed(release)
    assert shown(active_stage(release)) == (0, 30)  # Guangdong is ahead: its callers have another share


def test_a_rollback_takes_every_site_back(start, guangdong, ole):
    release = start(stages=ORDER)
    roll_back(release, by=ole)

    assert weights_of(release.capability) == {release.baseline_id: 100}
    assert weights_at_sites(release.capability) == {}


def test_history_knows_the_shares_of_a_subscribers_site_then(start, in_guangdong, digits, root):
    start(stages=[{"weight": 99, "worse_by": 0.05, "site": "guangdong"}])
    team = in_guangdong.team
    centre = Site.objects.exclude(slug="guangdong").first()
    change_team(team, name=team.name, site=team.site, owner=None, by=root)
    while_there = timezone.now()
    change_team(team, name=team.name, site=centre, owner=None, by=root)

    then = at_moment(digits, while_there, caller=in_guangdong.pool)
    assert [(share.version, share.percent) for share in then.shares] == [("1.0.0", 1), ("1.1.0", 99)]
    assert at_moment(digits, timezone.now(), caller=in_guangdong.pool).version == "1.0.0"


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([{"weight": 5, "worse_by": 0.1, "site": "hunan"}], "no site “hunan”"),
        (
            [{"weight": 20, "worse_by": 0.1}, {"weight": 10, "worse_by": 0.1, "site": "guangdong"}],
            "must grow",
        ),
        ([{"weight": 20, "worse_by": 0.1, "site": "guangdong", "server_cpu": 1}], "for all sites"),
        ([{"weight": 20, "worse_by": 0.1, "server_cpu": -1}], "above 0"),
    ],
)
def test_stages_that_cannot_be_are_refused_and_named(digits, bo, bea, guangdong, stages, words):
    with pytest.raises(Invalid, match=words):
        create_policy(digits, by=bo, signers=[{"role": "qa", "count": 1}], stages=stages)


def test_the_page_takes_a_site_and_shows_it(start, digits, bo, client, guangdong):
    release = start(stages=[{"weight": 5, "worse_by": 0.05, "site": "guangdong"}])
    client.force_login(bo)
    asked = {
        **rows_of("signers", {"role": "qa", "count": "1"}),
        **rows_of(
            "stages", {"site": "guangdong", "weight": "5", "worse_by": "5"}, {"weight": "5", "worse_by": "5"}
        ),
        **rows_of("gates"),
        **rows_of("metric"),
        "deadline_days": "7",
    }

    assert "Guangdong" in client.get(f"/releases/{release.pk}/").content.decode()
    made = client.post("/releases/policy/digits/", asked)
    assert made.status_code == 302, made.context["form"].errors
    made = Policy.objects.filter(capability=digits).order_by("-number").first()
    assert [stage.get("site") for stage in made.stages] == ["guangdong", None]


class Step:
    def __init__(self, weight, site=""):
        self.weight, self.site = weight, site


def test_a_site_that_is_ahead_stays_ahead_until_the_others_have_caught_up():
    steps = [Step(50, "a"), Step(20), Step(60)]

    assert [shares_of(steps[:n]) for n in (1, 2, 3)] == [
        Shares(0, {"a": 50}),
        Shares(20, {"a": 50}),
        Shares(60),
    ]
    assert not Shares(20, {"a": 50}).raised_by(Step(50, "a"))
