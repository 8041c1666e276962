"""Before and inside the stages: shipped cases, the shadow, slow answers, memory; each stops a bad candidate."""

import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.catalog.models import Version
from apps.core import objects
from apps.gateway import partitions
from apps.gateway.models import Call, Grant
from apps.gateway.services import record_outcome
from apps.instances.models import Replica, Shadow
from apps.releases import evidence, shipped
from apps.releases.blockers import blockers_of
from apps.releases.models import Policy, Release, Stage, StageMinute
from apps.releases.rollout import active_stage, proceed, promote, start_rollout
from apps.releases.shipped import agree
from apps.requests.models import Notification
from tests.factories import make_calls, make_packaged_version, make_ready_deployment, rows_of
from tests.releases.conftest import sign
from tests.releases.test_rollout import weights

pytestmark = pytest.mark.django_db


@pytest.fixture
def released(signed, ole):
    make_ready_deployment(signed.version, ole)
    proceed(start_rollout(signed, by=ole))
    return signed


@pytest.fixture
def start(released, digits, ada, bo, bea, ole):
    """Sign 1.1.0 under a policy with these fields and start it; `cases` are shipped with it."""

    def go(cases=None, **policy):
        Policy.objects.create(
            team=digits.team, capability=digits, number=2, signers=[{"role": "qa", "count": 2}],
            **({"stages": [{"weight": 5, "worse_by": 0.05}]} | policy),
        )  # fmt: skip
        version = make_packaged_version(digits, ada, "1.1.0")
        if cases is not None:
            digest, size = objects.put([orjson.dumps(cases)])
            version.manifest["cases.json"] = {"sha256": digest, "size": size}
            Version.objects.filter(pk=version.pk).update(manifest=version.manifest)
            version.refresh_from_db()
        release = sign(version, ada, bo, bea)
        make_ready_deployment(version, ole)
        release = start_rollout(release, by=ole)
        proceed(release)
        release.refresh_from_db()
        return release

    return go


@pytest.fixture
def gateway(settings, monkeypatch):
    """A gateway that answers every call with class 3, and notes what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            body = orjson.dumps(
                {"outputs": [{"name": "class", "datatype": "INT64", "shape": [1], "data": [3]}]}
            )
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(type(settings.ATRIUM), "gateway_url", f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()
    server.server_close()


def case(expected):
    inputs = [{"name": "image", "datatype": "FP32", "shape": [1], "data": [0.0]}]
    return {"name": f"says {expected}", "inputs": inputs, "expected": [{"name": "class", "data": [expected]}]}


def test_shipped_cases_that_hold_let_the_first_stage_begin(start, gateway):
    release = start(cases=[case(3), case(3)])

    assert [one["passed"] for one in release.cases] == [True, True]
    assert gateway[0][0] == "/v2/models/digits/versions/1.1.0/infer"
    assert weights(release) == (5, 95)
    assert not Grant.objects.filter(label__startswith="shipped", status="active").exists()


def test_a_shipped_case_that_does_not_hold_stops_the_rollout_before_any_call(start, gateway):
    release = start(cases=[case(3), case(8)])

    assert release.status == Release.Status.ROLLED_BACK
    assert "says 8" in release.reason_words
    assert weights(release)[1] == 100


def test_with_the_gateway_away_the_rollout_waits_and_goes_on_later(start, monkeypatch, request):
    monkeypatch.setattr(type(settings.ATRIUM), "gateway_url", "http://127.0.0.1:9")
    monkeypatch.setattr(shipped, "TIME_LIMIT_S", 0.2)
    release = start(cases=[case(3)])
    assert (release.status, release.cases, weights(release)) == (Release.Status.ROLLING, None, (0, 100))

    assert "gateway" in release.reason_words
    request.getfixturevalue("gateway")
    proceed(release)

    release.refresh_from_db()
    assert (weights(release), release.reason_words) == ((5, 95), "")


@pytest.mark.parametrize(
    ("expected", "given", "same"),
    [
        ([1.0, 2.0], [1.0, 2.000001], True),
        ([1.0], [1.1], False),
        ([1.0], [float("nan")], False),
        ([[1], [2]], [1, 2], True),
        (["a"], ["b"], False),
        ([1], [1, 1], False),
    ],
)
def test_values_agree_within_the_tolerance(expected, given, same):
    assert agree(expected, given, 1e-5) is same


def test_the_shadow_comes_before_the_first_call_is_answered(start, ole):
    release = start(shadow_calls=50)
    assert Shadow.objects.get().deployment == release.deployment
    assert weights(release) == (0, 100)

    def waits_for():
        return [blocker.words for blocker in blockers_of(release.version)]

    assert waits_for() == ["Shadow stage: its calls are being counted"]
    make_calls(release.deployment, good=49, bad=0)
    make_calls(release.baseline, good=49, bad=0)
    proceed(release)
    assert active_stage(release).outcome == "undecided"
    assert waits_for() == ["Shadow stage: 1 more mirrored calls"]
    make_calls(release.deployment, good=1, bad=0)
    proceed(release)
    assert waits_for() == ["The shadow stage is a success; an operator promotes it."]
    told = Notification.objects.filter(user=ole).latest("pk").title
    assert told == "digits 1.1.0: the shadow stage is a success and can be promoted"
    promote(release, by=ole)

    assert weights(release) == (5, 95)
    assert not Shadow.objects.exists()


def test_a_worker_killed_before_the_shadow_begins_it_later(start, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("apps.releases.rollout.set_shadow", lambda *_args, **_facts: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            start(shadow_calls=50)
    release = Release.objects.order_by("pk").last()
    assert (release.status, active_stage(release)) == (Release.Status.ROLLING, None)

    proceed(release)
    assert Shadow.objects.get().deployment == release.deployment


def test_a_candidate_that_fails_in_the_shadow_answers_nobody(start):
    release = start(shadow_calls=50)
    make_calls(release.deployment, good=10, bad=20)
    make_calls(release.baseline, good=30, bad=0)
    proceed(release)

    release.refresh_from_db()
    assert release.status == Release.Status.ROLLED_BACK
    assert weights(release) == (0, 100)
    assert not Shadow.objects.exists()


def test_the_clock_of_a_stage_follows_the_pace_of_the_last_minutes(start):
    release = start()
    now = timezone.now()
    release.stages.update(started_at=now - timedelta(hours=6))
    make_calls(release.deployment, good=90, bad=0, at=now - timedelta(hours=5))
    proceed(release)
    assert active_stage(release).evidence["hours_left"] is None  # nobody calls any more

    make_calls(release.deployment, good=30, bad=0, at=now - timedelta(minutes=2))
    proceed(release)
    told = active_stage(release).evidence
    assert told["candidate"]["calls"] == 120
    assert told["hours_left"] == pytest.approx(told["missing"] / (30 / (10 / 60)), rel=0.15)


def test_a_candidate_that_gets_slow_is_rolled_back(start):
    release = start(stages=[{"weight": 5, "worse_by": 0.05, "slow_ms": 20}])
    make_calls(release.deployment, good=60, bad=0)
    Call.objects.filter(deployment_id=release.deployment_id).update(latency_ms=80)
    make_calls(release.baseline, good=1000, bad=0)
    proceed(release)

    release.refresh_from_db()
    stage = release.stages.get()
    assert (release.status, stage.status) == (Release.Status.ROLLED_BACK, Stage.Status.FAILED)
    assert (stage.evidence["candidate"]["slow"], stage.evidence["baseline"]["slow"]) == (60, 0)


def test_a_call_that_is_slow_and_failed_counts_once(start):
    release = start(stages=[{"weight": 5, "worse_by": 0.05, "slow_ms": 20}])
    make_calls(release.deployment, good=0, bad=3)
    Call.objects.filter(deployment_id=release.deployment_id).update(latency_ms=80)
    proceed(release)

    assert active_stage(release).evidence["candidate"]["bad"] == 3


@pytest.mark.parametrize(
    ("status", "kind"), [(429, "rate-exceeded"), (400, "bad-request"), (413, "content-too-large")]
)
def test_calls_that_were_refused_to_the_caller_are_no_evidence(start, status, kind):
    """They say nothing of a version: counted as good ones they fill the stage's samples and hide what fails."""
    release = start(stages=[{"weight": 50, "worse_by": 0.05}])
    make_calls(release.deployment, good=500, bad=0)
    make_calls(release.baseline, good=500, bad=0)
    Call.objects.update(status=status, error_kind=kind)
    make_calls(release.deployment, good=5, bad=2)
    proceed(release)

    stage = active_stage(release)
    told = stage.evidence["candidate"]
    assert (told["calls"], told["bad"], stage.evidence["baseline"]["calls"]) == (7, 2, 0)
    assert stage.outcome == "undecided"


@pytest.mark.parametrize(
    ("refused", "kind", "bad", "status"),
    [
        (3, "refused-alone", 3, Release.Status.ROLLING),
        (12, "refused-alone", 12, Release.Status.ROLLED_BACK),
        (
            12,
            "input",
            0,
            Release.Status.ROLLING,
        ),  # by an earlier gateway: production may have refused them, too
    ],
)
def test_a_mirrored_call_that_the_candidate_alone_refuses_is_bad(start, refused, kind, bad, status):
    release = start(shadow_calls=50)
    make_calls(release.deployment, good=20, bad=0)
    make_calls(release.baseline, good=20, bad=0)
    mirrored = Call.objects.filter(deployment_id=release.deployment_id)
    mirrored.update(shadow=True)
    Call.objects.filter(pk__in=mirrored.values("pk")[:refused]).update(status=400, error_kind=kind)
    proceed(release)

    release.refresh_from_db()
    told = release.stages.first().evidence["candidate"]
    calls = 20 - refused + bad
    assert (told["calls"], told["bad"], told["errors"], release.status) == (calls, bad, 0, status)
    if status == Release.Status.ROLLED_BACK:
        assert release.reason_words.startswith("Shadow stage: ")
        assert "12 of 20 mirrored calls" in release.reason_words


def test_a_candidate_that_leaks_is_rolled_back(start):
    release = start(stages=[{"weight": 5, "worse_by": 0.05, "memory_mb": 500}])
    Replica.objects.filter(deployment=release.deployment).update(memory_mb=900)
    proceed(release)

    release.refresh_from_db()
    assert release.status == Release.Status.ROLLED_BACK
    assert "900 MB" in release.reason_words


def test_a_candidate_that_crashes_on_one_percent_of_inputs_is_found(start):
    release = start(stages=[{"weight": 50, "worse_by": 0.01}])
    make_calls(release.deployment, good=2970, bad=30)
    make_calls(release.baseline, good=3000, bad=0)
    proceed(release)

    release.refresh_from_db()
    assert release.status == Release.Status.ROLLED_BACK


def test_a_candidate_that_answers_nan_is_found(start):
    release = start()
    make_calls(release.deployment, good=60, bad=0)
    Call.objects.filter(deployment_id=release.deployment_id).update(logged={"not_finite": True})
    make_calls(release.baseline, good=1000, bad=0)
    record_outcome(
        Call.objects.filter(deployment_id=release.deployment_id).first().request_id,
        kind="feedback",
        correct=False,
    )
    proceed(release)

    release.refresh_from_db()
    assert release.status == Release.Status.ROLLED_BACK
    assert release.stages.get().evidence["candidate"]["bad"] == 60  # the complaint is about one of them


def test_a_minute_of_the_log_is_counted_once_and_late_calls_are_found(start):
    release = start()
    stage = active_stage(release)
    old = timezone.now() - timedelta(hours=2)
    partitions.make(old.date())
    Stage.objects.filter(pk=stage.pk).update(started_at=old - timedelta(minutes=5))
    make_calls(release.deployment, good=10, bad=1)
    proceed(release)
    assert active_stage(release).evidence["candidate"]["calls"] == 11

    make_calls(release.deployment, good=5, bad=0)
    Call.objects.filter(request_id__in=Call.objects.order_by("-request_id").values("request_id")[:5]).update(
        at=old
    )
    Call.objects.filter(at=old).update(deployment_id=release.deployment_id, status=200)
    before = active_stage(release).evidence["candidate"]["calls"]
    proceed(release)
    assert (before, StageMinute.objects.filter(minute__lt=old).count()) == (11, 0)

    Stage.objects.filter(pk=stage.pk).update(recounted_at=timezone.now() - timedelta(minutes=11))
    proceed(release)
    assert active_stage(release).evidence["candidate"]["calls"] == 16


def test_three_days_of_minutes_are_counted_at_once(start):
    """As where a release is resumed: more values than PostgreSQL takes with one statement."""
    release, minutes = start(), 5100
    now = timezone.now()
    for back in range(5):
        partitions.make((now - timedelta(days=back)).date())
    Stage.objects.update(started_at=now - timedelta(days=4))
    make_calls(release.deployment, good=minutes, bad=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE gateway_call c SET at = %s - n.n * interval '1 minute'"
            " FROM (SELECT request_id, row_number() OVER () AS n FROM gateway_call) n"
            " WHERE n.request_id = c.request_id",
            [now],
        )
    proceed(release)

    assert (release.stages.get().minutes.count(), active_stage(release).evidence["candidate"]["calls"]) == (
        minutes,
        minutes,
    )


def test_a_minute_whose_calls_count_no_more_is_emptied(start):
    release = start()
    make_calls(release.deployment, good=10, bad=1)
    proceed(release)
    StageMinute.objects.update(cpu_s=2.5)
    Call.objects.update(status=400)
    proceed(release)

    assert active_stage(release).evidence["candidate"]["calls"] == 0
    minute = StageMinute.objects.get(deployment_id=release.deployment_id)
    assert (minute.bad, sum(minute.histogram), minute.cpu_s) == (0, 0, 2.5)


def test_a_complaint_counts_whenever_it_comes(start):
    release = start()
    make_calls(release.deployment, good=10, bad=1)
    proceed(release)
    for call in Call.objects.filter(deployment_id=release.deployment_id, status=200)[:2]:
        record_outcome(call.request_id, kind="feedback", correct=False)
        record_outcome(call.request_id, kind="feedback", correct=False)
    proceed(release)

    seen = active_stage(release).evidence["candidate"]
    assert (seen["complaints"], seen["errors"], seen["bad"]) == (2, 1, 3)


METRIC = {"name": "handled", "expression": "correct", "worse_by": 0.2}


ASKED = METRIC | {"low": 0, "high": 1, "wait_minutes": 0, "higher_is_better": "on"}


def said(deployment, good, of, minutes_ago):
    """Calls of one minute in the past, each with feedback."""
    before = set(Call.objects.values_list("request_id", flat=True))
    make_calls(deployment, good=of, bad=0)
    fresh = list(Call.objects.exclude(request_id__in=before))
    at = timezone.now() - timedelta(minutes=minutes_ago)
    partitions.make(at.date())
    for place, call in enumerate(fresh):
        Call.objects.filter(request_id=call.request_id).update(at=at)
        record_outcome(call.request_id, kind="feedback", correct=place < good)


def at_half(start, mine, other):
    release = start(metric=METRIC, stages=[{"weight": 50, "worse_by": 0.45, "metric": True}])
    Stage.objects.update(started_at=timezone.now() - timedelta(hours=1))
    for minute in range(6, 18):
        said(release.deployment, mine, 20, minute)
        said(release.baseline, other, 20, minute)
    proceed(release)
    release.refresh_from_db()
    return release


def test_a_business_metric_that_falls_rolls_back(start):
    release = at_half(start, 12, 20)

    assert (release.status, "“handled” is worse (0.6 against 1)" in release.reason_words) == (
        "rolled_back",
        True,
    )


@pytest.mark.parametrize("at_once", [2000, 7])
def test_a_business_metric_that_holds_passes_when_enough_calls_came(start, monkeypatch, at_once):
    monkeypatch.setattr(evidence, "CALLS_AT_ONCE", at_once)
    release = at_half(start, 19, 19)
    measured = active_stage(release).evidence["metric"]

    assert (release.status, measured["candidate"], measured["candidate_calls"]) == ("rolling", 0.95, 240)
    assert measured["better_by"][0] < 0 < measured["better_by"][2]
    assert measured["outcome"] == active_stage(release).outcome == "success"


def test_the_owner_tries_the_metric_on_calls_that_are_there(start, ada, client):
    release = at_half(start, 19, 19)
    client.force_login(ada)

    page = client.post("/releases/policy/digits/preview/", rows_of("metric", ASKED))

    assert "0.95" in page.content.decode()
    assert release.version.number in page.content.decode()
    refused = client.post("/releases/policy/digits/preview/", rows_of("metric", ASKED | {"low": "much"}))
    assert "Row 1, From: Enter a number." in refused.content.decode()


def test_a_policy_is_written_as_rows(start, bo, client):
    start(metric=METRIC, stages=[{"weight": 5, "worse_by": 0.05, "metric": True}])
    client.force_login(bo)
    page = client.get("/releases/policy/digits/").content.decode()
    asked = {
        **rows_of("signers", {"role": "qa", "count": "2"}),
        **rows_of(
            "stages",
            {"weight": "5", "worse_by": "2.5"},
            {"weight": "50", "worse_by": "1", "memory_mb": "900"},
        ),
        **rows_of("gates"),
        **rows_of("metric"),
        "deadline_days": "7",
    }

    refused = client.post("/releases/policy/digits/", asked | {"stages-1-weight": "3"})
    made = client.post("/releases/policy/digits/", asked)

    assert 'name="stages-0-worse_by" value="5"' in page
    assert f'value="{METRIC["name"]}"' in page
    assert "stages must grow" in refused.content.decode()
    assert made.status_code == 302, made.context["form"].errors
    policy = Policy.objects.order_by("-number").first()
    assert policy.stages == [
        {"weight": 5, "worse_by": 0.025},
        {"weight": 50, "worse_by": 0.01, "memory_mb": 900.0},
    ]
    assert (policy.signers, policy.metric, policy.four_eyes) == ([{"role": "qa", "count": 2}], None, False)
