"""Every call that cannot be answered is refused with its status, the thing that is wrong, and what to do about it.

One gateway in front of a real runner. None of these is a 500, and nothing of them is half in the log.
"""

from __future__ import annotations

import gzip
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from apps.gateway.dataplane.service.refusals import as_problem
from apps.gateway.dataplane.upstream import Answer
from tests.gateway.conftest import KEY, Gateway, grant, picture
from tests.sdk.conftest import base, running, write_package  # noqa: F401 - base is a fixture

MODEL = """
import time

def predict(inputs):
    if inputs["image"].max() == 16:
        time.sleep(0.6)
    return {"class": inputs["image"].sum(axis=(1, 2)) % 10}
"""
IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 4]}
SITE = {"name": "site", "datatype": "BYTES", "shape": [1], "data": ["north"]}
SIGNATURE = {
    "inputs": [
        {
            "name": "image",
            "datatype": "FP32",
            "shape": [-1, 2, 2],
            "minimum": 0,
            "maximum": 16,
            "unit": "lux",
        },
        {"name": "site", "datatype": "BYTES", "shape": [-1], "choices": ["north", "south"]},
    ],
    "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1]}],
}
V2 = "/v2/models/digits"


@pytest.fixture(scope="module")
def serving(base, tmp_path_factory):  # noqa: F811
    """A gateway with keys in every state before a runner whose model has two inputs."""
    folder = tmp_path_factory.mktemp("refusals")
    package = write_package(folder / "package", MODEL, SIGNATURE)
    keys = {
        KEY: grant(),
        "revoked": grant(status="revoked"),
        "suspended": grant(status="suspended"),
        "expired": grant(expires=1.0),
        "elsewhere": grant(addresses=["10.0.0.0/8"]),
        "other": grant(capability="other"),
        "gone": grant(scope="deployment:99"),
        "bound": grant(scope="deployment:10"),
        "slow": grant(pool="slow", limits={"rate_per_s": 0.01, "burst": 1}),
        "few": grant(pool="few", limits={"per_day": 1}),
        "roomy": grant(pool="roomy", limits={"per_day": 50}),
        "monthly": grant(pool="monthly", limits={"per_month": 1}),
        "one": grant(pool="one", limits={"concurrent": 1}),
    }
    with running(base, package) as runner:
        assert runner.wait_ready()[0] == 200
        here = Gateway(folder / "gw", body_bytes=100_000)
        here.start(picture(keys=keys, routes={"1.0.0": 100}, sockets={"1.0.0": [runner.uds]}))
        yield here
        here.stop()


def inputs(*tensors: object, **more: object) -> bytes:
    return orjson.dumps({"inputs": tensors, **more})


def image(**changes: object) -> bytes:
    return inputs({**IMAGE, **changes}, SITE)


def binary(size: object, behind: bytes, **changes: object) -> dict[str, object]:
    """A call whose image comes as bytes behind the JSON."""
    tensor = {key: value for key, value in IMAGE.items() if key != "data"}
    head = inputs({**tensor, "parameters": {"binary_data_size": size}, **changes}, SITE)
    return {"body": head + behind, "Inference_Header_Content_Length": str(len(head))}


GOOD = inputs(IMAGE, SITE)
CALLS = [
    # what it is, how it is called, status, and what the answer names and advises
    ("no key", {"key": None}, 401, "'Authorization: Bearer <key>'", "Subscriptions page"),
    ("unknown key", {"key": "atk_nobody"}, 401, "not known", "Make a new one"),
    ("revoked key", {"key": "revoked"}, 401, "revoked", "Make a new one"),
    ("expired key", {"key": "expired"}, 401, "expired on 1970-01-01", "Make a new one"),
    ("suspended key", {"key": "suspended"}, 403, "suspended", "ask the capability's team"),
    ("wrong address", {"key": "elsewhere"}, 403, "from 127.0.0.1", "owner can add the address"),
    ("a key for another", {"key": "other"}, 403, "for 'other', not for 'digits'", "subscribe"),
    ("a deployment that is gone", {"key": "gone"}, 404, "The deployment 99", "Ask its team for a new key"),
    ("another version than bound", {"key": "bound", "path": f"{V2}/versions/2.0.0/infer"}, 404, "'2.0.0'",
     "Leave out /versions/"),
    ("unknown capability", {"path": "/v2/models/digit/infer"}, 404, "'digit'", "this key is for 'digits'"),
    ("unknown version", {"path": f"{V2}/versions/9.9.9/infer"}, 404, "'9.9.9'", "there is: 1.0.0"),
    ("unknown path", {"path": f"{V2}/explain"}, 404, f"{V2}/explain", "a model has /ready and /infer"),
    ("nothing there", {"path": "/v3/infer"}, 404, "'/v3/infer'", "Calls go to /v2/models/"),
    ("empty body", {"body": b""}, 400, "The body is empty", 'send {"inputs"'),
    ("too large", {"body": b"x" * 100_001}, 413, "100001 bytes", "send fewer rows"),
    ("no JSON", {"body": b'{"inputs": ['}, 422, "not JSON", "send an object with 'inputs'"),
    ("no object", {"body": b"[1, 2]"}, 422, "JSON object", "'inputs'"),
    ("no inputs", {"body": b"{}"}, 422, "'inputs'", "list of tensors"),
    ("no tensors", {"body": inputs()}, 422, "'inputs' is empty", "send at least one"),
    ("a tensor twice", {"body": inputs(IMAGE, IMAGE)}, 422, "twice", "send each tensor once"),
    ("an input missing", {"body": inputs(IMAGE)}, 422, "'site' is missing", "takes 'image', 'site'"),
    ("an input too many", {"body": inputs(IMAGE, SITE, {**SITE, "name": "hour"})}, 422, "'hour'", "takes 'image'"),
    ("a tensor without name", {"body": image(name=None)}, 422, "'name'", "must be a string"),
    ("no data", {"body": inputs({k: v for k, v in IMAGE.items() if k != "data"}, SITE)}, 422, "'image'",
     "send the values as a list"),
    ("wrong type", {"body": image(datatype="FP64")}, 422, "'image': expected datatype FP32", '"datatype": "FP32"'),
    ("unknown type", {"body": image(datatype="FLOAT")}, 422, "'image': expected datatype FP32, got 'FLOAT'",
     'send "datatype": "FP32"'),
    ("unknown type of an unknown input", {"body": inputs(IMAGE, {**SITE, "name": "hour", "datatype": "FLOAT"})}, 422,
     "'hour': unknown datatype 'FLOAT'", "use one of BOOL"),
    ("words as type", {"body": image(datatype="BYTES")}, 422, "'image': expected datatype FP32, got BYTES",
     'send "datatype": "FP32" and its values as numbers'),
    ("whole numbers as type", {"body": image(datatype="INT64")}, 422, "'image': expected datatype FP32, got INT64",
     'send "datatype": "FP32"'),
    ("no type", {"body": image(datatype=None)}, 422, "'image': expected datatype FP32, got null", '"datatype": "FP32"'),
    ("numbers as words", {"body": inputs(IMAGE, {**SITE, "data": [7]})}, 422, "'site': BYTES needs strings",
     "in double quotes"),
    ("quoted number", {"body": image(data=[1, 2, 3, "4"])}, 422, "'image': FP32 needs numbers, but value 3 is '4'",
     "without quotes: 4"),
    ("NaN", {"body": GOOD.replace(b"3,4", b"3,NaN")}, 422, "input 'image', value 3: NaN is not JSON",
     "send a finite number"),
    ("Infinity", {"body": GOOD.replace(b"3,4", b"3,-Infinity")}, 422, "'image', value 3: -Infinity is not JSON",
     "send a finite number"),
    ("no double", {"body": GOOD.replace(b"3,4", b"3,1e999")}, 422, "'image', value 3: the number is too large",
     "send one of at most"),
    ("spelled NaN", {"body": image(data=[1, 2, 3, "NaN"])}, 422, "'image', item 0, position [1,1]",
     "send a number there"),
    ("no single", {"body": image(data=[1, 2, 3, 1e39])}, 422, "1e+39, which does not fit FP32", "at most 3.403e+38"),
    ("wrong shape", {"body": image(shape=[1, 4])}, 422, "got [1,4]", "tensor of 3 dimensions"),
    ("wrong item", {"body": image(shape=[1, 2, 1], data=[1, 2])}, 422, "got [1,2,1]", "send 4 numbers per item"),
    ("no shape", {"body": image(shape="1,2,2")}, 422, "'shape'", "must be a list"),
    ("negative size", {"body": image(shape=[1, 2, -2])}, 422, "-2", "whole numbers from 0"),
    ("too few values", {"body": image(data=[1, 2, 3])}, 422, "needs 4 values, got 3", "row by row"),
    ("ragged rows", {"body": image(data=[[[1, 2], [3]]])}, 422, "lists of 2", "one has 1 values"),
    ("words for numbers", {"body": image(data=[1, 2, 3, "four"])}, 422, "value 3 is 'four'", "needs numbers"),
    ("null", {"body": image(data=[1, 2, 3, None])}, 422, "position [1,1]", "no missing values"),
    ("out of range", {"body": image(data=[1, 2, 3, 17])}, 422, "17.0 is above", "largest allowed value 16 lux"),
    ("below the range", {"body": image(data=[-1, 2, 3, 4])}, 422, "-1.0 is below", "smallest allowed value 0 lux"),
    ("not a choice", {"body": inputs(IMAGE, {**SITE, "data": ["west"]})}, 422, "'west'", "one of north, south"),
    ("no items", {"body": inputs({**IMAGE, "shape": [0, 2, 2], "data": []}, {**SITE, "shape": [0], "data": []})}, 422,
     "no items", "at least one item"),
    ("uneven items", {"body": inputs({**IMAGE, "shape": [2, 2, 2], "data": [1] * 8}, SITE)}, 422, "'site' has 1 items",
     "same number in all inputs"),
    ("unknown output", {"body": inputs(IMAGE, SITE, outputs=[{"name": "colour"}])}, 422, "'colour'", "gives class"),
    ("no gzip", {"body": GOOD, "Content_Encoding": "gzip"}, 422, "not gzip", "Content-Encoding"),
    ("cut gzip", {"body": gzip.compress(GOOD)[:-9], "Content_Encoding": "gzip"}, 422, "cut off", "MiB"),
    ("unknown coding", {"body": GOOD, "Content_Encoding": "br"}, 422, "Content-Encoding", "gzip, deflate"),
    ("length beyond the body", {"body": GOOD, "Inference_Header_Content_Length": "9999"}, 400, "'9999'", "length of"),
    ("length no number", {"body": GOOD, "Inference_Header_Content_Length": "ten"}, 400, "'ten'", "length of"),
    ("length inside the JSON", {"body": GOOD, "Inference_Header_Content_Length": "9"}, 422, "the 9 bytes that",
     "send an object"),
    ("bytes for less", binary(16, b"\0" * 12), 422, "binary_data_size is 16, but 12 bytes are left", "bytes of this"),
    ("bytes too many", binary(16, b"\0" * 20), 422, "4 bytes follow", "add up"),
    ("bytes of another shape", binary(12, b"\0" * 12), 422, "but binary_data_size is 12", "send exactly 16"),
    ("size no number", binary("16", b"\0" * 16), 422, "'16'", "number of bytes"),
    ("bytes and data", binary(16, b"\0" * 16, data=[1, 2, 3, 4]), 422, "both 'data' and", "send one of them"),
    ("bytes that are not allowed", binary(16, b"\0\0\x90A" * 4), 422, "18.0 is above", "largest allowed value 16"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "call", "status", "names", "advises"), CALLS, ids=[row[0] for row in CALLS])
def test_a_bad_call_is_refused_with_the_thing_and_what_to_do(serving, what, call, status, names, advises):
    before = len(serving.records())
    answer = serving.infer(**{"body": GOOD, **call})

    assert (answer.status, names in answer.json["error"], advises in answer.json["error"]) == (
        status, True, True,
    ), answer.json  # fmt: skip
    assert answer.json["detail"] == answer.json["error"]
    assert answer.json["instance"] == f"urn:uuid:{answer.getheader('X-Request-Id')}"
    new = serving.records()[before:]
    assert [r.facts["status"] for r in new] in ([], [status] if status != 401 else []), new
    assert all(r.answer == b"" or orjson.loads(r.answer)["error"] in answer.json["error"] for r in new)


def test_a_good_call_passes_at_the_same_gateway(serving):
    assert serving.infer(GOOD).json["outputs"][0]["data"] == [0]
    assert serving.infer(**binary(16, b"\0" * 16)).status == 200


def test_an_answer_tells_the_limits_and_what_is_left_of_them(serving):
    first, second = (serving.infer(GOOD, key="roomy") for _time in range(2))

    assert first.getheader("RateLimit-Policy") == '"day";q=50;w=86400'
    left = [int(answer.getheader("RateLimit").split("r=")[1].split(";")[0]) for answer in (first, second)]
    assert left == [49, 48]
    seconds = int(first.getheader("RateLimit").split("t=")[1])
    assert 0 < seconds <= 86400


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid-input"), (500, "model-error"), (503, "temporary-reduced-capacity")],
)
def test_what_a_runner_refuses_has_the_type_of_its_reason(status, kind):
    answer = Answer(status, {}, b'{"error": "the queue is full"}')

    told = orjson.loads(as_problem(answer, "0"))

    assert (told["type"], told["error"]) == (f"urn:atrium:problem:{kind}", "the queue is full")


@pytest.mark.parametrize(
    ("key", "kind", "says"),
    [
        ("slow", "rate-exceeded", "0.01"),
        ("few", "quota-exceeded", "day"),
        ("monthly", "quota-exceeded", "month"),
    ],
)
def test_above_a_limit_the_answer_says_which_and_when_to_come_again(serving, key, kind, says):
    assert serving.infer(GOOD, key=key).status == 200
    answer = serving.infer(GOOD, key=key)

    assert (answer.status, answer.json["type"]) == (429, f"urn:atrium:problem:{kind}")
    assert says in answer.json["error"]
    assert int(answer.getheader("Retry-After")) > 0
    assert "r=0" in answer.getheader("RateLimit")


def test_too_many_calls_at_once_are_told_the_number(serving):
    busy = inputs({**IMAGE, "data": [16, 0, 0, 0]}, SITE)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: serving.infer(busy, key="one"), range(3)))

    assert sorted(answer.status for answer in answers) == [200, 429, 429]
    refused = next(answer for answer in answers if answer.status == 429)
    assert "More than 1 calls at the same time; wait for an answer" in refused.json["error"]
    assert int(refused.getheader("Retry-After")) >= 1


def test_a_deadline_that_passes_is_504_with_the_time_that_was_given(serving):
    began = time.monotonic()
    answer = serving.infer(inputs({**IMAGE, "data": [16, 0, 0, 0]}, SITE), X_Atrium_Timeout_Ms="100")

    assert answer.status == 504
    assert "0.1 s" in answer.json["error"] or "in time" in answer.json["error"]
    assert time.monotonic() - began < 3


def test_a_body_that_never_ends_is_refused_by_its_announced_size(serving):
    head = f"POST {V2}/infer HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 999999\r\n\r\n"
    with socket.create_connection(("127.0.0.1", serving.port), timeout=5) as connection:
        connection.sendall(head.encode())
        assert b"413 " in connection.recv(4096)


ID = "01a20537-4c0f-790e-8857-92b133d8c175"
FEEDBACK = [
    (b"{", 400, "not JSON", "Send one object with request_id"),
    (b"[]", 422, "request_id", "list of them"),
    ({"request_id": "7", "correct": True}, 422, "'7'", "X-Request-Id of the answer"),
    ({"request_id": ID}, 422, "says nothing", "add correct"),
    ({"request_id": ID, "correct": "yes"}, 422, "'yes'", "true, false"),
    ({"request_id": ID, "stars": 5}, 422, "'stars'", "known: "),
    ([{"request_id": ID, "correct": True}, 7], 422, "feedback[1]", "send request_id"),
    ([{}] * 1001, 413, "1001", "at most 1000"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "names", "advises"), FEEDBACK)
def test_wrong_feedback_is_refused_whole(serving, body, status, names, advises):
    before = len(serving.records())
    answer = serving.request("POST", "/v1/feedback", body if isinstance(body, bytes) else orjson.dumps(body))

    assert (answer.status, names in answer.json["error"], advises in answer.json["error"]) == (
        status, True, True,
    ), answer.json  # fmt: skip
    assert len(serving.records()) == before
