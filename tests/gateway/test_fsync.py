"""With ATRIUM_GATEWAY_FSYNC=1 an answer leaves once its record is on the disk; without, nobody waits for the disk."""

from __future__ import annotations

import asyncio
import os
import threading
from unittest.mock import patch

import orjson
import pytest
from django.core.management import call_command

from apps.gateway.dataplane import calllog
from apps.gateway.dataplane.config import Config
from portal.environment import read
from tests.gateway.conftest import BODY, picture
from tests.gateway.test_infer import raw
from tests.gateway.test_repeated_heads import Here


@pytest.mark.parametrize("waits", [True, False])
def test_an_answer_waits_for_the_disk_only_where_that_is_asked_for(folder, runner, monkeypatch, waits):
    synced, reached = threading.Event(), threading.Event()

    def slow_disk(file: int) -> None:
        reached.set()
        assert synced.wait(20)

    monkeypatch.setattr(calllog, "_sync", slow_disk)

    async def scene() -> None:
        shot = picture(sockets={"1.0.0": [runner()]})
        async with Here(folder, shot, fsync_each_call=waits) as here:
            asking = asyncio.create_task(here.ask(raw(BODY)))
            if waits:
                assert await asyncio.to_thread(reached.wait, 20)
                assert next(folder.glob("calllog/*/*.seg")).stat().st_size > len(BODY)
                await asyncio.sleep(0.2)
                assert not asking.done()
                synced.set()
            assert (await asyncio.wait_for(asking, 20))[0] == b"200"
            assert reached.is_set() is waits

    asyncio.run(scene())


def test_the_settings_of_the_instance_reach_the_data_plane(tmp_path, settings):
    asked = {
        "FSYNC": "1",
        "PAYLOAD_KB": "8",
        "BODY_MB": "2",
        "CALL_SECONDS": "7",
        "QUEUE": "5",
    }
    given = {f"ATRIUM_GATEWAY_{name}": value for name, value in asked.items()}
    settings.ATRIUM = read({"ATRIUM_DATA_DIR": str(tmp_path), **given})

    with patch.object(os, "execve") as started:
        call_command("gateway")

    config = Config(**orjson.loads(started.call_args.args[2]["ATRIUM_GATEWAY"]))
    assert config.fsync_each_call
    assert (config.payload_bytes, config.body_bytes) == (8 << 10, 2 << 20)
    assert (config.call_seconds, config.in_flight_per_replica) == (7.0, 5)
