"""The recipes of the sample capabilities, run as jobs run them and packaged as versions are."""

import json
import shutil

import pytest

from portal.samples import data
from tests.sdk.conftest import ROOT, package

RECIPES = {"digits": 0.95, "breast-cancer": 0.95, "fault-tickets": 0.9}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_a_capability_that_converts(base, tmp_path, name):
    files = data.write_all(tmp_path / "data")
    job = tmp_path / "job"
    (job / "inputs").mkdir(parents=True)
    shutil.copy(files[name], job / "inputs")
    script = ROOT / "portal" / "samples" / "recipes" / f"{name.replace('-', '_')}.py"
    done = base.run(script, cwd=job)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((job / "result.json").read_text())["metrics"]
    assert RECIPES[name] < metrics["accuracy"] < 1
    card = (job / "outputs" / "model" / "card.md").read_text()
    assert f"{metrics['accuracy']:.4f}" in card

    packaged = package(base, job / "outputs" / "model", tmp_path / "packaging", golden=job / "inputs")
    assert packaged.code == 0, packaged.log
    assert packaged.result["golden"]["rows"] > 100, packaged.result["golden"]
    assert packaged.result["conversion"]["converted"], packaged.result["conversion"]
    assert {"card.md", "parsing.json", "cases.json"} <= set(packaged.result["manifest"])


def test_the_generated_tickets_are_the_same_every_time_and_not_too_clean(tmp_path):
    first, second = (data.write_fault_tickets(tmp_path / name).read_bytes() for name in ("a", "b"))
    assert first == second
    assert first.count(b"\n") == data.TICKETS + 1
