"""`manage.py gateway`: the data plane, in place of this process."""

import os
import sys
from dataclasses import asdict
from typing import Any

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from apps.gateway.dataplane.config import Config


class Command(BaseCommand):
    help = "Run the data plane. It answers inference calls without Django and without the database."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--processes", type=int, default=0, help="default: ATRIUM_GATEWAY_PROCESSES")
        parser.add_argument("--port", type=int, default=0, help="default: ATRIUM_GATEWAY_PORT")

    def handle(self, *args: Any, **options: Any) -> None:
        here = settings.ATRIUM
        config = Config(
            bind=here.bind,
            port=options["port"] or here.gateway_port,
            processes=options["processes"] or here.gateway_processes,
            unix_socket=str(here.run_dir / "gateway.sock"),
            state_dir=str(here.data_dir / "gateway"),
            calllog_dir=str(here.data_dir / "calllog"),
            live_url=f"http://{here.bind}:{here.live_port}",
            token=here.gateway_token,
            valkey_url=here.redis_url,
            fsync_each_call=here.gateway_fsync,
            payload_bytes=here.gateway_payload_kb << 10,
            body_bytes=here.gateway_body_mb << 20,
            call_seconds=float(here.gateway_call_seconds),
            in_flight_per_replica=here.gateway_queue,
        )
        environment = {**os.environ, "ATRIUM_GATEWAY": orjson.dumps(asdict(config)).decode()}
        words = [sys.executable, "-m", "apps.gateway.dataplane"]
        os.execve(sys.executable, words, environment)  # noqa: S606 - no shell is meant
