"""Functions that are called again and again."""

import threading

import pytest

from apps.core import background

START = 1000.0


@pytest.fixture
def clock(monkeypatch):
    """The time that looks see, and no other looks than a test's own."""
    now = [START]
    monkeypatch.setattr("apps.core.background.time.monotonic", lambda: now[0])
    monkeypatch.setattr(background, "looks", {})
    monkeypatch.setattr(background, "periodic", {})
    return now


def called(seconds: float, name: str = "tests.look") -> list[str]:
    """The calls of a function that is registered for every so many seconds."""
    calls: list[str] = []
    background.every(seconds, name)(lambda: calls.append(name))
    return calls


@pytest.mark.parametrize(("seconds", "times"), [(1, 20), (2, 10), (5, 4), (10, 2)])
def test_each_function_is_called_at_its_own_pace_and_needs_no_message(clock, seconds, times):
    calls = called(seconds)

    for second in range(20):
        clock[0] = START + second + (0.2 if second % 2 else 0.0)  # rounds do not come to the second
        background.look_around()

    assert len(calls) == times
    assert background.periodic == {}


def test_what_is_seldom_called_is_a_task_of_which_beat_remembers_when_it_is_due(clock):
    calls = called(3600, "tests.seldom")
    background.every(5, "tests.heartbeat", by_message=True)(lambda: calls.append("heartbeat"))

    background.look_around()

    assert calls == []
    assert background.periodic == {"tests.seldom": 3600, "tests.heartbeat": 5}


def test_a_function_that_fails_keeps_no_other_from_its_turn(clock, caplog):
    @background.every(1, "tests.fails")
    def fails() -> None:
        raise ZeroDivisionError

    calls = called(2, "tests.works")

    background.look_around()

    assert calls == ["tests.works"]
    assert "tests.fails failed" in caplog.text


def test_a_function_that_takes_long_keeps_no_other_from_its_turn(clock):
    began, end = threading.Event(), threading.Event()

    @background.every(1, "tests.long")
    def takes_long() -> None:
        began.set()
        assert end.wait(10)

    calls = called(2, "tests.behind")
    first = threading.Thread(target=background.look_around)
    first.start()
    assert began.wait(10)

    background.look_around()  # the next round has another thread

    assert calls == ["tests.behind"]
    end.set()
    first.join()
    assert calls == ["tests.behind"], "once is enough"


def test_rounds_close_behind_one_another_do_not_call_twice(clock):
    calls = called(1)

    background.look_around()
    clock[0] += 0.3
    background.look_around()

    assert len(calls) == 1


@pytest.fixture
def worker(monkeypatch):
    """A worker looks around, a hundred times a second."""
    monkeypatch.setattr(background, "looks", {})
    monkeypatch.setattr(background, "TICK_S", 0.01)
    ending = threading.Event()
    thread = threading.Thread(target=background.keep_looking, args=[ending])
    thread.start()
    yield
    ending.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_worker_goes_on_looking_while_one_look_hangs(worker):
    often, hanging = threading.Semaphore(0), threading.Event()
    hung: list[bool] = []

    @background.every(0.01, "tests.hangs")
    def hangs() -> None:
        hung.append(hanging.wait(10))

    background.every(0.01, "tests.often")(often.release)

    assert all(often.acquire(timeout=10) for _ in range(20))
    assert hung == []
    hanging.set()
