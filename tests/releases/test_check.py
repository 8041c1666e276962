"""What blocks a release, step by step, for the page, the API, the command and the notebook."""

import pytest
from django.test import Client

from apps.releases.blockers import blockers_of
from apps.releases.findings import raise_finding
from apps.releases.rollout import proceed, roll_back, start_rollout
from apps.releases.signing import open_release, sign_release
from atrium import releasing
from atrium.cli import main
from atrium.portal import Portal
from tests.factories import make_ready_deployment, make_report, make_suite, make_version
from tests.releases.conftest import PASSWORD, sign

pytestmark = pytest.mark.django_db


def codes(version):
    return [blocker.code for blocker in blockers_of(version)]


def test_the_way_to_production_is_told_step_by_step(version, ada, bo, bea, ole):
    assert codes(version) == ["suite"]
    make_suite(version.capability, ada)
    assert codes(version) == ["evaluation"]
    make_report(version, ada)
    assert codes(version) == ["release"]
    open_release(version, by=ada)
    assert codes(version) == ["signatures"]
    assert "bea, bo" in blockers_of(version)[0].words


def test_after_the_signatures_an_operator_starts_it_and_then_nothing_blocks(signed, ole):
    assert codes(signed.version) == ["start"]
    make_ready_deployment(signed.version, ole)
    proceed(start_rollout(signed, by=ole))
    assert codes(signed.version) == []


def test_each_failed_gate_is_named(version, ada):
    make_report(version, ada, accuracy=0.5)

    assert codes(version) == ["gate-failed"]
    assert "accuracy ≥ 0.9" in blockers_of(version)[0].words


def test_a_report_by_an_older_suite_is_not_the_one_that_is_missing(version, ada):
    make_report(version, ada)
    make_suite(version.capability, ada, name="Stricter")

    assert codes(version) == ["evaluation"]
    assert "no report by suite Stricter #2" in blockers_of(version)[0].words


def test_every_link_leads_to_a_page(digits, version, ada, bo, bea, ole):
    seen, client = {}, Client()
    client.force_login(ada)

    def look(version):
        for blocker in blockers_of(version):
            seen[blocker.code] = client.get(blocker.url).status_code

    look(make_version(digits, ada))
    look(version)
    make_suite(digits, ada)
    look(version)
    make_report(version, ada, accuracy=0.5)
    look(version)
    make_report(version, ada)
    look(version)
    release = open_release(version, by=ada)
    look(version)
    for signer in (bo, bea):
        sign_release(release, by=signer, password=PASSWORD)
    look(version)
    proceed(start_rollout(release, by=ole))
    look(version)
    roll_back(release, by=ole)
    look(version)

    steps = ["packaging", "suite", "evaluation", "gate-failed", "release", "signatures", "start", "starting"]
    assert seen == dict.fromkeys([*steps, "rolled-back"], 200)


def test_an_evaluation_is_one_click_from_the_version_and_from_its_test_deployment(version, ada, client):
    tried = make_ready_deployment(version, ada, kind="test")
    client.force_login(ada)

    for page in (f"/catalog/digits/versions/{version.number}/", f"/operations/{tried.pk}/"):
        assert f'href="/evaluations/new/{version.pk}/"' in client.get(page).content.decode()


def test_a_release_in_gray_waits_for_calls_and_findings(rolling, bo):
    raise_finding(rolling, by=bo, text="watch the east", most_percent=5)
    proceed(rolling)

    assert codes(rolling.version) == ["finding", "samples"]


class PortalOfTest(Portal):
    """The portal as the SDK sees it, with Django's own client under it."""

    url = "http://portal.test"

    def __init__(self, user):
        self.client = Client()
        self.client.force_login(user)

    def get(self, path, **query):
        return self.client.get(f"/api/v1/{path}", query).json()


def test_the_command_lists_the_blockers_with_links(version, ada, monkeypatch, capsys):
    make_report(version, ada)
    monkeypatch.setattr("atrium.cli.Portal", lambda: PortalOfTest(ada))

    assert main(["release", "check", "digits", "1.0.0"]) == 1
    assert "http://portal.test/reports/" in capsys.readouterr().out
    assert main(["release", "check", "digits", "9.9.9"]) == 1
    assert "no version 9.9.9" in capsys.readouterr().err


def test_the_notebook_offers_a_cell_that_goes_on(version, ada, monkeypatch, capsys):
    class Shell:
        def register_magic_function(self, function, kind, name):
            self.magic = {name: function}

        def set_next_input(self, text):
            self.next = text

    make_report(version, ada)
    monkeypatch.setattr(releasing, "Portal", lambda: PortalOfTest(ada))
    shell = Shell()
    releasing.load_ipython_extension(shell)
    shell.magic["release"]("check digits 1.0.0")

    assert f'"version": {version.pk}' in shell.next
    assert "1. " in capsys.readouterr().out


def test_another_teams_blockers_are_nobodys_business(version, cy):
    client = Client()
    client.force_login(cy)

    assert client.get("/api/v1/releases/check/", {"version": version.pk}).status_code in (403, 404)


def test_a_rejected_release_can_be_opened_again(version, ada, bo, bea):
    from apps.releases.signing import reject_release

    release = sign(version, ada)
    reject_release(release, by=bo, password="pw-of-this-test", comment="worse in the east")

    found = blockers_of(version)[0]
    assert (found.code, "worse in the east" in found.words) == ("release", True)
