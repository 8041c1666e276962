"""From the click on “Start” to a usable JupyterLab, and what the proxy adds to a workspace's server."""

import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import sync_playwright
from websockets.sync.client import connect

from atrium.identity import HEADER, sign
from portal.environment import ROOT
from portal.supervisor.system import browser as chromium_path
from tests.benchmarks import Left, Result
from tests.stack import CHROMIUM_FLAGS, Stack, log_in, new_stack

ROUNDS = 3
REQUESTS = 300
STREAMED_MB = 256
IDLE, SOCKETS_EACH = 50, 4
"""So many workspaces are open in browsers that nobody touches, each with the sockets of a Lab with one notebook."""
SETTLES_S = 10
WITHIN_S = 300.0


def measure():
    """All of one stack, without its samples' models."""
    with tempfile.TemporaryDirectory(prefix="atrium-b-") as base:
        stack = new_stack(Path(base) / "d", ATRIUM_SPARE_WORKSPACES="1", ATRIUM_SAMPLES="1")
        stack.start()
        try:
            stack.wait_until_up()
            yield from _all(stack)
        finally:
            stack.end()


def _all(stack: Stack):
    dev = stack.api("dev")
    warm = [_click_to_usable(stack, dev, f"warm {number}") for number in range(ROUNDS)]
    yield Result(
        "workspace.click_to_usable.warm_s", statistics.median(warm), "s", "<= 3", f"worst {max(warm):.2f}"
    )
    cold = [_cold(stack, dev, f"cold {number}") for number in range(ROUNDS)]
    bare = [_bare(Path(tempfile.mkdtemp(prefix="atrium-b-")), _python()) for _ in range(ROUNDS)]
    over = statistics.median(cold) - statistics.median(bare)
    told = f"bare jupyter lab {statistics.median(bare):.2f} s in the same run"
    yield Result("workspace.cold_vs_bare_jupyter_s", over, "s", "<= 1", told)
    yield from _proxy(stack, dev)


def _made(dev, name: str, **facts: str) -> int:
    body = {"name": name, "team": "network-ai", **facts}
    return int(dev.post("/api/v1/workspaces/", json=body).json()["id"])


def _until(dev, number: int, status: str) -> None:
    began = time.monotonic()
    while (row := dev.get(f"/api/v1/workspaces/{number}/").json())["status"] != status:
        if row["status"] == "failed" or time.monotonic() - began > WITHIN_S:
            raise Left(f"workspace {number} is {row['status']}: {row['status_reason']}")
        time.sleep(0.05)


def _wait_for_a_spare(stack: Stack) -> None:
    began = time.monotonic()
    while not any(
        "loaded" in log.read_text(errors="replace")
        for log in (stack.environment.data_dir / "workloads").glob("spare-*/log")
    ):
        if time.monotonic() - began > WITHIN_S:
            raise Left("no spare server within five minutes")
        time.sleep(0.5)


def _click_to_usable(stack: Stack, dev, name: str) -> float:
    """Seconds from the click until the launcher's tiles stand there, in a fresh browser."""
    number = _made(dev, name)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        try:
            page = browser.new_context(base_url=stack.web_url).new_page()
            page.set_default_timeout(WITHIN_S * 1000)
            log_in(page, "dev")
            page.goto(f"/workspaces/{number}/")
            _wait_for_a_spare(stack)
            began = time.monotonic()
            page.get_by_role("button", name="Start").first.click()
            page.frame_locator("iframe#ide").locator(".jp-LauncherCard").first.wait_for()
            took = time.monotonic() - began
        finally:
            browser.close()
    dev.post(f"/api/v1/workspaces/{number}/stop/")
    _until(dev, number, "stopped")
    return took


def _cold(stack: Stack, dev, name: str) -> float:
    """Seconds from the request to a server that answers, where no spare fits: the medium size.

    The spare is there before, so that it does not load beside it, as nothing does beside the bare server.
    """
    number = _made(dev, name, flavour="medium")
    _wait_for_a_spare(stack)
    began = time.monotonic()
    dev.post(f"/api/v1/workspaces/{number}/start/")
    _until(dev, number, "running")
    took = time.monotonic() - began
    dev.post(f"/api/v1/workspaces/{number}/stop/")
    _until(dev, number, "stopped")
    return took


def _python() -> str:
    found = sorted(Path("var/environments").glob("base-*/bin/python"), key=os.path.getmtime)
    if not found:
        raise Left("the base environment is not where it is expected")
    return str(found[-1].absolute())


def _bare(folder: Path, python: str) -> float:
    """Seconds that `jupyter lab` alone takes to answer."""
    path = folder / "port.sock"
    options = ["--no-browser", "--allow-root", f"--ServerApp.sock={path}", f"--ServerApp.root_dir={folder}"]
    began = time.monotonic()
    server = subprocess.Popen(
        [python, "-m", "jupyterlab", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"HOME": str(folder), "PATH": os.environ["PATH"]},
    )
    try:
        while time.monotonic() - began < WITHIN_S:
            try:
                _ask(path, "/api")
                return time.monotonic() - began
            except OSError:
                time.sleep(0.02)
        raise Left("bare jupyter lab does not answer")
    finally:
        server.terminate()
        server.wait()


def _direct(path: Path) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.connect(str(path))
    return connection


def _ask(path: Path, address: str) -> bytes:
    connection = _direct(path)
    try:
        connection.request("GET", address)
        return connection.getresponse().read()
    finally:
        connection.close()


def _proxy(stack: Stack, dev):
    """The same requests by turns through the proxy and straight to the server's socket."""
    number = _made(dev, "proxy", flavour="medium")
    dev.post(f"/api/v1/workspaces/{number}/start/")
    _until(dev, number, "running")
    folder = stack.environment.data_dir / "workspaces" / str(number)
    direct = _direct(stack.environment.run_dir / "w" / f"w{number}" / "port.sock")
    key = (folder / "etc" / "identity.key").read_bytes()
    # As for a program with a token, which `through` is: without, Jupyter refuses files that no page of it asked for.
    facts = {"user": "dev", "name": "dev", "role": "editor", "by": "token", "exp": time.time() + 600}
    identity = sign(key, facts)
    as_program = {
        "Authorization": f"token {dev.headers['Authorization'].partition(' ')[2]}",
        "Host": f"w{number}.{stack.environment.live_url.partition('://')[2]}",
    }
    through = http.client.HTTPConnection("127.0.0.1", stack.environment.live_port, timeout=60)
    ways = {"proxied": (through, as_program), "direct": (direct, {HEADER: identity})}

    def read(way: str, address: str, size: int = 0) -> float:
        """Seconds that a request takes by one of the ways, each with a client of the same kind."""
        connection, headers = ways[way]
        began = time.perf_counter()
        connection.request("GET", address, headers=headers)
        _read(connection.getresponse(), size)
        return time.perf_counter() - began

    added = [read("proxied", "/api/status") - read("direct", "/api/status") for _ in range(REQUESTS)]
    milliseconds = statistics.median(added) * 1000
    yield Result("ide_proxy.added_p50_ms", milliseconds, "ms", "<= 2", f"{REQUESTS} requests by turns")

    with (folder / "home" / "large.bin").open("wb") as file:
        for _ in range(STREAMED_MB):
            file.write(os.urandom(1 << 20))
    size, took = STREAMED_MB << 20, {way: list[float]() for way in ways}
    for _ in range(ROUNDS):
        for way, times in took.items():
            times.append(read(way, "/files/large.bin", size))
    proxied, alone = (STREAMED_MB / statistics.median(took[way]) for way in ("proxied", "direct"))
    told = f"{proxied:.0f} MB/s, direct {alone:.0f} MB/s; 200 MB/s is enough too"
    yield Result("ide_proxy.stream_vs_direct", proxied / alone, "", ">= 0.5", told)
    yield _idle(stack, dev, number)


def _idle(stack: Stack, dev, number: int) -> Result:
    """What open pages hold of the live process; one server stands behind all of the workspaces, for want of memory."""
    numbers = [_made(dev, f"idle {each}") for each in range(IDLE)]
    rows = f"Workspace.objects.filter(pk__in={numbers}).update(status='running', server='w{number}')"
    code = f"from apps.workbench.models import Workspace; assert {rows} == {IDLE}"
    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", code]
    subprocess.run(command, env=stack.child_variables(), check=True, cwd=ROOT)
    live = stack.process("live")
    if live is None:
        raise Left("the live process has no number")
    before = _memory_mb(live.pid)
    headers = {"Authorization": f"token {dev.headers['Authorization'].partition(' ')[2]}"}
    with ExitStack() as opened:
        for each in [each for each in numbers for _ in range(SOCKETS_EACH)]:
            host = f"w{each}.{stack.environment.live_url.partition('://')[2]}"
            line = socket.create_connection(("127.0.0.1", stack.environment.live_port))
            address = f"ws://{host}/api/events/subscribe"
            opened.enter_context(connect(address, sock=line, additional_headers=headers))
        time.sleep(SETTLES_S)
        after = _memory_mb(live.pid)
    told = f"{IDLE * SOCKETS_EACH} sockets; the live process held {before:.0f} MB before"
    return Result("ide_proxy.idle_workspaces_mb", after - before, "MB", "<= 150", told)


def _memory_mb(pid: int) -> float:
    """What a process holds, shared pages counted in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().split("\n")
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _read(answer: http.client.HTTPResponse, size: int) -> None:
    """Read an answer to its end; one that is no 200, or is shorter than `size`, is not measured."""
    read = 0
    while part := answer.read(1 << 20):
        read += len(part)
    if answer.status != 200 or read < size:
        raise Left(f"the workspace's server was answered {answer.status} with {read} bytes")
