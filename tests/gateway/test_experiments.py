"""Experiments at the gateway: who is in which arm, what an arm changes, and what the log says of it."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from scipy import stats

from apps.gateway.dataplane.experiments import Experiment, part_of, unit_of, with_parameters
from tests.gateway.conftest import BODY, KEY, grant, picture

CALLERS = [f"team-1/user-{n}" for n in range(20_000)]


def experiment(layer="model", salt="one", begins=0.0, ends=1.0, **arms):
    """`arms` are the shares, or what the snapshot says of an arm; their ids are 1, 2, …"""
    told = [
        {"id": number, **(arm if isinstance(arm, dict) else {"share": arm})}
        for number, arm in enumerate(arms.values(), 1)
    ]
    return {"layer": layer, "salt": salt, "begins": begins, "ends": ends, "arms": told}


def arms_of(raw):
    """The arm's id of each caller, 0 outside."""
    parsed = Experiment.parse(raw)
    return np.array([arm.id if (arm := parsed.arm_of(caller)) else 0 for caller in CALLERS])


def dependence(one, other):
    """The p-value of the independence of two assignments."""
    table = [[int(((one == a) & (other == b)).sum()) for b in sorted(set(other))] for a in sorted(set(one))]
    return stats.chi2_contingency(table).pvalue


def test_each_arm_gets_its_share_of_the_slice():
    found = arms_of(experiment(begins=0.2, ends=0.6, a=0.25, b=0.75))

    counts = np.bincount(found, minlength=3)
    assert stats.chisquare(counts, np.array([0.6, 0.1, 0.3]) * len(CALLERS)).pvalue > 0.001


def test_layers_are_independent_and_so_are_experiments_that_follow_each_other_in_a_slice():
    in_one_layer = arms_of(experiment(a=0.5, b=0.5))
    in_another = arms_of(experiment(layer="threshold", salt="two", begins=0.3, ends=0.9, a=0.5, b=0.5))
    afterwards = arms_of(experiment(salt="three", a=0.5, b=0.5))

    assert dependence(in_one_layer, in_another) > 0.001
    assert dependence(in_one_layer, afterwards) > 0.001
    assert dependence(in_one_layer, in_one_layer) < 1e-9


def test_slices_of_one_layer_share_nobody():
    below, above = arms_of(experiment(ends=0.5, a=1.0)), arms_of(experiment(begins=0.5, salt="two", a=1.0))

    assert not ((below > 0) & (above > 0)).any()
    assert ((below > 0) | (above > 0)).all()


def part(*experiments, may_move=True, may_set=True, answers=lambda name: True, caller="team-1"):
    parsed = [Experiment.parse(raw) for raw in experiments]
    return part_of(parsed, caller, "salt", may_move=may_move, may_set=may_set, answers=answers)


def test_arms_of_several_layers_come_together():
    moved = experiment(b={"share": 1.0, "deployment": "12"})
    lower = experiment(layer="threshold", b={"share": 1.0, "parameters": {"threshold": 0.4}})
    prompt = experiment(layer="prompt", b={"share": 1.0, "parameters": {"style": "short"}})

    found = part(moved, lower, prompt)
    assert found.deployment == "12"
    assert found.parameters == {"threshold": 0.4, "style": "short"}
    assert found.facts == {"arms": [unit_of("team-1", "salt"), 1, 1, 1]}


def test_what_cannot_be_compared_is_in_no_arm():
    moved = experiment(a=0.0, b={"share": 1.0, "deployment": "12"})
    lower = experiment(layer="threshold", a=1.0, b={"share": 0.0, "parameters": {"threshold": 0.4}})

    assert part(moved, may_move=False) is None
    assert part(lower, may_set=False) is None
    assert part(moved, answers=lambda name: False) is None
    assert part(lower).arms == (1,)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'{"inputs":[]}', {"inputs": [], "parameters": {"a": 1}}),
        (
            b' {"parameters": {"b": 2}, "inputs": []}',
            {"inputs": [], "parameters": {"a": 1, "b": 2}},
        ),
        (b'{"inputs":[],"parameters":{"a":7}}', {"inputs": [], "parameters": {"a": 7}}),
        (b'{"inputs":[],"parameters":null}', {"inputs": [], "parameters": {"a": 1}}),
        (b'{"inputs":[{"parameters":{}}]}', {"inputs": [{"parameters": {}}], "parameters": {"a": 1}}),
    ],
)
def test_parameters_are_given_where_the_caller_gave_none(text, found):
    assert orjson.loads(with_parameters(text, {"a": 1})) == found


@pytest.mark.parametrize(
    "text", [b"{", b"[1]", b"{}", b"no", b'["a {"]', b'{"parameters":3}', b'{"parameters":']
)
def test_what_is_no_request_stays_as_it_is(text):
    assert with_parameters(text, {"a": 1}) == text


@pytest.fixture
def serving(gateway, runner):
    """1.0.0 has the production traffic; half of the end users are moved to 2.0.0, and in another layer half of
    them get a threshold.
    """
    sockets = {"1.0.0": [runner("1.0.0")], "2.0.0": [runner("2.0.0")]}
    experiments = [
        experiment(a=0.5, b={"share": 0.5, "deployment": "11"}),
        experiment(
            layer="threshold",
            salt="two",
            c={"id": 3, "share": 0.5},
            d={"id": 4, "share": 0.5, "parameters": {"threshold": 0.4}},
        ),
    ]
    told = picture(
        keys={KEY: grant(), "bound": grant(scope="deployment:11")},
        routes={"1.0.0": 100, "2.0.0": 0},
        sockets=sockets,
        experiments=experiments,
        unit_salt="s",
    )
    told["capabilities"]["digits"]["routes"].pop()
    return gateway(told)


def test_end_users_stick_to_their_arms_and_the_log_says_which(serving):
    calls = [(user, serving.infer(Atrium_Caller=f"user-{user}")) for user in range(30) for _time in range(2)]

    facts = [record.facts for record in serving.records()]
    of_user = {user: set() for user, _answer in calls}
    for (user, answer), told in zip(calls, facts, strict=True):
        unit, model, threshold = told["arms"]
        assert answer.status == 200
        assert unit == unit_of(f"team-1/user-{user}", "s")
        assert (told["version"], told["stage"]) == (("2.0.0", 0.0) if model == 2 else ("1.0.0", 100.0))
        of_user[user].add((model, threshold))
    assert {len(found) for found in of_user.values()} == {1}
    assert {found for each in of_user.values() for found in each} == {(1, 3), (1, 4), (2, 3), (2, 4)}


def test_the_log_keeps_what_the_model_was_asked(serving):
    for user in range(20):
        serving.infer(Atrium_Caller=f"user-{user}")

    for record in serving.records():
        asked = orjson.loads(record.request)
        assert asked.get("parameters") == ({"threshold": 0.4} if record.facts["arms"][2] == 4 else None)
        assert asked["inputs"] == orjson.loads(BODY)["inputs"]


def test_test_keys_and_calls_that_name_a_version_move_nowhere(serving):
    assert serving.infer(key="bound").status == 200
    for user in range(10):
        path = "/v2/models/digits/versions/1.0.0/infer"
        assert serving.infer(path=path, Atrium_Caller=f"user-{user}").getheader("Atrium-Version") == "1.0.0"

    bound, *named = [record.facts for record in serving.records()]
    assert "arms" not in bound
    assert all(len(facts["arms"]) == 2 for facts in named)
