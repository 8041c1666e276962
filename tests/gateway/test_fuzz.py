"""Whatever arrives, the gateway answers with a reason or hangs up; it never fails."""

from __future__ import annotations

import socket

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.gateway.dataplane import segments
from apps.gateway.dataplane.feedback import parse
from apps.gateway.dataplane.problems import Refused
from tests.gateway.conftest import KEY, picture

pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
FUZZ = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    from tests.gateway.conftest import Gateway, Started, until

    folder = tmp_path_factory.mktemp("f")
    path = folder / "r.sock"
    running = Started("-m", "tests.gateway.echo", str(path), log=folder / "runner.log")
    until(path.exists, 20)
    here = Gateway(folder / "gw", header_seconds=0.3, body_seconds=0.3).start(
        picture(sockets={"1.0.0": [path]})
    )
    yield here
    here.stop()
    running.kill()


def exchange(port: int, sent: bytes) -> bytes:
    """What comes back for these bytes on a connection of their own, up to the close or a short silence."""
    with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
        connection.settimeout(3)
        received = b""
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                received += piece
        except (ConnectionError, TimeoutError):
            pass
        return received


def fine(serving, received: bytes) -> None:
    assert not received or received.startswith(b"HTTP/1.1 ")
    assert b"HTTP/1.1 500" not in received
    assert serving.get("/v2/health/live").status == 200


@FUZZ
@given(st.binary(max_size=2000))
def test_bytes_that_are_no_http(serving, sent):
    fine(serving, exchange(serving.port, sent))


PATHS = st.one_of(
    st.sampled_from(
        ["/v2/models/digits/infer", "/v1/feedback", "/v2/models/%2e%2e/infer", "/v2/models//infer"]
    ),
    st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=60).map(
        lambda text: "/" + text
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Content-Length", "Transfer-Encoding", "Expect", "Upgrade", "Connection", "Atrium-Caller",
         "Inference-Header-Content-Length", "Content-Encoding", "Authorization"]
    ),
    st.one_of(
        st.sampled_from(["chunked", "0", "-1", "99999999999999999999", "100-continue", "websocket", "close", "7"]),
        st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=255), max_size=30),
    ),
    max_size=4,
)  # fmt: skip


@FUZZ
@given(st.sampled_from(["GET", "POST", "HEAD", "PUT", "OPTIONS"]), PATHS, HEADERS, st.binary(max_size=300))
def test_requests_with_any_path_headers_and_body(serving, method, path, headers, body):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    sent = f"{method} {path} HTTP/1.1\r\nhost: x\r\n{head}\r\n".encode("latin-1", "replace") + body
    fine(serving, exchange(serving.port, sent))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
ITEM = st.dictionaries(
    st.sampled_from(["request_id", "correct", "expected", "comment", "at", "x"]), JSON, max_size=5
)


@FUZZ
@given(JSON | ITEM | st.lists(ITEM, max_size=3))
def test_feedback_of_any_shape_is_taken_or_refused(value):
    try:
        items = parse(orjson.dumps(value))
    except Refused as refusal:
        status = refusal.status
        items = []
    else:
        status = 422
    assert 400 <= status < 500
    assert all(set(item) == {"request_id", "correct", "expected", "comment"} for item in items)


@FUZZ
@given(
    st.lists(st.tuples(ITEM, st.binary(max_size=50), st.binary(max_size=50)), max_size=5), st.integers(0, 400)
)
def test_what_was_packed_is_read_back_and_a_cut_end_is_left_out(parts, cut):
    written = [segments.pack(facts, request, answer) for facts, request, answer in parts]
    data = b"".join(written)
    whole = [(r.facts, r.request, r.answer) for r in segments.read(data)]
    assert [(orjson.dumps(f), r, a) for f, r, a in whole] == [(orjson.dumps(f), r, a) for f, r, a in parts]

    kept = list(segments.read(data[: max(0, len(data) - cut)]))
    assert len(kept) <= len(parts)
    assert [record.request for record in kept] == [request for _, request, _ in parts][: len(kept)]


@FUZZ
@given(st.binary(max_size=300))
def test_bytes_that_no_gateway_wrote_are_named_damaged_and_nothing_else(data):
    try:
        list(segments.read(data))
    except segments.Damaged as problem:
        said = str(problem)
    else:
        said = "offset"
    assert "offset" in said
