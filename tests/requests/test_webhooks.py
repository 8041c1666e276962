"""Webhooks against a real receiver that checks the signature as Standard Webhooks says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone, translation

from apps.core.errors import Invalid, NotAllowed
from apps.requests import posting, webhooks
from apps.requests.models import Delivery, Webhook

EVENT = "subscription.granted"


class Receiver:
    """Takes messages on a port of this machine, and answers what `statuses` says, the last one for ever."""

    def __init__(self) -> None:
        self.messages: list[tuple[dict[str, str], bytes]] = []
        self.statuses = [204]
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.messages.append(({k.lower(): v for k, v in self.headers.items()}, body))
                status = receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0]
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Silence."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?x=1"


@pytest.fixture
def receiver(monkeypatch):
    monkeypatch.setattr(posting, "is_refused", lambda address: False)
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def hook(receiver, transport, cy) -> tuple[Webhook, str]:
    return webhooks.create_webhook(transport, receiver.url, [EVENT], by=cy)


def emit(hook: Webhook, key: str = "k") -> Delivery:
    webhooks.emit([hook.team_id], EVENT, key, {"subscription": 7, "text": "好"})
    return Delivery.objects.get(key=key)


def again(delivery: Delivery) -> Delivery:
    """Try it now, whatever the pause."""
    Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    webhooks.deliver_due()
    delivery.refresh_from_db()
    return delivery


def test_a_message_is_signed_as_the_standard_says(hook, receiver):
    webhook, secret = hook
    delivery = again(emit(webhook))
    ((headers, body),) = receiver.messages
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert headers["webhook-id"] == delivery.message_id
    assert json.loads(body)["data"] == {"subscription": 7, "text": "好"}
    assert (delivery.status, delivery.answer_status) == ("delivered", 204)


def test_the_published_example_of_the_standard_holds():
    """The example of github.com/standard-webhooks: every library has it in its tests."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    made = posting.signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_secret_is_kept_encrypted(hook):
    webhook, secret = hook
    assert secret not in str(Webhook.objects.values().get(pk=webhook.pk))


def test_a_process_of_the_release_before_still_writes_deliveries_during_an_upgrade(hook):
    """It names no column that came since."""
    columns = "webhook_id, message_id, event, payload, status, attempts, error, created_at, key"
    *same, _key = columns.split(", ")
    emit(hook[0])
    Delivery.objects.update(message_id="before")
    with connection.cursor() as cursor:
        taken = ", ".join(name if name != "message_id" else "'after'" for name in same)
        cursor.execute(
            f"INSERT INTO requests_delivery ({columns}) SELECT {taken}, 'other' FROM requests_delivery"
        )

    assert Delivery.objects.get(key="other").why == ""


def test_the_same_event_is_told_once_however_often_it_comes(hook, receiver):
    for _time in range(3):
        emit(hook[0])
    assert Delivery.objects.count() == 1


def test_what_was_not_asked_for_is_not_told(hook, radio):
    assert webhooks.emit([hook[0].team_id], "version.live", "k", {}) == 0
    assert webhooks.emit([radio.pk], EVENT, "k", {}) == 0


def test_a_failure_is_tried_again_later_with_the_same_id(hook, receiver):
    receiver.statuses = [500, 302, 200]
    delivery = emit(hook[0])
    first = again(delivery)
    assert (first.status, first.answer_status, first.attempts) == ("pending", 500, 1)
    assert first.next_attempt_at > timezone.now()
    assert webhooks.deliver_due() == 0  # not due yet
    assert again(delivery).answer_status == 302  # redirects are not followed
    assert again(delivery).status == "delivered"
    assert len({headers["webhook-id"] for headers, _body in receiver.messages}) == 1


def test_after_the_last_try_it_is_given_up_and_can_be_sent_again(hook, receiver, cy):
    receiver.statuses = [500]
    delivery = emit(hook[0])
    for _try in range(len(webhooks.PAUSES_S) + 1):
        again(delivery)
    assert delivery.status == "failed"
    receiver.statuses = [200]
    webhooks.redeliver(delivery, by=cy)
    assert again(delivery).status == "delivered"


def test_410_switches_the_webhook_off(hook, receiver):
    receiver.statuses = [410]
    assert again(emit(hook[0])).status == "failed"
    hook[0].refresh_from_db()
    assert not hook[0].active
    assert "410" in hook[0].why_off


def test_a_receiver_that_answers_a_byte_at_a_time_keeps_no_worker(monkeypatch):
    monkeypatch.setattr(posting, "is_refused", lambda address: False)
    monkeypatch.setattr(posting, "IN_ALL_S", 0.5)
    listener = socket.create_server(("127.0.0.1", 0))

    def drip():
        line, _ = listener.accept()
        for _byte in range(100):
            try:
                line.sendall(b"H")
            except OSError:
                return
            time.sleep(0.1)

    threading.Thread(target=drip, daemon=True).start()
    began = time.monotonic()
    answer = posting.post(
        f"http://127.0.0.1:{listener.getsockname()[1]}/", posting.new_secret(), "msg_1", b"{}"
    )
    listener.close()
    assert (answer.status, time.monotonic() - began < 3) == (0, True)


def test_an_address_that_cannot_be_sent_to_is_an_answer_too(monkeypatch):
    monkeypatch.setattr(posting, "is_refused", lambda address: False)
    for url in ("http://127.0.0.1:1/straße", "http://a..b/"):
        assert posting.post(url, posting.new_secret(), "msg_1", b"{}").error


def test_nobody_listening_is_a_failure_with_words_for_any_reader(hook, receiver, compiled_messages):
    receiver.server.shutdown()
    receiver.server.server_close()
    delivery = again(emit(hook[0]))
    place = f"127.0.0.1:{receiver.server.server_port}"
    assert (delivery.status, delivery.error) == ("pending", f"nobody listens at {place}")
    with translation.override("zh-hans"):
        assert delivery.why == f"{place} 没有程序在监听"


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (TimeoutError(), "example.org did not answer within 10 s"),
        (socket.gaierror(-2, "unknown"), "no machine is known by the name of example.org"),
        (ssl.SSLError(1, "old"), "no secure connection to example.org: SSLError"),
        (
            ConnectionResetError("gone"),
            "example.org gave no answer that can be read: ConnectionResetError: gone",
        ),
    ],
)
def test_each_way_to_fail_has_its_words(monkeypatch, problem, words):
    def fail(*_args: object) -> str:
        raise problem

    monkeypatch.setattr(posting, "resolve", fail)
    answer = posting.post("https://example.org/x", posting.new_secret(), "msg_1", b"{}")
    assert answer.error is not None
    assert answer.error.startswith(words)


def test_two_workers_send_a_message_once(hook, receiver):
    delivery = emit(hook[0])
    assert webhooks.deliver(delivery.pk)
    assert not webhooks.deliver(delivery.pk)
    assert len(receiver.messages) == 1


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "::ffff:127.0.0.1", "224.0.0.1", "fe80::1"]
)
def test_the_portals_own_machine_is_out_of_reach(address):
    assert posting.is_refused(address)


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:8000/x", "http://[::1]/", "https://169.254.169.254/latest"),
        *(
            "http://localhost:8080/x",
            "http://LocalHost./",
            "http://portal.localhost/",
            "http://ip6-localhost/",
        ),
        *("http://localhost.localdomain/", "http://127.1/", "http://2130706433/", "http://0x7f.1/"),
    ],
)
def test_an_address_of_the_machine_itself_is_refused_at_once(transport, cy, url):
    with pytest.raises(Invalid, match="an address that messages are not sent to"):
        webhooks.create_webhook(transport, url, [EVENT], by=cy)


def test_a_name_that_leads_to_this_machine_is_refused_when_it_is_sent(monkeypatch, transport, cy):
    webhook, _secret = webhooks.create_webhook(transport, "http://hooks.example.org/x", [EVENT], by=cy)
    told = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(
        posting.socket, "getaddrinfo", lambda *_args, flags=0, **_facts: [] if flags else told
    )
    monkeypatch.setattr(posting, "_told_address", lambda _host: None)
    assert "not sent to" in posting.post(webhook.url, posting.new_secret(), "msg_1", b"{}").error


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "https://", "http://user:pw@host/", "nonsense", "http://host:99999/"]
)
def test_an_address_that_cannot_be_told_is_refused(transport, cy, url):
    with pytest.raises(Invalid):
        webhooks.create_webhook(transport, url, [EVENT], by=cy)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://host/x", "请使用形如 https://host/path 的地址"),
        ("http://user:pw@host/", "请去掉用户名和密码：消息本身已带签名"),
        ("http://host:99999/", "其中的主机或端口无法识别"),
        ("http://127.0.0.1/", "127.0.0.1 是不允许发送消息的地址"),
    ],
)
def test_why_an_address_is_refused_is_read_in_ones_own_language(transport, cy, url, why, compiled_messages):
    with translation.override("zh-hans"), pytest.raises(Invalid) as refused:
        webhooks.create_webhook(transport, url, [EVENT], by=cy)
    assert refused.value.fields == {"url": why}
    assert str(refused.value) == f"无法通知“{url}”：{why}。"


def test_events_have_to_exist(transport, cy):
    for events in ([], ["moon.landed"]):
        with pytest.raises(Invalid, match="at least one"):
            webhooks.create_webhook(transport, "https://example.org/", events, by=cy)


def test_a_webhook_is_its_teams_matter(hook, bo, ada, cy, transport):
    with pytest.raises(NotAllowed):
        webhooks.create_webhook(transport, "https://example.org/", [EVENT], by=ada)
    client = Client()
    for user, status in ((ada, 404), (bo, 404), (cy, 200)):
        client.force_login(user)
        assert client.get(f"/webhooks/{hook[0].pk}/").status_code == status
        assert client.get(f"/api/v1/webhooks/{hook[0].pk}/").status_code == status


def test_page_and_api(receiver, transport, cy):
    client = Client()
    client.force_login(cy)
    made = client.post("/webhooks/", {"team": transport.pk, "url": receiver.url, "events": [EVENT]})
    assert "whsec_" in made.text
    assert made["Cache-Control"] == "no-store"
    webhook = Webhook.objects.get()
    assert "whsec_" not in client.get("/webhooks/").text

    client.post(f"/webhooks/{webhook.pk}/ping/")
    again(Delivery.objects.get())
    assert "webhook.ping" in client.get(f"/webhooks/{webhook.pk}/").text
    log = client.get(f"/api/v1/webhooks/{webhook.pk}/deliveries/").json()
    assert (log[0]["event"], log[0]["status"]) == ("webhook.ping", "delivered")
    assert (
        client.post(f"/api/v1/webhooks/{webhook.pk}/deliveries/{log[0]['id']}/redeliver/").status_code == 202
    )

    body = {"team": transport.slug, "url": receiver.url, "events": [EVENT]}
    fresh = client.post("/api/v1/webhooks/", body, "application/json")
    assert fresh.status_code == 201
    assert fresh.json()["secret"].startswith("whsec_")
    assert client.get(f"/api/v1/webhooks/{fresh.json()['id']}/").json()["secret"] is None
    assert client.delete(f"/api/v1/webhooks/{fresh.json()['id']}/").status_code == 204
    client.post(f"/webhooks/{webhook.pk}/off/")
    assert emit_count(transport) == 0
    client.post(f"/webhooks/{webhook.pk}/remove/")
    assert not Webhook.objects.exists()


def emit_count(team) -> int:
    return webhooks.emit([team.pk], EVENT, "another", {})
