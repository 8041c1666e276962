"""What a release policy asks of a report beside its suite, and the default of a team for those that have no policy."""

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.catalog.models import Version
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.evaluation.policy import decides
from apps.evaluation.services import create_suite
from apps.gateway.histogram import SIZE, bucket
from apps.gateway.models import UsageOfCapability
from apps.releases.blockers import blockers_of
from apps.releases.content import content_of
from apps.releases.models import Policy, Release
from apps.releases.policies import create_policy, policy_for, unwritten, withdraw_policy
from apps.releases.rollout import planned_stages, proceed, start_rollout
from apps.releases.signing import may_take_production_traffic, open_release, void_changed
from tests.evaluation.test_suites import CLASS, TABLE
from tests.factories import (
    make_capability,
    make_packaged_version,
    make_ready_deployment,
    make_report,
    make_suite,
    make_user,
)
from tests.releases.conftest import sign

pytestmark = pytest.mark.django_db

ASKED = {"signers": [{"role": "qa", "count": 1}], "stages": [{"weight": 5, "worse_by": 0.05}]}
STRICT = {"metric": "accuracy", "threshold": 0.99, "at_least": 10}


def policy(holder, by, *gates, **more):
    return create_policy(holder, by=by, **(ASKED | more), gates=list(gates))


def test_a_report_that_passes_its_suite_opens_nothing_while_the_policy_asks_for_more(version, ada, bo):
    report = make_report(version, ada)
    policy(version.capability, bo, STRICT)

    with pytest.raises(NotAllowed, match=r"Release policy #1 asks for accuracy ≥ 0.99.*0.97 \(misses"):
        open_release(version, by=ada)
    assert not decides(report, version)
    assert [blocker.code for blocker in blockers_of(version)] == ["gate-failed"]
    assert "Release policy #1: accuracy ≥ 0.99" in blockers_of(version)[0].words

    make_report(version, ada, accuracy=0.995)
    assert open_release(version, by=ada).policy.gates == [STRICT]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"stages": [1]}, "stage 1: 1 is no object"),
        ({"stages": {"weight": 5}}, "signers and stages are lists"),
        (
            {"stages": [{"weight": 5, "worse_by": 0.05, "costlier_by": "x"}]},
            "stage 1: costlier_by cannot be 'x'",
        ),
        ({"stages": [{"weight": 5, "worse_by": "0.05"}]}, "worse_by cannot be '0.05'"),
        ({"stages": [{"weight": True, "worse_by": 0.05}]}, "weight cannot be True"),
        ({"stages": [{"weight": 5, "worse_by": 0.05, "slow_ms": 10**400}]}, "slow_ms cannot be 1000"),
        ({"stages": [{"weight": 5, "worse_by": 0.05, "site": None}]}, "site cannot be None"),
        ({"stages": [{"weight": 5, "worse_by": 0.05, "metric": 1}]}, "metric cannot be 1"),
        ({"signers": [{"role": "qa", "count": "x"}]}, "signer 1: count cannot be 'x'"),
        ({"signers": ["qa"]}, "signer 1: 'qa' is no object"),
    ],
)
def test_what_is_no_policy_at_all_is_refused_in_words(version, bo, client, asked, why):
    client.force_login(bo)
    body = {"capability": version.capability.slug} | ASKED | asked

    said = client.post("/api/v1/release-policies/", body, content_type="application/json")

    assert said.status_code == 422
    assert why in said.json()["detail"]
    assert not Policy.objects.exclude(created_by=None).exists()


def test_a_number_that_a_stage_leaves_empty_is_as_if_it_were_not_there(version, bo):
    stage = {"weight": 5, "worse_by": 0.05, "slow_ms": None, "memory_mb": None, "costlier_by": None}

    assert policy(version.capability, bo, stages=[stage]).stages == [stage]


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        ({"metric": "accuracy", "threshold": 0.9, "at_least": 1000}, "100 rows, at least 1000 are needed"),
        ({"metric": "latency_p95_ms", "threshold": 50}, "the evaluation gave no latency_p95_ms"),
    ],
)
def test_what_the_report_cannot_say_does_not_pass(version, ada, bo, gate, why):
    make_report(version, ada)
    Policy.objects.create(
        team=version.capability.team, capability=version.capability, number=1, created_by=bo, gates=[gate]
    )

    with pytest.raises(NotAllowed, match=why):
        open_release(version, by=ada)


def test_a_policy_against_production_wants_a_report_against_what_is_there_now(signed, digits, ada, bo, ole):
    running = make_ready_deployment(signed.version, ole)
    proceed(start_rollout(signed, by=ole))
    candidate = make_packaged_version(digits, ada, "1.1.0")
    make_report(candidate, ada)
    policy(digits, bo, {"metric": "accuracy", "threshold": 0.01, "relative": True})

    with pytest.raises(NotAllowed, match="compare with production"):
        open_release(candidate, by=ada)
    make_report(candidate, ada, production=running)
    assert open_release(candidate, by=ada).status == Release.Status.SIGNING


def test_a_policys_gates_are_signed_and_older_signatures_hold(version, ada, bo, bea):
    signed = sign(version, ada, bo, bea)
    assert "gates" not in content_of(signed.report, signed.policy)["policy"]
    assert may_take_production_traffic(version)
    other = make_packaged_version(version.capability, ada, "1.1.0")
    policy(version.capability, bo, {"metric": "accuracy", "threshold": 0.9})
    newer = sign(other, ada, bo)
    assert newer.status == Release.Status.SIGNED

    Policy.objects.filter(pk=newer.policy_id).update(gates=[])
    void_changed()

    newer.refresh_from_db()
    assert newer.status == Release.Status.VOIDED


def test_gates_that_no_report_could_pass_are_refused_with_the_policy(digits, ada, bo):
    make_suite(digits, ada, slices=["y"])

    with pytest.raises(Invalid, match="no row has y=c"):
        policy(digits, bo, {"metric": "accuracy", "threshold": 0.9, "slice": "y=c"})
    with pytest.raises(Invalid, match="asks for 11 rows, there are 10"):
        policy(digits, bo, {"metric": "accuracy", "threshold": 0.9, "at_least": 11})
    assert policy(digits, bo, {"metric": "accuracy", "threshold": 0.9, "slice": "y=a"}).number == 1


def test_a_teams_default_counts_for_those_without_a_policy_of_their_own(radio, digits, ada, bo):
    letters = make_capability(radio, ada, "letters")
    assert policy_for(letters).created_by is None  # the platform's, written down before there was another
    own = policy(digits, bo)

    default = policy(radio, bo)
    newest = policy(radio, bo, STRICT)

    assert (default.number, newest.number, newest.capability) == (1, 2, None)
    assert policy_for(letters) == newest
    assert policy_for(digits) == own


def test_a_release_under_a_teams_default_says_so_in_what_is_signed(version, radio, ada, bo, bea):
    policy(radio, bo, {"metric": "accuracy", "threshold": 0.9})

    release = sign(version, ada, bo)

    assert release.status == Release.Status.SIGNED
    assert content_of(release.report, release.policy)["policy"]["of"] == "team"
    with pytest.raises(Conflict):
        open_release(version, by=ada)


def test_a_teams_default_asks_for_nothing_that_one_of_its_capabilities_can_never_show(radio, version, bo):
    Version.objects.filter(pk=version.pk).update(signature={"inputs": [TABLE], "outputs": [CLASS]})
    with pytest.raises(Invalid, match=f"{version.capability.name}: gate 1: there is no metric “mae”"):
        policy(radio, bo, {"metric": "mae", "threshold": 1})
    with pytest.raises(Invalid, match="ask for it in the policy of the capability"):
        policy(radio, bo, {"metric": "accuracy", "threshold": 0.9, "slice": "site=a"})
    assert policy(radio, bo, {"metric": "latency_p95_ms", "threshold": 100}).gates


def test_what_a_teams_default_asks_is_checked_with_one_query_for_all_its_capabilities(
    radio, ada, bo, django_assert_max_num_queries
):
    gate = {"metric": "accuracy", "threshold": 0.9}
    for number in range(12):
        version = make_packaged_version(make_capability(radio, ada, f"many-{number}"), ada)
        Version.objects.filter(pk=version.pk).update(signature={"inputs": [TABLE], "outputs": [CLASS]})

    with django_assert_max_num_queries(30):
        assert policy(radio, bo, gate).number == 1
    with pytest.raises(Invalid) as refused:
        policy(radio, bo, {"metric": "mae", "threshold": 1})
    assert refused.value.message.count("there is no metric “mae”") == 12


def test_a_capability_returns_to_its_teams_default_and_may_leave_it_again(digits, radio, ada, bo, client):
    own, default = policy(digits, bo), policy(radio, bo, STRICT)
    with pytest.raises(NotAllowed, match="QA"):
        withdraw_policy(own, by=ada)
    client.force_login(bo)
    assert "Follow the default again" in client.get("/releases/policy/digits/").content.decode()

    client.post("/releases/policy/digits/withdraw/")

    assert policy_for(digits) == default
    assert AuditEntry.objects.filter(action="releases.policy.withdrawn", actor_name="bo").count() == 1
    assert "Follow the default again" not in client.get("/releases/policy/digits/").content.decode()
    with pytest.raises(Conflict, match="does not count any more"):
        withdraw_policy(own, by=bo)
    with pytest.raises(Conflict, match="not withdrawn"):
        withdraw_policy(default, by=bo)
    assert (policy(digits, bo).number, policy_for(digits).number) == (2, 2)


def test_without_a_default_the_platforms_counts_again_and_open_releases_keep_theirs(
    version, bo, ada, bea, client
):
    own = policy(version.capability, bo)
    release = sign(version, ada, bo)
    client.force_login(bo)

    answered = client.post(f"/api/v1/release-policies/{own.pk}/withdraw/")

    assert (answered.status_code, bool(answered.json()["withdrawn_at"])) == (200, True)
    platforms = policy_for(version.capability)
    assert (platforms.created_by, platforms.number, platforms.signers[0]["count"]) == (None, 2, 2)
    assert policy_for(version.capability) == platforms
    assert (release.policy, bool(may_take_production_traffic(version))) == (own, True)


def test_none_returns_to_a_default_whose_gates_it_could_never_pass(version, radio, ada, bo):
    own = policy(version.capability, bo)
    policy(radio, bo, {"metric": "mae", "threshold": 1})
    Version.objects.filter(pk=version.pk).update(signature={"inputs": [TABLE], "outputs": [CLASS]})

    with pytest.raises(Invalid, match="there is no metric “mae”"):
        withdraw_policy(own, by=bo)
    assert policy_for(version.capability) == own


def test_a_suite_that_could_not_show_what_the_policy_asks_is_refused(version, ada, bo):
    Version.objects.filter(pk=version.pk).update(signature={"inputs": [TABLE], "outputs": [CLASS]})
    old = make_suite(version.capability, ada, slices=["y"])
    policy(version.capability, bo, {"metric": "accuracy", "threshold": 0.9, "slice": "y=a", "at_least": 5})
    asked = {"name": "again", "dataset_version": old.dataset_version, "target": "y"}
    asked |= {"gates": [{"metric": "accuracy", "threshold": 0.5}]}

    with pytest.raises(
        Invalid, match=r"Release policy #1 asks for more than this suite can show.*slice by “y”"
    ):
        create_suite(version.capability, by=bo, **asked)
    assert create_suite(version.capability, by=bo, **asked, slices=["y"]).number == old.number + 1


def rows(name, *given):
    posted = {f"{name}-TOTAL_FORMS": len(given), f"{name}-INITIAL_FORMS": 0}
    return posted | {f"{name}-{n}-{key}": value for n, row in enumerate(given) for key, value in row.items()}


def test_pages_write_gates_and_the_default_and_show_what_they_say(
    version, radio, ada, bo, client, compiled_messages
):
    report = make_report(version, ada)
    client.force_login(bo)
    form = rows("signers", {"role": "qa", "count": 1}) | rows("stages", {"weight": 5, "worse_by": 5})
    form |= rows("gates", {"metric": "accuracy", "threshold": 0.99, "at_least": 10}) | rows("metric")

    page = client.get("/releases/team-policy/radio/").content.decode()
    assert "so the platform's counts" in page
    assert "/releases/policy/digits/" in page
    made = client.post("/releases/team-policy/radio/", form | {"deadline_days": 14})

    assert made.status_code == 302
    assert policy_for(version.capability).gates == [STRICT]
    assert (
        "counts now. What you save becomes this capability"
        in client.get("/releases/policy/digits/").content.decode()
    )
    shown = client.get(f"/reports/{report.pk}/").content.decode()
    assert "release policy #1" in shown
    assert "0.97 (misses the threshold)" in shown
    assert "Open a release" not in shown
    User.objects.filter(pk=bo.pk).update(language="zh-hans")
    client.force_login(bo)
    assert "团队的发布策略 #1" in client.get(f"/reports/{report.pk}/").content.decode()


def test_rest_writes_both_and_lists_both(digits, radio, bo, client):
    client.force_login(bo)
    address, asked = "/api/v1/release-policies/", {**ASKED, "gates": [STRICT]}

    own = client.post(address, {"capability": "digits", **asked}, "application/json")
    default = client.post(address, {"team": "radio", **asked}, "application/json")
    neither = client.post(address, asked, "application/json")
    both = client.post(address, {"capability": "digits", "team": "radio", **asked}, "application/json")

    assert (own.json()["capability"], own.json()["team"], own.json()["gates"]) == (
        "digits",
        "radio",
        [STRICT],
    )
    assert (default.json()["capability"], default.json()["number"]) == (None, 1)
    assert (neither.status_code, both.status_code) == (422, 422)
    assert [row["capability"] for row in client.get(address).json()["results"]] == [None, "digits"]


def test_an_outsider_reads_no_default_and_a_developer_writes_none(radio, ada, cy, client):
    with pytest.raises(NotAllowed, match="QA"):
        policy(radio, ada)
    client.force_login(cy)
    assert client.get("/releases/team-policy/radio/").status_code == 404
    assert client.get("/api/v1/release-policies/").json()["results"] == []


def test_the_release_shows_the_gates_it_was_opened_under(version, ada, bo, client):
    make_user("cleo", team=version.capability.team, role="qa")
    policy(version.capability, bo, {"metric": "accuracy", "threshold": 0.9})
    make_report(version, ada)
    release = open_release(version, by=ada)
    client.force_login(bo)

    page = client.get(f"/releases/{release.pk}/").content.decode()

    assert "Gates of the release policy" in page
    assert "0.97 (meets the threshold)" in page


def slow_at(release, *gates, policy):
    """From how many milliseconds on each stage under the policy calls an answer slow, with these gates in the suite."""
    suite = release.report.run.suite
    suite.gates = [{"metric": "accuracy", "threshold": 0.9}, *gates]
    release.policy = policy
    return [(stage.weight, stage.slow_ms) for stage in planned_stages(release)]


def test_by_default_the_first_stages_call_slow_what_the_suite_does_not_allow(signed):
    p95, p99 = (
        {"metric": f"latency_{name}_ms", "threshold": most} for name, most in (("p95", 80), ("p99", 120))
    )

    assert slow_at(signed, policy=unwritten()) == [(1, None), (5, None), (20, None), (50, None)]
    # Gates are measured with calls of one row: where people send a thousand, all would be slow and hide what fails.
    assert slow_at(signed, p95, policy=unwritten()) == [(1, None), (5, None), (20, None), (50, None)]
    asking = Policy(signers=[], stages=[{"weight": 5, "worse_by": 0.05, "budget": True}])
    assert slow_at(signed, p95, policy=asking) == [(5, 80)]
    assert slow_at(signed, p95, p99, policy=asking) == [(5, 120)]


def test_of_two_latencies_the_stricter_counts_and_what_a_stage_says_itself_comes_first(signed):
    stages = [
        {"weight": 5, "worse_by": 0.05, "budget": True},
        {"weight": 10, "worse_by": 0.05, "budget": True, "slow_ms": 7},
        {"weight": 20, "worse_by": 0.05},
    ]
    p99 = {"metric": "latency_p99_ms"}
    stricter = Policy(signers=[], stages=stages, gates=[{**p99, "threshold": 60}])
    relative = {**p99, "threshold": 1, "relative": True}

    assert slow_at(signed, {**p99, "threshold": 90}, relative, policy=stricter) == [
        (5, 60),
        (10, 7),
        (20, None),
    ]


def test_slow_is_what_callers_are_not_used_to_where_what_runs_now_is_slower_than_the_gates_allow(signed, ole):
    running = make_ready_deployment(signed.version, ole)
    signed.report.run.suite.gates = [{"metric": "latency_p95_ms", "threshold": 80}]
    signed.policy = Policy(signers=[], stages=[{"weight": 5, "worse_by": 0.05, "budget": True}])
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    usual = UsageOfCapability.objects.create(
        capability_id=running.capability_id, deployment_id=running.pk, version="1.0.0", hour=hour, outcome="",
        count=0, histogram=[0] * SIZE,
    )  # fmt: skip

    def slow_from(ms, calls):
        histogram = [0] * SIZE
        histogram[bucket(ms)] = calls
        UsageOfCapability.objects.filter(pk=usual.pk).update(histogram=histogram, count=calls)
        return planned_stages(signed, running)[0].slow_ms

    assert 300 <= slow_from(300, 100) < 400
    assert slow_from(300, 99) == 80
    assert slow_from(20, 100) == 80
