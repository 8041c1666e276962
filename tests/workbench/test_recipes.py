"""Recipes: published from a job or a folder, run with other data, refining a model into its next version."""

import re

import pytest

from apps.accounts.models import Role
from apps.catalog.models import Version
from apps.compute.engines import cards
from apps.compute.models import Job
from apps.compute.services import submit_script
from apps.core import lineage, objects
from apps.core.errors import Invalid
from apps.core.urns import urn
from apps.datasets.services import create_version
from apps.workbench import recipes
from apps.workbench.blueprints import Parameter, parameters_of, values_for
from apps.workbench.models import Recipe, RecipeRun, RecipeVersion
from tests.factories import make_capability, make_dataset, make_user, make_version, put_files, rows_of

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def quiet(monkeypatch, db):
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)


@pytest.fixture
def eve(transport):
    return make_user("eve", team=transport, role=Role.DEVELOPER)


@pytest.fixture
def faults(radio, ada):
    return create_version(make_dataset(radio, ada, "faults"), put_files({"a.csv": b"a\n1\n"}), by=ada)


@pytest.fixture
def recipe(radio, ada):
    """Takes a data set and two parameters; everybody may run it."""
    files = {"train.py": objects.put([b"print(1)"])[0]}
    return recipes.publish_recipe(
        "boosting",
        recipes.of_files(files, "train.py"),
        team=radio,
        by=ada,
        name="Boosting",
        visibility="organisation",
        parameters=[
            {"name": "trees", "default": 50, "minimum": 1, "maximum": 500},
            {"name": "loss", "kind": "choice", "default": "log", "choices": ["log", "hinge"]},
        ],
        slots=["train"],
    )


def test_another_team_runs_it_with_its_own_data_and_parameters(recipe, eve, transport):
    mine = create_version(make_dataset(transport, eve, "mine"), put_files({"b.csv": b"b\n1\n"}), by=eve)

    run = recipes.run_recipe(recipe, team=transport, by=eve, params={"trees": "80"}, datasets={"train": mine})

    job = run.job
    assert (job.team, job.params) == (transport, {"trees": 80, "loss": "log"})
    assert [target for _source, target, _readonly in job.mounts] == ["/datasets/mine/1"]
    assert list(job.inputs) == ["code/train.py"]
    assert (urn(mine), "trained on") in {(edge.source, edge.kind) for edge in lineage.upstream(job)}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"params": {"trees": 0}}, "between 1 and 500"),
        ({"params": {"trees": 1.5}}, "a whole number"),
        ({"params": {"loss": "mse"}}, "one of log, hinge"),
        ({"params": {"depth": 3}}, "no parameter depth"),
        ({"datasets": {}}, "Choose a data set for “train”"),
        ({"capability": "theirs"}, "another team"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_queued(
    recipe, ada, radio, transport, eve, faults, facts, words
):
    make_capability(transport, eve, "theirs")
    with pytest.raises(Invalid, match=words):
        recipes.run_recipe(recipe, team=radio, by=ada, **{"datasets": {"train": faults}, **facts})
    assert not Job.objects.exists()


def finish(run, files):
    stored = {
        path: dict(zip(("sha256", "size"), objects.put([data]), strict=True)) for path, data in files.items()
    }
    Job.objects.filter(pk=run.job_id).update(status="succeeded", outputs=stored)
    recipes.when_finished(str(run.job_id), {"kind": "recipe"})
    recipes.when_finished(str(run.job_id), {"kind": "recipe"})
    run.refresh_from_db()


def test_a_refined_model_becomes_the_next_version_of_its_capability(radio, ada, faults):
    base = make_version(make_capability(radio, ada, "lines"), ada, "1.2.0")
    files = {"tune.py": objects.put([b"print(1)"])[0]}
    made = recipes.publish_recipe(
        "tuning", recipes.of_files(files, "tune.py"), team=radio, by=ada, slots=["site"], refines=True
    )
    with pytest.raises(Invalid, match="choose the version to start from"):
        recipes.run_recipe(made, team=radio, by=ada, datasets={"site": faults})

    run = recipes.run_recipe(made, team=radio, by=ada, datasets={"site": faults}, base=base)
    assert {f"model/{path}" for path in base.source_manifest} < set(run.job.inputs)
    finish(run, {"model/model.py": b"def predict(x): return x", "report.txt": b"ok"})

    version = Version.objects.get(capability=base.capability, number="1.3.0")
    assert (run.version, run.settled, list(version.source_manifest)) == (version, True, ["model.py"])
    sources = {edge.source for edge in lineage.upstream(version)}
    assert {urn(base), urn(run.job), urn(faults), urn(made)} <= sources
    assert Version.objects.count() == 2


def test_a_run_that_left_no_model_says_so(recipe, radio, ada, faults):
    run = recipes.run_recipe(recipe, team=radio, by=ada, datasets={"train": faults}, capability="new-one")
    finish(run, {"notes.txt": b"none"})
    assert run.settled
    assert "outputs/model" in run.reason
    assert not Version.objects.exists()


def test_a_job_becomes_a_recipe_on_its_page_and_is_run_from_its_form(client, radio, ada, faults):
    job = submit_script("Fit", "print(1)", by=ada, team=radio, params={"depth": 3, "rate": 0.1, "fast": True})
    client.force_login(ada)
    page = client.get(f"/recipes/from-job/{job.pk}/").content.decode()
    assert "depth" in page
    parameters = rows_of("parameters", {"name": "depth", "default": "3", "maximum": "9"},
                         {"name": "fast", "default": "true"})  # fmt: skip
    asked = {"slug": "fit", "name": "Fit", "visibility": "team", **parameters}
    assert client.post(f"/recipes/from-job/{job.pk}/", {**asked, "slots": "train"}).status_code == 302

    filled = {
        "team": radio.pk,
        "data_train": "faults/1",
        "param_depth": 5,
        "cpu": 1,
        "memory_mb": 256,
        "minutes": 9,
    }
    assert client.post("/recipes/fit/", filled | {"param_depth": 10}).status_code == 422
    assert client.post("/recipes/fit/", filled).status_code == 302
    run = RecipeRun.objects.get()
    assert run.job.params == {"depth": 5, "fast": False}
    assert run.job.argv == job.argv
    assert run.job.files == job.files
    assert str(run.job_id) in client.get("/recipes/fit/").content.decode()


def test_rest_publishes_and_runs_as_the_page_does(client, radio, ada, faults):
    client.force_login(ada)
    digest = objects.put([b"print(1)"])[0]
    asked = {
        "slug": "rest",
        "team": radio.slug,
        "files": {"a.py": digest},
        "entry": "a.py",
        "slots": ["train"],
    }
    for number in (1, 2):
        made = client.post("/api/v1/recipes/", asked, "application/json")
        assert (made.status_code, made.json()["number"]) == (201, number)
    run = client.post(
        "/api/v1/recipes/rest/run/",
        {"team": radio.slug, "datasets": {"train": "faults/1"}},
        "application/json",
    )
    assert (run.status_code, run.json()["recipe_number"]) == (201, 2)
    assert client.get("/api/v1/recipes/rest/runs/").json()[0]["id"] == run.json()["id"]
    assert client.post("/api/v1/recipes/", {**asked, "entry": "b.py"}, "application/json").status_code == 422


def test_runs_go_where_the_recipe_says_unless_they_ask_for_other_nodes(
    client, radio, ada, faults, monkeypatch, tmp_path
):
    job = submit_script("Fit", "print(1)", by=ada, team=radio, labels=["zone=gpu"])
    client.force_login(ada)
    asked = {"slug": "fit", "name": "Fit", "visibility": "team", "slots": "train", "labels": "zone=gpu, ssd"}
    page = client.get(f"/recipes/from-job/{job.pk}/").content.decode()
    assert 'value="zone=gpu"' in page
    assert client.post(f"/recipes/from-job/{job.pk}/", asked | rows_of("parameters")).status_code == 302
    assert client.get("/api/v1/recipes/fit/").json()["labels"] == ["zone=gpu", "ssd"]
    assert 'value="zone=gpu, ssd"' in client.get("/recipes/fit/").content.decode()

    facts = {"team": radio, "by": ada, "datasets": {"train": faults}}
    version = RecipeVersion.objects.get()
    assert recipes.run_recipe(version, **facts).job.labels == ["zone=gpu", "ssd"]
    filled = {
        "team": radio.pk,
        "data_train": "faults/1",
        "cpu": 1,
        "memory_mb": 256,
        "minutes": 9,
        "labels": "rack 3",
    }
    client.post("/recipes/fit/", filled)
    assert Job.objects.latest("pk").labels == ["rack 3"]
    assert "raphics card" not in client.get("/recipes/fit/").text
    monkeypatch.setattr(cards, "DEVICES", tmp_path)
    (tmp_path / "nvidia0").touch()
    client.post("/recipes/fit/", {**filled, "gpu": "0.5"})
    assert Job.objects.latest("pk").resources["gpu"] == 0.5
    body = {"team": radio.slug, "datasets": {"train": "faults/1"}, "labels": []}
    client.post("/api/v1/recipes/fit/run/", body, "application/json")
    assert Job.objects.latest("pk").labels == []


def test_a_run_has_the_time_and_attempts_of_the_recipe_unless_it_asks_for_others(client, radio, ada, faults):
    job = submit_script("Fit", "print(1)", by=ada, team=radio, timeout_s=5400, max_attempts=3)
    blueprint, _parameters, _slots = recipes.of_job(job)
    version = recipes.publish_recipe("fit", blueprint, team=radio, by=ada)
    run = recipes.run_recipe(version, team=radio, by=ada)
    assert (run.job.timeout_s, run.job.max_attempts, run.job.priority) == (5400, 3, 5)

    client.force_login(ada)
    page = client.get("/recipes/fit/").content.decode()
    assert re.search(r'name="minutes" value="90"', page)
    assert re.search(r'name="max_attempts" value="3"', page)
    filled = {"team": radio.pk, "cpu": 1, "memory_mb": 256, "minutes": 2, "max_attempts": 4, "priority": 1}
    assert client.post("/recipes/fit/", filled).status_code == 302
    body = {"team": radio.slug, "timeout_s": 120, "max_attempts": 4, "priority": 1}
    assert client.post("/api/v1/recipes/fit/run/", body, "application/json").status_code == 201
    for run in RecipeRun.objects.order_by("-pk")[:2]:
        assert (run.job.timeout_s, run.job.max_attempts, run.job.priority) == (120, 4, 1)
    assert client.post("/recipes/fit/", filled | {"priority": 10}).status_code == 422
    assert client.post("/recipes/fit/", filled | {"memory_mb": 10**7}).status_code == 422
    assert (
        client.post("/api/v1/recipes/fit/run/", body | {"max_attempts": 11}, "application/json").status_code
        == 422
    )


def test_who_sees_and_runs_which_recipe(client, recipe, ada, bo, cy, eve):
    ways = ["/recipes/", "/recipes/boosting/", "/api/v1/recipes/boosting/"]
    found = {}
    for visibility in ("organisation", "team"):
        Recipe.objects.update(visibility=visibility)
        for person in (ada, eve, bo, cy):
            client.force_login(person)
            found[visibility, person.username] = [client.get(way).status_code for way in ways]
    assert found == {
        ("organisation", "ada"): [200, 200, 200],
        ("organisation", "eve"): [200, 200, 200],
        ("organisation", "bo"): [403, 404, 404],
        ("organisation", "cy"): [403, 404, 404],
        ("team", "ada"): [200, 200, 200],
        ("team", "eve"): [200, 404, 404],
        ("team", "bo"): [403, 404, 404],
        ("team", "cy"): [403, 404, 404],
    }


def test_parameters_are_taken_by_kind_and_defaults_fill_the_rest():
    taken = parameters_of(
        [{"name": "a", "default": 1}, {"name": "b", "default": 0.5}, {"name": "c", "default": "x"}]
    )
    assert [one.kind for one in taken] == ["int", "float", "text"]
    assert values_for(taken, {"b": "2", "c": 3}) == {"a": 1, "b": 2.0, "c": "3"}
    with pytest.raises(Invalid, match="has no default"):
        values_for([Parameter("n", "int")], {})
    for wrong in ([{"name": "1x"}], [{"name": "x", "kind": "date"}], [{"name": "x", "size": 1}], "no list"):
        with pytest.raises(Invalid):
            parameters_of(wrong)


def test_the_model_to_refine_is_searched_for_and_stays_chosen_when_the_form_is_refused(
    client, radio, ada, transport, eve
):
    lines = make_capability(radio, ada, "lines")
    versions = [make_version(lines, ada, f"1.{minor}.0") for minor in range(7)]
    other = make_version(make_capability(transport, eve, "trains"), eve)
    files = {"tune.py": objects.put([b"print(1)"])[0]}
    recipes.publish_recipe("tuning", recipes.of_files(files, "tune.py"), team=radio, by=ada, refines=True)
    client.force_login(ada)

    def offered(answer):
        boxes = re.findall(r'type="radio"[^>]* value="([^"]+)"( checked)?>', answer.content.decode())
        return {int(key): bool(chosen) for key, chosen in boxes}

    first, newest = versions[0], [version.pk for version in reversed(versions)]
    assert list(offered(client.get("/recipes/tuning/"))) == newest[:5]
    here = "/models-to-refine/?field=base&words="
    assert offered(client.get(f"{here}lines 1.0&base={versions[3].pk}")) == {
        versions[3].pk: True,
        first.pk: False,
    }
    assert offered(client.get(f"{here}trains&base={other.pk}")) == {}
    assert offered(client.get(f"{here}%27&base=x")) == {}
    refused = client.post("/recipes/tuning/", {"team": radio.pk, "base": first.pk, "cpu": "none"})
    assert (refused.status_code, offered(refused)[first.pk]) == (422, True)
    sent = {"team": radio.pk, "cpu": 1, "memory_mb": 512, "minutes": 5}
    assert client.post("/recipes/tuning/", sent | {"base": other.pk}).status_code == 422
    assert client.post("/recipes/tuning/", sent | {"base": first.pk}).status_code == 302
    assert RecipeRun.objects.get().base == first
