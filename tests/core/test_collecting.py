"""What nothing names goes; what is named anywhere, or is just being asked for, stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import orjson
import pytest
from django.core.management import call_command

from apps.core import collecting, objects
from apps.core.models import AuditEntry, LineageEdge
from tests.factories import make_capability, make_version

pytestmark = pytest.mark.django_db


def put(content: bytes, *, days_old: float = 3) -> str:
    sha256 = objects.put([content])[0]
    then = time.time() - days_old * 86400
    os.utime(objects.path(sha256), (then, then))
    return sha256


def test_an_old_file_that_nothing_names_goes_and_the_log_says_so(capsys):
    gone, young = put(b"nobody wants this"), put(b"just uploaded", days_old=1)
    LineageEdge.objects.create(source=f"atrium:x:{gone}", target="y", kind="told")

    call_command("collect_objects", "--dry-run")
    assert objects.exists(gone)
    call_command("collect_objects")

    assert not objects.exists(gone)
    assert objects.exists(young)
    assert AuditEntry.objects.get(action="core.objects.collected").facts["removed"] >= 1


def test_what_a_row_names_stays_and_what_that_file_names(radio, ada):
    version = make_version(make_capability(radio, ada), ada)
    entry = version.source_manifest["model.onnx"]["sha256"]
    rows = put(b"the rows of a report")
    report = put(orjson.dumps({"rows": {"sha256": rows}}))
    version.parameters = {"report": report}
    version.save(update_fields=["parameters"])
    for sha256 in (entry, rows, report):
        os.utime(objects.path(sha256), (0, 0))

    collecting.collect()

    assert all(objects.exists(sha256) for sha256 in (entry, rows, report))


def test_a_file_that_is_asked_for_while_it_is_being_removed_comes_back(monkeypatch):
    sha256 = put(b"wanted again")
    rename = Path.rename

    def asked_for_just_before(path: Path, target: Path) -> Path:
        if path == objects.path(sha256):
            assert objects.keep(sha256)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", asked_for_just_before)
    collecting.collect()

    assert objects.open_object(sha256).read() == b"wanted again"


def test_a_file_that_is_put_after_it_was_taken_aside_is_stored_anew(monkeypatch):
    sha256 = put(b"wanted again, later")
    unlink = Path.unlink

    def put_just_before(path: Path, missing_ok: bool = False) -> None:
        if path.name == f"{sha256[2:]}.going":
            assert not objects.keep(sha256)
            objects.put([b"wanted again, later"])
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", put_just_before)
    collecting.collect()

    assert objects.open_object(sha256).read() == b"wanted again, later"


def test_what_a_killed_round_left_aside_is_there_again(radio, ada):
    sha256 = put(b"taken aside", days_old=0)
    path = objects.path(sha256)
    path.rename(path.with_name(f"{path.name}.going"))

    collecting.collect()

    assert objects.exists(sha256)
