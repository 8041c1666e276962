"""Many questions at once, as the page and the API see it; the job itself is tested in tests/sdk."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.accounts.models import Membership, Role, User
from apps.compute.models import Job
from apps.compute.services import retry_job
from apps.core import objects
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.gateway.models import Grant
from apps.store import services
from apps.store.batches import state_of, why_refused
from apps.store.limits import Limits
from apps.store.models import Batch, Plan
from tests.store.test_pages import as_ada, as_cy, live  # noqa: F401  fixtures


@pytest.fixture
def batch(digits, live, cy) -> Batch:  # noqa: F811
    return services.start_batch(digits, live, iter([b"image\n", b"[1]\n"]), "rows.csv", by=cy)


def finish(batch: Batch, *, status: str = "succeeded", result: dict | None = None, **outputs: bytes) -> None:
    files = {
        f"answers.{kind}": {"sha256": objects.put([content])[0], "size": len(content)}
        for kind, content in outputs.items()
    }
    Job.objects.filter(pk=batch.job_id).update(status=status, result=result, outputs=files)
    services.end_batch(batch.job_id)
    batch.refresh_from_db()


def test_a_file_becomes_a_job_under_the_persons_own_trial_quota(batch, digits, cy):
    trial = services.trial_grant(cy, digits)[0]
    assert batch.grant.pool == f"{trial.pool}/rows"
    assert batch.grant.limits == {"per_day": trial.limits["per_day"], "concurrent": 2}
    assert batch.job.params["at_once"] == 2
    assert batch.job.params["path"] == "/v2/models/digits/infer"
    assert batch.job.team == cy.memberships.get().team
    assert state_of(batch)["status"] == "queued"


def test_where_a_trial_may_make_one_call_at_a_time_so_does_its_file(digits, live, cy, monkeypatch):  # noqa: F811
    monkeypatch.setattr(
        services.batches, "trial_limits", lambda _: Limits(rate_per_s=1, burst=1, concurrent=1)
    )
    batch = services.start_batch(digits, live, iter([b"x\n"]), "rows.csv", by=cy)
    assert (batch.job.params["at_once"], batch.grant.limits) == (1, {"concurrent": 1})


def test_the_page_tells_of_no_limit_that_a_file_does_not_have(as_cy, live, digits, ada):  # noqa: F811
    limits = {"rate_per_s": 7, "burst": 9, "concurrent": 3, "per_month": 60}
    Plan.objects.create(
        capability=digits, name="try", trial=True, status="published", limits=limits, created_by=ada
    )
    page = as_cy.get("/store/digits/try/batch/").content.decode()

    assert "60 calls a month" in page
    assert not [words for words in ("calls a second", "bursts of", "at a time") if words in page]


def test_its_key_ends_with_the_job(batch):
    finish(batch, result={"rows": 1, "answered": 1, "failed": 0})
    assert Grant.objects.get(pk=batch.grant_id).status == "revoked"


def test_stopped_while_it_waits_it_is_over_and_the_next_may_come(batch, digits, live, cy):  # noqa: F811
    services.stop_batch(batch, by=cy)

    batch.refresh_from_db()
    assert Job.objects.get(pk=batch.job_id).status == "cancelled"
    assert Grant.objects.get(pk=batch.grant_id).status == "revoked"
    assert (state_of(batch)["status"], state_of(batch)["ready"]) == ("cancelled", False)
    assert AuditEntry.objects.filter(action="store.batch.stopped").count() == 1
    services.start_batch(digits, live, iter([b"x\n"]), "more.csv", by=cy)


def test_stopped_while_it_runs_its_key_ends_and_what_was_answered_is_handed_out(as_cy, batch, cy):  # noqa: F811
    Job.objects.filter(pk=batch.job_id).update(status="running")
    place = f"/store/digits/try/batch/{batch.pk}/stop/"
    assert place in as_cy.get("/store/digits/try/batch/").text
    for _click in range(2):
        assert as_cy.post(place).status_code == 302

    batch.refresh_from_db()
    assert Grant.objects.get(pk=batch.grant_id).status == "revoked"
    assert (batch.job.status, state_of(batch)["status"]) == ("running", "stopping")  # the job ends by itself
    page = as_cy.get("/store/digits/try/batch/").text
    assert "every 2s" in page
    assert place not in page

    finish(batch, result={"rows": 9, "answered": 4, "failed": 0, "stopped": "401: no such key"}, csv=b"a,7\n")
    assert state_of(batch)["message"] == "4 of 9 rows were answered; then you stopped it."
    assert b"".join(as_cy.get(place.replace("stop/", "answers.csv")).streaming_content) == b"a,7\n"


def test_only_who_sent_it_stops_it_and_not_once_it_is_done(as_cy, as_ada, batch, ada, cy):  # noqa: F811
    with pytest.raises(NotAllowed):
        services.stop_batch(batch, by=ada)
    place = f"/api/v1/store/digits/batches/{batch.pk}/stop/"
    assert as_ada.post(place).status_code == 404
    finish(batch, result={"rows": 1, "answered": 1, "failed": 0})
    assert as_cy.post(place).status_code == 409
    assert Batch.objects.get().stopped_at is None


def test_a_program_stops_it_too(as_cy, batch):  # noqa: F811
    told = as_cy.post(f"/api/v1/store/digits/batches/{batch.pk}/stop/").json()
    assert (told["id"], told["state"]["status"]) == (batch.pk, "cancelled")


@pytest.mark.parametrize("ended", ["stopped", "failed"])
def test_its_job_is_not_run_again_since_its_key_has_ended(batch, cy, ended):
    Membership.objects.filter(user=cy).update(role=Role.DEVELOPER)
    if ended == "stopped":
        services.stop_batch(batch, by=cy)
    else:
        finish(batch, status="failed")

    with pytest.raises(NotAllowed, match="Send the file again"):
        retry_job(Job.objects.get(pk=batch.job_id), by=User.objects.get(pk=cy.pk))
    assert Job.objects.get(pk=batch.job_id).ended


def test_one_file_at_a_time(batch, digits, live, cy):  # noqa: F811
    with pytest.raises(Conflict, match=r"rows\.csv"):
        services.start_batch(digits, live, iter([b"x\n"]), "more.csv", by=cy)
    finish(batch, status="failed")
    services.start_batch(digits, live, iter([b"x\n"]), "more.csv", by=cy)


@pytest.mark.parametrize("content", [[], [b""]])
def test_an_empty_file_is_refused(digits, live, cy, content):  # noqa: F811
    with pytest.raises(Invalid, match="empty"):
        services.start_batch(digits, live, iter(content), "rows.csv", by=cy)


def test_a_file_that_is_too_large_is_refused_while_it_streams(digits, live, cy, monkeypatch):  # noqa: F811
    monkeypatch.setattr("apps.store.services.batches.LARGEST", 10)
    read = []

    def chunks():
        for _number in range(1000):
            read.append(1)
            yield b"12345"

    with pytest.raises(Invalid, match="Split it"):
        services.start_batch(digits, live, chunks(), "rows.csv", by=cy)
    assert len(read) < 10


def test_the_page_sends_shows_and_hands_out(as_cy, live, cy, digits, bo):  # noqa: F811
    as_cy.post("/store/digits/try/batch/", {"file": SimpleUploadedFile("rows.csv", b"image\n[1]\n")})
    batch = Batch.objects.get()
    assert "every 2s" in as_cy.get("/store/digits/try/batch/").text

    finish(
        batch, result={"rows": 1, "answered": 1, "failed": 0}, csv=b"image,answer\n[1],7\n", parquet=b"PAR1"
    )
    page = as_cy.get("/store/digits/try/batch/")
    assert "every 2s" not in page.text
    assert "1 rows were answered" in page.text
    assert "table-records" in page.text  # on a phone a block, so that the download is in sight
    assert 'data-label="Answered"' in page.text
    url = f"/store/digits/try/batch/{batch.pk}/answers.csv"
    assert b"".join(as_cy.get(url).streaming_content) == b"image,answer\n[1],7\n"
    parquet = f"/store/digits/try/batch/{batch.pk}/answers.parquet"
    assert parquet in page.text
    assert b"".join(as_cy.get(parquet).streaming_content) == b"PAR1"
    assert as_cy.get(parquet.replace("parquet", "xls")).status_code == 404
    other = Client()
    other.force_login(bo)
    assert other.get(url).status_code == 404


def test_what_does_not_fit_is_told_with_row_and_column(as_cy, batch):  # noqa: F811
    facts = {"code": "value", "row": 12, "column": "image", "value": "x", "wanted": "number"}
    finish(batch, result={"rows": 0, "answered": 0, "refused": facts})
    assert (
        "Row 12, column “image”: “x” is not a number."
        in as_cy.get("/store/digits/try/batch/").content.decode()
    )
    state = as_cy.get("/api/v1/store/digits/batches/").json()[0]["state"]
    assert (state["status"], state["ready"]) == ("refused", False)


@pytest.mark.parametrize(
    "code",
    [
        "encoding",
        "parquet",
        "broken",
        "kind",
        "letters",
        "spreadsheet",
        "empty",
        "twice",
        "columns",
        "cells",
        "csv",
        "list",
        "length",
        "range",
        "new",
    ],
)
def test_every_refusal_has_words(code):
    assert "%(" not in why_refused({"code": code, "row": 3})


def test_the_example_has_the_columns_and_a_row(as_cy, live):  # noqa: F811
    lines = as_cy.get("/store/digits/try/batch/template.csv").text.splitlines()
    assert lines[0] == "image"
    assert len(lines) == 2


def test_the_api_takes_a_file(as_cy, live):  # noqa: F811
    file = SimpleUploadedFile("rows.csv", b"image\n[1]\n")
    sent = as_cy.post("/api/v1/store/digits/batches/", {"file": file})
    assert sent.status_code == 201
    assert sent.json()["state"]["status"] == "queued"
    one = f"/api/v1/store/digits/batches/{sent.json()['id']}/"
    assert as_cy.get(one).json()["state"]["status"] == "queued"
    answers = f"{one}answers/"
    assert as_cy.get(answers).status_code == 404
    finish(Batch.objects.get(), result={"rows": 1, "answered": 1, "failed": 0}, csv=b"a", parquet=b"PAR1")
    assert b"".join(as_cy.get(answers).streaming_content) == b"a"
    assert b"".join(as_cy.get(answers, {"kind": "parquet"}).streaming_content) == b"PAR1"
    assert as_cy.get(answers, {"kind": "xls"}).status_code == 404


def test_nobody_else_is_told_of_a_file(as_ada, batch):  # noqa: F811
    assert as_ada.get(f"/api/v1/store/digits/batches/{batch.pk}/").status_code == 404


def test_optional_columns_that_the_file_had_not_are_named(as_cy, batch):  # noqa: F811
    finish(
        batch, result={"rows": 2, "answered": 2, "failed": 0, "stopped": "", "absent": ["visits"]}, csv=b"x"
    )
    batch.job.refresh_from_db()
    words = (
        "2 rows were answered. These columns were not in the file and taken as missing in each row: visits."
    )
    assert state_of(batch)["message"] == words
    assert words in as_cy.get("/store/digits/try/batch/").text
