"""Calls through a real gateway to a tiny real runner: what callers get, and what the log says."""

from __future__ import annotations

import socket
import time

import orjson
import pytest

from tests.gateway.conftest import BODY, KEY, grant, picture, until


@pytest.fixture
def serving(gateway, runner):
    """A gateway with one version behind it, and keys in every state."""
    keys = {
        KEY: grant(),
        "revoked": grant(status="revoked"),
        "suspended": grant(status="suspended"),
        "expired": grant(expires=1.0),
        "elsewhere": grant(addresses=["10.0.0.0/8"]),
        "here": grant(addresses=["10.0.0.0/8", "127.0.0.1"]),
        "other": grant(capability="other"),
        "slow": grant(pool="slow", limits={"rate_per_s": 0.5, "burst": 1}),
        "few": grant(pool="few", limits={"per_day": 2}),
        "one": grant(pool="one", limits={"concurrent": 1}),
        "bound": grant(scope="deployment:11"),
        "gone": grant(scope="deployment:99"),
    }
    sockets = {"1.0.0": [runner("1.0.0")], "2.0.0": [runner("2.0.0")]}
    return gateway(picture(keys=keys, routes={"1.0.0": 100, "2.0.0": 0}, sockets=sockets), body_bytes=100_000)


def test_an_answer_carries_request_id_and_version_and_is_logged_with_both_bodies(serving):
    answer = serving.infer()

    assert (answer.status, answer.json["outputs"][0]["data"]) == (200, [10.0])
    assert answer.getheader("Atrium-Version") == "1.0.0"
    (record,) = serving.records()
    assert record.facts["id"] == answer.getheader("X-Request-Id")
    assert (record.facts["status"], record.facts["version"], record.facts["grant"]) == (200, "1.0.0", 1)
    assert (record.request, record.answer) == (BODY, answer.text)


@pytest.mark.parametrize(
    ("key", "status", "says"),
    [
        (None, 401, "Authorization: Bearer"),
        ("unknown", 401, "not known"),
        ("revoked", 401, "revoked"),
        ("suspended", 403, "suspended"),
        ("expired", 401, "expired on 1970-01-01"),
        ("elsewhere", 403, "may not be used from 127.0.0.1"),
        ("here", 200, ""),
        ("other", 403, "subscribe"),
        ("gone", 404, "removed"),
        ("bound", 200, ""),
    ],
)
def test_a_key_opens_what_it_was_made_for_and_a_refusal_says_why(serving, key, status, says):
    answer = serving.infer(key=key)

    assert answer.status == status
    assert says in answer.json.get("error", "")
    if status != 200:
        assert answer.json["detail"] == answer.json["error"]
        assert answer.json["status"] == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/digits/infer", 405),
        ("POST", "/v2/models/nothing/infer", 404),
        ("POST", "/v2/models/digits/versions/9.9.9/infer", 404),
        ("POST", "/v2/models/digits/explode", 404),
        ("GET", "/nowhere", 404),
        ("POST", "/v2", 405),
        ("GET", "/v2", 200),
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/health/ready", 200),
        ("GET", "/v2/models/digits", 200),
        ("HEAD", "/v2/models/digits", 200),
        ("GET", "/v2/models/digits/ready", 200),
        ("GET", "/v2/models/digits/versions/2.0.0/ready", 200),
        ("POST", "/v2/repository/index", 200),
        ("GET", "/metrics", 200),
    ],
)
def test_every_address_answers_in_the_protocol(serving, method, path, status):
    assert serving.request(method, path, BODY if method == "POST" else None).status == status


def test_a_pinned_version_and_a_bound_key_reach_their_deployment(serving):
    pinned = serving.infer(path="/v2/models/digits/versions/2.0.0/infer")
    bound = serving.infer(key="bound")

    assert pinned.json["model_version"] == bound.json["model_version"] == "2.0.0"


def test_what_the_models_code_logged_reaches_its_own_team_alone(gateway, runner):
    told = picture(
        keys={KEY: grant(), "test": grant(scope="deployment:10")},
        routes={"1.0.0": 100},
        sockets={"1.0.0": [runner("1.0.0", VALUES='{"length":3}')]},
    )
    production = gateway(told)
    assert production.infer().getheader("Atrium-Values") is None
    assert production.infer(key="test").getheader("Atrium-Values") is None
    told["deployments"]["10"]["kind"] = "test"
    assert gateway(told).infer(key="test").getheader("Atrium-Values") == '{"length":3}'


def test_what_the_runner_refuses_passes_through_with_its_words(serving):
    answer = serving.infer(b'{"inputs": 3}')

    assert answer.status == 400
    assert "bad input" in answer.json["error"]
    assert serving.records()[0].facts["error"] == "input"


def test_an_empty_and_an_oversized_body_are_refused_before_the_model(serving):
    assert serving.infer(b"").status == 400
    large = serving.infer(b"x" * 100_001)
    assert (large.status, "100001 bytes" in large.json["error"]) == (413, True)


def test_limits_answer_429_with_the_time_to_wait(serving):
    assert serving.infer(key="slow").status == 200
    hasty = serving.infer(key="slow")
    assert (hasty.status, hasty.getheader("Retry-After")) == (429, "2")

    assert [serving.infer(key="few").status for _ in range(3)] == [200, 200, 429]
    spent = serving.infer(key="few")
    assert '"day";r=0' in spent.getheader("RateLimit")
    assert 0 < int(spent.getheader("Retry-After")) <= 86400


def test_a_second_call_at_the_same_time_is_refused_where_only_one_is_allowed(serving):
    with socket.create_connection(("127.0.0.1", serving.port)) as first:
        first.sendall(raw(b"SLEEP0.6", "one"))
        until(lambda: serving.infer(key="one").status == 429)
        assert b"400 Bad" in first.recv(4096)  # the echo runner woke up and found no JSON
    assert until(lambda: serving.infer(key="one").status == 200)


def test_feedback_is_taken_one_by_one_and_in_batches_and_logged(serving):
    called = serving.infer().getheader("X-Request-Id")
    one = {"request_id": called, "correct": False, "expected": 7}

    assert serving.request("POST", "/v1/feedback", orjson.dumps(one)).status == 202
    batch = serving.request("POST", "/v1/feedback", orjson.dumps({"feedback": [one, one]}))
    assert batch.json == {"accepted": 2}
    wrong = serving.request("POST", "/v1/feedback", b'{"request_id": "7", "correct": true}')
    assert (wrong.status, "X-Request-Id" in wrong.json["error"]) == (422, True)
    assert [r.facts["kind"] for r in serving.records()] == ["call", "feedback", "feedback", "feedback"]


def raw(body: bytes, key: str = KEY) -> bytes:
    return (
        f"POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body


def test_pipelined_calls_are_answered_in_order(serving):
    bodies = [BODY.replace(b"1,2,3,4", b"1,2,3,%d" % n) for n in range(5)]
    with socket.create_connection(("127.0.0.1", serving.port)) as connection:
        connection.sendall(b"".join(raw(body) for body in bodies))
        received = b""
        while received.count(b'"outputs"') < 5:
            received += connection.recv(65536)
    sums = [received.find(b"[%d.0]" % (6 + n)) for n in range(5)]
    assert -1 not in sums
    assert sums == sorted(sums)


def test_a_half_closed_client_still_gets_its_answer(serving):
    with socket.create_connection(("127.0.0.1", serving.port), timeout=5) as connection:
        connection.sendall(raw(BODY))
        connection.shutdown(socket.SHUT_WR)
        assert b"200 OK" in connection.recv(65536)


def test_a_client_that_stops_in_the_middle_is_sent_away(gateway, runner):
    serving = gateway(picture(sockets={"1.0.0": [runner()]}), header_seconds=0.5, body_seconds=0.5)
    for beginning in (b"POST /v2/mod", raw(BODY)[:-10]):
        with socket.create_connection(("127.0.0.1", serving.port), timeout=5) as connection:
            connection.sendall(beginning)
            assert b"408" in connection.recv(65536)


def test_another_replica_takes_the_call_of_one_that_died_and_none_is_503(gateway, runner):
    first, second = runner(name="a"), runner(name="b")
    serving = gateway(picture(sockets={"1.0.0": [first, second]}))
    assert serving.infer().status == 200

    runner.running[first].kill()
    assert [serving.infer().status for _ in range(20)] == [200] * 20

    runner.running[second].kill()
    refused = serving.infer()
    assert (refused.status, refused.json["type"]) == (503, "urn:atrium:problem:no-replica")
    assert refused.getheader("Retry-After") == "2"


def test_a_model_that_hangs_is_given_up_after_the_deadline(gateway, runner):
    serving = gateway(picture(sockets={"1.0.0": [runner()]}), call_seconds=0.5)
    started = time.monotonic()
    assert serving.infer(b"SLEEP5").status == 504
    assert time.monotonic() - started < 2


def test_a_caller_says_how_long_it_waits(serving):
    began = time.monotonic()
    late = serving.infer(b"SLEEP5", X_Atrium_Timeout_Ms="200")

    assert (late.status, "0.2 s" in late.json["error"]) == (504, True)
    assert time.monotonic() - began < 4
    assert serving.infer(X_Atrium_Timeout_Ms="soon").status == 200


def test_callers_keep_their_version_and_spread_by_weight(gateway, runner):
    sockets = {"1.0.0": [runner("1.0.0")], "2.0.0": [runner("2.0.0")]}
    serving = gateway(picture(routes={"1.0.0": 80, "2.0.0": 20}, sockets=sockets))

    first = [serving.infer(Atrium_Caller=f"user-{n}").json["model_version"] for n in range(300)]
    again = [serving.infer(Atrium_Caller=f"user-{n}").json["model_version"] for n in range(50)]

    assert again == first[:50]
    assert 35 <= first.count("2.0.0") <= 85


def test_a_shadow_version_is_logged_and_never_returned(gateway, runner):
    """What is refused to its caller, or answered by the version that a caller stays with, is mirrored to nobody."""
    sockets = {"1.0.0": [runner("1.0.0")], "2.0.0": [runner("2.0.0", PICKY="yes")]}
    shadow = [{"deployment": "11", "version": "2.0.0", "weight": 100}]
    keys = {KEY: grant(), "atk_stays": grant(grant=2, pool="stays")}
    pins = {"stays": ["10", time.time() + 600]}
    routes = {"1.0.0": 100, "2.0.0": 0}
    serving = gateway(picture(routes=routes, sockets=sockets, shadow=shadow, keys=keys, pins=pins))

    assert serving.infer(key="atk_stays").json["model_version"] == "1.0.0"
    assert serving.infer(b"[]").status == 400
    assert serving.infer(BODY.replace(b'{"inputs"', b'{"id":"PICKY","inputs"')).status == 200
    assert serving.infer().json["model_version"] == "1.0.0"

    def mirrored():
        found = [record.facts for record in serving.records() if record.facts["kind"] == "shadow"]
        return found if len(found) > 1 else None

    told = sorted((facts["version"], facts["status"], facts["error"]) for facts in until(mirrored))
    assert told == [("2.0.0", 200, ""), ("2.0.0", 400, "refused-alone")]
