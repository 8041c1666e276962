"""The ML Test Score: the weakest section counts, proofs count whole, claims half, and both grow old."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.core.errors import Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.evaluation.evidence import claim, register, score_of, withdraw_claim
from apps.evaluation.models import Report
from apps.evaluation.testscore import FRESH, ITEMS, WORTHLESS, Proof, Section, score, worth
from tests.factories import make_capability, make_packaged_version, make_report

NOW = timezone.now()


def proven(*items, age=timedelta(0)):
    return {item: [Proof("seen", NOW - age)] for item in items}


def test_there_are_seven_items_in_each_section():
    assert [sum(section is each for each, _title in ITEMS.values()) for section in Section] == [7, 7, 7, 7]


def test_the_weakest_section_is_the_score():
    found = score(proven(*(item for item in ITEMS if not item.startswith("model."))), {}, NOW)

    assert found.sections == {"data": 7, "model": 0, "infrastructure": 7, "monitoring": 7}
    assert found.total == 0


def test_a_claim_counts_half_and_a_proof_takes_its_place():
    claims = {"model.tuned": ("ada", Proof("by hand", NOW))}

    assert score({}, claims, NOW).sections["model"] == 0.5
    assert score(proven("model.tuned"), claims, NOW).sections["model"] == 1


@pytest.mark.parametrize(
    ("age", "left"),
    [
        (timedelta(0), 1),
        (FRESH, 1),
        (FRESH + (WORTHLESS - FRESH) / 2, 0.5),
        (WORTHLESS, 0),
        (WORTHLESS * 2, 0),
    ],
)
def test_evidence_grows_old(age, left):
    assert worth(NOW - age, NOW) == pytest.approx(left)


def test_a_stale_proof_gives_way_to_a_fresh_claim():
    claims = {"model.tuned": ("ada", Proof("by hand", NOW))}
    found = score(proven("model.tuned", age=WORTHLESS), claims, NOW)

    assert next(item.by for item in found.items if item.name == "model.tuned") == "ada"


@pytest.fixture
def version(radio, ada):
    return make_packaged_version(make_capability(radio, ada, "digits"), ada)


def points(version):
    return {item.name: item.points for item in score_of(version).items if item.points}


def test_a_passed_report_about_these_bytes_proves_and_a_failed_one_does_not(version, ada):
    make_report(version, ada)
    assert points(version)["infra.validated"] == 1

    Report.objects.update(verdict="failed")
    assert "infra.validated" not in points(version)


def test_other_apps_prove_more(version, monkeypatch):
    monkeypatch.setattr("apps.evaluation.evidence._provers", {})
    register("test", lambda _version: iter([("monitor.quality", Proof("watched", timezone.now()))]))

    assert points(version)["monitor.quality"] == 1


def test_a_person_claims_and_takes_it_back(version, ada, cy, client):
    with pytest.raises(NotAllowed):
        claim(version.capability, "model.tuned", "By hand.", by=cy)
    with pytest.raises(Invalid, match="no item"):
        claim(version.capability, "model.nice", "Yes.", by=ada)
    client.force_login(ada)
    client.post(
        f"/evaluations/score/{version.pk}/claim/", {"item": "model.tuned", "comment": "A search of 80."}
    )

    assert points(version)["model.tuned"] == 0.5
    assert AuditEntry.objects.filter(action="evaluation.claim.made").exists()
    page = client.get(f"/evaluations/score/{version.pk}/").content.decode()
    assert "A search of 80." in page
    withdraw_claim(version.capability, "model.tuned", by=ada)
    assert "model.tuned" not in points(version)
