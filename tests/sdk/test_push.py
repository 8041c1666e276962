"""From people's code into the portal: register, push and follow over the real REST API."""

import hashlib
import json
import os
import socket
import threading
import uuid
from urllib.parse import urlsplit

import pytest

import atrium
from apps.accounts.services import create_token
from apps.catalog.models import Capability, Version
from apps.compute.models import Job
from apps.core import objects
from atrium import errors
from atrium.cli import main
from atrium.portal import Portal

pytestmark = pytest.mark.django_db(transaction=True)

SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1]}],
    "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1]}],
}


def predict(x):
    return {"y": x * 2}


@pytest.fixture(autouse=True)
def _strong_sandbox(monkeypatch):
    monkeypatch.setattr("apps.compute.services.jobs.require", lambda verdict: None)


@pytest.fixture
def portal(live_server, ada, monkeypatch, tmp_path):
    _token, secret = create_token(ada, "tests", by=ada)
    for name, value in {
        "URL": live_server.url,
        "TOKEN": secret,
        "CONFIG": str(tmp_path / "config.json"),
    }.items():
        monkeypatch.setenv(f"ATRIUM_{name}", value)
    return Portal()


def test_a_registered_model_becomes_a_version_that_is_being_packaged(portal, radio):
    version = atrium.register(
        predict, name="twice", version="1.0.0", signature=SIGNATURE, team=radio.slug, changelog="First."
    )
    row = Version.objects.get(pk=version["id"])
    assert (row.capability.slug, row.number, row.status, row.changelog) == (
        "twice",
        "1.0.0",
        "packaging",
        "First.",
    )
    assert set(row.source_manifest) == {"atrium.json", "model.py", "signature.json"}
    assert row.capability.team == radio


def test_pushing_the_same_again_gives_the_same_version(portal, radio, tmp_path):
    folder = atrium.save_model(predict, tmp_path / "m", signature=SIGNATURE)
    first = portal.push(folder, name="twice", version="1.0.0", team=radio.slug)
    assert portal.push(folder, name="twice", version="1.0.0", team=radio.slug)["id"] == first["id"]
    assert Version.objects.count() == 1


def test_another_model_under_a_number_that_is_taken_is_refused(portal, radio, tmp_path):
    folder = atrium.save_model(predict, tmp_path / "m", signature=SIGNATURE)
    portal.push(folder, name="twice", version="1.0.0", team=radio.slug)
    (folder / "card.md").write_text("# Changed")
    with pytest.raises(errors.AtriumError, match=r"1\.0\.0"):
        portal.push(folder, name="twice", version="1.0.0", team=radio.slug)


def test_only_files_that_the_portal_lacks_are_sent(portal, radio, tmp_path, monkeypatch):
    folder = atrium.save_model(predict, tmp_path / "m", signature=SIGNATURE)
    known, new = (uuid.uuid4().bytes for _ in range(2))
    (folder / "known.bin").write_bytes(known)
    (folder / "new.bin").write_bytes(new)
    stored, _size = objects.put([known])
    sent = []
    send = portal._http.request

    def listen(method, path, *arguments, **named):
        sent.append((method, path))
        return send(method, path, *arguments, **named)

    monkeypatch.setattr(portal._http, "request", listen)
    portal.push(folder, name="twice", version="1.0.0", team=radio.slug)
    assert ("PUT", f"/api/v1/objects/{stored}/") not in sent
    assert ("PUT", f"/api/v1/objects/{hashlib.sha256(new).hexdigest()}/") in sent


def test_a_large_file_that_was_cut_leaves_nothing_and_is_sent_by_the_next_push(
    portal, live_server, radio, tmp_path, monkeypatch
):
    folder = atrium.save_model(predict, tmp_path / "m", signature=SIGNATURE)
    large = os.urandom(1 << 20) * 48
    (folder / "weights.bin").write_bytes(large)
    (folder / "earlier.bin").write_bytes(uuid.uuid4().bytes)
    sha256 = hashlib.sha256(large).hexdigest()
    address = urlsplit(live_server.url)
    head = (
        f"PUT /api/v1/objects/{sha256}/ HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: Bearer {os.environ['ATRIUM_TOKEN']}\r\nContent-Length: {len(large)}\r\n"
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port)) as cut:
        cut.sendall(head.encode() + large[: 8 << 20])
    assert not objects.exists(sha256)
    sent = []
    send = portal._http.request

    def listen(method, path, *arguments, **named):
        sent.append((method, path))
        return send(method, path, *arguments, **named)

    monkeypatch.setattr(portal._http, "request", listen)
    portal.push(folder, name="twice", version="1.0.0", team=radio.slug)
    again = len(sent)
    portal.push(folder, name="twice", version="1.0.1", team=radio.slug)

    assert objects.path(sha256).stat().st_size == len(large)
    assert [method for method, _ in sent[again:]].count("PUT") == 0  # the second push sends no file again
    assert Version.objects.get(number="1.0.0").source_manifest["weights.bin"]["sha256"] == sha256


def test_a_push_to_a_capability_that_is_not_there_says_so(portal, tmp_path):
    folder = atrium.save_model(predict, tmp_path / "m", signature=SIGNATURE)
    (folder / "weights.bin").write_bytes(weights := uuid.uuid4().bytes)
    with pytest.raises(errors.NotFound, match="no capability “twice” that you may see; name another"):
        portal.push(folder, name="twice", version="1.0.0")
    assert not objects.exists(hashlib.sha256(weights).hexdigest())  # said before anything was sent


def test_a_stranger_may_not_push(portal, radio, cy, tmp_path, monkeypatch):
    folder = atrium.save_model(predict, tmp_path / "m", signature=SIGNATURE)
    portal.push(folder, name="twice", version="1.0.0", team=radio.slug)
    stranger = Portal(token=create_token(cy, "tests", by=cy)[1])
    with pytest.raises((errors.Forbidden, errors.NotFound)):
        stranger.push(folder, name="twice", version="1.0.1")


def test_the_command_logs_in_searches_and_pushes(portal, radio, ada, tmp_path, capsys, monkeypatch):
    from atrium import settings

    kept = settings.load()
    monkeypatch.delenv("ATRIUM_TOKEN")
    monkeypatch.delenv("ATRIUM_URL")
    assert main(["login", "--url", kept.url, "--token", kept.token]) == 0
    assert "Logged in as ada" in capsys.readouterr().out
    assert settings.config_path().stat().st_mode & 0o777 == 0o600

    folder = atrium.save_model(predict, tmp_path / "m", signature=SIGNATURE)
    assert main(["push", str(folder), "--name", "twice", "--version", "1.0.0", "--team", radio.slug]) == 0
    said = capsys.readouterr()
    assert "Uploaded twice 1.0.0" in said.out
    assert said.err.count("sent\n") + said.err.count("was there already\n") == len(list(folder.iterdir()))
    assert main(["push", str(folder), "--name", "twice", "--version", "1.0.1"]) == 0
    assert "sent\n" not in capsys.readouterr().err
    assert Capability.objects.get().slug == "twice"
    assert main(["search", "twice"]) == 0
    assert "twice" in capsys.readouterr().out
    assert main(["push", str(folder), "--name", "thrice", "--version", "1.0.0", "--team", "nope"]) == 1
    assert capsys.readouterr().err.count("There is none called “nope”.") == 1


def test_a_wrong_token_is_said_in_one_line(live_server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ATRIUM_CONFIG", str(tmp_path / "config.json"))
    assert main(["login", "--url", live_server.url, "--token", "atr_wrong"]) == 1
    assert capsys.readouterr().err.startswith("atrium login: ")
    assert not (tmp_path / "config.json").exists()


def test_a_script_is_submitted_and_its_log_followed(portal, radio, tmp_path, monkeypatch):
    script = tmp_path / "hello.py"
    script.write_text("print('hello')\n")
    job = atrium.submit(script, team=radio.slug, params={"a": 1})
    assert (job["title"], job["params"]) == ("hello.py", {"a": 1})
    log = b"hello\n"
    monkeypatch.setattr(
        "apps.compute.api.job_log", lambda job, offset, *rest, **named: (log[offset:], len(log))
    )
    monkeypatch.setattr("atrium.portal.POLL_S", 0.05)
    ending = threading.Timer(0.3, lambda: Job.objects.filter(pk=job["id"]).update(status="succeeded"))
    ending.start()
    assert "".join(portal.follow(job["id"])) == "hello\n"
    ending.join()
    assert json.loads(json.dumps(portal.wait(job["id"])))["status"] == "succeeded"


@pytest.mark.parametrize(("status", "code"), [("succeeded", 0), ("failed", 1), ("cancelled", 1)])
def test_a_followed_job_says_by_its_exit_code_how_it_ended(
    portal, radio, tmp_path, monkeypatch, capsys, status, code
):
    from apps.compute.models import Job

    script = tmp_path / "hello.py"
    script.write_text("print('hello')\n")
    job = atrium.submit(script, team=radio.slug)
    log = b"hello\n"
    monkeypatch.setattr(
        "apps.compute.api.job_log", lambda job, offset, *rest, **named: (log[offset:], len(log))
    )
    Job.objects.filter(pk=job["id"]).update(status=status, reason="as it was asked")

    assert main(["follow", str(job["id"])]) == code
    said = capsys.readouterr()
    assert said.out == "hello\n"
    assert said.err == f"Job {job['id']} {status}. as it was asked\n"


def test_parameters_of_a_push_are_numbers_where_they_are_some(portal, radio, tmp_path):
    folder = atrium.save_model(predict, tmp_path / "m", signature=SIGNATURE)
    words = ["--param", "trees=50", "--param", "depth=null", "--param", "name=forest"]

    named = ["--name", "twice", "--version", "1.0.0", "--team", radio.slug]
    assert main(["push", str(folder), *named, *words]) == 0

    assert Version.objects.get().parameters == {"trees": 50, "depth": None, "name": "forest"}


def test_data_sets_are_pushed_split_tagged_and_compared(portal, radio, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "faults"
    folder.mkdir()
    (folder / "a.csv").write_text("id,label\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(10)))
    sent = []
    told = lambda path, size, was_sent: sent.append((path, was_sent))  # noqa: E731
    assert portal.push_dataset(folder, name="faults", team=radio.slug, told=told)["rows"] == 10
    (folder / "b.csv").write_text("id,label\n10,a\n")
    second = portal.push_dataset(folder, name="faults", told=told)
    assert (second["number"], second["parent_number"]) == (2, 1)
    assert sent == [("a.csv", True), ("a.csv", False), ("b.csv", True)]

    assert main(["dataset", "split", "faults", "2", "--share", "train=0.8", "--share", "test=0.2"]) == 0
    assert main(["dataset", "tag", "faults", "2", "golden"]) == 0
    assert main(["dataset", "diff", "faults", "1", "golden"]) == 0
    said = capsys.readouterr().out
    for line in (
        "train 9, test 2",
        "“golden” names faults version 2.",
        "rows added: 1",
        "rows unchanged: 10",
    ):
        assert line in said

    script = tmp_path / "train.py"
    script.write_text("print('trains')\n")
    assert main(["submit", str(script), "--team", radio.slug, "--dataset", "faults@golden"]) == 0
    places = [target for _source, target, _readonly in Job.objects.get().mounts]
    assert places == ["/datasets/faults/2", "/datasets/faults/2.split.json"]

    monkeypatch.setattr("atrium.data.FETCHED", tmp_path / "fetched")
    monkeypatch.setenv("ATRIUM_DATASETS", str(tmp_path / "nowhere"))
    monkeypatch.delenv("MLFLOW_RUN_CONTEXT", raising=False)
    path = atrium.dataset_path("faults", "golden")
    assert sorted(file.name for file in path.iterdir()) == ["a.csv", "b.csv"]
    assert len(portal.assignment("faults", 2)["of"]) == 11
