"""A dossier verifies without the portal, and every change of it is named."""

import io
import json
import runpy
import sys
import zipfile

import pytest

from apps.core import audit
from apps.core.models import AuditEntry
from apps.releases.dossier import export_dossier
from atrium.cli import main
from atrium.dossier import verify

pytestmark = pytest.mark.django_db


@pytest.fixture
def archive(signed, bo, tmp_path):
    audit.seal()
    path = tmp_path / "dossier.zip"
    path.write_bytes(export_dossier(signed, by=bo))
    return path


def change(path, name, edit, *, manifest_too=False):
    with zipfile.ZipFile(path) as archive:
        files = {entry: archive.read(entry) for entry in archive.namelist()}
    document = json.loads(files[name])
    edit(document)
    files[name] = json.dumps(document).encode()
    if manifest_too:
        import hashlib

        manifest = json.loads(files["manifest.json"])
        manifest["files"][name] = hashlib.sha256(files[name]).hexdigest()
        files["manifest.json"] = json.dumps(manifest).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, data in files.items():
            archive.writestr(entry, data)
    path.write_bytes(buffer.getvalue())


def test_it_is_intact_and_says_who_signed(archive):
    found = verify(archive)

    assert found.problems == []
    assert "signed by bea, bo; 2 needed" in found.facts
    assert any("audit entries" in fact and not fact.startswith("0") for fact in found.facts)


def test_the_command_verifies_it(archive, capsys):
    assert main(["verify", str(archive)]) == 0
    assert "intact" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "edit", "told"),
    [
        ("report.json", lambda d: d.update(verdict="failed"), "not the one that was signed"),
        ("content.json", lambda d: d.update(artifact="f" * 64), "not what the release was opened with"),
        ("signatures.json", lambda d: d.pop(), "1 people signed, the policy asks for 2"),
        ("signatures.json", lambda d: d[0].update(user="ada"), "ada signed a version of their own"),
        ("signatures.json", lambda d: d[0].update(content_digest="0"), "is on another content"),
        ("audit.json", lambda d: d[0].update(actor="mallory"), "was altered"),
    ],
)
def test_a_change_is_named_even_if_the_manifest_is_changed_with_it(archive, name, edit, told, capsys):
    change(archive, name, edit, manifest_too=True)

    assert told in " ".join(verify(archive).problems)
    assert main(["verify", str(archive)]) == 1


def test_a_changed_file_is_named_by_the_manifest(archive):
    change(archive, "stages.json", lambda d: d.append({}))

    assert verify(archive).problems == ["stages.json was changed"]


def test_what_is_no_dossier_is_said_so(tmp_path, capsys):
    path = tmp_path / "other.zip"
    path.write_bytes(b"PK nothing")

    assert main(["verify", str(path)]) == 1
    assert "no dossier" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:'atrium.dossier' found in sys.modules:RuntimeWarning")
def test_the_module_verifies_as_the_command_does(archive, monkeypatch, capsys):
    def run(*given):
        monkeypatch.setattr(sys, "argv", ["dossier", *map(str, given)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("atrium.dossier", run_name="__main__")
        return ended.value.code, "".join(capsys.readouterr())

    assert (run(archive)[0], run()[0]) == (0, 2)
    change(archive, "stages.json", lambda d: d.append({}))
    status, told = run(archive)
    assert status == 1
    assert "stages.json was changed" in told


def test_the_export_itself_is_in_the_audit_log(archive, signed):
    assert AuditEntry.objects.filter(action="releases.dossier.exported").exists()
