"""Signed on a condition: the release stays limited until it is closed, whoever tries whatever way."""

import pytest

from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.instances.services import set_weights
from apps.releases.findings import close_finding, raise_finding
from apps.releases.rollout import proceed, promote, start_rollout
from apps.releases.signing import open_release, sign_release
from tests.factories import make_calls, make_report
from tests.releases.conftest import PASSWORD
from tests.releases.test_rollout import to_the_end, weights

pytestmark = pytest.mark.django_db


def succeed(release):
    make_calls(release.deployment, good=4000, bad=0)
    make_calls(release.baseline, good=4000, bad=0)
    proceed(release)


def test_a_condition_of_five_percent_stops_the_release_there(rolling, bo, ole):
    finding = raise_finding(rolling, by=bo, text="the worst site is not measured", most_percent=5)
    succeed(rolling)
    promote(rolling, by=ole)
    succeed(rolling)

    with pytest.raises(NotAllowed, match=r"at most 5|limits this release to 5"):
        promote(rolling, by=ole)
    assert weights(rolling) == (5, 95)

    close_finding(finding, by=bo, resolution="measured: 0.97")
    promote(rolling, by=ole)
    assert weights(rolling) == (20, 80)


def test_the_traffic_page_cannot_go_around_a_finding(rolling, signed, digits, bo, ole):
    signed.refresh_from_db()
    raise_finding(signed, by=bo, text="not for everybody", most_percent=5)
    to_the_end(rolling, ole)

    with pytest.raises(NotAllowed, match="at most 5"):
        set_weights(digits, {rolling.deployment_id: 50, rolling.baseline_id: 50}, by=ole)
    set_weights(digits, {rolling.deployment_id: 95, rolling.baseline_id: 5}, by=ole)
    assert weights(rolling) == (95, 5)


def test_promotion_by_gate_waits_for_the_finding_too(rolling, bo):
    type(rolling.policy).objects.filter(pk=rolling.policy_id).update(promote_by_gate=True)
    raise_finding(rolling, by=bo, text="slow", most_percent=1)
    succeed(rolling)

    assert weights(rolling) == (1, 99)


def test_a_condition_that_leaves_nothing_forbids_the_start(version, ada, bo, bea, ole):
    make_report(version, ada)
    release = open_release(version, by=ada)
    sign_release(release, by=bo, password=PASSWORD, condition="write the card first", most_percent=0)
    release = sign_release(release, by=bea, password=PASSWORD)

    with pytest.raises(NotAllowed, match="0 %"):
        start_rollout(release, by=ole)


def test_a_finding_is_closed_with_words_by_qa_and_once(rolling, ada, bo, ole):
    finding = raise_finding(rolling, by=bo, text="x", most_percent=5)

    for person in (ada, ole):
        with pytest.raises(NotAllowed):
            close_finding(finding, by=person, resolution="done")
    with pytest.raises(Invalid):
        close_finding(finding, by=bo, resolution=" ")
    close_finding(finding, by=bo, resolution="done")
    with pytest.raises(Conflict):
        close_finding(finding, by=bo, resolution="again")


def test_findings_of_all_releases_stand_together_until_they_are_closed(
    rolling, signed, bo, cy, client, django_assert_max_num_queries
):
    old = raise_finding(signed, by=bo, text="slow at night", most_percent=20)
    new = raise_finding(rolling, by=bo, text="<b>the worst site</b> is not measured", most_percent=5)
    closed = raise_finding(rolling, by=bo, text="no case for a blank page", most_percent=50)
    close_finding(closed, by=bo, resolution="there is one now")
    client.force_login(bo)

    page = client.get("/releases/findings/").content.decode()
    assert page.index("slow at night") < page.index("&lt;b&gt;the worst site")
    assert f"/releases/{rolling.pk}/#findings" in page
    assert "blank page" not in page
    assert "there is one now" in client.get("/releases/findings/?state=closed").content.decode()

    def listed(query=""):
        return [row["id"] for row in client.get(f"/api/v1/findings/{query}").json()["results"]]

    assert (listed(), listed("?state=open"), listed("?state=closed")) == (
        [closed.pk, new.pk, old.pk], [new.pk, old.pk], [closed.pk],
    )  # fmt: skip
    told = client.get(f"/api/v1/findings/{closed.pk}/").json()
    assert (told["version"], told["release_status"], told["closed_by"]) == ("1.1.0", "rolling", "bo")
    for number in range(20):
        raise_finding(signed, by=bo, text=f"another {number}", most_percent=20)
    with django_assert_max_num_queries(12):
        client.get("/releases/findings/")
    client.force_login(cy)
    assert listed() == []
    assert "Nothing is open" in client.get("/releases/findings/").content.decode()
