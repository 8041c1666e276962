"""A package directory: one digest over all files, opened without loading anything."""

import json

import pytest

from atrium.package import InvalidPackage, digest, manifest, open_package, parse_cases, write_manifest
from atrium.signature import parse_signature

SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
}
CASE = {
    "name": "one",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}],
    "expected": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [2]}],
}


@pytest.fixture
def folder(tmp_path):
    write_manifest(
        tmp_path,
        {
            "capability": "twice",
            "version": "1.0.0",
            "framework": "python",
            "runtime": "python",
            "entry": {"module": "model"},
            "signature": SIGNATURE,
        },
    )
    (tmp_path / "cases.json").write_text(json.dumps([CASE]))
    return tmp_path


def test_a_package_is_opened_with_its_cases(folder):
    package = open_package(folder)
    assert (package.capability, package.version, package.cases[0].name) == ("twice", "1.0.0", "one")
    assert package.metadata()["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1]}]


def test_the_digest_changes_with_every_file_and_not_with_order(folder):
    files = manifest(folder)
    assert digest(files) == digest(dict(reversed(files.items())))
    (folder / "card.md").write_text("hello")
    assert digest(manifest(folder)) != digest(files)


def test_a_link_in_a_package_is_refused(folder):
    (folder / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(InvalidPackage, match="passwd is a link"):
        manifest(folder)


def test_a_folder_that_is_no_package_is_refused_with_the_file(tmp_path):
    with pytest.raises(InvalidPackage, match=r"package\.json is missing"):
        open_package(tmp_path)


def test_a_case_that_breaks_the_signature_is_named():
    wrong = {**CASE, "inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1]}]}
    with pytest.raises(InvalidPackage, match="case 'one': input 'x': expected datatype FP32, got FP64"):
        parse_cases([wrong], parse_signature(SIGNATURE))
