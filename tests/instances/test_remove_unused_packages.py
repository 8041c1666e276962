"""Package directories that nobody runs are removed after a time, never one that somebody asks for meanwhile."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from apps.catalog.services import materialise
from apps.instances.models import Deployment
from apps.instances.packages import KEPT_FOR, remove_unused_packages
from tests.factories import make_capability, make_packaged_version, make_ready_deployment


@pytest.fixture
def version(radio, ada):
    return make_packaged_version(make_capability(radio, ada), ada)


def lain_for(folder: Path, time_: timedelta) -> Path:
    """The folder as if it had last been asked for so long ago."""
    moment = time.time() - time_.total_seconds()
    os.utime(folder, (moment, moment))
    return folder


LONG = KEPT_FOR + timedelta(hours=1)


def test_what_nobody_runs_goes_after_a_time_and_comes_back_when_asked_for(version):
    folder = lain_for(materialise(version), LONG)

    assert remove_unused_packages() == [version.digest]
    assert not folder.exists()
    assert (materialise(version) / "model.onnx").is_file()


def test_what_was_asked_for_lately_stays(version):
    lain_for(materialise(version), LONG)
    folder = materialise(version)

    assert remove_unused_packages() == []
    assert folder.is_dir()


def test_what_a_deployment_runs_or_is_to_run_stays_however_old(version, ole):
    deployment = make_ready_deployment(version, ole)
    folder = lain_for(materialise(version), LONG)
    assert remove_unused_packages() == []

    Deployment.objects.filter(pk=deployment.pk).update(desired="stopped", status="stopping")
    assert remove_unused_packages() == [], "its last calls are being answered"

    Deployment.objects.filter(pk=deployment.pk).update(status="stopped")
    assert remove_unused_packages() == [version.digest]
    assert not folder.exists()


def test_one_that_is_asked_for_at_that_very_moment_stays(version, monkeypatch):
    folder = lain_for(materialise(version), LONG)
    rename = Path.rename

    def asked_for_first(self, target):
        if self == folder:
            materialise(version)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", asked_for_first)

    assert remove_unused_packages() == []
    assert (folder / "model.onnx").is_file()


def test_one_that_is_asked_for_just_afterwards_is_made_anew(version, monkeypatch):
    folder = lain_for(materialise(version), LONG)
    rename = Path.rename

    def asked_for_then(self, target):
        moved = rename(self, target)
        if self == folder:
            monkeypatch.undo()
            materialise(version)
        return moved

    monkeypatch.setattr(Path, "rename", asked_for_then)

    assert remove_unused_packages() == [version.digest]
    assert (folder / "model.onnx").is_file()


def test_what_a_kill_left_half_done_goes_too(version):
    root = materialise(version).parent
    for name in (".making-abc", ".gone-def"):
        (root / name).mkdir()
        lain_for(root / name, LONG)

    remove_unused_packages()

    assert not list(root.glob(".making-*")) + list(root.glob(".gone-*"))
