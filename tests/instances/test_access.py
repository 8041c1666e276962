"""Every address of operations: who gets in, who does not."""

from apps.instances import api_urls, urls
from tests.access import PEOPLE, Row, differences, uncovered
from tests.factories import make_capability, make_packaged_version, make_ready_deployment

D = "/operations/{deployment}/"
A = "/api/v1/deployments/"

TABLE = [
    Row("GET", "/operations/", (302, 200, 200, 200, 200, 200)),
    Row("GET", "/operations/versions/{version}/", (302, 200, 200, 200, 404, 200)),
    Row("GET", "/operations/deploy/{version}/", (302, 200, 200, 200, 404, 200)),
    Row("POST", "/operations/deploy/{version}/", (302, 200, 200, 200, 404, 200)),
    Row("GET", "/operations/traffic/digits/", (302, 200, 200, 200, 404, 200)),
    Row("POST", "/operations/traffic/digits/", (302, 200, 200, 302, 404, 302)),
    Row("POST", "/operations/traffic/digits/shadow/", (302, 403, 403, 302, 404, 302), {"percent": 50}),
    Row("GET", "/api/v1/traffic/digits/shadow/", (401, 200, 200, 200, 404, 200)),
    Row("PUT", "/api/v1/traffic/digits/shadow/", (401, 403, 403, 200, 404, 200), {"deployment": None}),
    Row("GET", D, (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{D}state/", (302, 200, 200, 200, 404, 200)),
    Row("POST", f"{D}start/", (302, 403, 403, 409, 404, 409)),
    Row("POST", f"{D}restart/", (302, 403, 403, 302, 404, 302)),
    Row("POST", f"{D}scale/", (302, 403, 403, 302, 404, 302), {"replicas": 1}),
    Row("POST", f"{D}place/", (302, 403, 403, 302, 404, 302), {"labels": ""}),
    # A production deployment has no test key, whoever asks.
    Row("POST", f"{D}key/", (302, 403, 403, 403, 404, 403)),
    Row("GET", A, (401, 200, 200, 200, 200, 200)),
    Row("POST", A, (401, 422, 422, 422, 422, 422)),
    Row("GET", A + "{deployment}/", (401, 200, 200, 200, 404, 200)),
    Row("GET", A + "{deployment}/log/", (401, 200, 200, 200, 404, 200)),
    Row("POST", A + "{deployment}/start/", (401, 403, 403, 409, 404, 409)),
    Row("POST", A + "{deployment}/restart/", (401, 403, 403, 200, 404, 200)),
    Row("POST", A + "{deployment}/scale/", (401, 403, 403, 200, 404, 200), {"replicas": 2}),
    Row("POST", A + "{deployment}/place/", (401, 403, 403, 200, 404, 200), {"labels": ["ssd"]}),
    Row("POST", A + "{deployment}/key/", (401, 403, 403, 403, 404, 403)),
    Row("GET", "/api/v1/traffic/digits/", (401, 200, 200, 200, 404, 200)),
    Row("PUT", "/api/v1/traffic/digits/", (401, 403, 403, 200, 404, 200), {"weights": {}}),
    # Stopping comes last.
    Row("POST", f"{D}stop/", (302, 403, 403, 302, 404, 302)),
    Row("POST", A + "{deployment}/stop/", (401, 403, 403, 200, 404, 200)),
]


def test_each_address_lets_in_whom_it_should(ada, bo, ole, cy, root, radio, monkeypatch):
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    people = dict(zip(PEOPLE, (None, ada, bo, ole, cy, root), strict=True))
    version = make_packaged_version(make_capability(radio, ada, "digits"), ada, "1.0.0")
    deployment = make_ready_deployment(version, ole)

    assert differences(TABLE, people, version=version.pk, deployment=deployment.pk) == {}


def test_the_table_names_every_address():
    assert uncovered([*urls.urlpatterns, *api_urls.urlpatterns], TABLE) == set()
