"""Every address of experiments: who gets in, who does not."""

import pytest

from apps.experiments import api_urls, urls
from apps.experiments.plans import create_experiment
from tests.access import PEOPLE, Row, differences, uncovered
from tests.experiments.conftest import threshold

E = "/ab-experiments/"
A = "/api/v1/ab-experiments/"
PLAN = {
    "name": "Lower", "hypothesis": "It helps.", "layer": "threshold", "size": 10, "measure": "errors", "effect": 0.01,
    "arms": [{"name": "as now", "share": 50}, {"name": "low", "share": 50, "parameters": {"threshold": 0.4}}],
}  # fmt: skip
NEW = {"capability": "digits", **PLAN}

TABLE = [
    Row("GET", E, (302, 200, 200, 200, 200, 200)),
    Row("GET", f"{E}?capability=digits", (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{E}new/digits/", (302, 200, 403, 200, 404, 200)),
    Row("POST", f"{E}new/digits/", (302, 200, 403, 200, 404, 200)),
    Row("POST", f"{E}new/digits/check/", (302, 200, 403, 200, 404, 200)),
    Row("GET", f"{E}{{draft}}/", (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{E}{{draft}}/edit/", (302, 200, 403, 200, 404, 200)),
    Row("POST", f"{E}{{draft}}/edit/", (302, 200, 403, 200, 404, 200)),
    Row("POST", f"{E}{{draft}}/pause/", (302, 403, 403, 409, 404, 409)),
    Row("POST", f"{E}{{draft}}/start/", (302, 403, 403, 302, 404, 409)),
    Row("POST", f"{E}{{draft}}/delete/", (302, 403, 403, 403, 404, 403)),
    Row("POST", f"{E}{{draft}}/end/", (302, 403, 403, 302, 404, 409)),
    Row("GET", A, (401, 200, 200, 200, 200, 200)),
    Row("GET", f"{A}?capability=digits", (401, 200, 200, 200, 404, 200)),
    Row("POST", A, (401, 201, 403, 201, 404, 201), NEW),
    Row("POST", f"{A}needed/", (401, 200, 403, 200, 404, 200), NEW),
    Row("GET", f"{A}{{other}}/", (401, 200, 200, 200, 404, 200)),
    Row("PUT", f"{A}{{other}}/", (401, 200, 403, 200, 404, 200), PLAN),
    Row("POST", f"{A}{{other}}/pause/", (401, 403, 403, 409, 404, 409)),
    Row("POST", f"{A}{{other}}/start/", (401, 403, 403, 200, 404, 409)),
    Row("POST", f"{A}{{other}}/end/", (401, 403, 403, 200, 404, 409)),
    Row("DELETE", f"{A}{{other}}/", (401, 403, 403, 403, 404, 403)),
]


def test_each_address_lets_in_whom_it_should(digits, ada, bo, ole, cy, root):
    people = dict(zip(PEOPLE, (None, ada, bo, ole, cy, root), strict=True))
    draft = create_experiment(digits, threshold(), by=ada)
    other = create_experiment(digits, threshold(layer="another"), by=ada)

    assert differences(TABLE, people, draft=draft.pk, other=other.pk) == {}


@pytest.mark.django_db
def test_the_table_names_every_address():
    assert uncovered([*urls.urlpatterns, *api_urls.urlpatterns], TABLE) == set()
