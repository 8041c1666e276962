"""What browsers load: pinned packages, an allow-list of their files, names with content hashes."""

import json
import re

import plotly.offline
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import override_settings

from portal.assets import VENDOR
from portal.environment import ROOT

PACKAGE = json.loads((ROOT / "package.json").read_text())
LOCK = json.loads((ROOT / "package-lock.json").read_text())


def test_plotly_in_the_browser_is_the_version_that_python_draws_for():
    assert PACKAGE["dependencies"]["plotly.js-strict-dist-min"] == plotly.offline.get_plotlyjs_version()


def test_every_package_is_pinned_and_the_lock_names_no_registry():
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in PACKAGE["dependencies"].values())
    assert not [name for name, package in LOCK["packages"].items() if "resolved" in package]
    assert all("integrity" in package for name, package in LOCK["packages"].items() if name)


def test_only_the_named_files_of_node_modules_are_found():
    assert finders.find("vendor/htmx.min.js")
    assert not finders.find("htmx.org/dist/htmx.js")
    assert not finders.find("vendor/htmx.js")


def test_all_assets_collect_under_hashed_names(tmp_path):
    with override_settings(
        STATIC_ROOT=tmp_path, STORAGES={"staticfiles": {"BACKEND": "portal.assets.Storage"}}
    ):
        call_command("collectstatic", interactive=False, verbosity=0)

    names = json.loads((tmp_path / "staticfiles.json").read_text())["paths"]
    assert set(VENDOR) <= set(names)
    assert all((tmp_path / hashed).is_file() for hashed in names.values())
