"""A notebook's execution that notices a kernel which hangs: no output, and no processor time, for too long."""

import asyncio
import time
from typing import Any

import psutil
from nbclient import NotebookClient

LOOKS_EVERY_S = 1.0
ENDS_WITHIN_S = 10.0
"""How long an interrupted cell has to come to its end, so that its traceback shows where it hung."""
AT_WORK = 0.01
"""Cores in use above which a kernel works; one that only waits takes a few thousandths for its own threads."""


class Hung(Exception):
    """The cell that runs gave no sign of life for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no output and no processor time for {seconds:g} s")
        self.seconds = seconds


class WatchedClient(NotebookClient):
    """Runs notebooks as its base does; `execute_watched` ends a cell that hangs."""

    heard_at = 0.0

    def process_message(self, msg: dict[str, Any], *arguments: Any, **named: Any) -> Any:
        """Whatever the kernel says is a sign of life."""
        self.heard_at = time.monotonic()
        return super().process_message(msg, *arguments, **named)

    async def execute_watched(self, silent_s: float) -> None:
        """Run all cells. Raises Hung after `silent_s` seconds without a sign of life (0: never), else as the base."""
        running = asyncio.create_task(self.async_execute())
        used, since = 0.0, time.monotonic()
        while not (await asyncio.wait({running}, timeout=LOOKS_EVERY_S))[0]:
            now, so_far = time.monotonic(), _cpu_s(self.km)
            if self.heard_at > since or abs(so_far - used) > AT_WORK * (now - since):
                used, since = so_far, max(now, self.heard_at)
            elif silent_s and now - since >= silent_s:
                await self._end(running)
                raise Hung(silent_s)
        await running

    async def _end(self, running: asyncio.Task[Any]) -> None:
        """Interrupt the cell; a kernel that does not obey is killed."""
        self.shutdown_kernel = "immediate"
        await self.km.interrupt_kernel()
        await asyncio.wait({running}, timeout=ENDS_WITHIN_S)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _cpu_s(manager: Any) -> float:
    """Processor seconds of the kernel and of what it started, as far as they can be read."""
    pid = getattr(getattr(manager, "provisioner", None), "pid", None)
    if not pid:
        return 0.0
    try:
        kernel = psutil.Process(pid)
        return sum(sum(process.cpu_times()[:4]) for process in [kernel, *kernel.children(recursive=True)])
    except psutil.Error:
        return 0.0
