"""What every engine promises; each test runs on each engine."""

import pytest

from apps.compute.engines.base import Engine, EngineError, File, Workload
from apps.compute.engines.fake import FakeEngine

from .conftest import wait_ended, wait_for


@pytest.fixture(params=["local", "fake"])
def engine(request) -> Engine:
    return request.getfixturevalue("local_engine") if request.param == "local" else FakeEngine()


def test_command_that_works_ends_as_succeeded_with_its_output(engine):
    engine.start(Workload("w1", ["echo", "hello", "there"]))

    observed = wait_ended(engine, "w1")

    assert (observed.state, observed.exit_code, observed.reason) == ("succeeded", 0, "")
    assert engine.log("w1") == (b"hello there\n", 12)
    assert observed.finished_at >= observed.started_at


def test_command_that_fails_tells_its_exit_code(engine):
    engine.start(Workload("w1", ["sh", "-c", "exit 3"]))

    observed = wait_ended(engine, "w1")

    assert (observed.state, observed.exit_code) == ("failed", 3)
    assert observed.reason.startswith("exit code 3")


def test_starting_one_id_twice_runs_it_once(engine):
    engine.start(Workload("w1", ["echo", "once"]))
    wait_ended(engine, "w1")

    engine.start(Workload("w1", ["echo", "twice"]))

    assert engine.log("w1")[0] == b"once\n"
    assert [observed.id for observed in engine.list()] == ["w1"]


def test_stop_ends_what_runs(engine):
    engine.start(Workload("w1", ["sleep", "60"]))
    wait_for(lambda: engine.observe("w1").state == "running")

    engine.stop("w1", grace_s=1)

    observed = wait_ended(engine, "w1")
    assert (observed.state, observed.reason, observed.pid) == ("stopped", "stopped", None)


def test_time_limit_is_told_in_words(engine):
    engine.start(Workload("w1", ["sleep", "60"], timeout_s=0.3))

    observed = wait_ended(engine, "w1")

    assert (observed.state, observed.reason) == ("failed", "time limit of 0.3 s")


def test_what_must_not_end_starts_again(engine):
    engine.start(Workload("w1", ["false"], restart="on-failure"))

    assert wait_for(lambda: engine.observe("w1").restarts >= 1)

    engine.stop("w1", grace_s=0)
    assert wait_ended(engine, "w1").state == "stopped"


def test_success_is_not_restarted_on_failure(engine):
    engine.start(Workload("w1", ["true"], restart="on-failure"))

    assert wait_ended(engine, "w1").restarts == 0


def test_log_goes_on_from_an_offset(engine):
    engine.start(Workload("w1", ["echo", "abcdef"]))
    wait_ended(engine, "w1")

    assert engine.log("w1", offset=3, limit=2) == (b"de", 5)
    assert engine.log("w1", offset=7) == (b"", 7)


def test_files_lie_there_and_can_be_read_back(engine, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"from a file")
    files = [File("outputs/a.txt", b"from bytes"), File("outputs/deep/b.txt", source)]

    engine.start(Workload("w1", ["true"], files=files))
    wait_ended(engine, "w1")

    found = {path: handle.read() for path, handle in engine.files("w1", "outputs")}
    assert found == {"a.txt": b"from bytes", "deep/b.txt": b"from a file"}
    assert engine.read("w1", "outputs/a.txt") == b"from bytes"
    assert engine.read("w1", "outputs/a.txt", limit=3) is None
    assert engine.read("w1", "outputs/none") is None


def test_removed_workload_is_forgotten_even_when_it_runs(engine):
    engine.start(Workload("w1", ["sleep", "60"]))

    engine.remove("w1")

    assert engine.observe("w1") is None
    assert list(engine.list()) == []
    assert engine.log("w1") == (b"", 0)


def test_unknown_workload_is_no_error(engine):
    engine.stop("nobody")
    engine.remove("nobody")

    assert engine.observe("nobody") is None
    assert engine.read("nobody", "result.json") is None
    assert list(engine.files("nobody", "outputs")) == []


@pytest.mark.parametrize("name", ["", "../up", "Upper", "a" * 41, "-x"])
def test_bad_id_is_refused(name):
    with pytest.raises(EngineError, match="workload id"):
        Workload(name, ["true"])
