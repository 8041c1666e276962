"""The recipes of the sample capabilities, run as jobs run them and packaged as versions are."""

import csv
import json
import re
import shutil
from datetime import datetime, timedelta

import pytest

from portal.samples import data
from tests.sdk.conftest import ROOT, package

RECIPES = {
    "digits": ("accuracy", 0.95, 1),
    "breast-cancer": ("accuracy", 0.95, 1),
    "fault-tickets": ("accuracy", 0.9, 1),
    "diabetes": ("mae", 40, 55),
    "cell-load": ("mae", 2, 5),
    "ticket-details": ("span_f1", 0.95, 1),
}
OWN_CODE = {"ticket-details"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_a_capability_that_is_packaged(base, tmp_path, name):
    files = data.write_all(tmp_path / "data")
    job = tmp_path / "job"
    (job / "inputs").mkdir(parents=True)
    shutil.copy(files[name], job / "inputs")
    script = ROOT / "portal" / "samples" / "recipes" / f"{name.replace('-', '_')}.py"
    done = base.run(script, cwd=job)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((job / "result.json").read_text())["metrics"]
    metric, low, high = RECIPES[name]
    assert low < metrics[metric] < high
    card = (job / "outputs" / "model" / "card.md").read_text()
    assert f"{metrics[metric]:.4f}" in card

    packaged = package(base, job / "outputs" / "model", tmp_path / "packaging", golden=job / "inputs")
    assert packaged.code == 0, packaged.log
    assert packaged.result["golden"]["rows"] > 100, packaged.result["golden"]
    assert packaged.result["conversion"]["converted"] is (name not in OWN_CODE), packaged.result["conversion"]
    assert {"card.md", "parsing.json", "cases.json"} <= set(packaged.result["manifest"])


def test_the_generated_tickets_are_the_same_every_time_and_not_too_clean(tmp_path):
    first, second = (data.write_fault_tickets(tmp_path / name).read_bytes() for name in ("a", "b"))
    assert first == second
    assert first.count(b"\n") == data.TICKETS + 1


def test_no_hour_that_is_asked_about_was_trained_on(tmp_path):
    with data.write_cell_load(tmp_path / "cell-load.csv").open() as file:
        rows = list(csv.DictReader(file))
    began = {row["id"]: datetime.fromisoformat(row["id"].split(" ", 1)[1]) for row in rows}
    first = min(began[row["id"]] for row in rows if row["split"] == "test")

    assert all(
        began[row["id"]] + timedelta(hours=data.PAST_H + data.NEXT_H) <= first
        for row in rows
        if row["split"] == "train"
    )


def test_the_marked_stretches_are_what_the_text_says(tmp_path):
    with data.write_ticket_details(tmp_path / "t.csv", rows=200).open() as file:
        rows = list(csv.DictReader(file))

    for row in rows:
        for span in json.loads(row["details"]):
            named = row["text"][span["start"] : span["end"]]
            assert named == named.strip() != ""
            assert span["label"] != "time" or re.fullmatch(r"\d\d:\d\d", named)
