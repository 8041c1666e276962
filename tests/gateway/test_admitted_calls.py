"""Above what a replica can take, the calls that are taken stay quick, and the others are told so at once.

A real gateway before a real runner. Only ratios within one run are judged, and a run that a busy machine spoilt is
repeated.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median, quantiles

import pytest

from tests.gateway.conftest import picture
from tests.sdk.conftest import base, running, write_package  # noqa: F401 - a fixture

CALL_S = 0.02
CODE = f"import time\n\ndef predict(inputs):\n    time.sleep({CALL_S})\n    return {{'sum': inputs['x'].sum(axis=1)}}\n"
SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "sum", "datatype": "FP64", "shape": [-1]}],
}
TAKEN = 4  # calls that one replica may have at a time
MOST_TIMES_SLOWER = 3 * TAKEN  # a call that is taken has at most the others that were taken before it
SECONDS = 2.0
TRIES = 4


@dataclass(frozen=True)
class Answered:
    """When a call came back, with what, and how long it took."""

    status: int
    retry_after: int
    took_s: float


@pytest.fixture
def serving(base, gateway, tmp_path):  # noqa: F811
    """A gateway before one runner, whose model takes one call at a time."""
    package = write_package(tmp_path / "package", CODE, SIGNATURE)
    facts = json.loads((package / "package.json").read_text())
    (package / "package.json").write_text(json.dumps({**facts, "batching": {"max_batch": 1}}))
    with running(base, package) as runner:
        status, told = runner.wait_ready()
        assert status == 200, told
        yield gateway(picture(sockets={"1.0.0": [runner.uds]}), in_flight_per_replica=TAKEN)


def ask(serving) -> Answered:
    started = time.monotonic()
    answer = serving.infer()
    took_s = time.monotonic() - started
    return Answered(answer.status, int(answer.getheader("Retry-After") or 0), took_s)


def at_a_rate(serving, per_second: float) -> list[Answered]:
    """Calls at even distances, whatever becomes of those before."""
    started = time.monotonic()

    def at(place: int) -> Answered:
        time.sleep(max(0.0, started + place / per_second - time.monotonic()))
        return ask(serving)

    with ThreadPoolExecutor(48) as pool:
        return list(pool.map(at, range(int(per_second * SECONDS))))


def p99(answers: list[Answered]) -> float:
    return quantiles([each.took_s for each in answers], n=100)[-1]


def test_at_three_times_its_rate_taken_calls_keep_their_p99_and_the_others_are_refused_at_once(serving):
    told = []
    for _try in range(TRIES):
        alone = [ask(serving) for _ in range(50)]
        crowded = at_a_rate(serving, 3 / median(each.took_s for each in alone))
        taken = [each for each in crowded if each.status == 200]
        refused = [each for each in crowded if each.status != 200]

        assert {each.status for each in alone} == {200}
        assert refused, "nobody was turned away: the calls have all been waiting"
        assert {each.status for each in refused} <= {429, 503}
        assert all(each.retry_after >= 1 for each in refused)
        slower = p99(taken) / p99(alone)
        at_once = median(each.took_s for each in refused) / median(each.took_s for each in alone)
        share = len(taken) / len(crowded)
        told.append(f"{slower:.1f} times the p99, refused in {at_once:.2f} of a call, {share:.0%} taken")
        if slower <= MOST_TIMES_SLOWER and at_once <= 1 and share >= 1 / 6:
            return
    pytest.fail("\n".join(told))
