"""Cy's colleague Olga operates Transport's machines at another site and runs Radio's `digits` there."""

import pytest
from django.test import Client
from django.utils import translation
from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.gateway.models import Grant
from apps.instances.models import Deployment
from apps.instances.services import deploy_version, set_weights, start_deployment, stop_deployment
from apps.requests.models import Notification
from apps.requests.services import decide
from apps.store import services
from apps.store.models import Plan, SiteCopy, Subscription
from tests.factories import make_packaged_version, make_plan, make_ready_deployment, make_user
from tests.store.test_pages import live  # noqa: F401  a fixture


@pytest.fixture
def olga(transport):
    return make_user("olga", team=transport, role=Role.OPERATOR)


@pytest.fixture
def shared(digits, live, ada):  # noqa: F811
    return make_plan(digits, ada, "shared", reuse=True)


def ready(deployment: Deployment) -> None:
    """As the reconciler finds it a moment later."""
    Deployment.objects.filter(pk=deployment.pk).update(status="ready")
    services.settle_copies(deployment=deployment.pk)


@pytest.fixture
def copy(shared, digits, transport, olga) -> SiteCopy:
    """It runs, and Transport has a key."""
    made = services.reuse_at_site(digits, transport, by=olga)
    services.issue_key(made.subscription, by=olga)
    ready(made.deployment)
    made.refresh_from_db()
    return made


def test_one_click_runs_the_same_bytes_at_the_own_site(copy, live, transport, olga):  # noqa: F811
    assert copy.status == "running"
    assert (copy.deployment.site, copy.deployment.host) == (transport.site, transport)
    assert copy.deployment.version.digest == live.digest
    assert Grant.objects.get(pool=copy.subscription.pool).scope == f"deployment:{copy.deployment_id}"
    key, _secret = services.issue_key(copy.subscription, by=olga)
    assert key.grant.scope == f"deployment:{copy.deployment_id}"
    assert Notification.objects.filter(user=olga).exists()


def test_a_second_click_finds_the_first(copy, digits, transport, olga):
    assert services.reuse_at_site(digits, transport, by=olga) == copy
    assert Deployment.objects.filter(host=transport).count() == 1


def test_a_plan_with_approval_starts_it_when_the_provider_agrees(digits, live, ada, ole, transport, olga):  # noqa: F811
    make_plan(digits, ada, "asked", approval="one", reuse=True)
    with pytest.raises(Invalid, match="what the team wants"):
        services.reuse_at_site(digits, transport, by=olga)
    waiting = services.reuse_at_site(digits, transport, by=olga, use_case="Our own gate")
    assert (waiting.status, waiting.deployment) == ("waiting", None)

    decide(waiting.subscription.ticket, True, by=ole)
    services.settle_copies(subscription=waiting.subscription_id)
    waiting.refresh_from_db()
    assert waiting.status == "starting"


def test_a_refused_request_ends_it(digits, live, ada, ole, transport, olga):  # noqa: F811
    make_plan(digits, ada, "asked", approval="one", reuse=True)
    waiting = services.reuse_at_site(digits, transport, by=olga, use_case="Our own gate")
    decide(waiting.subscription.ticket, False, "not yet", by=ole)
    services.settle_copies()
    waiting.refresh_from_db()
    assert waiting.status == "ended"
    assert not Deployment.objects.filter(host=transport).exists()


def test_it_is_refused_in_words(digits, live, free, ada, ole, cy, transport, radio, olga, signed):  # noqa: F811
    with pytest.raises(Invalid, match="own site"):
        services.reuse_at_site(digits, transport, by=olga)  # no plan allows it
    make_plan(digits, ada, "shared", reuse=True)
    with pytest.raises(NotAllowed, match="Only the operators of Transport"):
        services.reuse_at_site(digits, transport, by=cy)
    with pytest.raises(NotAllowed, match="runs there already"):
        services.reuse_at_site(digits, radio, by=ole)
    signed.clear()
    with pytest.raises(NotAllowed, match="nobody has signed"):
        services.reuse_at_site(digits, transport, by=olga)
    assert not SiteCopy.objects.exists()
    assert not Subscription.objects.exists()


def test_a_signature_that_falls_ends_the_copy_and_the_provider_answers_again(copy, signed, olga):
    signed.clear()
    services.settle_copies()
    copy.refresh_from_db()
    assert copy.status == "ended"
    assert "nobody has signed" in copy.reason
    assert copy.deployment.desired == "stopped"
    assert Grant.objects.get(pool=copy.subscription.pool).scope == "production"


def test_why_it_ended_is_told_in_the_language_of_who_reads_it(compiled_messages, copy, olga):
    olga.language = "zh-hans"
    olga.save(update_fields=["language"])
    Plan.objects.filter(pk=copy.subscription.plan_id).update(reuse=False)

    services.settle_copies()  # as the worker does, in English

    copy.refresh_from_db()
    assert copy.reason == "The plan “shared” does not let others run it at their own site."
    letter = Notification.objects.filter(user=olga).latest("pk")
    with translation.override("zh-hans"):
        chinese = _("The plan “%(plan)s” does not let others run it at their own site.") % {"plan": "shared"}
        assert chinese != copy.reason
        assert letter.body == chinese
        assert copy.deployment.why == chinese
    with translation.override("en"):
        assert copy.deployment.why == copy.reason


@pytest.mark.parametrize("what", ["cancelled", "stopped", "ended"])
def test_it_ends_with_its_subscription_with_its_deployment_and_by_hand(copy, olga, what):
    if what == "cancelled":
        services.cancel_subscription(copy.subscription, by=olga)
    elif what == "stopped":
        stop_deployment(copy.deployment, by=olga)
    else:
        services.end_copy(copy, by=olga)
    services.settle_copies()
    copy.refresh_from_db()
    assert copy.status == "ended"
    assert Deployment.objects.get(pk=copy.deployment_id).desired == "stopped"
    assert not Grant.objects.filter(scope__startswith="deployment:", status="active").exists()


def test_the_newer_version_takes_over_once_it_is_ready(copy, digits, ada, ole, olga, signed):
    newer = make_packaged_version(digits, ada, "2.0.0")
    signed.add(newer.digest)
    set_weights(digits, {make_ready_deployment(newer, ole).pk: 100}, by=ole)
    updated = services.update_copy(copy, by=olga)
    before = updated.deployment
    assert Grant.objects.get(pool=copy.subscription.pool).scope == f"deployment:{before.pk}"

    ready(updated.successor)
    updated.refresh_from_db()
    assert (updated.deployment.version, updated.successor) == (newer, None)
    before.refresh_from_db()
    assert before.desired == "stopped"
    assert Grant.objects.get(pool=copy.subscription.pool).scope == f"deployment:{updated.deployment_id}"


def test_the_providers_traffic_never_goes_there_and_it_is_not_started_behind_the_terms(
    copy, digits, ole, olga
):
    with pytest.raises(Conflict, match="another team's site"):
        set_weights(digits, {copy.deployment_id: 100}, by=ole)
    services.end_copy(copy, by=olga)
    Deployment.objects.filter(pk=copy.deployment_id).update(status="stopped")
    with pytest.raises(Conflict, match="store page"):
        start_deployment(copy.deployment, by=olga)


def test_only_the_hosts_operators_run_a_strangers_version(shared, live, transport, cy, ole):  # noqa: F811
    for user in (cy, ole):
        with pytest.raises(NotAllowed):
            deploy_version(live, kind="production", by=user, host=transport)


def test_pages_and_api_show_and_do_it(shared, digits, live, olga, cy, ada, transport):  # noqa: F811
    client, other = Client(), Client()
    client.force_login(olga)
    other.force_login(cy)
    assert f"Run it at {transport.site.name}" in client.get("/store/digits/").text
    assert "Only the operators of Transport" in other.get("/store/digits/").text

    client.post("/store/digits/reuse/", {"team": "transport"})
    made = SiteCopy.objects.get()
    ready(made.deployment)
    assert "Run it at" not in client.get("/store/digits/").text
    assert f"#{made.deployment_id}" in client.get("/operations/").text
    assert client.get(f"/operations/{made.deployment_id}/").status_code == 200
    told = client.get("/api/v1/store/digits/copies/").json()[0]
    assert (told["status"], told["site"], told["digest"]) == ("running", transport.site.slug, live.digest)
    assert other.post("/api/v1/store/digits/copies/", {"team": "transport"}).status_code == 403
    assert other.delete(f"/api/v1/store/digits/copies/{made.pk}/").status_code == 403
    assert client.delete(f"/api/v1/store/digits/copies/{made.pk}/").status_code == 204
    assert client.post("/store/digits/copies/999/end/").status_code == 404
