"""The runner's own HTTP: what comes in whole, cut, chunked or in a row is answered the same, and in order."""

import asyncio

import pytest
import uvloop

from atrium.runner import http
from atrium.runner.http import HEAD_BYTES, KEPT_HEADS, Server
from atrium.runner.service import Reply


class Echo:
    """Says path and body; what begins with /slow only later."""

    def answer_now(self, method, path, headers, body):
        return None if path.startswith("/slow") else Reply(200, f"[{path} {body.decode()}]".encode())

    async def answer(self, method, path, headers, body):
        await asyncio.sleep(0.02)
        return Reply(200, f"[{path} {body.decode()}]".encode())


def post(path: str, body: str = "x", *lines: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "host: a", f"content-length: {len(body)}", *lines, "", body]
    return "\r\n".join(head).encode()


@pytest.fixture
def talk(tmp_path):
    """`talk(pieces, eof)`: what comes back for these packets until the server closes, or all is answered."""

    def go(*pieces: bytes, expect: bytes, eof: bool = False) -> bytes:
        async def scene() -> bytes:
            server = Server(Echo())
            # Held until the end: a server that nobody holds is collected, and closed.
            listening = await asyncio.get_running_loop().create_unix_server(server.connection, tmp_path / "s")
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.01)
            if eof:
                writer.write_eof()
            received = b""
            async with asyncio.timeout(10):
                while expect not in received:
                    more = await reader.read(65536)
                    assert more, received
                    received += more
            writer.close()
            listening.close()
            return received

        return uvloop.run(scene())

    return go


@pytest.mark.parametrize(
    "pieces",
    [
        [post("/a")],
        [post("/a"), post("/a", "y"), post("/a")],
        [post("/a")[:9], post("/a")[9:-1], b"x"],
        [b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"],
        [post("/a", "", "expect: 100-continue").replace(b"length: 0", b"length: 1"), b"x"],
    ],
)
def test_a_request_is_read_however_it_comes(talk, pieces):
    assert b"HTTP/1.1 200 OK" in talk(*pieces, expect=b"[/a x]")


def test_requests_in_a_row_are_answered_in_order_quick_ones_behind_slow_ones(talk):
    paths = ["/slow1", "/quick1", "/quick2", "/slow2", "/quick3"]
    received = talk(b"".join(map(post, paths)), expect=b"[/quick3 x]")
    places = [received.find(f"[{path} x]".encode()) for path in paths]
    assert -1 not in places
    assert places == sorted(places)


def test_a_half_closed_caller_gets_its_answer(talk):
    assert b"200 OK" in talk(post("/slow"), expect=b"[/slow x]", eof=True)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x00junk\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * HEAD_BYTES + b"\r\n\r\n", b"431"),
        (post("/", "z" * 5001), b"413"),
    ],
    ids=["junk", "head", "body"],
)
def test_what_is_no_request_or_too_large_is_refused_with_a_reason(talk, monkeypatch, sent, status):
    monkeypatch.setattr(http, "BODY_BYTES", 5000)
    assert talk(sent, expect=b"}").startswith(b"HTTP/1.1 " + status)


def test_heads_that_never_come_again_do_not_fill_the_memory():
    async def scene() -> None:
        server = Server(Echo())
        for number in range(KEPT_HEADS * 3):
            server.keep(b"%d" % number, None)
        assert len(server.heads) <= KEPT_HEADS

    asyncio.run(scene())
