"""Every address of suites, evaluations and reports: who gets in, who does not."""

import pytest

from apps.evaluation import api_urls, urls
from apps.evaluation.evidence import claim
from tests.access import PEOPLE, Row, differences, uncovered
from tests.factories import make_capability, make_packaged_version, make_report

TABLE = [
    Row("GET", "/evaluations/", (302, 200, 200, 200, 200, 200)),
    Row("GET", "/evaluations/new/{version}/", (302, 200, 200, 200, 404, 200)),
    Row("POST", "/evaluations/new/{version}/", (302, 422, 422, 422, 404, 422)),
    Row("GET", "/evaluations/{run}/", (302, 302, 302, 302, 404, 302)),
    Row("POST", "/evaluations/{run}/cancel/", (302, 409, 409, 403, 404, 409)),
    Row("GET", "/evaluations/score/{version}/", (302, 200, 200, 200, 404, 200)),
    Row("POST", "/evaluations/score/{version}/claim/", (302, 302, 302, 302, 404, 302)),
    Row("GET", "/api/v1/claims/", (401, 200, 200, 200, 200, 200)),
    Row("POST", "/api/v1/claims/", (401, 422, 422, 422, 422, 422)),
    Row("POST", "/api/v1/claims/{claim}/withdraw/", (401, 204, 404, 404, 404, 404)),
    Row("GET", "/api/v1/reports/{report}/score/", (401, 200, 200, 200, 404, 200)),
    Row("GET", "/reports/compare/?report={report}", (302, 200, 200, 200, 404, 200)),
    Row("GET", "/reports/{report}/", (302, 200, 200, 200, 404, 200)),
    Row("GET", "/reports/{report}/report.json", (302, 200, 200, 200, 404, 200)),
    Row("GET", "/reports/{report}/report.pdf", (302, 200, 200, 200, 404, 200)),
    Row("GET", "/reports/{report}/report.html", (302, 200, 200, 200, 404, 200)),
    Row("GET", "/reports/{report}/rows/?errors=1", (302, 200, 200, 200, 404, 200)),
    Row("GET", "/suites/digits/", (302, 200, 200, 200, 404, 200)),
    Row("POST", "/suites/digits/", (302, 200, 200, 200, 404, 200)),
    Row("GET", "/api/v1/suites/", (401, 200, 200, 200, 200, 200)),
    Row("POST", "/api/v1/suites/", (401, 422, 422, 422, 422, 422)),
    Row("GET", "/api/v1/suites/{suite}/", (401, 200, 200, 200, 404, 200)),
    Row("GET", "/api/v1/evaluations/", (401, 200, 200, 200, 200, 200)),
    Row("POST", "/api/v1/evaluations/", (401, 422, 422, 422, 422, 422)),
    Row("GET", "/api/v1/evaluations/{run}/", (401, 200, 200, 200, 404, 200)),
    Row("GET", "/api/v1/reports/", (401, 200, 200, 200, 200, 200)),
    Row("GET", "/api/v1/reports/{report}/", (401, 200, 200, 200, 404, 200)),
    Row("GET", "/api/v1/reports/{report}/rows/?only=wrong", (401, 200, 200, 200, 404, 200)),
    Row("GET", "/api/v1/reports/{report}/report.html/", (401, 200, 200, 200, 404, 200)),
    Row("GET", "/api/v1/reports/{report}/report.pdf/", (401, 200, 200, 200, 404, 200)),
    Row("POST", "/api/v1/evaluations/{run}/cancel/", (401, 409, 409, 403, 404, 409)),
    Row("GET", "/api/v1/reports/{report}/content/", (401, 200, 200, 200, 404, 200)),
]


def test_each_address_lets_in_whom_it_should(radio, ada, bo, ole, cy, root):
    people = dict(zip(PEOPLE, (None, ada, bo, ole, cy, root), strict=True))
    version = make_packaged_version(make_capability(radio, ada, "digits"), ada)
    report = make_report(version, ada)
    names = {"version": version.pk, "report": report.pk, "run": report.run.pk, "suite": report.run.suite.pk}

    names["claim"] = claim(version.capability, "model.tuned", "By hand.", by=ada).pk

    assert differences(TABLE, people, **names) == {}


@pytest.mark.django_db
def test_the_table_names_every_address():
    assert uncovered([*urls.urlpatterns, *api_urls.urlpatterns], TABLE) == set()
