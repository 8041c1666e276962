"""Every address of data sets: who gets in, who does not."""

import pytest

from apps.datasets import api_urls, urls
from apps.datasets.services import create_version
from tests.access import PEOPLE, Row, differences, uncovered
from tests.factories import make_dataset, put_files

D = "/datasets/faults/"
A = "/api/v1/datasets/"

TABLE = [
    Row("GET", "/datasets/", (302, 200, 200, 200, 200, 200)),
    Row("GET", "/datasets/new/", (302, 200, 200, 200, 200, 200)),
    Row("GET", "/datasets/-/to-add-to/?field=dataset&words=a", (302, 200, 200, 200, 200, 200)),
    Row("GET", D, (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{D}edit/", (302, 200, 200, 403, 404, 200)),
    Row("GET", f"{D}upload/", (302, 200, 200, 403, 404, 200)),
    Row("POST", f"{D}upload/", (302, 200, 200, 403, 404, 200)),
    Row("GET", f"{D}versions/1/", (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{D}versions/1/split/", (302, 200, 200, 403, 404, 200)),
    Row("POST", f"{D}versions/1/split/", (302, 422, 422, 403, 404, 422)),
    Row("POST", f"{D}versions/1/tag/", (302, 302, 302, 403, 404, 302), {"name": "golden"}),
    Row("POST", f"{D}tags/nothing/drop/", (302, 404, 404, 403, 404, 404)),
    Row("POST", f"{D}readers/", (302, 422, 422, 403, 404, 422), {"username": "nobody"}),
    Row("POST", f"{D}readers/nobody/drop/", (302, 404, 404, 403, 404, 404)),
    Row("GET", f"{D}compare/", (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{D}versions/1/files/a.csv", (302, 200, 200, 200, 404, 200)),
    Row("GET", A, (401, 200, 200, 200, 200, 200)),
    Row("POST", A, (401, 422, 422, 422, 422, 422)),
    Row("GET", f"{A}faults/", (401, 200, 200, 200, 404, 200)),
    Row("PATCH", f"{A}faults/", (401, 200, 200, 403, 404, 200), {"description": "of cells"}),
    Row("GET", f"{A}faults/versions/", (401, 200, 200, 200, 404, 200)),
    Row("POST", f"{A}faults/versions/", (401, 422, 422, 403, 404, 422)),
    Row("GET", f"{A}faults/versions/1/", (401, 200, 200, 200, 404, 200)),
    Row("GET", f"{A}faults/versions/1/preview/", (401, 200, 200, 200, 404, 200)),
    Row("GET", f"{A}faults/versions/1/lineage/", (401, 200, 200, 200, 404, 200)),
    Row("GET", f"{A}faults/versions/1/split/", (401, 404, 404, 404, 404, 404)),
    Row("POST", f"{A}faults/versions/1/split/", (401, 422, 422, 403, 404, 422)),
    Row("GET", f"{A}faults/versions/1/split/assignment/", (401, 404, 404, 404, 404, 404)),
    Row("GET", f"{A}faults/comparison/?before=1&after=1", (401, 200, 200, 200, 404, 200)),
    Row("GET", f"{A}faults/tags/", (401, 200, 200, 200, 404, 200)),
    Row("POST", f"{A}faults/tags/", (401, 422, 422, 403, 404, 422)),
    Row("DELETE", f"{A}faults/tags/nothing/", (401, 404, 404, 403, 404, 404)),
    Row("GET", f"{A}faults/readers/", (401, 200, 200, 403, 404, 200)),
    Row("POST", f"{A}faults/readers/", (401, 422, 422, 403, 404, 422), {"username": "nobody"}),
    Row("DELETE", f"{A}faults/readers/nobody/", (401, 404, 404, 403, 404, 404)),
    Row("GET", f"{A}faults/versions/1/files/a.csv", (401, 200, 200, 200, 404, 200)),
]


def test_each_address_lets_in_whom_it_should(ada, bo, ole, cy, root, radio):
    people = dict(zip(PEOPLE, (None, ada, bo, ole, cy, root), strict=True))
    create_version(make_dataset(radio, ada, "faults"), put_files({"a.csv": b"a\n1\n"}), by=ada)

    assert differences(TABLE, people) == {}


@pytest.mark.django_db
def test_the_table_names_every_address():
    assert uncovered([*urls.urlpatterns, *api_urls.urlpatterns], TABLE) == set()
