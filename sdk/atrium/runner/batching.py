"""The queue in front of a model: direct when idle, joined calls when busy, bounded, with deadlines.

A model that is quick (measured when it was loaded) runs in the event loop: a call costs no hop at all.
Any other runs in one worker thread. While it works, calls wait in the queue; when it is free, as many
waiting calls as fit the latency budget are answered by one call of the model on their rows together.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from atrium import logged
from atrium.oip.arrays import Array
from atrium.runner.ordinary import Reader
from atrium.runner.replica import Replica

DEFAULT_MAX_BATCH = 64
DEFAULT_BUDGET_S = 0.05
DEFAULT_MAX_QUEUE = 256
DEFAULT_TIMEOUT_S = 30.0
DEFAULT_HANG_S = 60.0
SMOOTHING = 0.2


class Overloaded(Exception):
    """The call would wait longer than it may, or the queue is full; try again after `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = max(retry_after_s, 0.1)


class ModelFailed(Exception):
    """The model raised, or gave an answer that does not fit its signature."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The arrays of one call by output name, and what user code logged."""

    outputs: Mapping[str, Array]
    log: dict[str, Any]


@dataclass(slots=True)
class Call:
    """One waiting call; `items` are its rows, `deadline` is on the monotonic clock."""

    inputs: Mapping[str, Array]
    items: int
    deadline: float
    done: asyncio.Future[Answer]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Counters:
    """What the runner has done, for its status page."""

    calls: int = 0
    failed: int = 0
    shed: int = 0
    batches: int = 0
    largest_batch: int = 0
    batch_s: float = field(default=0.0)


class Batcher:
    """Answers calls with one replica. Use from the event loop only."""

    def __init__(
        self,
        replica: Replica,
        *,
        max_batch: int = DEFAULT_MAX_BATCH,
        budget_s: float = DEFAULT_BUDGET_S,
        max_queue: int = DEFAULT_MAX_QUEUE,
    ) -> None:
        settings = replica.package.batching
        self.replica = replica
        self.reader = Reader(replica.package.signature)
        self.counters = Counters(batch_s=replica.call_s)
        self._max_batch = int(settings.get("max_batch") or max_batch) if replica.joins_calls else 1
        self._budget_s = float(settings.get("budget_ms") or budget_s * 1000) / 1000
        self._max_queue = int(settings.get("max_queue") or max_queue)
        self._hang_s = float(settings.get("hang_s") or DEFAULT_HANG_S)
        self._waiting: deque[Call] = deque()
        self._busy = False
        self._busy_since = 0.0
        self._worker: _Worker | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def hangs_for_s(self) -> float:
        """Seconds since the model began a call that it should have answered long ago, else 0."""
        took = time.monotonic() - self._busy_since if self._busy else 0.0
        return took if took > self._hang_s else 0.0

    @property
    def idle(self) -> bool:
        return not self._busy and not self._waiting

    def answer_now(self, inputs: Mapping[str, Array]) -> Answer:
        """Answer in the event loop; only for a replica that is `inline`."""
        self.counters.calls += 1
        try:
            return Answer(self.replica.model.predict(inputs), {})
        except Exception as error:
            self.counters.failed += 1
            raise ModelFailed(f"{type(error).__name__}: {error}") from error

    async def answer(
        self,
        inputs: Mapping[str, Array],
        items: int,
        timeout_s: float,
        parameters: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Answer in turn; raises Overloaded, ModelFailed or TimeoutError (it waited past its deadline)."""
        self.counters.calls += 1
        if len(self._waiting) >= self._max_queue:
            self._shed("the queue of this replica is full")
        expected = self._expected_wait()
        if expected > timeout_s:
            self._shed(f"the answer would take about {expected:.1f} s, more than the {timeout_s:g} s given")
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        call = Call(inputs, items, time.monotonic() + timeout_s, done, parameters or {})
        self._waiting.append(call)
        if not self._busy:
            self._next()
        try:
            async with asyncio.timeout(timeout_s):
                return await call.done
        except TimeoutError:
            self.counters.failed += 1
            raise

    def _shed(self, reason: str) -> None:
        self.counters.shed += 1
        raise Overloaded(reason, self._expected_wait())

    def _expected_wait(self) -> float:
        rounds = len(self._waiting) / self._max_batch + (1 if self._busy else 0)
        return rounds * self.counters.batch_s

    def _next(self) -> None:
        batch = self._take()
        if not batch:
            return
        self._busy, self._busy_since = True, time.monotonic()
        loop = asyncio.get_running_loop()
        self._worker = self._worker or _Worker()
        model = self.replica.model

        def work() -> None:
            started = time.monotonic()
            answers = answer_batch(model.predict, batch)
            took = time.monotonic() - started
            loop.call_soon_threadsafe(self._finish, batch, answers, took)

        self._worker.submit(work)

    def _take(self) -> list[Call]:
        """The next calls to be answered together: same item shapes and parameters, within size and budget."""
        batch: list[Call] = []
        items, shape = 0, None
        now = time.monotonic()
        limit = self._fitting_batch()
        while self._waiting:
            call = self._waiting[0]
            if call.done.done() or call.deadline < now:
                self._waiting.popleft()
                continue
            kind = [(name, array.shape[1:]) for name, array in call.inputs.items()], call.parameters
            if batch and (len(batch) >= limit or kind != shape):
                break
            shape = kind
            items += call.items
            batch.append(self._waiting.popleft())
        return batch

    def _fitting_batch(self) -> int:
        """How many calls one round may join so that the round stays within the latency budget."""
        if self.counters.batch_s <= self._budget_s:
            return self._max_batch
        return max(1, int(self._max_batch * self._budget_s / self.counters.batch_s))

    def _finish(self, batch: list[Call], answers: list[Answer | Exception], took: float) -> None:
        self._busy = False
        counters = self.counters
        counters.batches += 1
        counters.largest_batch = max(counters.largest_batch, len(batch))
        counters.batch_s += SMOOTHING * (took - counters.batch_s)
        for call, answer in zip(batch, answers, strict=True):
            if call.done.done():
                continue
            if isinstance(answer, Exception):
                counters.failed += 1
                call.done.set_exception(answer)
            else:
                call.done.set_result(answer)
        self._next()

    def close(self) -> None:
        """Let the worker thread end when it is free."""
        if self._worker is not None:
            self._worker.close()


def answer_batch(
    predict: Callable[[Mapping[str, Array]], Any], batch: list[Call]
) -> list[Answer | Exception]:
    """Answer calls together; when that fails, each alone, so that a bad one hurts only itself."""
    if len(batch) > 1:
        with suppress(Exception):
            return list(_joint(predict, batch))
    return [_alone(predict, call) for call in batch]


def _joint(predict: Callable[[Mapping[str, Array]], Any], batch: list[Call]) -> list[Answer]:
    names = list(batch[0].inputs)
    joined = {name: np.concatenate([call.inputs[name] for call in batch]) for name in names}
    total = sum(call.items for call in batch)
    values, outputs = _collect(predict, joined, batch[0].parameters)
    if any(len(array) != total for array in outputs.values()):
        raise ModelFailed("the model does not answer item by item")
    answers: list[Answer] = []
    at = 0
    for call in batch:
        rows = {name: array[at : at + call.items] for name, array in outputs.items()}
        answers.append(Answer(rows, logged.share(values, at, call.items, total)))
        at += call.items
    return answers


def _alone(predict: Callable[[Mapping[str, Array]], Any], call: Call) -> Answer | Exception:
    try:
        values, outputs = _collect(predict, call.inputs, call.parameters)
    except Exception as error:
        return ModelFailed(f"{type(error).__name__}: {error}")
    return Answer(outputs, values)


def _collect(
    predict: Callable[[Mapping[str, Array]], Any], inputs: Mapping[str, Array], parameters: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Call the model in a context of its own, so that what it logs and reads belongs to this call."""

    def run() -> tuple[dict[str, Any], dict[str, Array]]:
        values = logged.start(parameters)
        return values, predict(inputs)

    return Context().run(run)


class _Worker:
    """One daemon thread: a model that hangs cannot keep the process from ending."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="model", daemon=True).start()

    def submit(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def close(self) -> None:
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
