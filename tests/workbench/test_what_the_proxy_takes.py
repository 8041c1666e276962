"""What the live process takes of the machine: 50 open workspaces that rest, and a file of 2 GB through the Lab."""

import base64
import gc
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from apps.accounts.services import create_token
from apps.compute.services import workload_socket
from apps.workbench.launch import home_of
from apps.workbench.models import Workspace
from tests.workbench.conftest import Visitor, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.soak]

WORKSPACES, SOCKETS_EACH, AT_MOST_MB = 50, 3, 150
"""An open Lab that rests has a socket for events, one for a document and one for a kernel."""
UPLOAD_MB, CHUNK_MB, FLAT_MB = 2048, 1, 64

RESTING = """
import asyncio, sys
from websockets.asyncio.server import unix_serve

async def rest(socket):
    await socket.wait_closed()

async def main(paths):
    for path in paths:
        await unix_serve(rest, path, subprotocols=None, ping_interval=None)
    print("ready", flush=True)
    await asyncio.Future()

asyncio.run(main(sys.argv[1:]))
"""


def memory_mb(pid="self"):
    """Resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.fixture
def resting(ada, radio, servers):
    """Ada's running workspaces, whose servers only keep their sockets open."""
    made = [
        Workspace.objects.create(name=f"r{n}", owner=ada, team=radio, status="running")
        for n in range(WORKSPACES)
    ]
    paths = [workload_socket(workspace.workload_id) for workspace in made]
    for path in paths:
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir(parents=True)
    server = subprocess.Popen(
        [sys.executable, "-c", RESTING, *map(str, paths)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout.readline() == "ready\n"
    yield made
    server.terminate()
    server.wait(20)
    for path in paths:
        shutil.rmtree(path.parent, ignore_errors=True)


def test_fifty_open_workspaces_that_rest_cost_the_proxy_little(resting, live_port, ada):
    """This process is the proxy and the browsers at once, so the figure is above the proxy's own."""
    token, program = create_token(ada, "laptop", by=ada)[1], Visitor(live_port, f"127.0.0.1:{live_port}")

    def enter(stack, workspace):
        for number in range(SOCKETS_EACH):
            path = f"/workspaces/{workspace.pk}/api/kernels/{number}/channels?token={token}"
            stack.enter_context(program.socket(path, compression=None))

    with ExitStack() as warm:
        enter(warm, resting[0])
    gc.collect()
    before = memory_mb()
    with ExitStack() as stack:
        for workspace in resting:
            enter(stack, workspace)
        time.sleep(5)  # through several rounds in which the right to be there is asked again
        taken = memory_mb() - before

    print(f"{WORKSPACES} workspaces, {WORKSPACES * SOCKETS_EACH} sockets: {taken:.1f} MB")
    assert taken < AT_MOST_MB


def test_two_gigabytes_go_through_the_lab_in_flat_memory(workspace, live_port, ada):
    """In pieces, as the Lab's file browser sends them."""
    token = create_token(ada, "laptop", by=ada)[1]
    address = f"/workspaces/{workspace.pk}/api/contents/large.bin"
    headers = {
        "Authorization": f"token {token}",
        "Content-Type": "application/json",
        "Host": f"127.0.0.1:{live_port}",
    }
    piece = base64.b64encode(os.urandom(CHUNK_MB << 20)).decode()
    connection = http.client.HTTPConnection("127.0.0.1", live_port, timeout=60)
    target = home_of(workspace) / "large.bin"
    seen = []
    try:
        for number in range(1, UPLOAD_MB // CHUNK_MB + 1):
            last = number == UPLOAD_MB // CHUNK_MB
            facts = {"type": "file", "format": "base64", "content": piece, "chunk": -1 if last else number}
            connection.request("PUT", address, json.dumps(facts), headers)
            answer = connection.getresponse()
            assert answer.status in (200, 201), answer.read()
            answer.read()
            if number % 64 == 0:
                seen.append(memory_mb())
        wait_for(lambda: target.stat().st_size == UPLOAD_MB << 20, 60)
    finally:
        target.unlink(missing_ok=True)

    print(f"memory from {min(seen[2:]):.0f} to {max(seen):.0f} MB")
    assert max(seen) - seen[2] < FLAT_MB
