"""REST refuses names that it does not know, and says what to do where the framework would not."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from apps.accounts.models import PersonalToken

APPS = Path(__file__).parents[2] / "apps"


@pytest.fixture
def api(client, ada):
    client.force_login(ada)
    return client


def test_a_misspelt_name_is_refused_and_nothing_is_made(api):
    answer = api.post("/api/v1/tokens/", {"name": "ci", "days": 5}, content_type="application/json")

    assert (answer.status_code, list(answer.json()["fields"])) == (422, ["days"])
    assert "expires_at" in answer.json()["detail"]
    assert not PersonalToken.objects.exists()


def test_a_token_ends_unless_it_is_said_that_it_does_not(api):
    api.post("/api/v1/tokens/", {"name": "ci"}, content_type="application/json")
    api.post("/api/v1/tokens/", {"name": "for ever", "expires_at": None}, content_type="application/json")

    ends = dict(PersonalToken.objects.values_list("name", "expires_at"))
    assert abs(ends["ci"] - timezone.now() - timedelta(days=90)) < timedelta(hours=1)
    assert ends["for ever"] is None


def test_a_missing_address_and_a_missing_login_are_told_as_documents(client, db):
    missing, unknown = client.get("/api/v1/nothing/"), client.get("/api/v1/tokens/")

    assert (missing.status_code, unknown.status_code) == (404, 401)
    assert missing["Content-Type"] == unknown["Content-Type"] == "application/problem+json"
    assert "/api/schema/" in missing.json()["detail"]
    assert "Authorization: Bearer" in unknown.json()["detail"]


def test_every_document_is_of_the_kind_that_refuses():
    theirs = re.compile(r"\(serializers\.(Model)?Serializer\b")
    found = [path for path in APPS.rglob("*.py") if theirs.search(path.read_text(encoding="utf-8"))]

    assert [path for path in found if path != APPS / "core" / "serializers.py"] == []
