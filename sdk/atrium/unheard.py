"""What a kernel says while no server listens is kept, and said when one listens again.

ZeroMQ's publishers drop what has no subscriber. ipykernel's is an XPUB, which learns of subscriptions: the last one
to leave is the killed server's, and the next server subscribes to `AGAIN` once it hears everything (`atrium.lasting`).
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import Any

AGAIN = b"atrium.lasting"
"""No message has this topic: to subscribe to it is to ask for what was kept."""
QUESTION = "atrium_question"
"""What `input()` asks, said on the line of outputs; no browser knows this kind of message, nor does it need to."""
SWITCH = "ATRIUM_KERNEL_LASTS"
_MOST_BYTES = 32 << 20
_LATELY_S, _LATELY_BYTES = 3.0, 8 << 20
"""A killed process holds its lines for a moment yet: what was said last is said again, and told by its id."""
_AT_ONCE, _EVERY_S = 200, 0.02
"""A publisher also drops what a subscriber has not fetched yet, beyond a thousand messages."""


def _of_its_start(message: list[bytes]) -> bool:
    """Whether a kernel says that it starts: said again, it would pass for one that starts anew."""
    return bytes(message[0]).endswith(b".status") and b'"starting"' in bytes(message[-1])


class Unheard:
    """Stands between a kernel's output thread and its socket. All of it runs in that thread."""

    def __init__(self, thread: Any) -> None:
        self.thread = thread
        self.send, self.hear = thread._really_send, thread._handle_subscription
        self.topics: set[bytes] = set()
        self.lately = _Kept(_LATELY_BYTES)
        self.kept = _Kept(_MOST_BYTES)
        self.waiting = False
        self.saying = False
        """Whether what was kept is being said."""

    def say(self, message: list[bytes], *args: Any, **kwargs: Any) -> None:
        """Send a message, or keep it. The oldest go where there are too many."""
        if os.getpid() != self.thread._master_pid or _of_its_start(message):
            self.send(message, *args, **kwargs)
        elif self.waiting:
            self.kept.add((message, args, kwargs))
        else:
            self._send(message, args, kwargs)

    def heard(self, frames: list[bytes]) -> None:
        """Somebody subscribes or leaves."""
        for frame in frames:
            (self.topics.add if frame[:1] == b"\1" else self.topics.discard)(bytes(frame[1:]))
        self.hear(frames)
        if not self.topics:
            self._wait()
        elif AGAIN in self.topics and self.waiting and not self.saying:
            self.saying = True
            self._say_kept()

    def _wait(self) -> None:
        """Keep everything from here on, behind what was said last."""
        self.waiting = True
        self.lately.forget(before=time.monotonic() - _LATELY_S)
        unsaid, self.kept = self.kept, _Kept(_MOST_BYTES)
        for rows in (self.lately, unsaid):
            while rows:
                self.kept.add(rows.pop())

    def _say_kept(self) -> None:
        """Say what was kept, some at a time; a server that is killed meanwhile leaves the rest to the next one."""
        if not self.topics:
            self.saying = False
            return
        for _ in range(min(_AT_ONCE, len(self.kept))):
            self._send(*self.kept.pop())
        if self.kept:
            self.thread.io_loop.call_later(_EVERY_S, self._say_kept)
        else:
            self.waiting = self.saying = False

    def _send(self, message: list[bytes], args: Any, kwargs: Any) -> None:
        self.send(message, *args, **kwargs)
        self.lately.add((message, args, kwargs))
        self.lately.forget(before=time.monotonic() - _LATELY_S)


class _Kept:
    """Messages in the order in which they were added, the newest that fit."""

    def __init__(self, most: int) -> None:
        self.most, self.bytes = most, 0
        self.rows: deque[tuple[float, int, tuple[Any, ...]]] = deque()

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, row: tuple[Any, ...]) -> None:
        size = sum(memoryview(part).nbytes for part in row[0])
        self.rows.append((time.monotonic(), size, row))
        self.bytes += size
        while self.bytes > self.most and len(self.rows) > 1:
            self.pop()

    def pop(self) -> tuple[Any, ...]:
        _at, size, row = self.rows.popleft()
        self.bytes -= size
        return row

    def forget(self, *, before: float) -> None:
        while self.rows and self.rows[0][0] < before:
            self.pop()


def keep(thread: Any) -> None:
    """Make the output thread of this kernel keep what nobody hears; other versions of ipykernel are left alone."""
    stream = getattr(thread, "_xpub_stream", None)
    if stream is None or not hasattr(thread, "_really_send") or not hasattr(thread, "_handle_subscription"):
        return
    unheard = Unheard(thread)
    thread._really_send = unheard.say
    thread.io_loop.add_callback(lambda: stream.on_recv(unheard.heard))


def tell_questions(kernel: Any) -> None:
    """Say what `input()` asks to all who hear; the line of questions leads only to the server that ran the cell."""
    ask = getattr(kernel, "_input_request", None)
    if ask is None:
        return

    def asked(prompt: str, ident: Any, parent: Any, password: bool = False) -> Any:
        content = {"prompt": str(prompt), "password": bool(password)}
        kernel.session.send(kernel.iopub_socket, QUESTION, content, parent=parent, ident=QUESTION.encode())
        return ask(prompt, ident, parent, password=password)

    kernel._input_request = asked
