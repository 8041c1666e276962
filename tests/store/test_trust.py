"""Why to trust a capability: computed badges, the signed report, where versions come from, reviews."""

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Role
from apps.catalog.models import Version
from apps.catalog.services import edit_capability
from apps.compute.models import Job
from apps.core.errors import Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.datasets.services import create_version
from apps.gateway.models import Usage
from apps.gateway.services import create_grant
from apps.requests.models import Notification
from apps.store import panels, services, standing
from apps.store.models import Review
from tests.factories import (
    make_dataset,
    make_published_capability,
    make_report,
    make_team,
    make_user,
    put_files,
)


@pytest.fixture
def as_cy(cy) -> Client:
    client = Client()
    client.force_login(cy)
    return client


def use(capability, counts: dict[str, int], kind: str = "subscription") -> None:
    """Rollups of the last hour, as the ingester keeps them."""
    grant, _secret = create_grant(kind=kind, capability=capability, by=None)
    for outcome, count in counts.items():
        Usage.objects.create(
            grant_id=grant.pk, capability_id=capability.pk, deployment_id=1, version="1.0.0", outcome=outcome,
            count=count,
            hour=timezone.now().replace(minute=0, second=0, microsecond=0), ms=1.0 * count, histogram=[0] * 64,
        )  # fmt: skip


def refreshed(capability):
    standing.refresh([capability.pk])
    capability.refresh_from_db()
    return capability.standing


def test_badges_are_earned_by_facts_alone(digits):
    assert refreshed(digits).badges == ["fresh"]

    use(digits, {"": 999, "deadline-exceeded": 1, "rate-exceeded": 500})
    found = refreshed(digits)
    assert "available" in found.badges
    assert found.availability == pytest.approx(0.999)
    assert found.calls == 1500


def test_calls_of_tests_and_evaluations_earn_nothing(digits):
    use(digits, {"": 5000}, kind="evaluation")
    assert refreshed(digits).calls == 0


def test_too_few_calls_earn_no_availability(digits):
    use(digits, {"": 20})
    assert "available" not in refreshed(digits).badges


def test_many_failures_lose_the_badge(digits):
    use(digits, {"": 990, "runner-died": 10})
    assert "available" not in refreshed(digits).badges


def test_an_old_version_is_not_fresh(digits):
    Version.objects.update(packaged_at=timezone.now() - timezone.timedelta(days=400))
    assert refreshed(digits).badges == []


def test_a_passed_report_about_these_bytes_counts_and_another_does_not(digits, ada):
    version = digits.versions.get()
    make_report(version, ada)
    assert "evaluated" in refreshed(digits).badges

    Version.objects.filter(pk=version.pk).update(digest="a" * 64)
    assert "evaluated" not in refreshed(digits).badges


def test_the_sign_off_badge_comes_from_whoever_signs(digits, monkeypatch):
    monkeypatch.setattr(panels, "_signed_versions", set)
    assert "signed" not in refreshed(digits).badges  # nothing answers in production


def test_licence_and_data_types_are_read_not_typed(digits, ada):
    edit_capability(digits, by=ada, card="---\nlanguage: en\nlicense: CC-BY-4.0\n---\n# Card")
    Version.objects.update(
        signature={
            "inputs": [
                {"name": "image", "datatype": "FP32", "shape": [-1, 8, 8], "kind": "image"},
                {"name": "note", "datatype": "BYTES", "shape": [-1]},
                {"name": "trace", "datatype": "FP32", "shape": [-1, 100]},
            ]
        }
    )
    found = refreshed(digits)
    assert found.licence == "cc-by-4.0"
    assert found.data_types == ["image", "series", "text"]


@pytest.mark.parametrize(
    "card", ["license: mit", "# Title\n---\nlicense: mit\n---\n", "---\ntitle: x\n---\nlicense: mit"]
)
def test_a_licence_stands_in_the_front_matter_or_nowhere(card):
    assert standing.licence_of(card) == ""


def test_standings_take_as_many_queries_for_many_as_for_one(
    digits, radio, ada, django_assert_max_num_queries
):
    others = [make_published_capability(radio, ada) for _ in range(6)]
    with django_assert_max_num_queries(12):
        assert standing.refresh([digits.pk, *(each.pk for each in others)]) == 7


def test_what_has_no_standing_yet_is_computed_first_and_all_of_it(digits, radio, ada, monkeypatch):
    for _ in range(4):
        make_published_capability(radio, ada)
    monkeypatch.setattr(standing, "_CHUNK", 2)
    assert standing.refresh_oldest(most=1) == 5
    assert standing.refresh_oldest() == 0


def test_facets_count_and_narrow_by_what_was_computed(as_cy, digits, ada):
    edit_capability(digits, by=ada, card="---\nlicense: mit\n---\n")
    standing.refresh([digits.pk])
    for query in ("badge=fresh", "licence=mit", "framework=onnx", "badge=fresh&licence=mit&domain=vision"):
        assert "/store/digits/" in as_cy.get(f"/store/?{query}").text, query
    for query in ("badge=signed", "licence=gpl", "data=image"):
        assert "/store/digits/" not in as_cy.get(f"/store/?{query}").text, query
    counted = as_cy.get("/api/v1/store/facets/").json()
    assert counted["badge"] == [{"value": "fresh", "label": "Fresh", "count": 1}]
    assert counted["licence"][0]["value"] == "mit"


def test_quality_says_that_nothing_was_evaluated(as_cy, digits):
    assert "Not evaluated yet" in as_cy.get("/store/digits/quality/").text
    assert as_cy.get("/api/v1/store/digits/quality/").json() == {"report": None}


def test_quality_shows_the_report_and_that_nobody_signed(as_cy, digits, ada):
    report = make_report(digits.versions.get(), ada)
    page = as_cy.get("/store/digits/quality/").text
    assert "Nobody has signed" in page
    assert report.digest[:12] in page
    told = as_cy.get("/api/v1/store/digits/quality/").json()["report"]
    assert (told["verdict"], told["signatures"]) == ("passed", [])
    assert told["figures"]["accuracy"]["value"] == 0.97


def test_quality_names_who_signed(as_cy, digits, ada, monkeypatch):
    report = make_report(digits.versions.get(), ada)
    signed = panels.SignedReport(report.pk, "c" * 64, [panels.Signed("Bo Li", "qa", timezone.now())])
    monkeypatch.setattr(panels, "_report_finder", lambda version: signed)
    page = as_cy.get("/store/digits/quality/").text
    assert "is signed off on this report" in page
    assert "Bo Li" in page


def test_a_subscriber_rates_once_and_can_change_it(digits, subscription, cy):
    services.write_review(digits, rating=2, text="Slow", by=cy)
    services.write_review(digits, rating=5, text="Fast now", by=cy)

    review = Review.objects.get()
    digits.refresh_from_db()
    assert (review.rating, review.text) == (5, "Fast now")
    assert review.edited_at is not None
    assert (digits.standing.rating, digits.standing.reviews) == (5.0, 1)
    assert AuditEntry.objects.filter(action="store.review.edited").exists()


def test_who_has_no_subscription_or_provides_it_cannot_review(digits, free, cy, ada):
    for user, why in ((cy, "Subscribe first"), (ada, "own team")):
        with pytest.raises(NotAllowed, match=why):
            services.write_review(digits, rating=5, by=user)


@pytest.mark.parametrize("rating", [0, 6, -1])
def test_a_rating_is_one_to_five(digits, subscription, cy, rating):
    with pytest.raises(Invalid, match="1 to 5"):
        services.write_review(digits, rating=rating, by=cy)


def test_the_team_answers_and_the_author_hears_of_it(as_cy, digits, subscription, cy, ada, bo):
    review = services.write_review(digits, rating=3, text="Fine", by=cy)
    assert Notification.objects.filter(user=ada).exists()
    with pytest.raises(NotAllowed):
        services.answer_review(review, text="No", by=bo)

    services.answer_review(review, text="Thank you, fixed in 1.1", by=ada)
    assert Notification.objects.filter(user=cy).exists()
    assert "fixed in 1.1" in as_cy.get("/store/digits/reviews/").text


def test_reviews_over_page_and_api_agree(as_cy, digits, subscription, ada):
    as_cy.post("/store/digits/reviews/", {"rating": "4", "text": "<b>good</b>"})
    assert "&lt;b&gt;good" in as_cy.get("/store/digits/reviews/").text
    assert as_cy.get("/api/v1/store/digits/reviews/").json()[0]["rating"] == 4
    assert as_cy.put("/api/v1/store/digits/reviews/", {"rating": 9}, "application/json").status_code == 422
    assert as_cy.put("/api/v1/store/digits/reviews/", {"rating": 5}, "application/json").json()["rating"] == 5
    assert as_cy.delete("/api/v1/store/digits/reviews/").status_code == 204
    assert not Review.objects.exists()


def test_rating_sorts_the_list(as_cy, digits, subscription, cy, radio, ada):
    make_published_capability(radio, ada, "newer", name="Newer")
    services.write_review(digits, rating=5, by=cy)
    for sort, first in (("rating", "digits"), ("used", "newer"), ("newest", "newer")):
        rows = as_cy.get(f"/api/v1/store/?sort={sort}").json()["results"]
        assert rows[0]["slug"] == first, sort


@pytest.mark.parametrize("sort", ["rating", "used", "popular", "newest", "name"])
def test_every_order_pages_without_gap_or_repetition(as_cy, radio, ada, sort):
    made = {make_published_capability(radio, ada).slug for _ in range(5)}
    found, url = [], f"/api/v1/store/?sort={sort}&page_size=2"
    while url:
        page = as_cy.get(url).json()
        found += [row["slug"] for row in page["results"]]
        url = page["next"]
    assert sorted(found) == sorted(made)


def test_somebody_elses_review_stays(digits, subscription, cy, ada, root):
    review = services.write_review(digits, rating=1, by=cy)
    eve = make_user("eve", team=make_team("Other"), role=Role.CONSUMER)
    for user in (eve, ada):
        with pytest.raises(NotAllowed):
            services.remove_review(review, by=user)
    services.remove_review(review, by=root)
    assert not Review.objects.exists()


def test_similar_capabilities_share_words_and_stay_visible(as_cy, digits, radio, ada):
    make_published_capability(radio, ada, "letters", name="Letters", summary="Reads handwritten letters")
    make_published_capability(radio, ada, "hidden", summary="Reads handwritten digits", visibility="team")
    make_published_capability(radio, ada, "speech", name="Speech", summary="Understands spoken orders")
    found = [row["slug"] for row in as_cy.get("/api/v1/store/digits/similar/").json()]
    assert found == ["letters"]
    assert "Letters" in as_cy.get("/store/digits/").text


def test_versions_name_what_they_were_made_from(as_cy, digits, radio, ada):
    dataset = make_dataset(radio, ada, "digit-scans")
    data = create_version(dataset, files=put_files({"rows.csv": b"x,y\n1,2\n"}), by=ada)
    Version.objects.update(
        dataset_version_urn=f"atrium:datasets.datasetversion:{data.pk}",
        training_job_urn="atrium:compute.job:77",
        code_digest="d" * 64,
    )
    page = as_cy.get("/store/digits/versions/").text
    assert "#77" in page
    assert "d" * 12 in page
    assert "/datasets/digit-scans/" not in page  # another team's data set is named by its digest alone

    client = Client()
    client.force_login(ada)
    assert "/datasets/digit-scans/" in client.get("/store/digits/versions/").text


def test_the_own_teams_training_job_is_linked(digits, radio, ada):
    job = Job.objects.create(
        kind="train", title="Train", created_by=ada, team=radio, argv=["python"], environment="base"
    )
    Version.objects.update(training_job_urn=f"atrium:compute.job:{job.pk}")
    client = Client()
    client.force_login(ada)
    assert f"/jobs/{job.pk}/" in client.get("/store/digits/versions/").text
