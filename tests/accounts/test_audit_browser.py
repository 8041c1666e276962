"""Administrators filter the audit log, take it away as a file, and see whether the chain held."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.utils import timezone

from apps.core import audit
from apps.core.models import AuditEntry
from tests.factories import past_the_guard


@pytest.fixture
def log(root, ada):
    audit.record("accounts.site.created", "atrium:x:1", by=root, slug="hubei")
    audit.record("store.plan.published", "atrium:x:2", by=ada, name='=HYPERLINK("x")')
    audit.seal()


def exported(client, form: str, query: str = "") -> str:
    answer = client.get(f"/administration/audit/export/{form}/{query}")
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode()


def test_the_whole_log_and_what_fits_come_as_a_file(client, root, log):
    client.force_login(root)

    rows = list(csv.DictReader(io.StringIO(exported(client, "csv"))))
    lines = [json.loads(line) for line in exported(client, "jsonl", "?actor=ada").splitlines()]

    assert [row["action"] for row in rows[:2]] == ["accounts.site.created", "store.plan.published"]
    assert [(line["action"], line["facts"]["name"]) for line in lines] == [
        ("store.plan.published", '=HYPERLINK("x")')
    ]
    assert lines[0]["digest"] == AuditEntry.objects.get(urn="atrium:x:2").digest
    assert AuditEntry.objects.filter(action="core.audit.exported", actor=root).count() == 2


def test_facts_read_as_json(client, root):
    client.force_login(root)
    audit.record(
        "x.happened", "atrium:x:4", by=root, sealed=True, before=None, names=["a", "b"], said="so it is"
    )

    page = client.get("/administration/audit/").text
    shown = ["sealed", "true", "before", "null", "[&quot;a&quot;, &quot;b&quot;]", ">so it is<"]
    assert [words for words in shown if words not in page] == []


def test_no_cell_begins_a_formula(client, root):
    client.force_login(root)
    audit.record("=cmd", "atrium:x:3", by=root)

    assert "'=cmd" in exported(client, "csv")


def test_days_bound_what_is_found(client, root, log):
    client.force_login(root)
    today = timezone.localdate().isoformat()

    assert "store.plan.published" in client.get(f"/administration/audit/?since={today}&until={today}").text
    assert "store.plan.published" not in client.get("/administration/audit/?until=2020-01-01").text
    assert "is no date" in client.get("/administration/audit/?since=yesterday").text
    assert client.get("/api/v1/audit/?since=yesterday").status_code == 422


def test_the_page_says_what_the_last_verification_found(client, root, log):
    client.force_login(root)
    client.post("/administration/audit/")
    assert "Intact" in client.get("/administration/audit/").text

    with past_the_guard():
        AuditEntry.objects.filter(urn="atrium:x:1").update(actor_name="somebody")
    client.post("/api/v1/audit/verify/")

    assert "was altered" in client.get("/administration/audit/").text


def test_nobody_else_takes_the_log_away(client, ada, log):
    client.force_login(ada)

    for address in ("/administration/audit/export/csv/", "/api/v1/audit/export/jsonl/"):
        assert client.get(address).status_code == 403
