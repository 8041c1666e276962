"""What every framework keeps, whichever it is: one contract over all plug-ins, with real models of each.

scikit-learn, ONNX and plain Python run in the base environment, XGBoost and LightGBM in one that uv builds from
boosting.lock, PyTorch where ATRIUM_TEST_TORCH names a Python that has it.
"""

import json
import os
import shutil
from pathlib import Path

import pytest

from apps.compute.environments import builder
from atrium.frameworks import ALL
from atrium.graph import draw_up
from atrium.package import open_package
from tests.sdk.conftest import ROOT, Base, Packaged, package, running

PLUGIN = Path(__file__).with_name("plugin")
MAKE = Path(__file__).with_name("make_framework_models.py")
LOCK = Path(__file__).with_name("boosting.lock")
TORCH = os.environ.get("ATRIUM_TEST_TORCH", "")

# framework: its models, each with the runtime that serves it
MODELS = {
    "sklearn": {"forest": "onnx", "columns": "onnx"},
    "onnx": {"bare-onnx": "onnx"},
    "python": {"twice": "python"},
    "composite": {"pair": "python"},
    "mlflow": {"pyfunc": "python"},
    "xgboost": {"xgboost-two": "onnx", "xgboost-three": "onnx", "xgboost-price": "onnx"},
    "lightgbm": {"lightgbm-two": "onnx", "lightgbm-three": "onnx", "lightgbm-price": "onnx"},
    "lookup": {"lookup": "python"},
    "pytorch": {"pytorch-script": "python", "pytorch-export": "python", "pytorch-mlflow": "python"},
}
FIRST_MODELS = [(framework, next(iter(models))) for framework, models in MODELS.items()]
ALL_MODELS = [(framework, model) for framework, models in MODELS.items() for model in models]


class Environments:
    """The environment of each framework, built when it is first asked for."""

    def __init__(self, base: Base) -> None:
        self._base = base

    def of(self, framework: str) -> Base:
        if framework in ("xgboost", "lightgbm"):
            root = ROOT / "var" / "environments"
            name = builder.keep_lock(LOCK.read_text(encoding="utf-8"), root)
            return Base(builder.build(name, root) / "bin" / "python")
        if framework == "pytorch":
            if not TORCH:
                pytest.skip("ATRIUM_TEST_TORCH names no Python with torch")
            return Base(Path(TORCH))
        return WithPlugin(self._base.python) if framework == "lookup" else self._base


class WithPlugin(Base):
    """The base environment in which somebody else's plug-in is installed."""

    def environment(self, **extra: str) -> dict[str, str]:
        found = super().environment(**extra)
        return {**found, "PYTHONPATH": f"{found['PYTHONPATH']}:{PLUGIN}"}


class Made:
    """Each model, handed in by its author and packaged, once."""

    def __init__(self, environments: Environments, sources: Path, work: Path) -> None:
        self.environments, self._sources, self._work = environments, sources, work
        self._packaged: dict[tuple[str, bool], Packaged] = {}

    def source(self, framework: str, model: str) -> Path:
        if (self._sources / model).is_dir():
            return self._sources / model
        if framework == "composite":
            return self._pair()
        folder = self._work / "models" / framework
        if framework == "lookup":
            (folder / model).mkdir(parents=True, exist_ok=True)
            (folder / model / "table.lookup").write_text('{"unknown": -1, "answers": {"red": 4}}')
            return folder / model
        if not folder.is_dir():
            done = self.environments.of(framework).run(MAKE, folder, framework, cwd=self._work)
            assert done.returncode == 0, done.stderr
        return folder / model

    def _pair(self) -> Path:
        """A composite of the same forest twice."""
        folder = self._work / "models" / "composite" / "pair"
        if not folder.is_dir():
            forest = self.packaged("sklearn", "forest").folder
            members = [(name, open_package(forest).signature) for name in ("one", "two")]
            for name, _ in members:
                shutil.copytree(forest, folder / "members" / name)
            (folder / "graph.json").write_text(json.dumps(draw_up("average", members)), encoding="utf-8")
        return folder

    def packaged(self, framework: str, model: str, *, convert: bool = True) -> Packaged:
        if (model, convert) not in self._packaged:
            environment, source = self.environments.of(framework), self.source(framework, model)
            work = self._work / "packages" / f"{model}-{convert}"
            self._packaged[model, convert] = package(environment, source, work, convert=convert)
        return self._packaged[model, convert]


@pytest.fixture(scope="module")
def made(base, sources, tmp_path_factory) -> Made:
    return Made(Environments(base), sources, tmp_path_factory.mktemp("contract"))


def test_every_framework_has_a_model_here():
    assert set(MODELS) == {framework.name for framework in ALL} | {"lookup"}


def test_a_plug_in_that_cannot_be_had_or_takes_a_shipped_name_is_left_out_with_a_word(base, tmp_path):
    told = WithPlugin(base.python).run(
        "-c", "from atrium.frameworks import known; print([f.name for f in known()][:2])", cwd=tmp_path
    )

    assert told.stdout == "['lookup', 'composite']\n"
    assert "broken is left out" in told.stderr
    assert "there is a framework 'sklearn' already" in told.stderr


@pytest.mark.parametrize(("framework", "model"), ALL_MODELS)
def test_a_model_is_recognised_loaded_and_packaged(made, framework, model):
    packaged = made.packaged(framework, model)

    assert packaged.code == 0, packaged.log
    assert packaged.result["framework"] == framework
    assert packaged.result["runtime"] == MODELS[framework][model], packaged.result["conversion"]
    assert packaged.result["detected_by"]
    assert all(spec["name"] and spec["shape"] for spec in packaged.result["signature"]["outputs"])


@pytest.mark.parametrize(("framework", "model"), FIRST_MODELS)
def test_its_own_framework_and_what_it_was_converted_to_answer_the_same(made, framework, model):
    converted = made.packaged(framework, model)
    own = made.packaged(framework, model, convert=False)

    for mine, other in zip(open_package(own.folder).cases, open_package(converted.folder).cases, strict=True):
        assert [tensor.name for tensor in mine.expected] == [tensor.name for tensor in other.expected]
    assert all(case["passed"] for case in own.result["cases"])
    for output in (converted.result["conversion"].get("outputs") or {}).values():
        assert output["difference"] <= output["allowed"]


@pytest.mark.parametrize("framework", MODELS)
def test_a_runner_serves_it_and_many_rows_are_answered_like_one(made, framework):
    environment = made.environments.of(framework)
    model = next(iter(MODELS[framework]))
    folder = made.packaged(framework, model, convert=False).folder
    [case, *_] = open_package(folder).cases
    given = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
            "data": _plain(tensor),
        }
        for tensor in case.inputs
    ]
    twice = [
        {**tensor, "shape": [2 * tensor["shape"][0], *tensor["shape"][1:]], "data": tensor["data"] * 2}
        for tensor in given
    ]
    with running(environment, folder) as runner:
        status, told = runner.wait_ready()
        assert status == 200, told
        alone, answer = runner.infer(model, *given)
        many, answers = runner.infer(model, *twice)

    assert (alone, many) == (200, 200), (answer, answers)
    for one, two in zip(answer["outputs"], answers["outputs"], strict=True):
        assert two["data"] == pytest.approx(one["data"] * 2, abs=1e-6)


def _plain(tensor):
    values = list(tensor.flat())
    return [value.decode() if isinstance(value, bytes) else value for value in values]


@pytest.mark.parametrize("framework", MODELS)
def test_a_broken_file_is_refused_with_what_to_do(made, framework, tmp_path):
    environment = made.environments.of(framework)
    source = made.source(framework, next(iter(MODELS[framework])))
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in source.rglob("*"):
        if file.is_file():
            target = broken / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            keep = file.name in ("MLmodel", "signature.json", "cases.json")
            target.write_bytes(file.read_bytes() if keep else b"def predict(): 1 +")

    packaged = package(environment, broken, tmp_path / "work")

    assert packaged.code == 1
    assert packaged.result["failure"]["step"] in ("load", "cases", "read")
    assert packaged.result["failure"]["advice"]
    json.dumps(packaged.result)
