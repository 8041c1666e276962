"""What code in a sandbox reaches of the network: the portal's REST, experiments and inference, nothing else."""

import http.server
import io
import json
import socket
import socketserver
import threading
import zipfile
from pathlib import Path

import pytest
from django.db import connection

from apps.compute import environments, services
from apps.compute.adapters import engine, sockets_dir
from apps.compute.engines.base import Resources, Workload
from apps.compute.models import AllowedHost, EgressRecord
from atrium.runner.service import MAX_LOG_BYTES
from tests.workbench.conftest import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

PROBE = """
import json, os, socket, urllib.request, urllib.error
def ask(path, **headers):
    request = urllib.request.Request(os.environ["ATRIUM_URL"] + path, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.read().decode()
def reach(host, port):
    try:
        socket.create_connection((host, port), timeout=2).close()
        return True
    except OSError:
        return False
"""


class Echo(http.server.BaseHTTPRequestHandler):
    """Tells what it was asked, in the place of the portal's web process or the gateway."""

    def do_GET(self):
        body = json.dumps({"path": self.path, "headers": dict(self.headers)}).encode()
        if self.path.endswith("/cut"):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")
            self.close_connection = True
            return
        self.send_response(200)
        if self.path.endswith("/wordy"):
            self.send_header("Atrium-Values", "v" * MAX_LOG_BYTES)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "somebody"

    def log_message(self, *parts):
        pass


class Gateway(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def web(settings):
    """A server in the place of the web process."""
    from dataclasses import replace

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    settings.ATRIUM = replace(settings.ATRIUM, web_port=server.server_port)
    yield from _run(server)


@pytest.fixture
def gateway(settings):
    path = settings.ATRIUM.run_dir / "gateway.sock"
    path.unlink(missing_ok=True)
    yield from _run(Gateway(str(path), Echo))
    path.unlink(missing_ok=True)


def _run(server):
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def inside(live_process):
    """Runs Python in a sandbox with a door; gives what it prints as JSON."""
    environments.build("base", say=lambda words: None)
    number = iter(range(100))

    def run(code, network="forwarder", wid=""):
        wid = wid or f"door-{next(number)}"
        engine().remove(wid)
        workload = Workload(
            id=wid,
            argv=["python", "-c", PROBE + code],
            environment=environments.path("base"),
            resources=Resources(memory_mb=256),
            env={"ATRIUM_URL": "http://127.0.0.1:8780"},
            network=network,
        )
        engine().start(workload)
        try:
            wait_for(lambda: engine().observe(wid).ended)
            out = engine().log(wid)[0].decode()
            assert engine().observe(wid).state == "succeeded", out
            return json.loads(out)
        finally:
            engine().remove(wid)

    return run


def test_rest_is_reached_with_the_token_and_without_cookies(web, inside):
    code = "print(ask('/api/v1/me/?a=b', Authorization='Bearer atr_x', Cookie='atrium_session=1')[1])"
    seen = inside(code)
    assert seen["path"] == "/api/v1/me/?a=b"
    assert (
        seen["headers"]["authorization" if "authorization" in seen["headers"] else "Authorization"]
        == "Bearer atr_x"
    )
    assert not {"cookie", "x-forwarded-for"} & {name.lower() for name in seen["headers"]}


def test_inference_is_reached_over_the_gateways_socket(gateway, inside):
    assert inside("print(ask('/v2/models/digits')[1])")["path"] == "/v2/models/digits"


def test_all_that_the_code_of_a_model_logged_comes_back(gateway, inside):
    assert inside("print(json.dumps(ask('/v2/models/digits/wordy')[0]))") == 200


def test_an_answer_that_breaks_off_in_its_head_is_said_to_be_none(gateway, inside):
    status, said = inside("print(json.dumps(ask('/v2/models/digits/cut')))")
    assert status == 502
    assert "gave no answer that can be read" in json.loads(said)["detail"]


def test_pages_and_the_portals_inside_are_refused(web, inside):
    paths = [
        "/",
        "/login/",
        "/admin/",
        "/internal/gateway/snapshot",
        "/healthz",
        "/api/../admin/",
        "//api/v1/",
        "/apiary",
    ]
    assert inside(f"print(json.dumps([ask(path)[0] for path in {paths}]))") == [403] * len(paths)


def test_nothing_else_of_the_network_is_reached(web, inside):
    listener = socket.create_server(("0.0.0.0", 0))
    port = listener.getsockname()[1]
    places = [("127.0.0.1", port), ("1.1.1.1", 80), ("127.0.0.1", web.server_port)]
    code = f"print(json.dumps([reach(*place) for place in {places}]))"
    assert inside(code) == [False, False, False]
    listener.close()


def test_a_part_that_is_away_is_said_to_be(inside):
    assert inside("print(json.dumps(ask('/v2/health/live')[0]))") == 503


def test_a_workload_without_network_gets_no_door(inside):
    code = "print(json.dumps([reach('127.0.0.1', 8780), os.path.exists('/run/atrium/egress.sock')]))"
    assert inside(code, network="none") == [False, False]


def test_the_door_closes_with_its_workload(inside):
    inside("print(1)")
    assert not list(Path(sockets_dir()).glob("door-*"))


@pytest.fixture
def index():
    """A package index on loopback with one package; gives its place."""
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        facts = "Metadata-Version: 2.1\nName: octopus\nVersion: 1.2\n"
        archive.writestr("octopus.py", "arms = 8\n")
        archive.writestr("octopus-1.2.dist-info/METADATA", facts)
        archive.writestr(
            "octopus-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("octopus-1.2.dist-info/RECORD", "")

    class Index(Echo):
        def do_GET(self):
            name = "octopus-1.2-py3-none-any.whl"
            page = f'<a href="/files/{name}">{name}</a>'.encode()
            body = wheel.getvalue() if self.path.endswith(".whl") else page
            self.send_response(200)
            self.send_header("Content-Type", "application/zip" if self.path.endswith(".whl") else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    for server in _run(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)):
        yield f"127.0.0.1:{server.server_port}"


TUNNEL = """
def tunnel(place, ask=b"GET / HTTP/1.0\\r\\n\\r\\n"):
    line = socket.create_connection(("127.0.0.1", 8780), timeout=20)
    line.sendall(f"CONNECT {place} HTTP/1.1\\r\\nHost: {place}\\r\\n\\r\\n".encode() + ask)
    return line.makefile("rb").read().decode()
"""


@pytest.fixture(autouse=True)
def knows_at_once(monkeypatch):
    """The list of hosts is remembered for seconds: another test's list would count here."""
    monkeypatch.setattr("apps.workbench.live.outside.KNOWS_S", 0.05)


def allow(pattern, root):
    return services.allow_host(pattern, by=root)


def test_a_tunnel_leads_to_an_allowed_host_and_to_no_other(inside, index, root):
    allow(index, root)
    told = inside(
        f"{TUNNEL}print(json.dumps([tunnel(place) for place in ({index!r}, 'pypi.example.org:443')]))"
    )
    assert told[0].startswith("HTTP/1.1 200 Connection established")
    assert "octopus-1.2" in told[0]
    assert told[1].startswith("HTTP/1.1 403 pypi.example.org is not on the list of hosts")

    records = wait_for(
        lambda: list(EgressRecord.objects.order_by("allowed")) * (EgressRecord.objects.count() == 2)
    )
    assert [(record.host, record.allowed) for record in records] == [
        ("pypi.example.org", False),
        ("127.0.0.1", True),
    ]
    assert records[1].bytes_in > 30
    assert not records[0].bytes_in


def test_a_name_that_leads_to_this_machine_opens_nothing_here(inside, index, root, monkeypatch):
    port = index.partition(":")[2]
    allow(f"inward.example.org:{port}", root)

    async def resolved(_loop, host, port, **_more):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", resolved)
    told = inside(f"{TUNNEL}print(json.dumps(tunnel('inward.example.org:{port}')))")
    assert told.startswith("HTTP/1.1 403 inward.example.org leads to this machine itself")


def test_a_host_taken_off_the_list_is_cut_off(inside, index, root, monkeypatch):
    allow(index, root)
    code = f"""
line = socket.create_connection(("127.0.0.1", 8780), timeout=20)
line.sendall(b"CONNECT {index} HTTP/1.1\\r\\n\\r\\n")
print(line.recv(100)[9:12].decode(), flush=True)
line.recv(1)
"""

    def switch_off():
        # An earlier test's record may be written only now.
        wait_for(lambda: EgressRecord.objects.filter(workload_id="door-cut", allowed=True).exists())
        AllowedHost.objects.update(enabled=False)
        connection.close()

    switch = threading.Thread(target=switch_off)
    switch.start()
    assert inside(code, wid="door-cut") == 200  # and the code ended, though nobody closed the tunnel inside
    switch.join()


def test_pip_installs_from_an_allowed_index(inside, index, root):
    allow(index, root)
    code = f"""
import subprocess, sys
more = ["--target", "/work/site", "--trusted-host", "127.0.0.1", "--index-url", "http://{index}/simple/"]
os.environ |= {{"NO_PROXY": "", "no_proxy": ""}}
done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", *more, "octopus"], capture_output=True, text=True)
sys.path.append("/work/site")
assert done.returncode == 0, done.stderr
import octopus
print(octopus.arms)
"""
    assert inside(code) == 8
