"""`atrium.deploy`: from a version to an endpoint that answers, over the real REST API; the notebook that does it."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import atrium
from apps.accounts.services import create_token
from apps.catalog.models import Version
from apps.gateway.models import Grant
from apps.instances.models import Deployment
from apps.instances.services import stop_deployment
from atrium import deploying, errors
from atrium.cli import main
from tests.factories import make_capability, make_deployment, make_packaged_version

pytestmark = pytest.mark.django_db(transaction=True)

WELCOME = Path(__file__).parents[2] / "apps/workbench/welcome/welcome.ipynb"


@contextmanager
def gateway_that_hears_late():
    """Knows each key only from the second call on, as a gateway does that has not heard of it yet."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_arguments):
            pass

        def do_GET(self):
            key = self.headers["Authorization"].removeprefix("Bearer ")
            known, body = key in seen, {"name": "twice", "inputs": [], "outputs": []}
            seen.append(key)
            self.send_response(200 if known else 401)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body if known else {"error": "unknown key"}).encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    server.server_close()


@pytest.fixture
def gateway(live_server, ada, monkeypatch, tmp_path):
    """Ada's environment at the portal, and the keys that the gateway was shown."""
    _token, secret = create_token(ada, "tests", by=ada)
    with gateway_that_hears_late() as (url, seen):
        values = {"URL": live_server.url, "TOKEN": secret, "GATEWAY_URL": url}
        monkeypatch.setenv("ATRIUM_PAGES", "http://portal.example:8000")
        for name, value in {**values, "CONFIG": str(tmp_path / "config.json")}.items():
            monkeypatch.setenv(f"ATRIUM_{name}", value)
        yield seen


@pytest.fixture
def meanwhile(monkeypatch):
    """What happens at the portal while `deploy` waits, a step at each wait; then its deployments get ready."""
    steps = []

    def wait(_seconds):
        if steps:
            steps.pop(0)()
        else:
            Deployment.objects.filter(status="pending").update(status="ready")

    monkeypatch.setattr(deploying.time, "sleep", wait)
    return steps


@pytest.fixture
def version(radio, ada):
    return make_packaged_version(make_capability(radio, ada, "twice"), ada, "1.0.0")


def test_a_version_runs_for_tests_and_answers_with_a_key_of_its_own(gateway, meanwhile, version, ada):
    endpoint = atrium.deploy({"id": version.pk})

    deployment = Deployment.objects.get()
    assert (deployment.version, deployment.kind, deployment.created_by) == (version, "test", ada)
    assert Grant.objects.get(scope=f"deployment:{deployment.pk}").kind == "test"
    assert gateway == [endpoint.key, endpoint.key]
    assert (endpoint.deployment, endpoint.version) == (deployment.pk, "1.0.0")
    assert endpoint.url.endswith("/v2/models/twice/infer")
    assert endpoint.page == f"http://portal.example:8000/operations/{deployment.pk}/"


def test_what_runs_already_is_used_again_and_what_was_stopped_is_not(gateway, meanwhile, version, ada):
    stop_deployment(make_deployment(version, ada), by=ada)
    first = atrium.deploy("twice/1.0.0")
    assert atrium.deploy(version.pk).deployment == first.deployment
    assert Deployment.objects.count() == 2
    assert atrium.deploy(version.pk, resources={"memory_mb": 512}).deployment != first.deployment


def test_packaging_is_waited_for_and_its_failure_told(gateway, meanwhile, version, ada):
    rows = [make_packaged_version(version.capability, ada, number) for number in ("1.1.0", "1.2.0")]
    good, bad = (Version.objects.filter(pk=row.pk) for row in rows)
    (good | bad).update(status="packaging")
    meanwhile.append(lambda: good.update(status="packaged"))
    assert atrium.deploy("twice/1.1.0").version == "1.1.0"

    meanwhile.append(lambda: bad.update(status="failed", failure="model.onnx is damaged"))
    with pytest.raises(errors.Failed, match=r"1\.2\.0 of twice cannot run: model\.onnx is damaged"):
        atrium.deploy("twice/1.2.0")
    assert not Deployment.objects.filter(version=rows[1]).exists()


def test_a_deployment_that_does_not_start_says_why(gateway, meanwhile, version):
    meanwhile.append(lambda: Deployment.objects.update(status="failed", status_reason="Out of memory."))
    with pytest.raises(errors.Failed, match=r"is failed\. Out of memory\. Its log: http.*/operations/"):
        atrium.deploy("twice/1.0.0")


def test_waiting_ends(gateway, meanwhile, version):
    meanwhile.extend([lambda: None] * 3)
    with pytest.raises(TimeoutError, match="is pending"):
        atrium.deploy("twice/1.0.0", timeout_s=0)


def test_the_command_says_how_it_is_called(gateway, meanwhile, version, capsys):
    assert main(["deploy", "twice/1.0.0"]) == 0
    told = capsys.readouterr().out
    assert "twice 1.0.0 answers at http" in told
    assert f"/operations/{Deployment.objects.get().pk}/" in told
    assert main(["deploy", "twice/9.9.9"]) == 1
    assert "no version 9.9.9 of 'twice'" in capsys.readouterr().err


def test_a_version_can_take_over_the_signature_of_another(gateway, version, monkeypatch):
    signature = {
        "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1]}],
        "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1]}],
    }
    Version.objects.filter(pk=version.pk).update(signature=signature)
    monkeypatch.setattr("apps.compute.services.jobs.require", lambda verdict: None)
    made = atrium.register(predict, name="twice", signature="1.0.0")
    assert (made["number"], set(made["signature"] or signature)) == ("1.1.0", {"inputs", "outputs"})
    assert "signature.json" in Version.objects.get(pk=made["id"]).source_manifest


def predict(x):
    return {"y": x * 2}


def test_the_welcome_notebook_gets_there_in_fewer_than_twenty_lines():
    cells = json.loads(WELCOME.read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    lines = [line for line in code.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) < 20
    assert max(map(len, lines)) <= 110
    assert "atrium.register(" in code
    assert code.index("atrium.deploy(") < code.index(".infer(")
