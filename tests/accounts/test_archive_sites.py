"""A site leaves the list when nobody works there, and comes back."""

import pytest

from apps.accounts.services import archive_team, create_team
from apps.core.errors import Invalid
from apps.core.models import AuditEntry
from tests.factories import make_site


def test_a_site_is_archived_when_no_team_works_there_and_takes_none_until_it_is_open_again(
    client, radio, root
):
    site, page = radio.site, f"/sites/{radio.site.slug}/"
    client.force_login(root)
    refused = client.post(f"{page}archive/", {"archived": "1"})
    assert refused.status_code == 403
    assert "Teams still work at" in refused.text
    assert "Teams still work at" in client.get(page).text

    archive_team(radio, archived=True, by=root)
    client.post(f"{page}archive/", {"archived": "1"})

    assert "This site is archived." in client.get(page).text
    assert page not in client.get("/sites/").text
    assert page in client.get("/sites/?archived=1").text
    with pytest.raises(Invalid, match="is archived"):
        create_team("core", "Core", site, by=root)
    with pytest.raises(Invalid, match="is archived"):
        archive_team(radio, archived=False, by=root)

    opened = client.patch(f"/api/v1{page}", {"archived": False}, "application/json")

    assert opened.json()["archived_at"] is None
    assert create_team("core", "Core", site, by=root).site == site
    told = AuditEntry.objects.filter(action__startswith="accounts.site.").values_list("action", flat=True)
    assert list(told.order_by("pk")) == ["accounts.site.archived", "accounts.site.reopened"]


def test_only_an_administrator_archives_a_site(client, ada):
    site = make_site("Hubei")
    client.force_login(ada)

    assert client.post("/sites/hubei/archive/", {"archived": "1"}).status_code == 403
    assert client.patch("/api/v1/sites/hubei/", {"archived": True}, "application/json").status_code == 403
    site.refresh_from_db()
    assert site.archived_at is None
