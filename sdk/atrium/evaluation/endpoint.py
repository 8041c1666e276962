"""Calls to a served version over the gateway's own protocol, timed from outside."""

import http.client
import json
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, TypeVar

from numpy.typing import NDArray

from atrium.oip import JSON_LENGTH_HEADER, Request, Tensor, decode_response, encode_request
from atrium.oip.arrays import to_array

MANY_VALUES = 4096
LOGGED = "Atrium-Values"

Asked = TypeVar("Asked")
Told = TypeVar("Told")


class Refused(Exception):
    """The endpoint answered with an error; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Answer:
    """Arrays by output name, the seconds it took, what the server said of itself, and what its code logged."""

    outputs: dict[str, NDArray[Any]]
    seconds: float
    version: str
    request_id: str
    logged: dict[str, Any] = field(default_factory=dict)


class Endpoint:
    """One keep-alive connection to one version. Not for sharing between threads."""

    def __init__(self, address: str, path: str, key: str, *, timeout_s: float = 30) -> None:
        self._address, self._path, self._timeout = address, path, timeout_s
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._connection: http.client.HTTPConnection | None = None

    def infer(self, tensors: list[Tensor]) -> Answer:
        """Send one request, as JSON or, with many values, as bytes.

        Raises Refused for an error answer, after waiting when asked to (429, 503).
        """
        many = sum(tensor.count for tensor in tensors) > MANY_VALUES
        request = Request(inputs=tensors, parameters={"binary_data_output": True} if many else {})
        body, length = encode_request(request, binary=many)
        described = {} if length is None else {JSON_LENGTH_HEADER: str(length)}
        for attempt in range(5):
            status, headers, answer, seconds = self._post(body, described)
            if status not in (429, 503) or attempt == 4:
                break
            time.sleep(min(float(headers.get("Retry-After") or 1), 5))
        if status != 200:
            raise Refused(status, _error_text(answer))
        json_length = headers.get(JSON_LENGTH_HEADER)
        response = decode_response(answer, int(json_length) if json_length else None)
        return Answer(
            {tensor.name: to_array(tensor) for tensor in response.outputs},
            seconds,
            response.model_version or "",
            headers.get("X-Request-Id") or "",
            json.loads(headers.get(LOGGED) or "{}"),
        )

    def _post(
        self, body: bytes, described: dict[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes, float]:
        for fresh in (False, True):
            if self._connection is None or fresh:
                self.close()
                self._connection = self._connect()
            started = time.perf_counter()
            try:
                self._connection.request("POST", self._path, body, self._headers | described)
                response = self._connection.getresponse()
                answer = response.read()
            except (http.client.HTTPException, ConnectionError):
                if fresh:
                    raise
                continue
            return response.status, response.headers, answer, time.perf_counter() - started
        raise AssertionError("unreachable")

    def _connect(self) -> http.client.HTTPConnection:
        if self._address.startswith("unix:"):
            return _UnixConnection(self._address.removeprefix("unix:"), self._timeout)
        host = self._address.removeprefix("http://").rstrip("/")
        return http.client.HTTPConnection(host, timeout=self._timeout)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def in_order(
    connect: Callable[[], Endpoint],
    ask: Callable[[Endpoint, Asked], Told],
    asked: Iterable[Asked],
    *,
    at_once: int = 2,
) -> Iterator[Told]:
    """What `ask` makes of each, in their order, while the model already has the next: it need not wait for us.

    The first is done before another is made; each later one is made when there is room for it. So what is asked may
    follow from what was told before. Whoever takes no more leaves the rest unasked.
    """
    free: SimpleQueue[Endpoint] = SimpleQueue()
    for _ in range(at_once):
        free.put(connect())

    def tell(what: Asked) -> Told:
        endpoint = free.get()
        try:
            return ask(endpoint, what)
        finally:
            free.put(endpoint)

    waiting: deque[Future[Told]] = deque()
    pool = ThreadPoolExecutor(at_once)
    first = True
    try:
        for what in asked:
            waiting.append(pool.submit(tell, what))
            if first:
                first = False
                wait(waiting)
            if len(waiting) > at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        for _ in range(at_once):
            free.get().close()


def _error_text(body: bytes) -> str:
    try:
        return str(json.loads(body).get("error", ""))[:500]
    except ValueError:
        return body[:200].decode(errors="replace")
