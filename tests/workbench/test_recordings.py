"""Recordings of terminals: by a rule only, with a note first, of what is shown and never of what is typed."""

import json
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django.utils import timezone
from websockets.exceptions import ConnectionClosed

from apps.core.errors import Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.workbench import cast, recordings
from apps.workbench.cast import CastWriter
from apps.workbench.models import Recording, RecordingRule

from .conftest import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def shown_in(recording):
    """(header, what was shown, the sizes) of a recording's file."""
    header, *events = (json.loads(line) for line in cast.lines_of(recordings.path_of(recording)))
    of_kind = {kind: [data for _at, found, data in events if found == kind] for kind in "or"}
    assert {event[1] for event in events} <= {"o", "r"}
    return header, "".join(of_kind["o"]), of_kind["r"]


def until(terminal, words):
    """Read the terminal until it shows these words; gives all messages."""
    messages, seen = [], ""
    while words not in seen:
        messages.append(json.loads(terminal.recv(timeout=20)))
        seen += messages[-1][-1] if messages[-1][0] == "stdout" else ""
    return messages


@pytest.fixture
def terminal_of(inside, ada):
    """Ada's browser and the path of a fresh terminal, which ends with the test."""
    owner = inside(ada)
    name = json.loads(owner.post("/api/terminals").text)["name"]
    yield owner, f"/terminals/websocket/{name}"
    owner.request("DELETE", f"/api/terminals/{name}", headers={"X-XSRFToken": owner.cookies["_xsrf"]})


def test_what_a_terminal_shows_is_recorded_and_a_hidden_password_is_not(terminal_of, workspace, radio, root):
    owner, path = terminal_of
    recordings.add_rule(team=radio, by=root)
    assert 'id="recorded">' in owner.get("/atrium/terminal").text
    with owner.socket(path) as terminal:
        first = json.loads(terminal.recv(timeout=20)), json.loads(terminal.recv(timeout=20))
        assert first[0] == ["recorded"]
        assert "This session is recorded" in first[1][1]
        terminal.send(json.dumps(["set_size", 30, 100]))
        terminal.send(json.dumps(["stdin", "read -s secret; echo wel''come\r"]))
        time.sleep(0.5)
        terminal.send(json.dumps(["stdin", "hunter2\r"]))
        until(terminal, "welcome")
    recording = wait_for(lambda: Recording.objects.filter(ended_at__isnull=False).first())

    header, shown, _sizes = shown_in(recording)

    assert (header["version"], recording.workspace, recording.user) == (2, workspace, workspace.owner)
    assert "welcome" in shown
    assert "hunter2" not in recordings.path_of(recording).read_text()
    assert recording.size == recordings.path_of(recording).stat().st_size


def test_without_a_rule_nothing_is_recorded_and_a_new_rule_makes_open_sessions_come_again(
    terminal_of, radio, root
):
    owner, path = terminal_of
    with owner.socket(path) as terminal:
        terminal.send(json.dumps(["stdin", "echo o''ne\r"]))
        assert ["recorded"] not in until(terminal, "one")
        assert not Recording.objects.exists()
        recordings.add_rule(site=radio.site, by=root)
        with pytest.raises(ConnectionClosed) as closed:
            until(terminal, "never")
        assert closed.value.rcvd.code == 1012
    with owner.socket(path) as terminal:
        assert json.loads(terminal.recv(timeout=20)) == ["recorded"]


def test_a_kill_in_the_middle_leaves_a_recording_that_reads_and_is_ended(workspace, ada):
    recording = Recording.objects.create(
        workspace=workspace,
        user=ada,
        terminal="1",
        started_at=timezone.now(),
        expires_at=timezone.now() + timedelta(1),
    )
    path = recordings.path_of(recording)
    code = (
        "import os, sys; from pathlib import Path; from apps.workbench.cast import CastWriter\n"
        "w = CastWriter(Path(sys.argv[1]), 'x'); w.output('first\\r\\n'); w.output('second\\r\\n'); print(flush=True)\n"
        "sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child.stdout.readline()
    recordings.tidy_recordings()
    recording.refresh_from_db()
    assert recording.ended_at is None

    child.kill()
    child.wait()
    with path.open("ab") as file:
        file.write(b'[3.1, "o", "ha')  # as a full disk would leave it
    recordings.tidy_recordings()

    recording.refresh_from_db()
    assert recording.ended_at is not None
    assert shown_in(recording)[1] == "first\r\nsecond\r\n"


def test_an_endless_print_ends_the_recording_at_its_limit(tmp_path):
    writer = CastWriter(tmp_path / "x.cast", "x", most_bytes=10_000)
    writer.resize(120, 40)
    for _time in range(100):
        writer.output("y\r\n" * 1000)
    writer.close()
    *_rest, last = cast.lines_of(tmp_path / "x.cast")
    assert writer.full
    assert "size limit" in json.loads(last)[2]
    assert (tmp_path / "x.cast").stat().st_size == writer.size < 10_500


def test_what_is_over_its_time_is_deleted_and_another_readers_look_is_audited(client, workspace, ada, root):
    now = timezone.now()
    old, new = (
        Recording.objects.create(
            workspace=workspace,
            user=ada,
            terminal="1",
            started_at=now,
            ended_at=now,
            expires_at=now + timedelta(days),
        )
        for days in (-1, 1)
    )
    for one in (old, new):
        CastWriter(recordings.path_of(one), "x").close()
    recordings.tidy_recordings()
    assert list(Recording.objects.all()) == [new]
    assert not recordings.path_of(old).exists()

    for person, audited in ((ada, False), (root, True)):
        client.force_login(person)
        assert str(new.pk) in client.get("/recordings/").content.decode()
        assert client.get(f"/recordings/{new.pk}/cast/").status_code == 200
        assert AuditEntry.objects.filter(action="workbench.recording.read", actor=person).exists() is audited


def test_rules_are_an_administrators_and_each_stands_once(radio, ada, root):
    with pytest.raises(NotAllowed):
        recordings.add_rule(team=radio, by=ada)
    recordings.add_rule(by=root)
    for facts in ({}, {"team": radio, "site": radio.site}, {"team": radio, "keep_days": 0}):
        with pytest.raises(Invalid):
            recordings.add_rule(**facts, by=root)
    assert RecordingRule.objects.count() == 1
