"""A NUL, or half of a surrogate pair: PostgreSQL keeps neither, so it is refused in words wherever it stands."""

import pytest
from django.test import Client

from apps.compute.models import Job
from tests.factories import make_dataset

AS_JSON = {"content_type": "application/json"}


@pytest.fixture
def as_ada(ada):
    client = Client()
    client.force_login(ada)
    return client


@pytest.mark.parametrize(
    ("verb", "address", "status"),
    [
        ("delete", "/api/v1/datasets/faults/readers/a%00/", 404),
        ("post", "/datasets/faults/readers/a%00/drop/", 404),
        ("get", "/no/such/page%00/", 404),
        ("get", "/calls/?version=a%00", 422),
        ("get", "/api/v1/calls/?version=a%00", 422),
        ("get", "/store/?q=%00", 422),
        ("get", "/jobs/data/?words=a%00", 422),
    ],
)
def test_in_an_address(as_ada, digits, radio, ada, verb, address, status):
    make_dataset(radio, ada, "faults")
    answer = getattr(as_ada, verb)(address)
    assert (answer.status_code, "U+0000" in answer.text) == (status, True)


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", None])
def test_in_a_form(as_ada, digits, kind):
    old = digits.versions.get()
    sent = (
        {"data": {"successor": "1\0"}} if kind is None else {"data": "successor=1%00", "content_type": kind}
    )
    answer = as_ada.post(f"/catalog/digits/versions/{old.number}/deprecate/", **sent)
    assert (answer.status_code, "U+0000" in answer.text) == (422, True)
    old.refresh_from_db()
    assert old.deprecated_at is None


@pytest.mark.parametrize(
    ("text", "named"), [("\\u0000", "U+0000"), ("\\uD800", "U+D800"), ("\\udfff", "U+DFFF")]
)
@pytest.mark.parametrize("params", ['{"deep": [{"x": "a%s"}]}', '{"a%s": 1}'])
def test_anywhere_in_a_document(as_ada, radio, text, named, params):
    body = '{"team": "radio", "title": "t", "script": "print()", "params": %s}' % (params % text)
    answer = as_ada.post("/api/v1/jobs/", body, **AS_JSON)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:atrium:problem:invalid")
    assert named in answer.json()["detail"]
    assert not Job.objects.exists()


def test_a_whole_pair_and_a_backslash_are_texts_as_any(as_ada, digits):
    answer = as_ada.patch(
        "/api/v1/capabilities/digits/", '{"summary": "\\uD83D\\uDE00 and \\\\u0000"}', **AS_JSON
    )
    assert answer.status_code == 200
    digits.refresh_from_db()
    assert digits.summary == "😀 and \\u0000"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8"])
def test_in_whatever_encoding_the_document_is(as_ada, radio, encoding):
    body = r'{"team": "radio", "title": "t\u0000", "script": "print()"}'
    answer = as_ada.post("/api/v1/jobs/", body, content_type=f"application/json; charset={encoding}")
    assert (answer.status_code, "U+0000" in answer.text) == (422, True)
