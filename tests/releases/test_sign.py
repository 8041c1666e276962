"""Nothing reaches production that QA has not signed on the evidence of a report about exactly these bytes."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.catalog.models import Version
from apps.core.errors import Conflict, Invalid, NotAllowed, StaleWrite
from apps.core.models import AuditEntry
from apps.instances.guard import may_take_production_traffic
from apps.instances.selectors import weights_of
from apps.instances.services import set_weights
from apps.releases import signing, tasks
from apps.releases.models import Policy, Release
from apps.releases.policies import create_policy
from apps.releases.rollout import proceed, start_rollout
from apps.releases.signing import open_release, reject_release, sign_release, void_changed
from apps.requests.deputies import name_deputy
from apps.requests.services import decide, who_can_still_decide
from tests.factories import make_packaged_version, make_ready_deployment, make_report, make_suite, make_user
from tests.releases.conftest import PASSWORD, sign

pytestmark = pytest.mark.django_db


def test_an_unsigned_version_gets_no_traffic_by_any_service(version, digits, ole):
    running = make_ready_deployment(version, ole)

    with pytest.raises(NotAllowed, match="not signed"):
        set_weights(digits, {running.pk: 100}, by=ole)


def test_two_signatures_let_it_take_traffic_and_stand_in_the_audit_log(signed, digits, ole):
    running = make_ready_deployment(signed.version, ole)

    assert signed.status == Release.Status.SIGNED
    proceed(start_rollout(signed, by=ole))

    assert weights_of(digits) == {running.pk: 100}
    actions = AuditEntry.objects.filter(urn__contains="release").values_list("action", flat=True)
    assert list(actions).count("releases.release.signature") == 2


def test_one_of_two_signatures_is_not_enough(version, ada, bo, bea):
    release = sign(version, ada, bo)

    assert release.status == Release.Status.SIGNING
    assert not may_take_production_traffic(version)


def test_a_failed_gate_blocks_the_release(version, ada):
    make_report(version, ada, accuracy=0.5)

    with pytest.raises(NotAllowed, match="failed"):
        open_release(version, by=ada)


def test_without_a_report_there_is_no_release(version, ada):
    with pytest.raises(NotAllowed, match="Evaluate it first"):
        open_release(version, by=ada)


def test_an_older_laxer_suite_opens_nothing(version, ada, client):
    lax = make_suite(version.capability, ada, name="Lax", gates=[{"metric": "accuracy", "threshold": 0.1}])
    make_report(version, ada, suite=lax)
    make_suite(version.capability, ada, name="Strict", gates=[{"metric": "accuracy", "threshold": 0.99}])
    with pytest.raises(NotAllowed, match="newest suite is Strict #2"):
        open_release(version, by=ada)

    failed = make_report(version, ada)
    passed = make_report(version, ada, suite=lax)  # newer than the one that failed

    with pytest.raises(NotAllowed, match="gates are failed"):
        open_release(version, by=ada)
    with pytest.raises(NotAllowed, match="is by suite Lax #1") as refused:
        open_release(version, by=ada, report=passed)
    assert refused.value.facts["url"] == f"/evaluations/new/{version.pk}/"
    client.force_login(ada)
    assert client.post("/api/v1/releases/", {"version": version.pk}).status_code == 403
    page = client.get(f"/reports/{passed.pk}/").content.decode()
    assert "is by suite Lax #1, for comparison" in page
    assert "Open a release" not in page
    assert "for comparison" not in client.get(f"/reports/{failed.pk}/").content.decode()


def test_the_author_signs_nothing_of_their_own(version, ada, bo, bea, radio):
    from apps.accounts.models import Membership, Role, User

    Membership.objects.create(user=ada, team=radio, role=Role.QA)
    author = User.objects.get(pk=ada.pk)
    release = sign(version, author)

    with pytest.raises(NotAllowed, match="of their own"):
        sign_release(release, by=author, password=PASSWORD)


def test_a_wrong_password_signs_nothing(version, ada, bo, bea):
    release = sign(version, ada)

    with pytest.raises(Invalid, match="password is wrong"):
        sign_release(release, by=bo, password="guess")

    assert not release.signatures.exists()


def test_the_ticket_alone_cannot_sign(version, ada, bo, bea):
    release = sign(version, ada)

    with pytest.raises(NotAllowed, match="sign there"):
        decide(release.request, True, by=bo)


def test_nobody_signs_twice(version, ada, bo, bea):
    release = sign(version, ada, bo)

    with pytest.raises(NotAllowed):
        sign_release(release, by=bo, password=PASSWORD)


def test_an_outsider_signs_nothing(version, ada, bo, bea, cy):
    with pytest.raises(NotAllowed):
        sign_release(sign(version, ada), by=cy, password=PASSWORD)


@pytest.mark.parametrize("change", ["artifact", "policy", "verdict", "gates"])
def test_any_change_voids_the_signature_visibly(signed, change):
    if change == "artifact":
        Version.objects.filter(pk=signed.version_id).update(digest="f" * 64)
    elif change == "policy":
        Policy.objects.filter(pk=signed.policy_id).update(signers=[{"role": "qa", "count": 1}])
    elif change == "verdict":
        type(signed.report).objects.filter(pk=signed.report_id).update(verdict="failed")
    else:
        type(signed.report.run.suite).objects.update(gates=[])

    version = Version.objects.get(pk=signed.version_id)
    assert not may_take_production_traffic(version)
    void_changed()
    signed.refresh_from_db()
    assert signed.status == Release.Status.VOIDED


def test_the_oldest_of_many_is_voided_too_in_a_query_for_each_chunk(
    version, signed, digits, ada, bo, bea, monkeypatch, django_assert_num_queries
):
    monkeypatch.setattr(signing, "CHUNK", 2)
    for number in ("1.1.0", "1.2.0", "1.3.0"):
        sign(make_packaged_version(digits, ada, number), ada)
    with django_assert_num_queries(3):
        void_changed()
    Version.objects.filter(pk=version.pk).update(digest="f" * 64)

    tasks.void_unsigned()
    signed.refresh_from_db()
    assert signed.status == Release.Status.SIGNED
    tasks.void_changed()

    signed.refresh_from_db()
    assert signed.status == Release.Status.VOIDED
    assert Release.objects.filter(status=Release.Status.SIGNING).count() == 3


def test_one_that_somebody_moves_meanwhile_does_not_keep_the_others_from_being_voided(
    version, signed, digits, ada, bo, bea, monkeypatch
):
    newer = sign(make_packaged_version(digits, ada, "1.1.0"), ada, bo, bea)
    Version.objects.update(digest="f" * 64)
    voided = Release.lifecycle.move

    def move(release, *args, **facts):
        if release.pk == newer.pk:
            raise StaleWrite("moved")
        voided(release, *args, **facts)

    monkeypatch.setattr(Release.lifecycle, "move", move)
    void_changed()

    signed.refresh_from_db()
    assert signed.status == Release.Status.VOIDED


def test_a_release_that_nobody_could_sign_is_refused_and_names_the_role(version, ada, bo):
    make_report(version, ada)  # Bo is the only QA, two are needed

    with pytest.raises(Invalid, match="QA"):
        open_release(version, by=ada)


def test_a_policy_that_nobody_could_fulfil_is_refused(digits, bo):
    with pytest.raises(Invalid, match="Nobody could sign"):
        create_policy(
            digits, by=bo, signers=[{"role": "qa", "count": 5}], stages=[{"weight": 5, "worse_by": 0.05}]
        )


def test_a_rejection_needs_a_reason_and_ends_it(version, ada, bo, bea, client):
    release = sign(version, ada)
    with pytest.raises(Invalid, match="why"):
        reject_release(release, by=bo, password=PASSWORD, comment=" ")

    reject_release(release, by=bo, password=PASSWORD, comment="the worst digit got worse")

    release.refresh_from_db()
    assert (release.status, release.reason) == (Release.Status.REJECTED, "the worst digit got worse")
    client.force_login(ada)
    page = client.get(f"/releases/{release.pk}/").context
    assert (page["rejected_by"], [each.code for each in page["blockers"]]) == (bo, ["release"])
    open_release(version, by=ada)
    assert client.get(f"/releases/{release.pk}/").context["blockers"] == []


def test_the_same_content_is_not_opened_twice(version, ada, bo, bea):
    sign(version, ada)

    with pytest.raises(Conflict, match="already"):
        open_release(version, by=ada)


def test_one_of_two_signers_may_write_the_policy_that_asks_for_both(digits, bo, bea):
    policy = create_policy(
        digits, by=bo, signers=[{"role": "qa", "count": 2}], stages=[{"weight": 50, "worse_by": 0.3}]
    )

    assert policy.number == 1


def test_a_deputy_signs_for_who_is_away(version, ada, bo, bea, radio):
    make_report(version, ada)
    release = open_release(version, by=ada)
    dee = make_user("dee", team=radio, role=Role.DEVELOPER)
    now = timezone.now()
    name_deputy(bea, dee, since=now - timedelta(seconds=1), until=now + timedelta(days=2), by=bea)
    assert dee in who_can_still_decide(release.request)

    sign_release(release, by=dee, password=PASSWORD)
    with pytest.raises(NotAllowed, match="in your place"):
        sign_release(release, by=bea, password=PASSWORD)
    sign_release(release, by=bo, password=PASSWORD)

    release.refresh_from_db()
    assert release.status == Release.Status.SIGNED
    assert release.signatures.get(user=dee).instead_of == bea
