"""An experiment from its plan to its end: what it needs, what it holds, and when the portal takes it back."""

import pytest

from apps.core.errors import Conflict, IllegalMove, Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.experiments.checks import refusals
from apps.experiments.models import Experiment
from apps.experiments.plans import ArmPlan, change_experiment, create_experiment, delete_draft
from apps.experiments.services import check_capability, end_experiment, pause_experiment, start_experiment
from apps.gateway.snapshot import picture
from apps.instances.models import Deployment
from apps.instances.services import set_weights, stop_deployment
from apps.releases.models import Policy, Release
from tests.experiments.conftest import asked, threshold
from tests.factories import make_packaged_version, make_report


def told(capability):
    """What the gateway is told of the capability's experiments."""
    return picture()["capabilities"][capability.slug].get("experiments", [])


def make_gray(version, author, status="rolling"):
    """A release of a version that is in gray."""
    return Release.objects.create(
        version=version,
        capability=version.capability,
        report=make_report(version, author),
        policy=Policy.objects.create(team=version.capability.team, capability=version.capability, number=1),
        content_digest="0" * 64,
        opened_by=author,
        status=status,
    )


def test_a_plan_moves_nothing_until_an_operator_starts_it(digits, ada, ole, production, challenger):
    experiment = create_experiment(digits, asked(), by=ada)

    assert told(digits) == []
    with pytest.raises(NotAllowed):
        start_experiment(experiment, by=ada)
    start_experiment(experiment, by=ole)
    (found,) = told(digits)
    assert [found["begins"], found["ends"]] == [0.0, 0.5]
    assert [arm.get("deployment") for arm in found["arms"]] == [None, str(challenger.pk)]
    assert [arm["share"] for arm in found["arms"]] == [0.5, 0.5]
    entry = AuditEntry.objects.get(action="experiments.experiment.started")
    assert entry.facts["arms"][1]["version"] == "1.1.0"


def test_paused_it_moves_nobody_and_ended_it_stays_so(running, digits, ole):
    pause_experiment(running, by=ole)
    assert told(digits) == []
    start_experiment(running, by=ole)
    assert told(digits) != []
    end_experiment(running, by=ole)
    assert told(digits) == []
    with pytest.raises(IllegalMove):
        start_experiment(running, by=ole)


def test_an_unsigned_version_gets_no_callers(digits, ada, ole, production, challenger, signed):
    experiment = create_experiment(digits, asked(), by=ada)
    signed.discard(challenger.version.digest)

    with pytest.raises(NotAllowed, match="nobody has signed"):
        start_experiment(experiment, by=ole)


def test_a_signed_version_that_never_passed_its_stages_gets_no_callers(
    digits, ada, ole, production, challenger, released
):
    experiment = create_experiment(digits, asked(), by=ada)
    released.discard(challenger.version.digest)

    assert refusals(digits, ["1.0.0", "1.1.0"]) == ["1.1.0 has never been released"]
    with pytest.raises(NotAllowed, match="never been released"):
        start_experiment(experiment, by=ole)
    assert told(digits) == []
    released.add(challenger.version.digest)
    assert start_experiment(experiment, by=ole).status == "running"


def test_an_arm_that_never_passed_its_stages_falls_out_of_what_runs(running, digits, challenger, released):
    released.discard(challenger.version.digest)

    assert told(digits) == []
    check_capability(digits.pk)
    running.refresh_from_db()
    assert (running.status, running.why) == ("paused", "unsigned")


def test_a_version_whose_signature_becomes_void_falls_out_at_once(running, digits, challenger, signed):
    signed.discard(challenger.version.digest)

    assert told(digits) == []  # also before anybody has noticed
    check_capability(digits.pk)
    running.refresh_from_db()
    assert (running.status, running.why) == ("paused", "unsigned")


def test_a_finding_limits_what_an_arm_may_get(digits, ada, ole, production, challenger, monkeypatch):
    from apps.instances import guard

    monkeypatch.setattr(guard, "_limits", [lambda version: 20 if version == challenger.version else 100])
    with pytest.raises(NotAllowed, match="25 %"):
        start_experiment(create_experiment(digits, asked(size=50), by=ada), by=ole)
    start_experiment(create_experiment(digits, asked(size=40), by=ada), by=ole)


def test_drafts_stand_beside_one_another_until_there_is_no_room(digits, ada, production, challenger):
    drafts = [create_experiment(digits, asked(name=f"Draft {n}", size=40), by=ada) for n in range(3)]
    assert [(draft.begins, draft.ends) for draft in drafts] == [(0, 40), (40, 80), (0, 40)]


def test_slices_of_one_layer_do_not_overlap_and_other_layers_do_not_care(running, digits, ada, ole):
    beside = create_experiment(digits, asked(name="Beside"), by=ada)
    assert (beside.begins, beside.ends) == (50, 100)
    over = create_experiment(digits, asked(name="Over", begins=40), by=ada)

    with pytest.raises(Conflict, match="0–50 % of the layer “model” belong to “Newer is better”"):
        start_experiment(over, by=ole)
    start_experiment(beside, by=ole)
    start_experiment(create_experiment(digits, threshold(), by=ada), by=ole)
    layers = [found["layer"] for found in told(digits)]
    assert layers[0] == layers[1] != layers[2]
    pause_experiment(beside, by=ole)
    with pytest.raises(Conflict):
        start_experiment(over, by=ole)


def test_while_a_release_is_in_gray_all_experiments_wait(running, digits, ada, ole):
    start_experiment(create_experiment(digits, threshold(), by=ada), by=ole)
    release = make_gray(make_packaged_version(digits, ada, "1.2.0"), ada)

    assert told(digits) == []
    check_capability(digits.pk)
    another = create_experiment(digits, asked(name="Another"), by=ada)
    with pytest.raises(Conflict, match=r"1\.2\.0 is in gray"):
        start_experiment(another, by=ole)
    Release.objects.filter(pk=release.pk).update(status="rolled_back")
    assert len(told(digits)) == 2


def test_another_control_ends_the_comparison_of_versions_and_no_other(
    running, digits, ada, ole, production, challenger
):
    start_experiment(create_experiment(digits, threshold(), by=ada), by=ole)
    set_weights(digits, {production.pk: 50, challenger.pk: 50}, by=ole)

    check_capability(digits.pk)
    running.refresh_from_db()
    assert (running.status, running.why) == ("ended", "changed")
    assert running.ended_at is not None
    assert len(told(digits)) == 1


def test_an_arm_whose_deployment_is_stopped_pauses_the_experiment(running, digits, ole, challenger):
    stop_deployment(challenger, by=ole)

    assert told(digits) == []
    check_capability(digits.pk)
    running.refresh_from_db()
    assert (running.status, running.why) == ("paused", "stopped")


def test_what_does_not_run_is_brought_up_and_ends_with_the_experiment(digits, ada, ole, production, signed):
    version = make_packaged_version(digits, ada, "1.1.0")
    signed.add(version.digest)
    experiment = start_experiment(create_experiment(digits, asked(), by=ada), by=ole)

    deployment = Deployment.objects.get(version=version)
    assert (deployment.kind, deployment.desired) == ("production", "running")
    end_experiment(experiment, by=ole)
    deployment.refresh_from_db()
    assert deployment.desired == "stopped"


def test_the_version_in_production_is_no_arm_beside_itself(digits, ada, ole, production):
    arms = [ArmPlan("as now", 50), ArmPlan("the same", 50, version="1.0.0")]

    with pytest.raises(Conflict, match="it is the control"):
        start_experiment(create_experiment(digits, asked(arms=arms), by=ada), by=ole)


def test_a_draft_is_changed_and_thrown_away_and_what_ran_is_not(digits, ada, running):
    draft = create_experiment(digits, asked(name="Draft"), by=ada)
    changed = change_experiment(draft, threshold(name="Draft"), by=ada)

    assert (changed.layer, changed.arms.last().parameters) == ("threshold", {"threshold": 0.4})
    delete_draft(changed, by=ada)
    assert not Experiment.objects.filter(pk=draft.pk).exists()
    with pytest.raises(NotAllowed, match="only a draft"):
        change_experiment(running, asked(), by=ada)
    with pytest.raises(NotAllowed, match="only a draft"):
        delete_draft(running, by=ada)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": " "}, "name: is empty"),
        ({"effect": 0.0}, "above 0"),
        ({"effect": float("nan")}, "above 0"),
        ({"size": 101}, "1 to 100 %"),
        ({"size": 60, "begins": 50}, "0 to 40"),
        ({"measure": "luck"}, "errors, typical, latency"),
        ({"measure": "business"}, "no business metric"),
        ({"arms": [ArmPlan("alone", 100)]}, "a control and 1 to 5"),
        ({"arms": [ArmPlan("a", 50), ArmPlan("b", 40, version="1.1.0")]}, "90 %"),
        ({"arms": [ArmPlan("a", 50), ArmPlan("a", 50, version="1.1.0")]}, "name of its own"),
        ({"arms": [ArmPlan("a", 50, version="1.1.0"), ArmPlan("b", 50)]}, "the control"),
        ({"arms": [ArmPlan("a", 50), ArmPlan("b", 50)]}, "names a version"),
        ({"arms": [ArmPlan("a", 50), ArmPlan("b", 50, version="9.9.9")]}, r"no version 9\.9\.9"),
        ({"layer": "threshold"}, "gives parameters"),
    ],
)
def test_a_plan_that_cannot_be_says_what_is_wrong(digits, ada, challenger, changes, words):
    with pytest.raises(Invalid, match=words):
        create_experiment(digits, asked(**changes), by=ada)

    assert not Experiment.objects.exists()
