"""Every address of releases: who gets in, who does not."""

import pytest
from django.utils import timezone

from apps.releases import api_urls, urls
from apps.releases.bypass import ask_for_bypass
from apps.releases.findings import raise_finding
from apps.releases.models import Rerun
from tests.access import PEOPLE, Row, differences, uncovered
from tests.factories import make_deployment, make_packaged_version
from tests.releases.conftest import PASSWORD, make_release_elsewhere, make_replay

R = "/releases/{release}/"
A = "/api/v1/releases/"
B = "/api/v1/bypasses/"
C = "/api/v1/replays/"
P = "/api/v1/release-policies/"
NO_CALL = "00000000-0000-7000-8000-000000000000"

TABLE = [
    Row("GET", "/qa/", (302, 200, 200, 200, 200, 200)),
    Row("GET", "/releases/", (302, 200, 200, 200, 200, 200)),
    Row("GET", "/releases/open/{version}/", (302, 405, 405, 405, 405, 405)),
    Row("POST", "/releases/open/{version}/", (302, 403, 403, 403, 404, 403)),
    Row("GET", "/releases/policy/digits/", (302, 200, 200, 200, 404, 200)),
    Row("POST", "/releases/policy/digits/", (302, 200, 200, 200, 404, 200)),
    Row("POST", "/releases/policy/digits/preview/", (302, 200, 200, 200, 404, 200)),
    Row("POST", "/releases/policy/digits/withdraw/", (302, 409, 409, 409, 404, 409)),
    Row("POST", f"{P}{{policy}}/withdraw/", (401, 403, 409, 403, 404, 409)),
    Row("GET", "/releases/team-policy/radio/", (302, 200, 200, 200, 404, 200)),
    Row("POST", "/releases/team-policy/radio/", (302, 200, 200, 200, 404, 200)),
    Row("POST", f"{P}preview/", (401, 422, 422, 422, 404, 422), {"capability": "digits", "metric": 1}),
    Row("GET", R, (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{R}dossier.zip", (302, 405, 405, 405, 405, 405)),
    Row("POST", f"{R}findings/", (302, 403, 422, 403, 404, 422)),
    Row("POST", f"{R}findings/{{finding}}/", (302, 403, 422, 403, 404, 422)),
    Row("POST", f"{R}sign/", (302, 302, 302, 302, 404, 302)),
    Row("POST", f"{R}start/", (302, 403, 403, 403, 404, 403)),
    Row("POST", f"{R}pause/", (302, 403, 403, 409, 404, 409)),
    Row("POST", f"{R}promote/", (302, 403, 403, 403, 404, 403)),
    Row("POST", f"{R}conclusion/ask/", (302, 302, 302, 302, 404, 302)),
    Row("POST", f"{R}conclusion/agree/", (302, 403, 409, 409, 404, 409)),
    Row("POST", f"{R}conclusion/withdraw/", (302, 403, 409, 409, 404, 409)),
    Row("GET", "/releases/findings/", (302, 200, 200, 200, 200, 200)),
    Row("GET", "/api/v1/findings/", (401, 200, 200, 200, 200, 200)),
    Row("GET", "/api/v1/findings/{finding}/", (401, 200, 200, 200, 404, 200)),
    Row("GET", "/releases/emergency/", (302, 200, 200, 200, 200, 200)),
    Row("POST", "/releases/emergency/", (302, 200, 200, 200, 200, 200)),
    Row("POST", "/releases/emergency/{bypass}/agree/", (302, 403, 302, 403, 404, 302)),
    Row("GET", "/releases/replays/", (302, 200, 200, 200, 200, 200)),
    Row("GET", "/releases/replays/{replay}/", (302, 200, 200, 200, 200, 200)),
    Row("GET", "/releases/replays/{others}/", (302, 404, 404, 404, 200, 200)),
    Row("POST", "/releases/replays/{replay}/consent/", (302, 403, 403, 403, 403, 403)),
    Row("GET", "/releases/history/digits/", (302, 200, 200, 200, 404, 200)),
    Row("POST", f"/releases/again/{NO_CALL}/", (302, 404, 404, 404, 404, 404)),
    Row("GET", "/releases/reruns/{rerun}/", (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{A}history/?capability=digits", (401, 200, 200, 200, 404, 200)),
    Row("GET", "/api/v1/reruns/", (401, 200, 200, 200, 200, 200)),
    Row("POST", "/api/v1/reruns/", (401, 404, 404, 404, 404, 404), {"request_id": NO_CALL}),
    Row("GET", "/api/v1/reruns/{rerun}/", (401, 200, 200, 200, 404, 200)),
    Row("GET", P, (401, 200, 200, 200, 200, 200)),
    Row("POST", P, (401, 403, 422, 403, 404, 422), {"capability": "digits", "signers": [], "stages": []}),
    Row("POST", P, (401, 403, 422, 403, 404, 422), {"team": "radio", "signers": [], "stages": []}),
    Row("GET", f"{P}{{policy}}/", (401, 200, 200, 200, 404, 200)),
    Row("GET", C, (401, 200, 200, 200, 200, 200)),
    Row("GET", f"{C}{{replay}}/", (401, 200, 200, 200, 200, 200)),
    Row("GET", f"{C}{{others}}/", (401, 404, 404, 404, 200, 200)),
    Row("GET", f"{C}{{replay}}/calls/", (401, 200, 200, 200, 200, 200)),
    Row("POST", f"{C}{{replay}}/consent/", (401, 403, 403, 403, 403, 403)),
    Row("POST", f"{C}{{replay}}/object/", (401, 403, 403, 403, 403, 403)),
    Row("POST", f"{C}{{replay}}/ask-again/", (401, 403, 403, 403, 403, 403), {"comment": "Look."}),
    Row("GET", f"{A}{{release}}/conclusions/", (401, 200, 200, 200, 404, 200)),
    Row("POST", f"{A}{{release}}/conclusions/", (401, 422, 422, 422, 404, 422)),
    Row("POST", f"{A}{{release}}/conclusions/agree/", (401, 422, 422, 422, 422, 422)),
    Row("POST", f"{A}{{release}}/conclusions/withdraw/", (401, 403, 409, 409, 404, 409)),
    Row("GET", A, (401, 200, 200, 200, 200, 200)),
    Row("POST", A, (401, 422, 422, 422, 422, 422)),
    Row("GET", f"{A}{{release}}/", (401, 200, 200, 200, 404, 200)),
    Row("GET", f"{A}check/?version={{version}}", (401, 200, 200, 200, 404, 200)),
    Row("POST", f"{A}{{release}}/sign/", (401, 422, 422, 422, 422, 422)),
    Row("POST", f"{A}{{release}}/findings/", (401, 422, 422, 422, 404, 422)),
    Row("POST", f"{A}{{release}}/findings/{{finding}}/close/", (401, 422, 422, 422, 404, 422)),
    Row("POST", f"{A}{{release}}/dossier/", (401, 200, 200, 200, 404, 200)),
    Row("POST", f"{A}{{release}}/reject/", (401, 422, 422, 422, 422, 422)),
    Row("POST", f"{A}{{release}}/start/", (401, 403, 403, 403, 404, 403)),
    Row("POST", f"{A}{{release}}/promote/", (401, 403, 403, 403, 404, 403)),
    Row("POST", f"{A}{{release}}/pause/", (401, 403, 403, 409, 404, 409)),
    Row("POST", f"{A}{{release}}/resume/", (401, 403, 403, 200, 404, 409)),
    Row("POST", f"{A}{{release}}/roll-back/", (401, 403, 403, 200, 404, 409)),
    Row("GET", B, (401, 200, 200, 200, 200, 200)),
    Row("POST", B, (401, 422, 422, 422, 422, 422)),
    Row("GET", f"{B}{{bypass}}/", (401, 200, 200, 200, 404, 200)),
    Row("POST", f"{B}{{bypass}}/agree/", (401, 422, 422, 422, 404, 422)),
    Row("POST", f"{B}{{bypass}}/withdraw/", (401, 403, 200, 409, 404, 409)),
]


def test_each_address_lets_in_whom_it_should(signed, digits, ada, bo, ole, cy, root):
    people = dict(zip(PEOPLE, (None, ada, bo, ole, cy, root), strict=True))
    finding = raise_finding(signed, by=bo, text="Look at sevens.", most_percent=5)
    urgent = make_packaged_version(digits, ada, "1.0.1")
    bypass = ask_for_bypass(urgent, by=ole, reason="The old one is down.", hours=2, password=PASSWORD)
    names = {"release": signed.pk, "finding": finding.pk, "version": urgent.pk, "bypass": bypass.pk}
    names |= {"replay": make_replay(signed, cy).pk, "policy": signed.policy_id}
    names["rerun"] = Rerun.objects.create(
        request_id=NO_CALL, at=timezone.now(), version=urgent, deployment=make_deployment(urgent, ada),
        own_deployment=False, asked_by=ada,
    ).pk  # fmt: skip
    names["others"] = make_replay(make_release_elsewhere(cy), cy).pk

    assert differences(TABLE, people, **names) == {}


@pytest.mark.django_db
def test_the_table_names_every_address():
    assert uncovered([*urls.urlpatterns, *api_urls.urlpatterns], TABLE) == set()
