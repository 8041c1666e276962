"""The client against a real runner: values in, values out, and an error class per thing to do."""

import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from atrium import errors
from atrium.cli import main
from atrium.client import AsyncClient, Client, deprecation
from atrium.http import Http


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def url(base, packages):
    port = free_port()
    folder = packages["forest"].folder
    process = base.start("-m", "atrium.runner", "--package", folder, "--port", str(port), cwd=folder)
    assert process.stdout.readline().startswith("Ready")
    yield f"http://runner.localhost:{port}"
    process.terminate()
    process.wait(timeout=20)


@pytest.fixture
def client(url):
    return Client("forest", url=url, key="atk_x")


def test_values_arrays_and_single_items_are_taken(client):
    one = [[1.0] * 4] * 4
    answers = [client.infer({"image": value}) for value in (one, [one], np.ones((1, 4, 4)))]
    assert answers[0].version == "1.0.0"
    assert [answer["class"] for answer in answers] == [answers[0]["class"]] * 3
    assert len(answers[0]["probabilities"][0]) == 2


def test_binary_and_json_answer_the_same(client):
    images = np.arange(32, dtype=np.float32).reshape(2, 4, 4) % 16
    plain, binary = client.infer({"image": images}), client.infer({"image": images}, binary=True)
    assert plain["class"] == binary["class"]
    assert np.allclose(plain["probabilities"], binary["probabilities"])


def test_tritons_client_works_unmodified(url, client):
    from tritonclient import http as triton

    image = np.full((1, 4, 4), 3, dtype=np.float32)
    with triton.InferenceServerClient(
        url.removeprefix("http://").replace("runner.localhost", "127.0.0.1")
    ) as other:
        assert other.is_server_live()
        assert other.is_model_ready("forest", "1.0.0")
        assert other.get_model_metadata("forest")["outputs"][0]["name"] == "class"
        for binary in (True, False):
            given = triton.InferInput("image", [1, 4, 4], "FP32")
            given.set_data_from_numpy(image, binary_data=binary)
            asked = [
                triton.InferRequestedOutput(name, binary_data=binary) for name in ("class", "probabilities")
            ]
            answer = other.infer("forest", [given], outputs=asked, request_compression_algorithm="gzip")
            assert answer.as_numpy("class").tolist() == client.infer({"image": image})["class"]


def test_an_item_out_of_range_is_refused_with_the_sentence_of_the_runner(client):
    with pytest.raises(errors.InvalidInput, match="above the largest allowed value 16") as refused:
        client.infer({"image": [[99] * 4] * 4})
    assert refused.value.status == 422


def test_rows_of_different_length_never_leave_the_client(client):
    with pytest.raises(errors.InvalidInput, match="its rows have different lengths"):
        client.infer({"image": [[1, 2], [3]]})


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([[1.0] * 4] * 4, r"inputs is a list.*'image'.*forest takes image \(FP32 \[-1, 4, 4\]\)"),
        ("seven", "inputs is a str"),
        ({"image": "x"}, "input 'image' is FP32 and takes numbers, not 'x'"),
        ({"image": [["1"] * 4] * 4}, "takes numbers, not '1'"),
    ],
)
def test_what_is_no_input_is_told_with_what_to_give(client, inputs, said):
    with pytest.raises(errors.InvalidInput, match=said):
        client.infer(inputs)


def test_an_unknown_capability_is_not_found(url):
    with pytest.raises(errors.NotFound):
        Client("other", url=url).metadata()


async def test_the_async_client_answers_the_same(url, client):
    image = [[2.0] * 4] * 4
    answer = await AsyncClient("forest", url=url).infer({"image": image})
    assert answer["class"] == client.infer({"image": image})["class"]


def test_a_server_that_is_not_there_is_named():
    client = Client("forest", url=f"http://127.0.0.1:{free_port()}", retries=0)
    with pytest.raises(errors.ConnectionLost, match="cannot be reached"):
        client.infer({"image": [1]})


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, ""),
        ({"atrium-version": "1.0.0"}, ""),
        (
            {"deprecation": "@1798675200", "atrium-version": "1.0.0"},
            "digits 1.0.0 is deprecated since 2026-12-31",
        ),
        ({"sunset": "Sun, 31 Jan 2027 00:00:00 GMT"}, "digits is deprecated and goes on 2027-01-31"),
        (
            {
                "deprecation": "@1798675200",
                "sunset": "Sun, 31 Jan 2027 00:00:00 GMT",
                "link": '</v2/models/digits/versions/1.1.0>; rel="successor-version"',
                "atrium-version": "1.0.0",
            },
            "digits 1.0.0 is deprecated since 2026-12-31 and goes on 2027-01-31; call version 1.1.0 instead",
        ),
        ({"deprecation": "true", "sunset": "soon", "link": "<x>"}, "digits is deprecated"),
        ({"deprecation": "@" + "9" * 30}, "digits is deprecated"),
    ],
)
def test_what_the_headers_tell_of_the_end(headers, told):
    assert deprecation.told_by(headers, "digits") == told


def test_that_what_answers_is_deprecated_is_said_once(scripted):
    body = json.dumps({"model_name": "digits", "outputs": []}).encode()
    going = {"Deprecation": "@1798675200", "Atrium-Version": "1.0.0"}
    scripted.steps = [
        (body, going),
        (body, going),
        (body, going | {"Sunset": "Sun, 31 Jan 2027 00:00:00 GMT"}),
    ]
    caller = Client("digits", url=f"http://127.0.0.1:{scripted.server_port}", key="atk_x")
    caller._metadata = {"inputs": []}

    with pytest.warns(FutureWarning) as said:
        answers = [caller.infer({}) for _call in range(3)]

    assert len(answers) == 3
    assert [str(each.message) for each in said] == [
        "digits 1.0.0 is deprecated since 2026-12-31",
        "digits 1.0.0 is deprecated since 2026-12-31 and goes on 2027-01-31",
    ]
    assert {each.filename for each in said} == {__file__}


class Scripted(BaseHTTPRequestHandler):
    """Answers with the next step: a status, a body with headers, None to cut the connection, "half" to cut it later."""

    protocol_version = "HTTP/1.1"

    def _answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append(self.command)
        step = self.server.steps.pop(0)
        if step is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if step == "half":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 500)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if isinstance(step, tuple):
            body, headers = step
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        body = json.dumps({"error": "later"} if step >= 400 else {"ok": True}).encode()
        self.send_response(step)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if step in (429, 503):
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815

    def log_message(self, *arguments):
        pass


@pytest.fixture
def scripted():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    server.steps, server.seen = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.mark.parametrize(
    ("method", "headers", "steps", "asked"),
    [
        ("GET", {}, [None, 200], 2),
        ("POST", {}, [503, 429, 200], 3),
        ("POST", {"Idempotency-Key": "a"}, [None, 200], 2),
    ],
)
def test_what_is_safe_is_repeated(scripted, method, headers, steps, asked):
    scripted.steps = steps
    http = Http(f"http://127.0.0.1:{scripted.server_port}")
    assert http.request(method, "/", b"{}" if method == "POST" else None, headers).status == 200
    assert len(scripted.seen) == asked


@pytest.mark.parametrize(
    ("steps", "raised"), [([None], errors.ConnectionLost), ([500], errors.Failed), ([409], errors.Conflict)]
)
def test_a_call_that_may_have_been_answered_is_not_repeated(scripted, steps, raised):
    scripted.steps = [*steps, 200]
    with pytest.raises(raised):
        Http(f"http://127.0.0.1:{scripted.server_port}").request("POST", "/", b"{}")
    assert len(scripted.seen) == 1


def test_a_file_arrives_whole_or_not_at_all(scripted, tmp_path):
    scripted.steps = ["half", 503, 200, 404]
    http = Http(f"http://127.0.0.1:{scripted.server_port}")

    answer = http.request("GET", "/file", into=tmp_path / "file")

    assert (answer.body, (tmp_path / "file").read_bytes()) == (b"", b'{"ok": true}')
    with pytest.raises(errors.NotFound, match="later"):
        http.request("GET", "/file", into=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_command_answers_a_csv_row_by_row(url, tmp_path, capsys):
    rows = tmp_path / "rows.csv"
    head = ",".join(f"p{at}" for at in range(16))
    rows.write_text("\n".join([head, ",".join(["1"] * 16), ",".join(["16"] * 8 + ["0"] * 8)]) + "\n")
    out = tmp_path / "out.jsonl"
    assert main(["infer", "forest", str(rows), str(out), "--url", url, "--batch", "1"]) == 0
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(answers) == 2
    assert set(answers[0]) == {"class", "probabilities"}
    assert "2 of 2" in capsys.readouterr().err


def test_the_command_writes_a_table_and_leaves_the_old_one_when_a_call_fails(url, tmp_path, capsys):
    rows, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    head = ",".join(f"p{at}" for at in range(16))
    good = ",".join(["1"] * 16)
    rows.write_text(f"\ufeff{head}\r\n{good}\r\n{good}", encoding="utf-8")
    assert main(["infer", "forest", str(rows), str(out), "--url", url]) == 0
    written = out.read_text()
    assert written.splitlines()[0] == "class,probabilities"
    assert len(written.splitlines()) == 3

    rows.write_text("\n".join([head, good, good, good.replace("1", "99")]))
    assert main(["infer", "forest", str(rows), str(out), "--url", url, "--batch", "2"]) == 1
    assert "rows 3 to 3" in capsys.readouterr().err
    assert out.read_text() == written
    assert {path.name for path in tmp_path.iterdir()} == {"rows.csv", "out.csv"}


def test_the_command_says_in_one_line_what_is_wrong(url, tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"image": [1, 2]}\n')
    assert main(["infer", "forest", str(rows), "--url", url]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_client_needs_no_package(url):
    """The standard library is enough: run isolated from every installed package."""
    import subprocess

    from tests.sdk.conftest import ROOT

    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'sdk')!r})\n"
        "from atrium import Client\n"
        f"print(Client('forest', url={url!r}).infer({{'image': [[1] * 4] * 4}})['class'])\n"
        "assert 'numpy' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout in ("[0]\n", "[1]\n"), done.stderr
