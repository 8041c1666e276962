"""What a call leaves behind: bodies, in files when large, encrypted where sensitive, and for how long."""

from __future__ import annotations

import time
from datetime import timedelta
from uuid import UUID

import orjson
import pytest
from django.core.files.storage import storages
from django.utils import timezone

from apps.core.errors import Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.gateway import partitions, payloads, retention
from apps.gateway.dataplane import segments
from apps.gateway.dataplane.call import new_id
from apps.gateway.dataplane.sealing import Sealers, without_sensitive
from apps.gateway.ingest import ingest_once
from apps.gateway.models import Call, DataKey, Outcome
from apps.gateway.sealed import has_sealed, make_key, masked, open_document, public_keys, renew_keys, rules_of
from apps.gateway.selectors import get_call
from apps.gateway.services import documents_of, give_feedback, set_retention, unmask_call
from apps.gateway.snapshot import picture
from tests.gateway.conftest import KEY, grant
from tests.gateway.conftest import picture as snapshot
from tests.gateway.test_ingest import ANSWER, REQUEST, facts, log, served  # noqa: F401 - fixtures

SIGNATURE = {
    "inputs": [
        {"name": "name", "datatype": "BYTES", "shape": [-1], "sensitive": True},
        {"name": "note", "datatype": "BYTES", "shape": [-1], "sensitive": "drop"},
        {"name": "x", "datatype": "FP32", "shape": [-1, 3]},
    ],
    "outputs": [{"name": "sum", "datatype": "FP64", "shape": [-1], "sensitive": "encrypt"}],
    "columns": [
        {"name": "age"},
        {"name": "income", "sensitive": "encrypt"},
        {"name": "faith", "sensitive": "drop"},
    ],
}
BODY = {
    "inputs": [
        {"name": "x", "shape": [2, 3], "datatype": "FP32", "data": [30, 7654321, 7, 40, 8765432, 8]},
        {"name": "name", "shape": [2], "datatype": "BYTES", "data": ["Ada Lovelace", "Bo"]},
        {"name": "note", "shape": [2], "datatype": "BYTES", "data": ["very private", "too"]},
    ]
}
CALL = UUID(int=1)
SECRETS = (b"Ada Lovelace", b"7654321", b"8765432", b"very private")


@pytest.fixture
def capability(served):  # noqa: F811
    """The served capability, whose version calls some of its fields sensitive."""
    capability, deployment, _ = served
    deployment.version.signature = SIGNATURE
    deployment.version.save(update_fields=["signature"])
    renew_keys()
    return capability


@pytest.mark.django_db
def test_sensitive_fields_never_touch_the_disk_as_they_are_and_are_read_again_by_permission(
    gateway, runner, served, capability, bo, ole, ada, cy, transport,  # noqa: F811
):  # fmt: skip
    own, deployment, key = served
    key.team = transport
    key.save()
    told = picture()
    shot = snapshot(keys={KEY: grant(grant=key.pk, pool=key.pool)}, sockets={"1.0.0": [runner()]})
    shot["capabilities"]["digits"] |= {"id": own.pk, "seal": told["capabilities"]["digits"]["seal"]}
    shot["deployments"][str(deployment.pk)] = shot["deployments"].pop("10") | {
        "sensitive": told["deployments"][str(deployment.pk)]["sensitive"]
    }
    shot["capabilities"]["digits"]["routes"][0]["deployment"] = str(deployment.pk)
    serving = gateway(shot)

    answer = serving.infer(orjson.dumps(BODY))
    assert (answer.status, answer.json["outputs"][0]["data"]) == (200, [7654358.0, 8765480.0])
    serving.stop()
    written = b"".join(path.read_bytes() for path in serving.calllog.glob("*/*.seg"))
    assert not any(secret in written for secret in (*SECRETS, b"7654358", b"8765480"))

    ingest_once(serving.calllog)
    call = get_call(answer.getheader("X-Request-Id"), user=ole)
    masked = documents_of(call)["request"]
    assert masked["inputs"][0]["data"] == [30, None, None, 40, None, None]
    assert masked["inputs"][2] == {"name": "note", "shape": [2], "datatype": "BYTES", "dropped": True}
    for stranger in (ole, ada):
        with pytest.raises(NotAllowed, match="QA"):
            unmask_call(call, by=stranger)

    found = unmask_call(call, by=bo)
    assert found["request"]["inputs"][0]["data"] == [30, 7654321, None, 40, 8765432, None]
    assert found["request"]["inputs"][1]["data"] == ["Ada Lovelace", "Bo"]
    assert found["response"]["outputs"][0]["data"] == [7654358.0, 8765480.0]
    assert AuditEntry.objects.filter(action="gateway.call.unmasked", actor=bo).count() == 1
    assert unmask_call(call, by=cy) == found  # it was cy's team that called


@pytest.mark.django_db
def test_what_the_model_logged_and_what_is_said_of_a_call_are_sealed_like_its_inputs(
    gateway, runner, served, capability, bo, ole, client,  # noqa: F811
):  # fmt: skip
    own, deployment, key = served
    values = {"clean": {"ms": 1.5, "outputs": {"who": "Ada Lovelace"}}, "income": 7654321}
    told = picture()
    socket = runner(VALUES=orjson.dumps(values).decode())
    shot = snapshot(keys={KEY: grant(grant=key.pk, pool=key.pool)}, sockets={"1.0.0": [socket]})
    shot["capabilities"]["digits"] |= {"id": own.pk, "seal": told["capabilities"]["digits"]["seal"]}
    shot["deployments"][str(deployment.pk)] = shot["deployments"].pop("10") | {
        "sensitive": told["deployments"][str(deployment.pk)]["sensitive"]
    }
    shot["capabilities"]["digits"]["routes"][0]["deployment"] = str(deployment.pk)
    serving = gateway(shot)
    request_id = serving.infer(orjson.dumps(BODY)).getheader("X-Request-Id")
    said = {"request_id": request_id, "correct": False, "expected": "Ada Lovelace", "comment": "7654321!"}
    assert serving.request("POST", "/v1/feedback", orjson.dumps(said)).status == 202
    serving.stop()
    written = b"".join(path.read_bytes() for path in serving.calllog.glob("*/*.seg"))
    ingest_once(serving.calllog)
    call = get_call(request_id, user=ole)
    give_feedback(call, expected="Ada Lovelace", by=ole)

    assert not any(secret in written for secret in SECRETS)
    rows = f"{call.logged} {list(Outcome.objects.values_list('expected', 'comment'))}".encode()
    assert not any(secret in rows for secret in SECRETS)
    client.force_login(ole)
    shown = client.get(f"/api/v1/calls/{request_id}/").json()
    assert shown["logged"]["steps"] == [{"name": "clean", "ms": 1.5}]
    assert shown["logged"]["sealed_values"] == "encrypted"
    assert [each["expected"] for each in shown["outcomes"]] == ["encrypted", "encrypted"]
    found = unmask_call(call, by=bo)
    assert found["logged"]["income"] == 7654321
    assert found["logged"]["steps"][0]["outputs"] == {"who": "Ada Lovelace"}
    assert {each["expected"] for each in found["feedback"].values()} == {"Ada Lovelace"}
    client.force_login(bo)
    page = client.post(f"/calls/{request_id}/unmask/").content.decode()
    assert all(word in page for word in ("7654321!", "Ada Lovelace", "clean"))


@pytest.mark.django_db
def test_binary_tensors_are_sealed_whole(capability):
    head = {
        "inputs": [
            {"name": "x", "shape": [1, 3], "datatype": "FP32", "parameters": {"binary_data_size": 12}},
            {"name": "plain", "shape": [2], "datatype": "UINT8", "parameters": {"binary_data_size": 2}},
        ]
    }
    raw = b"\x00\x00\xf0A\x00@\x9aD\x00\x00\xe0@"  # 30, 7654321, 7
    text = orjson.dumps(head)
    rules = rules_of(SIGNATURE)["inputs"]
    sealer = Sealers().of(public_keys([capability.pk])[capability.pk], str(CALL))

    found = without_sensitive(text + raw + b"\x01\x02", str(len(text)), "inputs", rules, sealer)

    assert raw not in found.body
    assert found.body.endswith(b"\x01\x02")
    assert found.body[: int(found.json_bytes or 0)].endswith(b"}")
    assert open_document({"inputs": found.tensors}, CALL)["inputs"][0]["data"] == [30.0, 1234.0, 7.0]


@pytest.mark.django_db
def test_what_is_sealed_opens_in_its_own_call_alone(capability):
    sealer = Sealers().of(public_keys([capability.pk])[capability.pk], str(CALL))
    found = without_sensitive(orjson.dumps(BODY), None, "inputs", rules_of(SIGNATURE)["inputs"], sealer)
    sent_again = {"inputs": [5, *orjson.loads(found.body)["inputs"], *found.tensors, {"sealed": 1}]}

    opened = open_document(sent_again, UUID(int=2))

    assert not any(secret in orjson.dumps(opened) for secret in SECRETS)
    assert has_sealed(sent_again)
    assert b"sealed" not in orjson.dumps(masked({"inputs": [*sent_again["inputs"], {"sealed_columns": 5}]}))


def test_a_refused_body_is_not_kept_where_something_is_sensitive(gateway, runner):
    shot = snapshot(sockets={"1.0.0": [runner()]})
    shot["deployments"]["10"]["sensitive"] = {"inputs": {"x": "drop"}}
    serving = gateway(shot)

    body = orjson.dumps(
        {"inputs": [{"name": "X", "shape": [1], "datatype": "BYTES", "data": ["Ada Lovelace"]}]}
    )
    status = serving.infer(body).status

    assert 400 <= status < 500
    assert all(b"Ada Lovelace" not in record.request for record in serving.records())


def test_without_a_key_what_should_be_encrypted_is_dropped():
    found = without_sensitive(orjson.dumps(BODY), None, "inputs", rules_of(SIGNATURE)["inputs"], None)
    assert not any(secret in found.body for secret in SECRETS)
    assert all(tensor["dropped"] for tensor in found.tensors)


def test_a_body_that_cannot_be_read_is_not_kept(gateway, runner):
    shot = snapshot(sockets={"1.0.0": [runner()]})
    shot["deployments"]["10"]["sensitive"] = {"inputs": {"x": "drop"}}
    serving = gateway(shot)

    assert serving.infer(b'{"inputs": "Ada Lovelace"').status == 400
    (record,) = serving.records()
    assert (record.facts["status"], record.request, record.answer) == (400, b"", b"")


@pytest.mark.django_db
def test_a_deleted_key_leaves_a_call_that_says_so(capability):
    sealer = Sealers().of(public_keys([capability.pk])[capability.pk], str(CALL))
    found = without_sensitive(orjson.dumps(BODY), None, "inputs", rules_of(SIGNATURE)["inputs"], sealer)
    DataKey.objects.all().delete()

    opened = open_document({"inputs": [*orjson.loads(found.body)["inputs"], *found.tensors]}, CALL)

    assert opened["inputs"][0]["unreadable_columns"] == {"income": "its key has been deleted"}
    assert opened["inputs"][1]["unreadable"] == "its key has been deleted"


@pytest.mark.django_db
def test_keys_are_made_for_those_who_need_them_and_anew_each_day(capability, radio, ada):
    assert renew_keys() == 0
    assert renew_keys(timezone.now() + timedelta(days=1, minutes=1)) == 1
    assert DataKey.objects.filter(capability=capability).count() == 2
    assert public_keys([capability.pk])[capability.pk]["key"] == str(DataKey.objects.latest("pk").pk)


@pytest.mark.django_db
def test_a_body_above_the_plans_limit_lies_in_a_file_and_the_page_opens_it(
    gateway, runner, served, client, bo, cy,  # noqa: F811
):  # fmt: skip
    own, _, key = served
    keys = {KEY: grant(grant=key.pk, pool=key.pool, limits={"payload_bytes": 250})}
    shot = snapshot(keys=keys, sockets={"1.0.0": [runner()]})
    shot["capabilities"]["digits"]["id"] = own.pk
    serving = gateway(shot)
    body = {"inputs": [{"name": "x", "shape": [1, 100], "datatype": "FP32", "data": list(range(100))}]}
    request_id = serving.infer(orjson.dumps(body)).getheader("X-Request-Id")
    serving.stop()
    for record in serving.records():
        assert record.facts["limit"] == 250
    ingest_once(serving.calllog)

    call = Call.objects.get(request_id=request_id)
    assert call.request is None
    assert call.response is not None
    assert call.sizes["request_bytes"] == len(orjson.dumps(body))
    client.force_login(bo)
    page = client.get(f"/calls/{request_id}/").content.decode()
    assert "Download the whole body" in page
    assert "99]" in page
    assert client.get(f"/calls/{request_id}/request/").json() == body
    assert client.get(f"/api/v1/calls/{request_id}/bodies/request/").json() == body
    client.force_login(cy)
    assert client.get(f"/calls/{request_id}/request/").status_code == 404


@pytest.mark.django_db
def test_what_the_models_code_logged_and_each_steps_latency_stand_on_the_page(log, served, client, bo):  # noqa: F811
    values = {
        "z-clean": {"ms": 1.5, "outputs": {"rows": [3]}},
        "a-classify": {"ms": 4.5, "outputs": {}},
        "margin": 0.25,
    }
    steps = [{"name": name, **values[name]} for name in ("z-clean", "a-classify")]
    told = facts(served, values=orjson.dumps(values).decode())
    log(segments.pack(told, REQUEST, ANSWER))
    ingest_once(log.folder)

    client.force_login(bo)
    page = client.get(f"/calls/{told['id']}/").content.decode()
    assert client.get(f"/api/v1/calls/{told['id']}/").json()["logged"] == {"margin": 0.25, "steps": steps}
    for words in ("z-clean", "a-classify", "1.50", "4.50", "margin"):
        assert words in page


@pytest.mark.django_db
def test_calls_end_with_their_retention_and_take_bodies_feedback_and_keys_along(
    log, served, capability, ole, ada,  # noqa: F811
):  # fmt: skip
    now = time.time()
    stamp = f"{int((now - 40 * 86400) * 1000):012x}"
    old = facts(served, id=f"{stamp[:8]}-{stamp[8:]}-7{new_id()[15:]}", at=now - 40 * 86400, limit=10)
    new = facts(served, at=now - 20 * 86400, limit=10)
    said = {"kind": "feedback", "at": now, "grant": served[2].pk, "request_id": old["id"], "correct": False,
            "expected": None, "comment": ""}  # fmt: skip
    log(*(segments.pack(each, REQUEST, ANSWER) for each in (old, new)), segments.pack(said))
    ingest_once(log.folder)
    assert Outcome.objects.exists()
    DataKey.objects.update(created_at=timezone.now() - timedelta(days=40))
    make_key(capability)

    assert retention.enforce(timezone.now()) == {"calls": 0, "bodies": 0, "keys": 0, "tables": 0}
    set_retention(capability, 30, by=ole)
    done = retention.enforce(timezone.now())

    assert (done["calls"], done["bodies"], done["keys"]) == (1, 2, 1)
    assert Call.objects.count() == 1
    assert not Outcome.objects.exists()
    assert payloads.read(Call.objects.get(), "request") == REQUEST
    assert len(storages["objects"].listdir(f"calls/{capability.pk}")[0]) == 1
    with pytest.raises(NotAllowed):
        set_retention(capability, 5, by=ada)
    with pytest.raises(Invalid, match="choose 1 to 3650"):
        set_retention(capability, 0, by=ole)


@pytest.mark.django_db
def test_a_days_table_goes_when_the_longest_retention_has_passed(capability, ole):
    day = (timezone.now() - timedelta(days=120)).date()
    partitions.make(day)
    set_retention(capability, 365, by=ole)
    assert retention.enforce(timezone.now())["tables"] == 0
    set_retention(capability, 30, by=ole)
    assert retention.enforce(timezone.now())["tables"] == 1
    partitions.make(day)  # it can be made again: it was dropped


@pytest.mark.django_db
def test_the_page_says_how_long_and_how_much(client, capability, ole):
    client.force_login(ole)
    page = client.post("/calls/retention/digits/", {"days": 14}, follow=True).content.decode()
    assert "14" in page
    assert "Data keys" in page
    assert "/calls/retention/digits/" in client.get("/calls/?capability=digits").content.decode()
