"""Django's admin: rows without a page are looked at by administrators, and nobody changes anything there."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.forms import model_to_dict
from django.urls import reverse

from apps.accounts.models import User
from apps.core.models import Event, IdempotentRequest, Mail
from portal.administration import HAVE_PAGES, SECRET, site

pytestmark = pytest.mark.django_db
TABLES = {
    model._meta.label: reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
    for model in site()._registry
}


@pytest.fixture
def rows(ada):
    """A row in some of the tables, with a secret in it."""
    return [
        Event.objects.create(name="compute.job_finished", key="7"),
        IdempotentRequest.objects.create(
            user=ada, key="k", fingerprint="f" * 64, status=201, body={"secret": "atr_secret"}
        ),
        Mail.objects.create(
            key="m", to="dan@example.org", subject="You are invited", text="atr_secret", html="atr_secret"
        ),
    ]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_looked_at_by_administrators_only(table, client, ada, root):
    assert "/admin/login/" in client.get(TABLES[table]).url
    client.force_login(ada)
    assert client.get(TABLES[table], follow=True).status_code == 403
    client.force_login(root)
    assert client.get(TABLES[table]).status_code == 200


@pytest.mark.parametrize("table", TABLES)
def test_no_row_is_added(table, client):
    client.force_login(User.objects.create_superuser("super"))

    assert client.post(f"{TABLES[table]}add/", {"name": "x"}).status_code == 403
    assert not apps.get_model(table).objects.exists()


def test_rows_are_shown_without_their_secrets_and_neither_changed_nor_removed(rows, client):
    client.force_login(User.objects.create_superuser("super"))
    for row in rows:
        table, before = TABLES[row._meta.label], model_to_dict(row)
        page = client.get(f"{table}{row.pk}/change/")
        assert page.status_code == 200
        assert "atr_secret" not in page.text + client.get(table).text
        for verb in ("change", "delete"):
            assert client.post(f"{table}{row.pk}/{verb}/", {"name": "x", "key": "x"}).status_code == 403
        client.post(table, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
        assert model_to_dict(type(row).objects.get(pk=row.pk)) == before


def test_neither_audit_log_nor_versions_nor_calls_are_here():
    assert not {"core.AuditEntry", "catalog.Version", "gateway.Call", "accounts.User"} & set(TABLES)
    known = {f"{label}.{name}" for label, names in HAVE_PAGES.items() for name in names}
    ours = {model._meta.label for model in apps.get_models() if model.__module__.startswith("apps.")}
    assert known | set(TABLES) == ours
    assert set(SECRET) <= {field.name for label in TABLES for field in apps.get_model(label)._meta.fields}


def test_the_admin_has_no_door_of_its_own(client, ada, root):
    assert client.get("/admin/", follow=True).redirect_chain[-1][0] == "/login/?next=/admin/"
    client.force_login(ada)
    assert client.get("/admin/login/").status_code == 403
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    assert client.get("/admin/", follow=True).status_code == 403
    client.force_login(root)
    assert client.post("/admin/password_change/", {"new_password1": "long-and-new-9"}).status_code == 404
    assert "/admin/" in client.get("/administration/").text
