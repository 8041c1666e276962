"""A POST with an `Idempotency-Key` is done once, however often it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import URLPattern, URLResolver, get_resolver

from apps.accounts.models import PersonalToken
from apps.core.api import IdempotencyMixin, _lock_of
from apps.core.models import IdempotentRequest
from apps.datasets.models import DatasetVersion
from apps.gateway.feed import listening_address
from tests.factories import make_dataset

TOKENS = "/api/v1/tokens/"


def send(client, key="once", name="ci"):
    return client.post(TOKENS, {"name": name}, "application/json", headers={"Idempotency-Key": key})


def posts(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, type]]:
    """Address and class of every REST view that takes a POST."""
    for entry in patterns:
        here = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from posts(entry.url_patterns, here)
            continue
        view = getattr(entry.callback, "cls", None)
        actions = getattr(entry.callback, "actions", None)
        if view is not None and ("post" in actions if actions else hasattr(view, "post")):
            yield here, view


def test_every_post_of_the_api_may_be_repeated():
    found = [(path, view) for path, view in posts(get_resolver().url_patterns) if path.startswith("api/v1/")]

    assert len(found) > 50
    assert [path for path, view in found if not issubclass(view, IdempotencyMixin)] == []


def test_another_body_under_the_same_key_is_refused(client, ada):
    client.force_login(ada)
    send(client)

    answer = send(client, name="another")

    assert answer.status_code == 409
    assert "was used for another request" in answer.json()["detail"]
    assert PersonalToken.objects.count() == 1


def test_a_request_that_was_refused_may_be_repeated(client, ada):
    client.force_login(ada)
    assert send(client, name="").status_code == 422

    assert send(client).status_code == 201


def test_what_was_cut_off_by_the_end_of_its_process_is_told_and_not_done_again(client, ada):
    client.force_login(ada)
    send(client)
    IdempotentRequest.objects.update(status=None, body=None)

    answer = send(client)

    assert answer.status_code == 409
    assert "was cut off before it was answered" in answer.json()["detail"]
    assert PersonalToken.objects.count() == 1


def test_what_is_still_being_worked_on_is_told_until_its_process_ends(client, ada):
    client.force_login(ada)
    with closing(psycopg.connect(listening_address(), autocommit=True)) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [_lock_of(ada, "once")])
        assert "still being worked on" in send(client).json()["detail"]

    assert send(client).status_code == 201


def test_a_form_is_the_same_only_with_the_same_files(client, ada, radio):
    client.force_login(ada)
    make_dataset(radio, ada, "faults")

    def upload(text: bytes):
        file = SimpleUploadedFile("rows.csv", text, "text/csv")
        return client.post(
            "/api/v1/datasets/faults/versions/", {"file": file}, headers={"Idempotency-Key": "once"}
        )

    assert upload(b"a,b\n1,2\n").status_code == 201
    assert upload(b"a,b\n1,2\n").headers["Idempotent-Replay"] == "true"
    assert upload(b"a,b\n3,4\n").status_code == 409
    assert DatasetVersion.objects.count() == 1
