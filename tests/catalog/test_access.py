"""Every address of the catalog: who gets in, who does not."""

import pytest

from apps.catalog import api_urls, urls
from tests.access import PEOPLE, Row, differences, uncovered
from tests.factories import make_capability, make_packaged_version

C = "/catalog/digits/"
V = "/catalog/digits/versions/1.0.0/"
A = "/api/v1/"
SHA = "0" * 64

# visitor, developer, qa, operator, outsider, admin. A listed capability would be seen by the outsider.
TABLE = [
    Row("GET", "/catalog/", (302, 200, 200, 200, 200, 200)),
    Row("GET", "/catalog/new/", (302, 200, 200, 200, 200, 200)),
    Row("POST", "/catalog/new/", (302, 200, 200, 200, 200, 200)),
    Row("POST", "/catalog/card-preview/", (302, 200, 200, 200, 200, 200)),
    Row("GET", C, (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{C}edit/", (302, 200, 403, 403, 404, 200)),
    Row("GET", f"{C}compare/", (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{C}compose/", (302, 200, 403, 403, 404, 200)),
    Row("POST", f"{C}compose/picture/", (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{C}upload/", (302, 200, 403, 403, 404, 200)),
    Row("POST", f"{C}upload/", (302, 200, 403, 403, 404, 200)),
    Row("POST", f"{C}publish/", (302, 403, 403, 403, 404, 403)),
    Row("POST", f"{C}withdraw/", (302, 409, 403, 403, 404, 409)),
    Row("POST", f"{C}deprecate/", (302, 409, 403, 403, 404, 409)),
    Row("GET", V, (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{V}state/", (302, 200, 200, 200, 404, 200)),
    Row("POST", f"{V}package/", (302, 409, 403, 403, 404, 409)),
    Row("POST", f"{V}int8/", (302, 409, 403, 403, 404, 409)),
    Row("GET", f"{V}parsing/", (302, 200, 200, 200, 404, 200)),
    Row("POST", f"{V}parsing/", (302, 302, 403, 403, 404, 302)),
    Row("POST", f"{V}parsing/preview/", (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{V}files/package.json", (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{A}capabilities/", (401, 200, 200, 200, 200, 200)),
    Row("POST", f"{A}capabilities/", (401, 422, 422, 422, 422, 422)),
    Row("GET", f"{A}capabilities/digits/", (401, 200, 200, 200, 404, 200)),
    Row("PATCH", f"{A}capabilities/digits/", (401, 200, 403, 403, 404, 200), {"domain": "vision"}),
    Row("GET", f"{A}capabilities/digits/comparison/", (401, 422, 422, 422, 404, 422)),
    Row("POST", f"{A}capabilities/digits/publish/", (401, 403, 403, 403, 404, 403)),
    Row("POST", f"{A}capabilities/digits/withdraw/", (401, 409, 403, 403, 404, 409)),
    Row("POST", f"{A}capabilities/digits/deprecate/", (401, 409, 403, 403, 404, 409)),
    Row("GET", f"{A}versions/", (401, 200, 200, 200, 200, 200)),
    Row("POST", f"{A}versions/", (401, 422, 403, 403, 404, 422), {"capability": "digits", "number": "2.0.0"}),
    Row(
        "POST",
        f"{A}versions/composite/",
        (401, 422, 403, 403, 404, 422),
        {"capability": "digits", "number": "2.0.0", "members": [], "shape": "vote"},
    ),
    Row("GET", A + "versions/{version}/", (401, 200, 200, 200, 404, 200)),
    Row("GET", A + "versions/{version}/files/package.json/", (401, 200, 200, 200, 404, 200)),
    Row("POST", A + "versions/{version}/package/", (401, 409, 403, 403, 404, 409)),
    Row("POST", A + "versions/{version}/int8/", (401, 409, 403, 403, 404, 409)),
    Row("GET", A + "versions/{version}/parsing/", (401, 200, 200, 200, 404, 200)),
    Row("PUT", A + "versions/{version}/parsing/", (401, 200, 403, 403, 404, 200), {"rules": {}}),
    Row(
        "POST",
        A + "versions/{version}/parsing/preview/",
        (401, 200, 200, 200, 404, 200),
        {"rules": {"a": "inputs"}},
    ),
    Row("GET", f"{A}objects/{SHA}/", (401, 404, 404, 403, 403, 404)),
    Row("PUT", f"{A}objects/{SHA}/", (401, 422, 422, 403, 403, 422)),
    Row("POST", f"{V}deprecate/", (302, 302, 403, 403, 404, 302)),
    Row("POST", f"{V}keep/", (302, 302, 403, 403, 404, 302)),
    Row("POST", A + "versions/{version}/deprecate/", (401, 200, 403, 403, 404, 200)),
    Row("DELETE", A + "versions/{version}/deprecate/", (401, 200, 403, 403, 404, 200)),
    # These end the version, so they come last; the first who may do it does.
    Row("POST", f"{V}retire/", (302, 302, 403, 409, 404, 409)),
    Row("POST", A + "versions/{version}/retire/", (401, 409, 403, 409, 404, 409)),
]


@pytest.fixture
def people(ada, bo, ole, cy, root):
    return dict(zip(PEOPLE, (None, ada, bo, ole, cy, root), strict=True))


def test_each_address_lets_in_whom_it_should(people, radio, ada):
    version = make_packaged_version(make_capability(radio, ada, "digits"), ada, "1.0.0")

    assert differences(TABLE, people, version=version.pk) == {}


def test_the_table_names_every_address():
    assert uncovered([*urls.urlpatterns, *api_urls.urlpatterns], TABLE) == set()
