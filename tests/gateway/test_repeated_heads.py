"""A head that came before is looked up instead of parsed: what it leads to follows the snapshot all the same."""

from __future__ import annotations

import asyncio
import socket
import time

from apps.gateway.dataplane.calllog import CallLog
from apps.gateway.dataplane.config import Config
from apps.gateway.dataplane.http import KEPT_HEADS, Server
from apps.gateway.dataplane.limits import Limiter
from apps.gateway.dataplane.metrics import Metrics
from apps.gateway.dataplane.service import Parts, Service
from apps.gateway.dataplane.snapshot import Snapshot, dump
from apps.gateway.dataplane.upstream import Pool
from tests.gateway.conftest import BODY, KEY, grant, picture, until
from tests.gateway.test_infer import raw


class Here:
    """The data plane in this process, on a socket of its own."""

    def __init__(self, folder, shot, **settings) -> None:
        config = Config(state_dir=str(folder), calllog_dir=str(folder / "calllog"), **settings)
        config.prepare()
        calls = CallLog(config, "0-test")
        limiter = Limiter(calls.folder, None, 1)
        self.parts = Parts(config, read(shot), Pool(), limiter, calls, Metrics(folder, "0"))
        self.path = str(folder / "g.sock")
        self.config = config

    async def __aenter__(self):
        self.server = Server(self.config, Service(self.parts))
        loop = asyncio.get_running_loop()
        self.listening = await loop.create_unix_server(self.server.connection, self.path)
        self.reader, self.writer = await asyncio.open_unix_connection(self.path)
        return self

    async def __aexit__(self, *_):
        self.writer.close()
        self.listening.close()

    async def ask(self, *pieces: bytes) -> tuple[bytes, bytes]:
        """Send the pieces, one packet each; status and version of the answer."""
        for piece in pieces:
            self.writer.write(piece)
            await asyncio.sleep(0.02 if len(pieces) > 1 else 0)
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        await self.reader.readexactly(int(lines[b"content-length"]))
        return head.split()[1], lines.get(b"atrium-version", b"")


def read(shot) -> Snapshot:
    return Snapshot.parse(dump(shot["revision"], shot))


def test_a_repeated_head_follows_every_change_of_keys_and_routes(folder, runner):
    sockets = {"1.0.0": [runner("1.0.0")], "2.0.0": [runner("2.0.0")]}

    def shot(status: str = "active", **routes: int):
        return picture(
            keys={KEY: grant(status=status)},
            routes={"1.0.0": routes.get("first", 0), "2.0.0": routes.get("second", 100)},
            sockets=sockets,
        )

    async def scene() -> None:
        async with Here(folder, shot(first=100, second=0)) as here:
            assert [await here.ask(raw(BODY)) for _ in range(3)] == [(b"200", b"1.0.0")] * 3
            here.parts.swap(read(shot()))
            assert await here.ask(raw(BODY)) == (b"200", b"2.0.0")
            for status, code in (("suspended", b"403"), ("revoked", b"401"), ("active", b"200")):
                here.parts.swap(read(shot(status)))
                assert (await here.ask(raw(BODY)))[0] == code
            assert len(here.server.heads) == 1

    asyncio.run(scene())


def test_bodies_that_are_cut_anywhere_or_of_another_length_are_read_the_same(folder, runner):
    long = BODY.replace(b"4]", b"4.000]")
    shot = picture(sockets={"1.0.0": [runner()]})

    async def scene() -> None:
        async with Here(folder, shot) as here:
            whole = raw(BODY)
            for at in (1, 10, whole.find(b"\r\n\r\n") + 4, len(whole) - 1):
                assert (await here.ask(whole))[0] == b"200"
                assert (await here.ask(whole[:at], whole[at:]))[0] == b"200"
            assert (await here.ask(raw(long)))[0] == b"200"
            chunked = whole.replace(b"content-length: %d" % len(BODY), b"transfer-encoding: chunked")
            chunked = chunked.replace(BODY, b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))
            assert [(await here.ask(chunked))[0] for _ in range(2)] == [b"200"] * 2
            assert len(here.server.heads) == 2

    asyncio.run(scene())


def test_heads_that_never_come_again_do_not_fill_the_memory(folder, runner):
    shot = picture(sockets={"1.0.0": [runner()]})

    async def scene() -> None:
        async with Here(folder, shot) as here:
            for number in range(KEPT_HEADS):
                here.server.keep(b"%d" % number, None)
            assert (await here.ask(raw(BODY)))[0] == b"200"
            assert len(here.server.heads) == 1

    asyncio.run(scene())


def test_a_client_that_asks_and_never_reads_is_not_listened_to_and_then_sent_away(gateway, runner):
    serving = gateway(picture(sockets={"1.0.0": [runner()]}), write_seconds=1.0)
    before = serving.get("/healthz").json["memory_bytes"]
    with socket.socket() as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.connect(("127.0.0.1", serving.port))
        greedy.settimeout(1.0)
        sent = 0
        ended = time.monotonic() + 20
        try:
            while time.monotonic() < ended:
                sent += greedy.send(b"GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n" * 1000)
        except TimeoutError:
            pass  # nobody listens any more
        except ConnectionError:
            sent = 0  # it was sent away at once
        assert sent < 64 << 20
        assert serving.infer().status == 200
        until(lambda: serving.get("/healthz").json["connections"] == 1, 10)
    assert serving.get("/healthz").json["memory_bytes"] - before < 32 << 20
