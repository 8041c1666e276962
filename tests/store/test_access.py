"""Every address of the store: who gets in, who does not. Ada's team provides, the outsider's has subscribed."""

from itertools import count

import pytest

from apps.catalog.models import Capability
from apps.store import adapters, api_urls, services, urls
from apps.store.models import Demand, Plan, Review, Subscription, Succession
from tests.access import PEOPLE, Row, differences, uncovered
from tests.factories import (
    make_capability,
    make_packaged_version,
    make_plan,
    make_published_capability,
    make_ready_deployment,
)

A = "/api/v1/"
S = "/store/digits/"
AS = "/api/v1/store/digits/"
T = "/operations/{test}/test/"
SUB = "/subscriptions/{subscription}/"
ASUB = A + "subscriptions/{subscription}/"
EVERYBODY = (302, 200, 200, 200, 200, 200)
API_EVERYBODY = (401, 200, 200, 200, 200, 200)
PROVIDER = (302, 200, 403, 200, 403, 200)
TENSOR = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}
CASE = {"capability": "digits", "name": "{fresh}", "inputs": [TENSOR]}
API_PROVIDER = (401, 200, 403, 200, 403, 200)
# The subscriber's team and the provider's developers and operators.
BOTH = (302, 200, 404, 200, 200, 200)
API_BOTH = (401, 200, 404, 200, 200, 200)
PLAN = {"name": "{fresh}", "capability": "digits", "limits": {"per_day": 10}}

# visitor, developer (provides), qa, operator (provides), outsider (subscribed), admin (of the outsider's team).
TABLE = [
    Row("GET", "/store/", EVERYBODY),
    Row("POST", "/store/-/look/", (302, 303, 303, 303, 303, 303), {"look": "table"}),
    Row("GET", "/store/-/preparation/", EVERYBODY),
    Row("GET", "/store/-/teams/?field=teams&words=radio", EVERYBODY),
    Row("GET", S, EVERYBODY),
    Row("GET", "/store/inner/", (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{S}try/", EVERYBODY),
    Row("GET", "/store/inner/try/", (302, 200, 200, 200, 404, 200)),
    Row("GET", f"{S}try/batch/", EVERYBODY),
    Row("GET", f"{S}try/batch/template.csv", (302, 404, 404, 404, 404, 404)),
    Row("POST", f"{S}try/batch/1/stop/", (302, 404, 404, 404, 404, 404)),
    Row("GET", f"{S}try/batch/1/answers.csv", (302, 404, 404, 404, 404, 404)),
    Row("POST", f"{S}try/why/", (302, 422, 422, 422, 422, 422)),
    Row("POST", f"{S}try/feedback/", EVERYBODY),
    Row("GET", f"{S}api/", EVERYBODY),
    Row("GET", f"{S}openapi.json", (302, 404, 404, 404, 404, 404)),
    Row("GET", f"{S}versions/", EVERYBODY),
    Row("GET", f"{S}versions/1.0.0/bundle.zip", (302, 404, 404, 404, 404, 404)),
    Row("GET", f"{S}quality/", EVERYBODY),
    Row("GET", f"{S}reviews/", EVERYBODY),
    Row("POST", f"{S}reviews/{{review}}/answer/", (302, 302, 403, 302, 403, 302), {"text": "Thanks"}),
    Row("POST", f"{S}follow/capability/start/", (302, 302, 302, 302, 302, 302)),
    Row("POST", f"{S}reuse/", (302, 404, 404, 404, 404, 404)),
    Row("POST", f"{S}copies/1/end/", (302, 404, 404, 404, 404, 404)),
    Row("GET", f"{S}usage/", (302, 200, 403, 200, 200, 200)),
    Row("GET", f"{S}usage.csv", (302, 200, 403, 200, 200, 200)),
    Row("GET", f"{S}callers.csv", PROVIDER),
    Row("POST", f"{S}retire/", (302, 422, 403, 422, 403, 422)),
    Row("GET", f"{S}subscribe/", (302, 302, 302, 302, 302, 302)),
    Row("GET", f"{S}plans/", PROVIDER),
    Row("POST", f"{S}plans/trusted/", (302, 302, 403, 302, 403, 302)),
    Row("GET", f"{S}plans/{{draft}}/edit/", PROVIDER),
    Row("POST", f"{S}plans/{{draft}}/edit/", (302, 422, 403, 422, 403, 422)),
    Row("POST", f"{S}plans/{{draft}}/publish/", (302, 302, 403, 409, 403, 409)),
    Row("POST", f"{S}plans/{{old}}/successor/", (302, 302, 403, 302, 403, 302), {"successor": "{plan}"}),
    Row("POST", f"{S}plans/{{old}}/move/", (302, 302, 403, 302, 403, 302)),
    Row("GET", T, (302, 200, 200, 200, 404, 200)),
    Row("POST", f"{T}save/", (302, 422, 422, 422, 404, 422)),
    Row("POST", f"{T}run/", (302, 200, 200, 200, 404, 200)),
    Row("POST", f"{T}ship/", (302, 409, 409, 409, 404, 409)),
    Row("POST", f"{T}cases/{{case}}/remove/", (302, 302, 404, 404, 404, 404)),
    Row("GET", f"{A}saved-cases/", API_EVERYBODY),
    Row("GET", A + "saved-cases/{case_too}/", (401, 200, 200, 200, 404, 200)),
    Row("POST", f"{A}saved-cases/", (401, 201, 201, 201, 403, 201), CASE),
    Row("POST", f"{A}saved-cases/run/", (401, 200, 200, 200, 404, 200), {"deployment": "{test}"}),
    Row("GET", f"{A}saved-cases/results/?deployment={{test}}", (401, 200, 200, 200, 404, 200)),
    Row("POST", f"{A}saved-cases/ship/", (401, 409, 409, 409, 404, 409), {"deployment": "{test}"}),
    Row("GET", "/demands/", EVERYBODY),
    Row("GET", "/demands/{demand}/", EVERYBODY),
    Row("POST", "/demands/{demand}/need/", (302, 302, 302, 302, 302, 302), {"text": "we too"}),
    Row("GET", "/subscriptions/", EVERYBODY),
    Row("GET", SUB, BOTH),
    Row("GET", f"{SUB}what-if/?plan={{plan}}", BOTH),
    Row("GET", f"{SUB}usage.csv", BOTH),
    Row("POST", f"{SUB}keys/", (302, 403, 404, 403, 200, 200)),
    Row("POST", f"{SUB}keys/{{key}}/rotate/", (302, 403, 404, 403, 200, 409)),
    Row("POST", f"{SUB}keys/{{key}}/revoke/", (302, 403, 404, 403, 302, 302)),
    Row("POST", f"{SUB}change/", (302, 403, 404, 403, 409, 409)),
    Row("GET", f"{A}store/", API_EVERYBODY),
    Row("GET", f"{A}store/facets/", API_EVERYBODY),
    Row("GET", AS, API_EVERYBODY),
    Row("GET", f"{A}store/inner/", (401, 200, 200, 200, 404, 200)),
    Row("GET", f"{AS}similar/", API_EVERYBODY),
    Row("GET", f"{AS}follow/", API_EVERYBODY),
    Row("GET", f"{AS}quality/", API_EVERYBODY),
    Row("GET", f"{AS}reviews/", API_EVERYBODY),
    Row("PUT", f"{AS}reviews/", (401, 403, 403, 403, 200, 200), {"rating": 4, "text": "Good"}),
    Row("POST", f"{AS}reviews/{{review}}/answer/", (401, 200, 403, 200, 403, 200), {"text": "Thanks"}),
    Row("GET", f"{AS}usage/", (401, 200, 403, 200, 200, 200)),
    Row("GET", f"{AS}try/", API_EVERYBODY),
    Row("GET", f"{A}store/inner/try/", (401, 200, 200, 200, 404, 200)),
    Row("POST", f"{AS}try/", (401, 422, 422, 422, 422, 422)),
    Row("POST", f"{AS}try/why/", (401, 422, 422, 422, 422, 422)),
    Row("POST", f"{AS}try/feedback/", (401, 422, 422, 422, 422, 422)),
    Row("GET", f"{AS}openapi/", (401, 404, 404, 404, 404, 404)),
    Row("GET", f"{AS}callers/", API_PROVIDER),
    Row("GET", f"{AS}checklist/", API_PROVIDER),
    Row("POST", f"{AS}retire/", (401, 409, 403, 409, 403, 409), {"quiet_days": 7}),
    Row("GET", f"{AS}trusted-teams/", API_PROVIDER),
    Row("GET", f"{AS}copies/", API_EVERYBODY),
    Row("DELETE", f"{AS}copies/1/", (401, 404, 404, 404, 404, 404)),
    Row("GET", f"{AS}batches/", API_EVERYBODY),
    Row("GET", f"{AS}batches/1/", (401, 404, 404, 404, 404, 404)),
    Row("POST", f"{AS}batches/1/stop/", (401, 404, 404, 404, 404, 404)),
    Row("GET", f"{AS}batches/1/answers/", (401, 404, 404, 404, 404, 404)),
    Row("GET", f"{AS}versions/1.0.0/bundle/", (401, 404, 404, 404, 404, 404)),
    Row("GET", f"{A}demands/", API_EVERYBODY),
    Row("POST", f"{A}demands/", (401, 201, 201, 201, 201, 201), {"title": "Speech", "need": "Words"}),
    Row("GET", A + "demands/{demand}/", API_EVERYBODY),
    Row("POST", A + "demands/{demand}/act/", API_EVERYBODY, {"verb": "need", "text": "we too"}),
    Row("GET", f"{A}plans/", API_EVERYBODY),
    Row("POST", f"{A}plans/", (401, 201, 403, 201, 403, 201), PLAN),
    Row("GET", A + "plans/{plan}/", API_EVERYBODY),
    Row("GET", A + "plans/{draft_too}/", (401, 200, 404, 200, 404, 200)),
    Row("PATCH", A + "plans/{draft_too}/", (401, 200, 404, 200, 404, 200), {"description": "x"}),
    Row("DELETE", A + "plans/{old}/", (401, 409, 404, 409, 404, 409)),
    Row("POST", A + "plans/{draft_too}/publish/", (401, 200, 403, 409, 403, 409)),
    Row("POST", A + "plans/{draft_too}/withdraw/", (401, 200, 404, 409, 404, 409)),
    Row("POST", A + "plans/{old}/successor/", (401, 200, 404, 200, 404, 200), {"successor": "{plan}"}),
    Row("POST", A + "plans/{old}/move/", (401, 200, 404, 200, 404, 200)),
    Row("GET", f"{A}subscriptions/", API_EVERYBODY),
    Row(
        "POST", f"{A}subscriptions/", (401, 403, 403, 403, 201, 201), {"plan": "{plan}", "team": "transport"}
    ),
    Row("GET", ASUB, API_BOTH),
    Row("GET", f"{ASUB}usage/?span=week", API_BOTH),
    Row("GET", f"{ASUB}what-if/?plan={{plan}}", API_BOTH),
    Row("POST", f"{ASUB}change/", (401, 403, 404, 403, 409, 409)),
    Row("GET", f"{ASUB}keys/", API_BOTH),
    Row("POST", f"{ASUB}keys/", (401, 403, 404, 403, 201, 201)),
    Row("POST", f"{ASUB}keys/{{other_key}}/rotate/", (401, 403, 404, 403, 201, 409)),
    Row("POST", f"{ASUB}keys/{{other_key}}/revoke/", (401, 403, 404, 403, 204, 204)),
    # Ending comes last.
    Row("POST", f"{SUB}suspend/", (302, 302, 404, 409, 403, 409), {"comment": "abuse"}),
    Row("POST", f"{SUB}resume/", (302, 302, 404, 409, 403, 409)),
    Row("POST", f"{ASUB}suspend/", (401, 200, 404, 409, 403, 409), {"reason": "abuse"}),
    Row("POST", f"{ASUB}resume/", (401, 200, 404, 409, 403, 409)),
    Row("POST", f"{SUB}cancel/", (302, 302, 404, 409, 409, 409)),
    Row("POST", f"{ASUB}cancel/", (401, 409, 404, 409, 409, 409)),
]


class Fresh:
    """Another word each time it is written out."""

    numbers = count()

    def __format__(self, spec: str) -> str:
        return f"plan-{next(self.numbers)}"


@pytest.fixture
def names(radio, transport, ada, cy, monkeypatch):
    """What the table's braces stand for."""
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    digits = make_published_capability(radio, ada, "digits")
    make_capability(radio, ada, "inner")
    plan = make_plan(digits, ada, "free")
    subscription = services.subscribe(plan, transport, by=cy, use_case="a test")
    keys = [services.issue_key(subscription, by=cy, label=f"key {n}")[0].pk for n in range(2)]
    drafts = [services.create_plan(digits, f"draft {n}", by=ada, limits={"per_day": 1}).pk for n in range(2)]
    old = services.withdraw_plan(make_plan(digits, ada, "old"), by=ada)
    tested = make_ready_deployment(make_packaged_version(digits, ada, "9.0.0"), ada, kind="test")
    tensor = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}
    cases = [services.save_case(digits, name=n, inputs=[tensor], expected=[], by=ada).pk for n in "ab"]
    monkeypatch.setattr(adapters, "infer", lambda *args, **facts: adapters.Answer(200, {"outputs": []}))
    return {
        "test": tested.pk,
        "case": cases[0],
        "case_too": cases[1],
        "fresh": Fresh(),
        "plan": plan.pk,
        "old": old.pk,
        "draft": drafts[0],
        "draft_too": drafts[1],
        "subscription": subscription.pk,
        "key": keys[0],
        "other_key": keys[1],
        "review": Review.objects.create(capability=digits, user=cy, rating=4, text="Good").pk,
        "demand": Demand.objects.create(title="Speech", need="Words", posted_by=cy).pk,
    }


def test_each_address_lets_in_whom_it_should(names, ada, bo, ole, cy, root):
    people = dict(zip(PEOPLE, (None, ada, bo, ole, cy, root), strict=True))

    assert differences(TABLE, people, **names) == {}


def test_a_refusal_changes_nothing(names, client, bo, cy):
    for person in (bo, cy):
        client.force_login(person)
        client.post(S + "reviews/{review}/answer/".format(**names), {"text": "Not ours to say"})
        client.post(f"{S}retire/", {"quiet_days": 7})
        client.post(S + "plans/{draft}/publish/".format(**names))
        client.post(SUB.format(**names) + "suspend/", {"comment": "not ours to stop"})
        client.post(S + "plans/{old}/successor/".format(**names), {"successor": names["plan"]})

    assert Review.objects.get().answer == ""
    assert Plan.objects.get(pk=names["draft"]).status == "draft"
    assert Capability.objects.get(slug="digits").status == "published"
    assert Subscription.objects.get().status == "granted"
    assert not Succession.objects.exists()


def test_the_table_names_every_address():
    assert uncovered([*urls.urlpatterns, *api_urls.urlpatterns], TABLE) == set()
