"""Doors follow the workloads, also where one is started anew under its name at once."""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import pytest

from apps.workbench.live.door import Doors
from apps.workbench.live.outside import Outside


@pytest.fixture
def folders():
    """The folders of the engine: sockets (a short path), workloads."""
    with tempfile.TemporaryDirectory() as short:
        yield Path(short) / "w", Path(short) / "workloads"


def start(folders, network):
    run, workloads = folders
    for folder in (run / "ws-1", workloads / "ws-1"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    (workloads / "ws-1" / "spec.json").write_text(json.dumps({"network": network}))


def open_after(folders, *networks):
    """Whether the door is open after the workload was started again and again, with one look after each start."""

    async def scene():
        doors = Doors(*folders, [], Outside())
        seen = []
        for network in networks:
            start(folders, network)
            await doors.look()
            seen.append(await answers(folders[0] / "ws-1" / "egress.sock"))
        return seen

    return asyncio.run(scene())


async def answers(path):
    try:
        _reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True


def test_a_workload_started_anew_gets_a_new_door(folders):
    assert open_after(folders, "forwarder", "forwarder", "forwarder") == [True, True, True]


def test_what_it_may_reach_is_that_of_the_last_start(folders):
    assert open_after(folders, "none", "forwarder", "none") == [False, True, False]


def test_a_half_written_description_is_read_at_the_next_look(folders):
    start(folders, "forwarder")
    spec = folders[1] / "ws-1" / "spec.json"
    whole = spec.read_text()
    spec.write_text(whole[:5])

    async def scene():
        doors = Doors(*folders, [], Outside())
        await doors.look()
        spec.write_text(whole)
        await doors.look()
        return await answers(folders[0] / "ws-1" / "egress.sock")

    assert asyncio.run(scene())
