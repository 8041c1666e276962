"""Every address of requests, notifications and webhooks: who gets in, who does not."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.requests import api_urls, kinds, services, urls, webhooks
from apps.requests.deputies import name_deputy
from apps.requests.models import Delivery, Notification
from apps.requests.services import Need, Rule
from tests.access import PEOPLE, Row, differences, uncovered
from tests.factories import make_user

A = "/api/v1/"
EVERYBODY = (302, 200, 200, 200, 200, 200)
API_EVERYBODY = (401, 200, 200, 200, 200, 200)
TEAM = (302, 200, 200, 200, 404, 200)
API_TEAM = (401, 200, 200, 200, 404, 200)

# visitor, developer (who asked), qa (who decides), operator, outsider, admin.
TABLE = [
    Row("GET", "/requests/", EVERYBODY),
    Row("GET", "/requests/export.csv", EVERYBODY),
    Row("GET", "/requests/{request}/", TEAM),
    Row("POST", "/requests/{request}/comment/", (302, 302, 302, 302, 404, 302), {"text": "When?"}),
    Row("GET", f"{A}requests/", API_EVERYBODY),
    Row("GET", f"{A}requests/export/", API_EVERYBODY),
    Row("GET", A + "requests/{request}/", API_TEAM),
    Row("GET", A + "requests/{request}/comments/", API_TEAM),
    Row("POST", A + "requests/{request}/comments/", (401, 201, 201, 201, 404, 201), {"text": "Soon?"}),
    # Only QA decides; a second time nobody does. Only who asked and an administrator take it back.
    Row("POST", "/requests/{request}/decide/", (302, 403, 302, 403, 404, 403), {"decision": "approve"}),
    Row("POST", A + "requests/{second}/decide/", (401, 403, 200, 403, 404, 403), {"approve": True}),
    Row("POST", "/requests/{third}/withdraw/", (302, 403, 403, 302, 404, 409)),
    Row("POST", A + "requests/{fourth}/withdraw/", (401, 403, 403, 200, 404, 409)),
    # One's own: bell, letters, deputies.
    Row("GET", "/notifications/", EVERYBODY),
    Row("GET", "/notifications/bell/", EVERYBODY),
    Row("GET", "/notifications/{notification}/", (302, 302, 404, 404, 404, 404)),
    Row("POST", "/notifications/read/", (302, 302, 302, 302, 302, 302)),
    Row("GET", f"{A}notifications/", API_EVERYBODY),
    Row("POST", f"{A}notifications/read/", (401, 204, 204, 204, 204, 204)),
    Row("POST", A + "notifications/{notification}/read/", (401, 200, 404, 404, 404, 404)),
    Row("GET", f"{A}search/?q=radio", API_EVERYBODY),
    Row("GET", "/profile/mail/", EVERYBODY),
    Row("POST", "/profile/mail/", (302, 302, 302, 302, 302, 302)),
    Row("GET", f"{A}users/me/mail/", API_EVERYBODY),
    Row("PATCH", f"{A}users/me/mail/", API_EVERYBODY),
    Row("GET", "/requests/deputies/", EVERYBODY),
    Row("GET", f"{A}deputies/", API_EVERYBODY),
    Row(
        "POST",
        f"{A}deputies/",
        (401, 201, 422, 201, 422, 422),
        {"deputy": "bo", "since": "{now}", "until": "{soon}"},
    ),
    Row("POST", "/requests/deputies/{deputy}/end/", (302, 302, 404, 404, 404, 404)),
    Row("DELETE", A + "deputies/{other_deputy}/", (401, 204, 404, 404, 404, 404)),
    # Webhooks are kept by a team's developers and operators.
    Row("GET", "/webhooks/", EVERYBODY),
    Row("GET", "/webhooks/{webhook}/", (302, 200, 404, 200, 404, 200)),
    Row("POST", "/webhooks/{webhook}/off/", (302, 302, 404, 302, 404, 302)),
    Row("POST", "/webhooks/{webhook}/messages/{message}/", (302, 302, 404, 302, 404, 302)),
    Row("GET", f"{A}webhooks/", API_EVERYBODY),
    Row(
        "POST",
        f"{A}webhooks/",
        (401, 201, 403, 201, 403, 201),
        {"team": "radio", "url": "https://example.org/", "events": ["test.event"]},
    ),
    Row("GET", A + "webhooks/{webhook}/", (401, 200, 404, 200, 404, 200)),
    Row("PATCH", A + "webhooks/{webhook}/", (401, 200, 404, 200, 404, 200), {"active": "true"}),
    Row("POST", A + "webhooks/{webhook}/ping/", (401, 202, 404, 202, 404, 202)),
    Row("GET", A + "webhooks/{webhook}/deliveries/", (401, 200, 404, 200, 404, 200)),
    Row("POST", A + "webhooks/{webhook}/deliveries/{message}/redeliver/", (401, 202, 404, 202, 404, 202)),
    Row("DELETE", A + "webhooks/{webhook}/", (401, 204, 404, 404, 404, 404)),
]


@pytest.fixture
def names(radio, ada, bo, ole, monkeypatch):
    """What the table's braces stand for."""
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    make_user("bea", team=radio, role="qa")
    kinds.register("test", "Test", lambda request, by: None, lambda request, by: None)
    rule = Rule([Need("qa", radio.pk, 2)])
    asked = [
        services.open_request("test", radio, "Let me", by=by, rule=rule, url="/", team=radio)
        for by in (ada, ada, ole, ole)
    ]
    webhooks.register_event("test.event", "A test", {"n": 1})
    hook, _secret = webhooks.create_webhook(radio, "https://example.org/hook", ["test.event"], by=ada)
    webhooks.ping(hook, by=ada)
    now = timezone.now()
    deputies = [
        name_deputy(ada, bo, since=now, until=now + timedelta(days=days), by=ada).pk for days in (1, 2)
    ]
    return {
        **dict(zip(("request", "second", "third", "fourth"), (each.pk for each in asked), strict=True)),
        **dict(zip(("deputy", "other_deputy"), deputies, strict=True)),
        "now": now.isoformat(),
        "soon": (now + timedelta(days=1)).isoformat(),
        "notification": Notification.objects.create(user=ada, title="Look", url="/home/").pk,
        "webhook": hook.pk,
        "message": Delivery.objects.get().pk,
    }


def test_each_address_lets_in_whom_it_should(names, ada, bo, ole, cy, root):
    people = dict(zip(PEOPLE, (None, ada, bo, ole, cy, root), strict=True))

    assert differences(TABLE, people, **names) == {}


def test_the_table_names_every_address():
    assert uncovered([*urls.urlpatterns, *api_urls.urlpatterns], TABLE) == set()
