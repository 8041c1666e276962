"""Whatever is sent to a runner, it answers: 200, or a refusal that says what is wrong."""

import asyncio
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrium.package import write_manifest
from atrium.runner.service import Service

MODEL = "def predict(number, name):\n    return {'twice': number * 2, 'name': name}\n"
SIGNATURE = {
    "inputs": [
        {"name": "number", "datatype": "FP32", "shape": [-1]},
        {"name": "name", "datatype": "BYTES", "shape": [-1]},
    ],
    "outputs": [
        {"name": "twice", "datatype": "FP32", "shape": [-1]},
        {"name": "name", "datatype": "BYTES", "shape": [-1]},
    ],
}
PATH = "/v2/models/echo/infer"

# In a runner's own process an overflow is the value Infinity, not an error; only pytest turns the warning into one.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("echo")
    (folder / "model").mkdir()
    (folder / "model" / "echo_model.py").write_text(MODEL)
    write_manifest(
        folder,
        {
            "capability": "echo",
            "version": "1.0.0",
            "framework": "python",
            "runtime": "python",
            "entry": {"module": "echo_model"},
            "signature": SIGNATURE,
        },
    )
    with asyncio.Runner() as runner:
        service = Service(folder)
        runner.run(service.load())
        yield lambda *call: runner.run(service.answer(*call))


def tensors(numbers, names):
    return [
        {"name": "number", "datatype": "FP32", "shape": [len(numbers)], "data": numbers},
        {"name": "name", "datatype": "BYTES", "shape": [len(names)], "data": names},
    ]


@given(st.lists(st.tuples(st.floats(width=32, allow_nan=False, allow_infinity=False), st.text()), min_size=1))
def test_good_calls_are_answered(answer, rows):
    body = json.dumps({"inputs": tensors([row[0] for row in rows], [row[1] for row in rows])})
    reply = answer("POST", PATH, {}, body.encode(errors="surrogatepass"))
    if reply.status != 200:  # a lone surrogate is no text
        assert reply.status == 422
        return
    outputs = json.loads(reply.body)["outputs"]
    wanted = [row[0] * 2 for row in rows]
    for got, value in zip(outputs[0]["data"], wanted, strict=True):
        assert got in ("Infinity", "-Infinity") or math.isclose(got, value, rel_tol=1e-6, abs_tol=1e-44)
    assert outputs[1]["data"] == [row[1] for row in rows]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200)
@given(
    st.fixed_dictionaries(
        {}, optional={"inputs": JSON, "outputs": JSON, "parameters": JSON, "id": JSON, "more": JSON}
    ),
    st.dictionaries(
        st.sampled_from([b"inference-header-content-length", b"content-encoding", b"x-atrium-timeout-ms"]),
        st.binary(max_size=6) | st.sampled_from([b"gzip", b"10", b"99999999999999"]),
    ),
    st.booleans(),
)
def test_nothing_that_is_sent_is_answered_by_a_failure(answer, change, headers, is_base):
    document = {**({"inputs": tensors([1], ["a"])} if is_base else {}), **change}
    reply = answer("POST", PATH, headers, json.dumps(document).encode())
    assert reply.status in (200, 422, 503, 504)
    assert reply.status == 200 or json.loads(reply.body)["error"]


@given(st.binary(max_size=200), st.text(max_size=20))
def test_no_bytes_and_no_path_break_it(answer, body, path):
    assert answer("POST", PATH, {}, body).status == 422
    for method in ("GET", "POST", "PUT"):
        assert answer(method, f"/{path}", {}, body).status in (200, 404, 405, 503)
