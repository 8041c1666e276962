"""Every address of jobs and of the sandboxes' network: who gets in, who does not."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.compute import api_urls, services, urls
from apps.compute.models import AllowedHost, Job, Node
from apps.compute.services import nodes
from tests.access import PEOPLE, Row, differences, uncovered
from tests.factories import put_files

A = "/api/v1/"
EVERYBODY = (302, 200, 200, 200, 200, 200)
API_EVERYBODY = (401, 200, 200, 200, 200, 200)
TEAM = (302, 200, 200, 200, 404, 200)
API_TEAM = (401, 200, 200, 200, 404, 200)
ADMIN = (302, 403, 403, 403, 403, 200)
OPERATORS = (302, 403, 403, 200, 403, 200)
API_OPERATORS = (401, 403, 403, 200, 403, 200)
CHANGES = (302, 403, 403, 403, 403, 302)
API_CHANGES = (401, 403, 403, 403, 403, 200)
SCRIPT = {"title": "Count", "team": "radio", "script": "print(1)"}

# visitor, developer (whose job it is), qa, operator, outsider, admin.
TABLE = [
    Row("GET", "/jobs/", EVERYBODY),
    Row("GET", "/jobs/new/", EVERYBODY),
    Row("GET", "/jobs/data/?field=datasets", EVERYBODY),
    Row("GET", "/jobs/{job}/", TEAM),
    Row("GET", "/jobs/{job}/state/", TEAM),
    Row("GET", "/jobs/{job}/usage/", TEAM),
    Row("GET", "/jobs/{job}/log/", TEAM),
    Row("GET", "/jobs/{done}/outputs/table.csv", TEAM),
    Row("GET", f"{A}jobs/", API_EVERYBODY),
    Row("POST", f"{A}jobs/", (401, 201, 403, 201, 403, 201), SCRIPT),
    Row("GET", A + "jobs/{job}/", API_TEAM),
    Row("GET", A + "jobs/{job}/attempts/", API_TEAM),
    Row("GET", A + "jobs/{job}/usage/", API_TEAM),
    Row("GET", A + "jobs/{job}/datasets/", API_TEAM),
    Row("GET", A + "jobs/{job}/log/", API_TEAM),
    Row("GET", A + "jobs/{done}/outputs/table.csv/", API_TEAM),
    # Whoever comes first ends it, or repeats it: after that nobody can.
    Row("POST", "/jobs/{job}/cancel/", (302, 302, 403, 403, 404, 403)),
    Row("POST", A + "jobs/{other}/cancel/", (401, 200, 403, 403, 404, 403)),
    Row("POST", "/jobs/{failed}/retry/", (302, 302, 403, 403, 404, 403)),
    Row("POST", A + "jobs/{failed_too}/retry/", (401, 200, 403, 403, 404, 403)),
    Row("GET", "/nodes/", OPERATORS),
    Row("POST", "/nodes/{node}/drain/", CHANGES),
    Row("POST", "/nodes/{node}/resume/", CHANGES),
    Row("POST", "/nodes/{node}/labels/", CHANGES, {"labels": "rack 3"}),
    Row("POST", "/nodes/{node}/remove/", (302, 403, 403, 403, 403, 409)),
    Row("GET", f"{A}nodes/", API_OPERATORS),
    Row("GET", A + "nodes/{node}/", API_OPERATORS),
    Row("PATCH", A + "nodes/{node}/", API_CHANGES, {"labels": ["rack 3"]}),
    Row("POST", A + "nodes/{node}/drain/", API_CHANGES),
    Row("POST", A + "nodes/{node}/resume/", API_CHANGES),
    Row("DELETE", A + "nodes/{node}/", (401, 403, 403, 403, 403, 409)),
    Row("GET", "/administration/compute/", ADMIN),
    Row("GET", f"{A}machine/", (401, 403, 403, 403, 403, 200)),
    Row("GET", "/administration/network/", ADMIN),
    Row("POST", "/administration/network/", (302, 403, 403, 403, 403, 422)),
    Row("POST", "/administration/network/{host}/enabled/", (302, 403, 403, 403, 403, 302), {"enabled": "1"}),
    Row("POST", "/administration/network/{machine}/remove/", (302, 403, 403, 403, 403, 409)),
    Row("GET", f"{A}allowed-hosts/", API_EVERYBODY),
    Row("GET", A + "allowed-hosts/{host}/", API_EVERYBODY),
    Row("POST", f"{A}allowed-hosts/", (401, 403, 403, 403, 403, 201), {"pattern": "a.example.org"}),
    Row("PATCH", A + "allowed-hosts/{host}/", (401, 403, 403, 403, 403, 200), {"enabled": False}),
    Row("DELETE", A + "allowed-hosts/{host}/", (401, 403, 403, 403, 403, 204)),
    Row("GET", f"{A}network-use/", (401, 403, 403, 403, 403, 200)),
]


@pytest.fixture
def names(radio, ada, fake):
    def job(status: str = "queued", **facts: object) -> int:
        made = services.submit_job("script", "A job", by=ada, team=radio, argv=["run"])
        Job.objects.filter(pk=made.pk).update(status=status, **facts)
        return made.pk

    nodes.beat(now=True)
    Node.objects.update(
        seen_at=timezone.now() + timedelta(hours=1)
    )  # for as long as all these questions take
    table = {"table.csv": {"sha256": put_files({"t": b"a,b\n"})["t"], "size": 4}}
    return {
        "job": job(),
        "other": job(),
        "failed": job("failed"),
        "failed_too": job("failed"),
        "done": job("succeeded", outputs=table),
        "host": AllowedHost.objects.create(pattern="pypi.example.org").pk,
        "node": Node.objects.get().pk,
        "machine": AllowedHost.objects.create(pattern="git.example.org", source="machine").pk,
    }


def test_each_address_lets_in_whom_it_should(names, ada, bo, ole, cy, root):
    people = dict(zip(PEOPLE, (None, ada, bo, ole, cy, root), strict=True))

    assert differences(TABLE, people, **names) == {}


def test_the_table_names_every_address():
    assert uncovered([*urls.urlpatterns, *api_urls.urlpatterns], TABLE) == set()
