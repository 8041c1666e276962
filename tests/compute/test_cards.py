"""Graphics cards, with files in place of their devices: counted, given out whole or in part, and held apart."""

import json

import pytest

from apps.compute import ledger
from apps.compute.engines import cards, sandbox
from apps.compute.engines.base import Resources, Workload
from apps.compute.engines.local import LocalEngine
from apps.core.telling import in_english
from tests.compute.conftest import wait_ended, wait_for


@pytest.fixture
def devices(tmp_path, monkeypatch):
    """A machine with three cards."""
    for device in ("nvidia2", "nvidia10", "nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-modeset"):
        (tmp_path / device).touch()
    monkeypatch.setattr(cards, "DEVICES", tmp_path)


def test_cards_of_the_machine_are_counted_and_their_shares_fit_or_are_missing(devices):
    assert [path.rpartition("/")[2] for path in cards.present()] == ["nvidia0", "nvidia2", "nvidia10"]
    assert ledger.capacity().gpu == 3
    assert ledger.missing(ledger.Amount(gpu=0.5), ledger.Amount(gpu=0.5)) is None
    short = ledger.missing(ledger.Amount(gpu=1), ledger.Amount(gpu=0.5))
    assert in_english(short) == "1 graphics cards are needed, 0.50 are free"


@pytest.mark.parametrize(
    ("share", "held", "given"),
    [
        (1, {"a": 0, "b": 0}, {"a": 1}),
        (1, {"a": 0.5, "b": 0}, {"b": 1}),
        (0.5, {"a": 0, "b": 0.5}, {"b": 0.5}),  # whole ones stay free
        (0.5, {"a": 0.7, "b": 0.2}, {"b": 0.5}),
        (1.5, {"a": 0.5, "b": 0}, {"b": 1, "a": 0.5}),
        (2, {"a": 0, "b": 0}, {"a": 1, "b": 1}),
        (1, {"a": 0.6, "b": 0.4}, {"b": 1}),  # in pieces: the freest
        (3, {"a": 0}, {"a": 1}),
        (1, {}, {}),
    ],
)
def test_whole_cards_are_free_ones_and_parts_share_the_fullest(share, held, given):
    assert cards.choose(share, held) == given


def test_cards_of_a_workload_that_an_earlier_version_started_are_not_given_out_again(devices, local_engine):
    argv = ["sleep", "300"]
    local_engine.start(Workload(id="old", argv=argv, resources=Resources(memory_mb=64, gpu=1)))
    launch = local_engine.root / "old" / "launch.json"
    launch.write_text(json.dumps({**json.loads(launch.read_text()), "cards": None}))

    local_engine.start(Workload(id="new", argv=argv, resources=Resources(memory_mb=64, gpu=2)))

    given = json.loads((local_engine.root / "new" / "launch.json").read_text())["cards"]
    assert [path.rpartition("/")[2] for path in given] == ["nvidia2", "nvidia10"]


def test_cuda_is_told_its_own_cards_where_the_sandbox_hides_none(devices, local_engine):
    weak = LocalEngine(local_engine.root, local_engine.run_dir, local_engine.sdk, level="rlimits")
    asked = {"one": 1, "two": 2, "none": 0}
    for name, gpu in asked.items():
        weak.start(Workload(id=name, argv=["sleep", "300"], resources=Resources(memory_mb=64, gpu=gpu)))

    launched = {name: json.loads((weak.root / name / "launch.json").read_text())["env"] for name in asked}

    assert launched["none"]["CUDA_VISIBLE_DEVICES"] == ""
    assert launched["one"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert launched["two"]["CUDA_VISIBLE_DEVICES"] == "1,2"
    assert launched["two"]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_each_workload_sees_its_own_cards_alone(devices, local_engine):
    if not sandbox.probe().name.startswith("bubblewrap"):
        pytest.skip("this level of the sandbox hides no devices")

    def seen(name, gpu, then="true"):
        argv = ["sh", "-c", f"grep -o 'nvidia[0-9]*' /proc/self/mountinfo; echo seen; {then}"]
        local_engine.start(Workload(id=name, argv=argv, resources=Resources(memory_mb=64, gpu=gpu)))
        said = wait_for(lambda: b"seen" in (log := local_engine.log(name)[0]) and log.decode())
        return sorted({word for word in said.split() if word[6:].isdigit()})

    assert seen("half", 0.5, then="sleep 300") == ["nvidia0"]
    assert seen("other", 0.5, then="sleep 300") == ["nvidia0"]
    assert seen("whole", 1) == ["nvidia2"]
    wait_ended(local_engine, "whole")
    assert seen("both", 2) == ["nvidia10", "nvidia2"]
    assert seen("none", 0) == []
