"""The list of hosts that sandboxes may reach: its entries, who changes it, what the machine brings."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from apps.compute import services
from apps.compute.adapters import keep_package_clients, package_clients, package_clients_asked
from apps.compute.egress import Rule, clients, may_lead_to, rule_for
from apps.compute.engines.base import Workload
from apps.compute.models import AllowedHost, EgressRecord, Job, Reservation
from apps.compute.services import attempts, egress
from apps.core.errors import Conflict, Invalid, NotAllowed, Unavailable
from apps.core.models import AuditEntry
from tests.compute.conftest import submit


def test_an_entry_opens_what_it_names():
    rules = [
        Rule.parse(text)
        for text in ("PyPI.example.org", "git.example.org:8443", "*.files.example.org", "[::1]:80")
    ]
    opened = [
        "pypi.example.org:443",
        "pypi.example.org:80",
        "git.example.org:8443",
        "a.b.files.example.org:443",
    ]
    closed = [
        "pypi.example.org:22",
        "git.example.org:443",
        "files.example.org:443",
        "evilpypi.example.org:443",
    ]
    places = [(place.rpartition(":")[0], int(place.rpartition(":")[2])) for place in opened + closed]
    assert [rule_for(rules, *place) is not None for place in places] == [True] * 4 + [False] * 4
    assert rule_for(rules, "::1", 80) == rules[3]


@pytest.mark.parametrize(
    "text", ["*", "*.org", "https://pypi.example.org", "a b", "x:0", "x:99999", "x/y", "", "-x.org"]
)
def test_what_is_no_host_is_refused(text):
    with pytest.raises(ValueError, match=r"“|port"):
        Rule.parse(text)


def test_a_name_may_not_lead_to_the_machine_itself_but_an_address_may():
    name, address = Rule.parse("pypi.example.org"), Rule.parse("127.0.0.1:3141")
    assert [may_lead_to(name, where) for where in ("10.1.2.3", "2001:db8::1")] == [True, True]
    assert not any(
        may_lead_to(name, where)
        for where in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.1.1", "0.0.0.0")
    )
    assert may_lead_to(address, "127.0.0.1")


def test_the_machines_own_clients_are_asked(monkeypatch, tmp_path):
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://ci:secret@mirror.example.org:8443/simple\nextra-index-url = http://other.example.org/simple\n"
        "cert = /etc/ssl/certs/ours.pem\n"
    )
    monkeypatch.setenv("UV_SYSTEM_CERTS", "1")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_FIND_LINKS", "https://links.example.org/")
    monkeypatch.setattr(clients, "_files_of_pip", lambda: {"https://files.example.org/pip.whl"})

    (hosts, complete), variables = clients.hosts(), clients.variables()

    assert complete

    assert {"mirror.example.org:8443", "other.example.org", "links.example.org", "files.example.org"} <= set(
        hosts
    )
    assert variables["PIP_INDEX_URL"] == "https://mirror.example.org:8443/simple"
    assert variables["UV_INDEX"] == "http://other.example.org/simple"
    assert (variables["PIP_CERT"], variables["UV_SYSTEM_CERTS"]) == ("/etc/ssl/certs/ours.pem", "1")


@pytest.mark.django_db
def test_what_an_administrator_switched_off_stays_off(root, settings, tmp_path):
    egress.learn_hosts(["pypi.example.org", "old.example.org"])
    row = AllowedHost.objects.get(pattern="pypi.example.org")
    with pytest.raises(Conflict, match="Switch it off instead"):
        services.remove_host(row, by=root)
    services.set_host_enabled(row, enabled=False, by=root)
    egress.learn_hosts(["pypi.example.org", "new.example.org"])
    assert dict(AllowedHost.objects.values_list("pattern", "enabled")) == {
        "pypi.example.org": False,
        "new.example.org": True,
    }


@pytest.mark.django_db
def test_what_is_known_stays_while_the_index_does_not_answer(monkeypatch):
    egress.learn_hosts(["pypi.example.org", "files.example.org"])
    monkeypatch.setattr(clients, "hosts", lambda: (["pypi.example.org"], False))
    monkeypatch.setattr(clients, "variables", lambda: {"PIP_INDEX_URL": "https://pypi.example.org/simple"})

    assert egress.learn_hosts() is False

    assert AllowedHost.objects.filter(pattern="files.example.org").exists()
    assert package_clients() == {"PIP_INDEX_URL": "https://pypi.example.org/simple"}
    keep_package_clients({})


@pytest.fixture
def unasked(db):
    """This machine's package clients have told nothing yet."""
    file = Path(settings.ATRIUM.data_dir) / "package-clients.json"
    file.unlink()
    yield
    keep_package_clients({})


def test_a_job_that_needs_the_network_waits_until_it_is_known_what_it_may_reach(unasked, ada, radio, fake):
    job = submit(radio, ada, "run", network="forwarder")
    offline = submit(radio, ada, "run")

    assert [attempts.start_job(each.pk) for each in (job, offline)] == [False, True]
    job.refresh_from_db()
    assert "waits until this machine's package clients" in job.reason
    with pytest.raises(Unavailable, match="package clients"):
        services.start_workload(Workload("w1", ["run"], network="forwarder"), trusted=True)
    assert not Reservation.objects.exists()

    egress.learn_hosts([])

    assert attempts.start_job(job.pk)
    services.start_workload(Workload("w1", ["run"], network="forwarder"), trusted=True)


def test_a_job_waits_three_minutes_at_most_for_package_clients_that_hang(unasked, ada, radio, fake):
    job = submit(radio, ada, "run", network="forwarder")
    Job.objects.update(queued_at=timezone.now() - timedelta(minutes=3))

    assert attempts.start_job(job.pk)


def test_nobody_waits_for_package_clients_that_cannot_be_asked(unasked, monkeypatch):
    def fails():
        raise OSError("no such program")

    monkeypatch.setattr(clients, "hosts", fails)
    with pytest.raises(OSError, match="no such program"):
        egress.learn_hosts()

    assert package_clients_asked()


@pytest.mark.django_db
def test_only_an_administrator_changes_the_list_and_it_is_audited(ada, root):
    with pytest.raises(NotAllowed):
        services.allow_host("pypi.example.org", by=ada)
    with pytest.raises(Invalid, match="cannot be allowed"):
        services.allow_host("https://pypi.example.org/simple", by=root)
    made = services.allow_host(" PyPI.Example.org ", note="the mirror", by=root)
    assert services.allow_host("pypi.example.org", by=root) == made
    services.remove_host(made, by=root)
    told = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert list(told) == ["compute.host.allowed", "compute.host.removed"]


@pytest.mark.django_db
def test_what_was_asked_for_adds_up(root, client):
    asked = ("w1", "pypi.example.org", 443, True)
    egress.record_egress({asked: egress.Use(1, 10, 20), ("w1", "evil.example.org", 22, False): egress.Use(3)})
    egress.record_egress({asked: egress.Use(1, 1, 2)})
    record = EgressRecord.objects.get(allowed=True)
    assert (record.connections, record.bytes_out, record.bytes_in) == (2, 11, 22)

    client.force_login(root)
    refused = client.get("/administration/network/?view=refused").content.decode()
    assert "evil.example.org:22" in refused
    assert 'value="evil.example.org:22"' in refused
    assert "<code>pypi.example.org" not in refused
    found = client.get("/api/v1/network-use/?allowed=true").json()["results"]
    assert [row["host"] for row in found] == ["pypi.example.org"]
