"""A key is handed out when the gateway knows it."""

import dataclasses
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from apps.gateway.reach import wait_until_known


@pytest.fixture
def gateway(settings):
    """A server that refuses as often as `refusals` says and notes what it was asked."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append((self.path, self.headers["Authorization"]))
            self.send_response(401 if len(server.asked) <= server.refusals else 200)
            self.end_headers()

        def log_message(self, *_words):
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Answers)
    server.asked, server.refusals = [], 0
    settings.ATRIUM = dataclasses.replace(
        settings.ATRIUM, gateway_url=f"http://127.0.0.1:{server.server_port}"
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_it_asks_with_the_key_until_the_gateway_knows_it(gateway):
    gateway.refusals = 2

    assert wait_until_known("digits", "atk_new", within=60)

    assert gateway.asked == [("/v2/models/digits/ready", "Bearer atk_new")] * 3


def test_it_gives_up_after_its_time(gateway):
    gateway.refusals = 10**6

    assert not wait_until_known("digits", "atk_new", within=0.1)


def test_without_a_gateway_nobody_waits(gateway):
    gateway.shutdown()
    gateway.server_close()

    assert not wait_until_known("digits", "atk_new", within=60)
