"""The call log reaches the database exactly once, whatever is killed in between."""

from __future__ import annotations

import fcntl
import os
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import orjson
import pytest
from django.utils import timezone

from apps.catalog.models import RuleFailure
from apps.catalog.services import set_parsing_rules
from apps.core.models import Heartbeat
from apps.gateway import late
from apps.gateway.dataplane import segments
from apps.gateway.dataplane.call import new_id
from apps.gateway.dataplane.calllog import CallLog
from apps.gateway.dataplane.config import Config
from apps.gateway.digest import Digester
from apps.gateway.ingest import ingest_once
from apps.gateway.management.commands.ingest import Ingester
from apps.gateway.models import Call, Outcome, Segment, Usage
from apps.gateway.selectors import calls, get_call, moment_of, usage
from apps.gateway.services import create_grant
from apps.requests.models import Notification
from tests.factories import make_capability, make_packaged_version, make_ready_deployment

REQUEST = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}'
ANSWER = b'{"model_name":"m","outputs":[{"name":"p","shape":[1,2],"datatype":"FP32","data":[0.2,0.8]}]}'


@pytest.fixture
def served(radio, ada):
    """A capability with a key and a ready deployment."""
    capability = make_capability(radio, ada, "digits")
    deployment = make_ready_deployment(make_packaged_version(capability, ada), ada, kind="test")
    grant, _ = create_grant(kind="subscription", capability=capability, team=radio, by=ada)
    return capability, deployment, grant


def facts(served, **changes) -> dict:
    capability, deployment, grant = served
    return {
        "kind": "call",
        "id": new_id(),
        "at": time.time(),
        "grant": grant.pk,
        "subject": grant.pool,
        "capability": capability.pk,
        "deployment": str(deployment.pk),
        "version": deployment.version.number,
        "status": 200,
        "error": "",
        "ms": 3.0,
        "stage": 100.0,
        **changes,
    }


@pytest.fixture
def log(tmp_path):
    """Writes records to a segment as a gateway does: `log(record, …)`; the writer has let go of it."""
    folder = tmp_path / "calllog" / "0-abc"

    def write(*records: bytes, name: str = "000001.seg"):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("ab") as file:
            file.write(b"".join(records))
        return folder / name

    write.folder = tmp_path / "calllog"
    return write


def test_a_segment_is_seen_only_once_it_is_locked(tmp_path, served, monkeypatch):
    """One that is seen before counts as the last of a writer that is gone, and what is written later is lost."""
    config = Config(state_dir=str(tmp_path), calllog_dir=str(tmp_path / "calllog"))
    config.prepare()
    folder, lock, seen = Path(config.calllog_dir), fcntl.flock, []

    def look(*given):
        seen.append(list(folder.glob("*/*.seg")))
        lock(*given)

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", look)
        log = CallLog(config, "0-test")
    assert seen == [[]]

    assert ingest_once(folder) == 0
    log.append(facts(served), REQUEST, ANSWER)
    assert ingest_once(folder) == 1
    assert [path.name for path in log.folder.iterdir()] == ["000001.seg"]
    log.close()
    assert ingest_once(folder) == 0
    assert not log.folder.exists()


def test_records_become_rows_usage_and_last_use_and_the_segment_goes(log, served):
    _, deployment, grant = served
    path = log(*[segments.pack(facts(served, ms=float(n)), REQUEST, ANSWER) for n in range(1, 101)])

    assert ingest_once(log.folder) == 100

    assert Call.objects.count() == 100
    assert bytes(Call.objects.first().request) == REQUEST
    (row,) = usage(since=moment_of(UUID(new_id())), grants=[grant.pk])
    assert (row.count, row.deployment_id, row.counted, sum(row.histogram)) == (100, deployment.pk, True, 100)
    grant.refresh_from_db()
    assert grant.last_used_at is not None
    assert not path.exists()
    assert ingest_once(log.folder) == 0


def test_a_segment_that_is_still_written_is_read_on_from_where_it_was_left(log, served):
    path = log(segments.pack(facts(served), REQUEST, ANSWER))
    writer = os.open(path, os.O_WRONLY)
    fcntl.flock(writer, fcntl.LOCK_EX)
    half = segments.pack(facts(served), REQUEST, ANSWER)

    assert ingest_once(log.folder) == 1
    log(half[:50])
    assert ingest_once(log.folder) == 0
    log(half[50:])
    assert ingest_once(log.folder) == 1
    assert path.exists()
    os.close(writer)
    assert ingest_once(log.folder) == 0
    assert not path.exists()
    assert Call.objects.count() == 2
    assert Usage.objects.get().count == 2


def test_a_kill_between_commit_and_delete_doubles_nothing(log, served):
    record = segments.pack(facts(served), REQUEST, ANSWER)
    path = log(record)
    ingest_once(log.folder)
    log(record)  # as if it had not been deleted

    assert ingest_once(log.folder) == 0
    assert Call.objects.count() == 1
    assert not path.exists()


def test_a_failing_batch_leaves_no_trace_and_is_read_again(log, served, monkeypatch):
    log(segments.pack(facts(served), REQUEST, ANSWER))
    monkeypatch.setattr("apps.gateway.ingest._add_usage", _fail)
    with pytest.raises(RuntimeError):
        ingest_once(log.folder)
    assert not Call.objects.exists()
    assert not Segment.objects.exists()
    monkeypatch.undo()

    assert ingest_once(log.folder) == 1


def _fail(records):
    raise RuntimeError("killed here")


def test_a_tail_that_was_cut_by_a_kill_is_left_out(log, served):
    whole = segments.pack(facts(served), REQUEST, ANSWER)
    path = log(whole, whole[:-5])

    assert ingest_once(log.folder) == 1
    assert not path.exists()


def test_a_damaged_segment_is_set_aside_and_the_others_go_on(log, served):
    log(segments.pack(facts(served)), b"this is no record at all, but long enough to be one")
    log(segments.pack(facts(served)), name="000002.seg")

    assert ingest_once(log.folder) == 2
    assert [path.name for path in log.folder.glob("*/*")] == ["000001.damaged"]


def test_a_record_larger_than_a_batch_is_read(log, served, monkeypatch):
    monkeypatch.setattr("apps.gateway.ingest.BATCH_BYTES", 100)
    log(*[segments.pack(facts(served), REQUEST * 20, ANSWER) for _ in range(3)])

    assert ingest_once(log.folder) == 3


def test_feedback_becomes_an_outcome_and_a_complaint_of_the_deployment(log, served):
    _, deployment, grant = served
    called = facts(served)
    said = {
        "kind": "feedback",
        "at": time.time(),
        "grant": grant.pk,
        "request_id": called["id"],
        "correct": False,
        "expected": 7,
        "comment": "it is a seven",
    }
    log(segments.pack(called, REQUEST, ANSWER), segments.pack(said))

    ingest_once(log.folder)

    outcome = Outcome.objects.get()
    assert (str(outcome.request_id), outcome.correct, outcome.expected) == (called["id"], False, 7)
    assert calls(complained=True, deployments=[deployment.pk]).count() == 1


def test_a_call_of_a_gateway_that_was_cut_off_is_noted_as_late(log, served):
    capability = served[0].pk
    old = time.time() - 7200
    log(*(segments.pack(facts(served, **at), REQUEST, ANSWER) for at in ({}, {"at": old})))
    ingest_once(log.folder)

    since = timezone.now() - timedelta(hours=1)
    (span,) = late.spans(capability, since, since - timedelta(hours=5))
    assert span[0].timestamp() <= old < span[1].timestamp()


def test_a_shadows_call_is_logged_and_counts_for_no_key(log, served):
    log(segments.pack(facts(served, kind="shadow"), REQUEST, ANSWER))
    ingest_once(log.folder)

    assert calls().count() == 0
    assert calls(shadow=True).count() == 1
    assert usage(since=moment_of(UUID(new_id()))) == []


def test_binary_bodies_are_kept_as_the_json_that_says_the_same(log, served):
    head = b'{"inputs":[{"name":"x","shape":[2],"datatype":"INT32","parameters":{"binary_data_size":8}}]}'
    body = head + (1).to_bytes(4, "little") + (2).to_bytes(4, "little")
    log(segments.pack(facts(served, request_json_bytes=str(len(head))), body, ANSWER))
    ingest_once(log.folder)

    kept = orjson.loads(bytes(Call.objects.get().request))
    assert kept["inputs"][0]["data"] == [1, 2]


def test_parsing_rules_of_the_version_are_applied_once(log, served, ada):
    rules = {"answer": "outputs[0].data", "score": "max(outputs[0].data)", "broken": "max(inputs)"}
    set_parsing_rules(served[1].version, rules, by=ada)
    log(segments.pack(facts(served), REQUEST, ANSWER))
    digester = Digester()

    ingest_once(log.folder)
    assert (digester.digest_some(), digester.digest_some()) == (1, 0)

    call = Call.objects.get()
    assert (call.score, call.parsed, call.digested) == (0.8, {"answer": [0.2, 0.8], "score": 0.8}, True)
    assert calls(score_below=0.9).count() == 1


def test_a_rule_that_fails_is_counted_with_its_first_call_and_its_author_is_told_once(
    log, served, ada, client, compiled_messages
):
    version = served[1].version
    set_parsing_rules(
        version, {"answer": "outputs[0].data", "broken": "max(inputs)", "score": "'high'"}, by=ada
    )
    called = [facts(served) for _ in range(3)]
    digester = Digester()
    for number, each in enumerate(called):
        log(segments.pack(each, REQUEST, ANSWER), name=f"{number:06d}.seg")
        ingest_once(log.folder)
        digester.digest_some()

    broken, score = RuleFailure.objects.order_by("rule")
    assert (broken.rule, broken.calls, str(broken.first_call)) == ("broken", 3, called[0]["id"])
    assert "max()" in broken.error
    assert (score.rule, score.error) == ("score", "the score must be a number, got 'high'")
    told = Notification.objects.get(user=ada)
    assert ("broken, score" in told.title, called[0]["id"] in told.body) == (True, True)

    client.force_login(ada)
    address = f"/catalog/digits/versions/{version.number}/"
    for page in (address, f"{address}parsing/"):
        assert called[0]["id"] in client.get(page).content.decode()
    answer = client.get(f"/api/v1/versions/{version.pk}/parsing/").json()
    assert [(row["rule"], row["calls"]) for row in answer["failures"]] == [("broken", 3), ("score", 3)]

    set_parsing_rules(version, {"answer": "outputs[0].data"}, by=ada)
    assert client.get(f"/api/v1/versions/{version.pk}/parsing/").json()["failures"] == []


def test_a_failure_that_quotes_what_no_row_can_hold_stops_nothing(log, served, ada):
    answer = b'{"outputs":[{"name":"p","shape":[1],"datatype":"BYTES","data":["a\\u0000b"]}]}'
    set_parsing_rules(served[1].version, {"broken": "max(outputs[0].data[0])"}, by=ada)
    log(segments.pack(facts(served), REQUEST, answer))
    ingest_once(log.folder)

    assert Digester().digest_some() == 1
    assert "a\N{REPLACEMENT CHARACTER}b" in RuleFailure.objects.get().error


def test_what_is_too_large_to_keep_is_told_and_the_score_stays(log, served, ada, monkeypatch):
    monkeypatch.setattr("apps.gateway.digest.PARSED_BYTES", 20)
    set_parsing_rules(served[1].version, {"all": "outputs", "score": "max(outputs[0].data)"}, by=ada)
    log(segments.pack(facts(served), REQUEST, ANSWER))
    ingest_once(log.folder)
    Digester().digest_some()

    assert (Call.objects.get().parsed, Call.objects.get().score) == (None, 0.8)
    assert (RuleFailure.objects.get().rule, RuleFailure.objects.get().calls) == ("", 1)


def about_rows(asked: int, answered: int) -> tuple[bytes, bytes]:
    """Request and answer that say so many rows, with two numbers each; the request is longer."""
    tensor = b'{"%b":[{"name":"x","shape":[%d,2],"datatype":"FP32","data":[0.2,0.8]}]}'
    return tensor % (b"inputs", asked) + b" " * 100, tensor % (b"outputs", answered)


@pytest.mark.parametrize("limit", [{}, {"limit": 120}], ids=["in the row", "in a file"])
def test_a_call_about_many_rows_of_which_too_much_is_found_says_nothing_of_the_rules(
    log, served, ada, monkeypatch, limit
):
    """As a file of rows asks: its developers were told that their rules fail."""
    monkeypatch.setattr("apps.gateway.digest.PARSED_BYTES", 20)
    set_parsing_rules(served[1].version, {"all": "outputs", "score": "max(outputs[0].data)"}, by=ada)
    log(segments.pack(facts(served, **limit), *about_rows(2000, 2000)))
    ingest_once(log.folder)
    Digester().digest_some()

    assert (Call.objects.get().request is None) == bool(limit)
    assert (Call.objects.get().parsed, Call.objects.get().score) == (None, 0.8)
    assert not RuleFailure.objects.exists()
    assert not Notification.objects.exists()


@pytest.mark.parametrize(("asked", "answered"), [(2, 2), (2000, 1), (1, 2000)])
def test_what_is_too_large_for_so_few_rows_is_told(log, served, ada, monkeypatch, asked, answered):
    """Two rows are no reason; nor is the first side of a picture, nor that many things are seen in one."""
    monkeypatch.setattr("apps.gateway.digest.PARSED_BYTES", 20)
    set_parsing_rules(served[1].version, {"all": "outputs"}, by=ada)
    log(segments.pack(facts(served), *about_rows(asked, answered)))
    ingest_once(log.folder)
    Digester().digest_some()

    assert "bytes of at most 20" in RuleFailure.objects.get().error


def test_a_nul_in_what_is_found_is_told_however_many_rows_there_are(log, served, ada):
    answer = b'{"outputs":[{"name":"p","shape":[2000],"datatype":"BYTES","data":["a\\u0000b"]}]}'
    set_parsing_rules(served[1].version, {"all": "outputs[0].data"}, by=ada)
    log(segments.pack(facts(served), about_rows(2000, 2000)[0], answer))
    ingest_once(log.folder)
    Digester().digest_some()

    assert Call.objects.get().parsed is None
    assert "NUL" in RuleFailure.objects.get().error


def test_what_the_portal_asks_in_an_evaluation_says_nothing_of_the_rules(log, served, ada):
    grant, _secret = create_grant(
        kind="evaluation", capability=served[1].capability, team=served[1].capability.team, user=ada,
        scope="production", limits={}, label="evaluation 1", by=ada,
    )  # fmt: skip
    set_parsing_rules(served[1].version, {"broken": "max(inputs)"}, by=ada)
    log(segments.pack(facts(served) | {"grant": grant.pk}, REQUEST, ANSWER))
    ingest_once(log.folder)
    Digester().digest_some()

    assert Call.objects.get().digested
    assert not RuleFailure.objects.exists()
    assert not Notification.objects.exists()


def test_a_new_revision_of_the_rules_counts_for_what_is_digested_after_it(log, served, ada):
    log(segments.pack(facts(served), REQUEST, ANSWER))
    ingest_once(log.folder)
    digester, answers = Digester(), []
    for place in (0, 1):
        set_parsing_rules(served[1].version, {"answer": f"outputs[0].data[{place}]"}, by=ada)
        Call.objects.update(digested=False)
        digester.digest_some()
        answers.append(Call.objects.get().parsed["answer"])

    assert answers == [0.2, 0.8]


def test_a_call_is_seen_by_its_team_and_by_nobody_else(log, served, ada, cy):
    called = facts(served)
    log(segments.pack(called, REQUEST, ANSWER))
    ingest_once(log.folder)

    assert get_call(called["id"], user=ada).status == 200
    with pytest.raises(Exception, match="There is no call"):
        get_call(called["id"], user=cy)


def test_the_ingester_says_that_it_is_alive(log, db):
    Ingester(log.folder).step()

    assert Heartbeat.objects.filter(part="ingest").exists()


def test_an_ingester_asks_the_database_nothing_while_nothing_is_new(
    log, served, django_assert_num_queries, monkeypatch
):
    path = log(segments.pack(facts(served), REQUEST, ANSWER))
    writer = os.open(path, os.O_WRONLY)
    fcntl.flock(writer, fcntl.LOCK_EX)
    now = [1000.0]
    monkeypatch.setattr("apps.gateway.management.commands.ingest.time.monotonic", lambda: now[0])
    ingester = Ingester(log.folder)
    while ingester.step():
        pass

    with django_assert_num_queries(0):
        assert ingester.step() == 0

    log(segments.pack(facts(served), REQUEST, ANSWER))
    assert ingester.step() == 2, "one is read and digested"
    while ingester.step():
        pass
    Call.objects.update(digested=False)
    assert ingester.step() == 0
    now[0] += 3
    assert ingester.step() == 2, "what somebody else read is digested in a moment"
    os.close(writer)
    ingester.step()
    assert not path.exists(), "that its writer let go of a segment is news"
