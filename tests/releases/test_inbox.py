"""What waits for me, oldest first, with risk; fast however much there is."""

import pytest
from django.test import Client

from apps.releases.models import Release
from apps.releases.risk import Risk, risk_of
from apps.releases.signing import open_release
from apps.requests.models import Request, Step
from tests.factories import make_report

MANY = 70


@pytest.mark.parametrize(
    ("verdict", "low", "high", "risk"),
    [
        ("passed", 0.001, 0.02, Risk.LOW),
        ("passed", -0.01, 0.02, Risk.MEDIUM),
        ("passed", -0.03, -0.01, Risk.HIGH),
        ("failed", 0.001, 0.02, Risk.HIGH),
    ],
)
def test_the_risk_is_what_the_interval_says(verdict, low, high, risk):
    assert risk_of(verdict, {"value": (low + high) / 2, "low": low, "high": high}) is risk


def test_a_lower_error_is_a_lower_risk_and_nothing_to_compare_with_is_a_medium_one():
    assert risk_of("passed", {"low": -2.0, "high": -1.0}, higher_is_better=False) is Risk.LOW
    assert risk_of("passed", None) is Risk.MEDIUM


@pytest.fixture
def many(version, ada, bo, bea):
    """One release as it is opened, and copies of its rows."""
    make_report(version, ada)
    first = open_release(version, by=ada)
    step = first.request.steps.get()
    requests = Request.objects.bulk_create(_copies(first.request))
    Step.objects.bulk_create(
        Step(request=one, position=0, role=step.role, team=step.team, count=step.count) for one in requests
    )
    Release.objects.bulk_create(
        Release(
            version=version, capability=version.capability, report=first.report, policy=first.policy,
            content_digest=f"{number:064x}", request=one, opened_by=ada,
        )
        for number, one in enumerate(requests)
    )  # fmt: skip
    return first


def _copies(request):
    names = [field.attname for field in Request._meta.concrete_fields if field.attname != "id"]
    facts = {name: getattr(request, name) for name in names}
    return [Request(**facts) for _ in range(MANY - 1)]


@pytest.mark.django_db
def test_many_open_items_cost_as_many_queries_as_few(many, bo, django_assert_max_num_queries):
    client = Client()
    client.force_login(bo)
    page = client.get("/qa/")
    assert page.content.decode().count('class="name"') == 30
    assert f"/releases/{many.pk}/" in page.content.decode()  # the oldest

    with django_assert_max_num_queries(30):
        client.get("/qa/")


@pytest.mark.django_db
def test_the_next_page_goes_on_where_the_first_ended(many, bo):
    client = Client()
    client.force_login(bo)
    first = client.get("/qa/")
    second = client.get("/qa/", {"cursor": first.context["page"].next_cursor})

    seen = [row["release"].pk for page in (first, second) for row in page.context["rows"]]
    assert seen == sorted(set(seen))
    assert len(seen) == 60


@pytest.mark.django_db
def test_a_program_asks_for_what_waits_for_its_person(many, ada, bo):
    signer, author = Client(), Client()
    signer.force_login(bo)
    author.force_login(ada)
    address = "/api/v1/releases/?page_size=100&waiting=true"
    Request.objects.filter(pk=many.request_id).update(status=Request.Status.WITHDRAWN)

    waiting = [row["id"] for row in signer.get(address).json()["results"]]

    assert len(waiting) == MANY - 1
    assert many.pk not in waiting
    assert many.pk in [row["id"] for row in signer.get("/api/v1/releases/?page_size=100").json()["results"]]
    assert signer.get(f"/api/v1/releases/{many.pk}/?waiting=true").status_code == 200
    assert author.get(address).json()["results"] == []


@pytest.mark.django_db
def test_a_list_tells_of_a_release_what_its_own_address_tells_in_few_queries(
    many, bo, django_assert_max_num_queries
):
    client = Client()
    client.force_login(bo)
    client.get("/api/v1/releases/")
    with django_assert_max_num_queries(10):
        rows = client.get("/api/v1/releases/?page_size=100").json()["results"]

    [listed] = [row for row in rows if row["id"] == many.pk]
    assert listed == client.get(f"/api/v1/releases/{many.pk}/").json()


@pytest.mark.django_db
def test_programs_read_the_difference_to_production_and_the_risk(many, bo):
    report = many.report
    report.headline |= {"difference": {"value": 0.01, "low": 0.002, "high": 0.02, "n": 100}}
    report.save(update_fields=["headline"])
    client = Client()
    client.force_login(bo)

    first = client.get("/api/v1/releases/?waiting=true").json()["results"][0]

    assert first["weighed"] == {
        "verdict": "passed",
        "main": "accuracy",
        "value": 0.97,
        "difference": {"value": 0.01, "low": 0.002, "high": 0.02},
        "risk": "low",
    }
