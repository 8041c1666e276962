"""The sandbox's door: a port of its loopback, passed on to the one unix socket that leads out.

    python -m atrium.forwarder --port 8780 -- argv…

listens, then starts `argv` as its child, hands signals on to it, and ends with its exit code.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time

SOCKET = "/run/atrium/egress.sock"
PORT = 8780
CHUNK = 64 * 1024
WAITS_S = 10.0
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end, then close this direction only: the other may still be answering."""
    with contextlib.suppress(ConnectionError, OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(ConnectionError, OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()


async def _connect(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the door, which the portal opens a moment after the start and anew after its own restart."""
    until = time.monotonic() + WAITS_S
    while True:
        try:
            return await asyncio.open_unix_connection(path)
        except OSError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.05)


async def _pass_on(path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        out_reader, out_writer = await _connect(path)
    except OSError as error:
        body = f"The portal cannot be reached from this sandbox: {error}\n".encode()
        head = "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/plain\r\nconnection: close\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        with contextlib.suppress(ConnectionError, OSError):
            await writer.drain()
        writer.close()
        return
    try:
        await asyncio.gather(_copy(reader, out_writer), _copy(out_reader, writer))
    finally:
        for end in (writer, out_writer):
            end.close()


async def listen(port: int, path: str) -> asyncio.Server:
    """Listen on the loopback; every connection leads to the unix socket."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await _pass_on(path, reader, writer)

    return await asyncio.start_server(accept, "127.0.0.1", port, reuse_address=True)


async def run(port: int, path: str, argv: list[str]) -> int:
    """Listen, run the child, and give its exit code as a shell would (128 + signal)."""
    server = await listen(port, path)
    if not argv:
        await server.serve_forever()
    child = await asyncio.create_subprocess_exec(*argv)
    loop = asyncio.get_running_loop()
    for number in PASSED_ON:
        loop.add_signal_handler(number, _send, child, number)
    code = await child.wait()
    return 128 - code if code < 0 else code


def _send(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(number)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m atrium.forwarder", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--socket", default=SOCKET)
    parser.add_argument("argv", nargs=argparse.REMAINDER, help="the command to run, after --")
    given = parser.parse_args()
    argv = given.argv[1:] if given.argv[:1] == ["--"] else given.argv
    try:
        return asyncio.run(run(given.port, given.socket, argv))
    except FileNotFoundError as error:
        print(f"atrium.forwarder: {error}", file=sys.stderr)
        return 127
    except OSError as error:
        print(f"atrium.forwarder: port {given.port} cannot be opened: {error}", file=sys.stderr)
        return 126


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # connections that are still open are nobody's any more
