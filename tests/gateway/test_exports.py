"""Looking through the log with a condition, and making a data set version of what is found."""

from __future__ import annotations

import orjson
import pytest

from apps.core import turns
from apps.core.errors import Invalid, NotAllowed
from apps.datasets.selectors import iterate_rows
from apps.gateway import exporting, scanning
from apps.gateway.dataplane import segments
from apps.gateway.ingest import ingest_once
from apps.gateway.models import Call, CallExport
from apps.gateway.selectors import calls
from apps.gateway.services import give_feedback
from tests.factories import make_dataset
from tests.gateway.test_ingest import REQUEST, facts, log, served  # noqa: F401 - fixtures

ANSWER = '{"model_name":"m","outputs":[{"name":"label","shape":[1],"datatype":"INT64","data":[%d]}]}'
SEVEN = "outputs.label == `7`"


@pytest.fixture
def logged(log, served):  # noqa: F811
    """Ten calls with the answers 0 to 9, the last of them said to be wrong."""
    log(*[segments.pack(facts(served), REQUEST, (ANSWER % digit).encode()) for digit in range(10)])
    ingest_once(log.folder)
    newest = Call.objects.order_by("-at", "-request_id").first()
    give_feedback(newest, correct=False, expected=4, by=served[0].created_by)
    return served[0]


@pytest.fixture
def dataset(radio, ada):
    return make_dataset(radio, ada)


def test_an_export_keeps_the_calls_that_match_with_what_was_said_of_them(logged, dataset, ada):
    made = exporting.start_export(logged, dataset, {"since": "hour", "where": "outputs.label > `7`"}, by=ada)
    exporting.run(made.pk)

    made.refresh_from_db()
    rows = list(iterate_rows(made.version))
    assert (made.status, made.looked_at, made.found) == ("done", 10, 2)
    assert [row["outputs"] for row in rows] == [{"label": 9}, {"label": 8}]
    assert rows[0]["inputs"] == {"x": [1, 2]}
    assert (rows[0]["feedback"]["correct"], rows[0]["feedback"]["expected"]) == (False, 4)
    assert (rows[1]["feedback"], made.version.note) == (None, f"2 calls of “{logged.name}”")


def test_calls_that_come_later_are_not_taken(logged, dataset, ada, log, served):  # noqa: F811
    made = exporting.start_export(logged, dataset, {}, by=ada)
    (log.folder / "0-abc").mkdir(exist_ok=True)
    log(segments.pack(facts(served), REQUEST, (ANSWER % 7).encode()), name="000002.seg")
    ingest_once(log.folder)
    exporting.run(made.pk)

    made.refresh_from_db()
    assert (Call.objects.count(), made.found) == (11, 10)


def test_nothing_found_or_cancelled_leaves_no_version(logged, dataset, ada):
    none = exporting.start_export(logged, dataset, {"where": "outputs.label > `70`"}, by=ada)
    stopped = exporting.start_export(logged, dataset, {}, by=ada)
    exporting.cancel_export(stopped, by=ada)
    exporting.run_waiting()

    none.refresh_from_db()
    stopped.refresh_from_db()
    assert (none.status, none.reason) == ("failed", "No call matches, so there is nothing to keep.")
    assert (stopped.status, stopped.version, dataset.versions.count()) == ("cancelled", None, 0)


@pytest.mark.django_db(transaction=True)
def test_two_workers_make_one_version_and_the_next_takes_up_what_was_left(logged, dataset, ada, monkeypatch):
    made = exporting.start_export(logged, dataset, {}, by=ada)
    monkeypatch.setattr(exporting, "_keep", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        exporting.run(made.pk)
    monkeypatch.undo()
    monkeypatch.setattr(turns, "only_one", _busy)
    exporting.run_waiting()
    assert dataset.versions.count() == 0
    monkeypatch.undo()

    exporting.run_waiting()
    exporting.run_waiting()

    made.refresh_from_db()
    assert (made.status, made.found, dataset.versions.count()) == ("done", 10, 1)


class _busy:  # noqa: N801  in place of a context manager
    def __init__(self, *_key):
        pass

    def __enter__(self):
        return False

    def __exit__(self, *_error):
        return None


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"where": "outputs.label >"}, "condition cannot be read"),
        ({"where": "a" * 1001}, "at most 1000 characters"),
        ({"where": "(" * 1000}, "nested too deeply"),
        ({"version": "1" * 201}, "version is longer than 200 characters"),
        ({"subscriber": "x" * 1000}, "subscriber is longer than 200 characters"),
        ({"since": "ever"}, "use hour, day or week"),
        ({"from": "yesterday"}, "must be a moment"),
        ({"score_below": "much"}, "must be a number"),
        ({"score_from": "nan"}, "must be a number"),
        ({"feedback": "praise"}, "use right, wrong or none"),
    ],
)
def test_what_cannot_be_read_is_refused_before_anything_starts(logged, dataset, ada, asked, told):
    with pytest.raises(Invalid, match=told):
        exporting.start_export(logged, dataset, asked, by=ada)
    assert not CallExport.objects.exists()


def test_a_condition_of_many_steps_is_a_no_and_not_an_error():
    deep: list[object] = [1]
    for _step in range(5000):
        deep = [deep]
    assert not scanning.Condition("a" + "[]" * 400).holds({"a": deep})


def test_it_takes_the_right_to_build_and_to_write_into_the_data_set(logged, dataset, ada, cy):
    with pytest.raises(NotAllowed):
        exporting.start_export(logged, dataset, {}, by=cy)


def test_a_look_is_bounded_and_goes_on(logged, monkeypatch):
    monkeypatch.setattr(scanning, "_PAGE", 3)
    monkeypatch.setattr(scanning, "MOST_LOOKED_AT", 6)
    condition = scanning.Condition("outputs.label < `2`")

    first = scanning.look(calls(capability=logged), condition)
    then = scanning.look(calls(capability=logged), condition, first.next_cursor)

    assert (first.items, first.looked_at) == ([], 6)
    assert [scanning.document_of(call)["outputs"]["label"] for call in then.items] == [1, 0]
    assert (then.looked_at, then.next_cursor) == (4, "")


@pytest.mark.parametrize(
    ("expression", "holds"),
    [("score", False), ("latency_ms", True), ("`0`", True), ("inputs.x", True), ("logged", False),
     ("nothing.there", False), ("length(score)", False), ("error == ''", True)],
)  # fmt: skip
def test_truth_is_as_jmespath_has_it(logged, expression, holds):
    document = scanning.document_of(Call.objects.first())

    assert scanning.Condition(expression).holds(document) is holds


def test_the_list_looks_with_a_condition_and_offers_the_export(logged, dataset, ada, client):
    client.force_login(ada)

    page = client.get("/calls/", {"capability": logged.slug, "where": SEVEN}).content.decode()
    wrong = client.get("/calls/", {"where": "a =="}).content.decode()
    told = client.get("/api/v1/calls/look/", {"where": SEVEN}).json()

    assert "10 calls were looked at, 1 match." in page
    assert f'href="/calls/export/{logged.slug}/?where=outputs.label+' in page
    assert "The condition cannot be read" in wrong
    assert (len(told["results"]), told["looked_at"]) == (1, 10)


def test_an_export_is_started_in_the_page_followed_and_cancelled(logged, dataset, ada, client):
    client.force_login(ada)
    address = f"/calls/export/{logged.slug}/?outcome=answered"
    assert client.post(address, {"dataset": dataset.slug, "where": "a =="}).status_code == 422

    answer = client.post(address, {"dataset": dataset.slug, "where": SEVEN})

    made = CallExport.objects.get()
    assert answer.url == f"/calls/exports/{made.pk}/"
    assert orjson.loads(orjson.dumps(made.asked)).keys() == {"outcome", "where", "until"}
    assert "0 calls looked at, 0 found" in client.get(answer.url, headers={"HX-Request": "true"}).text
    client.post(f"{answer.url}cancel/")
    exporting.run_waiting()
    assert "Cancelled" in client.get(answer.url).text
    assert client.post(f"{answer.url}cancel/").status_code == 409
