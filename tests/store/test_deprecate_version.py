"""A single version is deprecated: its callers are told by every answer, by a notice and by webhooks."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.catalog.models import Version
from apps.catalog.services import deprecate_capability, deprecate_version, keep_version, retire_version
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.gateway import snapshot
from apps.gateway.dataplane.snapshot import Deployment
from apps.requests import webhooks
from apps.requests.models import Delivery, Notification
from apps.store import announcing, selectors, services, tasks
from apps.store.tasks import HANDLERS
from tests.factories import make_packaged_version, make_ready_deployment, make_usage

TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1]}


@pytest.fixture
def old(digits):
    return digits.versions.get()


@pytest.fixture
def new(digits, ada):
    return make_packaged_version(digits, ada, "1.1.0")


@pytest.fixture
def day():
    return timezone.localdate() + timedelta(days=60)


@pytest.fixture
def as_ada(ada) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def farewell(deployment) -> dict[bytes, bytes]:
    """The headers that answers of a deployment carry of its version's end."""
    told = snapshot.picture()["deployments"][str(deployment.pk)]
    return dict(Deployment.parse(str(deployment.pk), told).farewell)


def hear(version) -> None:
    for event, handler in HANDLERS:
        if event == "catalog.version_deprecated":
            handler(str(version.pk), {})


def test_its_answers_say_when_it_goes_and_link_to_the_one_in_its_place(old, new, day, ada, ole):
    leaving, staying = make_ready_deployment(old, ole), make_ready_deployment(new, ole)
    deprecate_version(old, by=ada, note="Inputs are scaled", retires_on=day, successor="1.1.0")

    headers = farewell(leaving)
    assert headers[b"deprecation"] == f"@{int(old.deprecated_at.timestamp())}".encode()
    assert day.strftime("%d %b %Y 00:00:00 GMT") in headers[b"sunset"].decode()
    assert headers[b"link"] == b'</v2/models/digits/versions/1.1.0>; rel="successor-version"'
    assert farewell(staying) == {}


def test_where_all_of_the_capability_goes_earlier_that_day_counts(digits, old, day, ada, ole):
    leaving = make_ready_deployment(old, ole)
    deprecate_version(old, by=ada, retires_on=day)
    deprecate_capability(digits, by=ada, retires_on=day - timedelta(days=9))

    assert (day - timedelta(days=9)).strftime("%d %b %Y") in farewell(leaving)[b"sunset"].decode()


def test_a_successor_that_is_retired_is_linked_to_no_longer(old, new, ada, ole):
    leaving = make_ready_deployment(old, ole)
    deprecate_version(old, by=ada, successor="1.1.0")
    retire_version(new, by=ada)

    assert b"deprecation" in farewell(leaving)
    assert b"link" not in farewell(leaving)


def test_nobody_is_sent_to_a_version_that_goes_itself(digits, old, new, subscription, ada, ole, as_ada):
    leaving = make_ready_deployment(old, ole)
    deprecate_version(old, by=ada, successor="1.1.0")
    deprecate_version(new, by=ada)
    hear(old)

    assert b"deprecation" in farewell(leaving)
    assert b"link" not in farewell(leaving)
    assert "Call 1.1.0 instead." not in as_ada.get(f"/catalog/digits/versions/{old.number}/").text
    assert "call 1.1.0 instead" not in as_ada.get("/store/digits/versions/").text
    assert as_ada.get(f"/api/v1/versions/{old.pk}/").json()["successor"] is None
    Version.objects.filter(pk=old.pk).update(signature={"inputs": [TENSOR], "outputs": [TENSOR]})
    call = selectors.openapi_of(digits, old.number)[1]["paths"]["/v2/models/digits/infer"]["post"]
    assert "Link" not in call["responses"]["200"]["headers"]
    old.refresh_from_db()
    assert old.successor == new  # and it stands again when the other is kept
    keep_version(new, by=ada)
    assert b"link" in farewell(leaving)


def test_gateways_hear_of_the_end_of_a_version_that_others_were_to_call(old, new, ada, monkeypatch):
    told = []
    monkeypatch.setattr(tasks, "announce_capability", told.append)
    deprecate_version(old, by=ada, successor="1.1.0")
    retire_version(new, by=ada)

    for event, handler in HANDLERS:
        if event == "catalog.version_retired":
            handler(str(new.pk), {})

    assert told == [old.capability_id]


def test_taken_back_nothing_is_said_any_more(old, new, day, ada, ole):
    leaving = make_ready_deployment(old, ole)
    deprecate_version(old, by=ada, retires_on=day, successor="1.1.0")
    keep_version(old, by=ada)

    old.refresh_from_db()
    assert (old.deprecated_at, old.retires_on, old.successor) == (None, None, None)
    assert farewell(leaving) == {}
    assert AuditEntry.objects.filter(action="catalog.version.kept").count() == 1


def test_another_day_is_another_word_but_the_same_one_is_none(old, day, ada):
    deprecate_version(old, by=ada, retires_on=day)
    since = old.deprecated_at
    deprecate_version(old, by=ada, retires_on=day)
    deprecate_version(old, by=ada, retires_on=day + timedelta(days=30))

    old.refresh_from_db()
    assert (old.deprecated_at, old.retires_on) == (since, day + timedelta(days=30))
    told = AuditEntry.objects.filter(action="catalog.version.deprecated").order_by("pk")
    assert [entry.facts["again"] for entry in told] == [False, True]


def test_what_cannot_take_its_place_is_refused(old, new, ada):
    for number in (old.number, "9.9.9"):
        with pytest.raises(Invalid, match="no other packaged version"):
            deprecate_version(old, by=ada, successor=number)
    deprecate_version(new, by=ada, successor=old.number)
    with pytest.raises(Invalid, match="deprecated itself"):
        deprecate_version(old, by=ada, successor="1.1.0")
    old.refresh_from_db()
    assert old.deprecated_at is None


def test_who_does_not_build_it_and_what_nobody_can_call(old, day, ada, ole, cy):
    for stranger in (ole, cy):
        with pytest.raises(NotAllowed):
            deprecate_version(old, by=stranger)
    with pytest.raises(Invalid, match="in the past"):
        deprecate_version(old, by=ada, retires_on=timezone.localdate() - timedelta(days=1))
    retire_version(old, by=ada)
    with pytest.raises(Conflict, match="Retired"):
        deprecate_version(old, by=ada, retires_on=day)


def test_subscribers_hear_of_it_once_for_each_day(old, new, day, subscription, transport, ada, cy):
    webhooks.create_webhook(transport, "https://example.org/", announcing.EVENTS, by=cy)
    deprecate_version(old, by=ada, note="Inputs are scaled", retires_on=day, successor="1.1.0")
    for _delivery in range(2):
        hear(old)

    note = Notification.objects.get(user=cy, title__contains="deprecated")
    assert (str(day) in note.title, note.body) == (True, "Inputs are scaled")
    message = Delivery.objects.get(event="version.deprecated")
    assert message.payload["data"] == {
        "capability": "digits", "version": old.number, "note": "Inputs are scaled", "retires_on": str(day),
        "successor": "1.1.0",
    }  # fmt: skip
    deprecate_version(old, by=ada, note="Inputs are scaled", retires_on=day + timedelta(days=1))
    hear(old)
    assert Delivery.objects.filter(event="version.deprecated").count() == 2
    assert Notification.objects.filter(user=cy, title__contains="deprecated").count() == 2


def test_by_page_and_seen_in_the_store(old, new, day, subscription, ada, cy, as_ada):
    place = f"/catalog/digits/versions/{old.number}/"
    as_ada.post(f"{place}deprecate/", {"retires_on": str(day), "successor": "1.1.0", "note": "Scaled"})
    assert "Call 1.1.0 instead." in as_ada.get(place).text
    reader = Client()
    reader.force_login(cy)
    page = reader.get("/store/digits/versions/").text
    assert f"goes on {day}" in page
    assert "call 1.1.0 instead" in page
    assert as_ada.post(f"{place}deprecate/", {"retires_on": "soon"}).status_code == 422

    as_ada.post(f"{place}keep/")
    assert "goes on" not in reader.get("/store/digits/versions/").text


def test_by_program_and_in_its_openapi_document(digits, old, new, day, as_ada):
    place = f"/api/v1/versions/{old.pk}/deprecate/"
    told = as_ada.post(place, {"retires_on": str(day), "successor": "1.1.0"}, "application/json").json()
    assert (told["retires_on"], told["successor"]) == (str(day), "1.1.0")
    refusal = as_ada.post(place, {"successor": "7.0.0"}, "application/json")
    assert (refusal.status_code, set(refusal.json()["fields"])) == (422, {"successor"})

    old.signature = {"inputs": [TENSOR], "outputs": [TENSOR]}
    old.save(update_fields=["signature"])
    call = selectors.openapi_of(digits, old.number)[1]["paths"]["/v2/models/digits/infer"]["post"]
    assert call["deprecated"]
    assert {"Deprecation", "Sunset", "Link"} <= set(call["responses"]["200"]["headers"])
    assert as_ada.delete(place).json()["deprecated_at"] is None


def test_the_provider_sees_which_subscription_still_calls_it(old, digits, subscription, cy, as_ada):
    key, _secret = services.issue_key(subscription, by=cy)
    make_usage(digits, grant_id=key.grant_id, version=old.number)
    make_usage(digits, grant_id=key.grant_id, version="1.1.0")

    rows = as_ada.get(f"/api/v1/store/digits/callers/?version={old.number}").json()["callers"]
    assert [(row["subscription"], row["plan"], row["calls"]) for row in rows] == [
        (subscription.pk, "free", 2)
    ]
    assert rows[0]["last"]
    assert f"#{subscription.pk} free" in as_ada.get("/store/digits/usage/").text
