"""Several candidates side by side; the best is named only where chance cannot explain it."""

import pytest

from apps.evaluation.comparison import side_by_side
from tests.factories import make_capability, make_packaged_version, make_report, make_suite


def figure(value, low, high):
    return {"value": value, "low": low, "high": high, "n": 100}


def best(name, *figures):
    row = next(row for row in side_by_side([{name: one} for one in figures]) if row["name"] == name)
    return [cell["best"] for cell in row["cells"]]


def test_the_best_lies_apart_from_every_other():
    assert best("accuracy", figure(0.97, 0.96, 0.98), figure(0.93, 0.92, 0.94)) == [True, False]
    assert best("mae", figure(3.0, 2.8, 3.2), figure(2.0, 1.8, 2.2)) == [False, True]


def test_what_may_be_chance_is_not_called_better():
    assert best("accuracy", figure(0.97, 0.93, 0.99), figure(0.95, 0.92, 0.97)) == [False, False]


def test_a_figure_that_only_one_has_is_shown_and_not_judged():
    rows = side_by_side([{"memory_mb": {"value": 90, "n": 1}}, {}])

    assert [cell["value"] for cell in rows[0]["cells"]] == [90, None]
    assert not any(cell["best"] for cell in rows[0]["cells"])


@pytest.mark.django_db
def test_the_page_shows_the_chosen_reports_of_my_teams_alone(radio, ada, cy, client):
    capability = make_capability(radio, ada, "digits")
    reports = [make_report(make_packaged_version(capability, ada, n), ada) for n in ("1.0.0", "1.1.0")]
    address = "/reports/compare/?" + "&".join(f"report={report.pk}" for report in reports)
    client.force_login(ada)

    page = client.get(address).content.decode()
    assert "1.0.0" in page
    assert "1.1.0" in page
    assert client.get("/reports/compare/").status_code == 200
    assert 'name="report"' in client.get("/evaluations/").content.decode()
    client.force_login(cy)
    assert client.get(address).status_code == 404


@pytest.mark.django_db
def test_gates_stand_beside_each_other_and_what_was_not_asked_is_told(radio, ada, client):
    capability = make_capability(radio, ada, "digits")
    good = make_report(make_packaged_version(capability, ada, "1.0.0"), ada)
    gates = [{"metric": "accuracy", "threshold": 0.9}, {"metric": "f1_macro", "threshold": 0.5}]
    asked_more = make_suite(capability, ada, name="More", gates=gates)
    poor = make_report(make_packaged_version(capability, ada, "1.1.0"), ada, accuracy=0.5, suite=asked_more)
    client.force_login(ada)

    page = client.get(f"/reports/compare/?report={good.pk}&report={poor.pk}").content.decode()

    assert page.count("accuracy ≥ 0.9") == 1
    assert "0.97 (meets the threshold)" in page
    assert "0.5 (misses the threshold)" in page
    assert page.count("not asked") == 1
