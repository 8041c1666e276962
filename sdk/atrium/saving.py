"""Write a trained model as the folder that a version is made from: MLflow's layout and our sidecars."""

import importlib.util
import inspect
import json
import platform
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from atrium import jsontext
from atrium.package import Case
from atrium.signature import Signature, parse_signature

SIGNATURE = "signature.json"
FIXTURES = "features.json"


def save_model(
    model: Any,
    folder: Path | str,
    *,
    signature: Signature | Mapping[str, Any] | None = None,
    cases: Sequence[Case | Mapping[str, Any]] = (),
    input_example: Any = None,
    card: str = "",
    parsing: Mapping[str, Any] | None = None,
    fixtures: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Save a model with everything that the portal wants to know about it; returns the folder.

    `model` is a scikit-learn estimator, an ONNX model, a `predict` function (its source file is copied),
    or the path of an .onnx file or of a folder that is already a model. `signature` and `cases` are as
    in signature.json and cases.json; a signature that cannot be is refused here, before any upload.
    `fixtures` are [{"name", "inputs": [tensor, …]}]: what a predict function logs for them with `atrium.log` is
    written down, and an evaluation asks whether the served version computes the same features; another model
    gives the "features" itself.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    document = signature.to_json() if isinstance(signature, Signature) else signature
    if document is not None:
        document = parse_signature(dict(document)).to_json()
        (target / SIGNATURE).write_text(jsontext.pretty(document), encoding="utf-8")
    _write_model(model, target, has_example=input_example is not None)
    if input_example is not None:
        example = jsontext.pretty({"inputs": _listed(input_example)})
        (target / "input_example.json").write_text(example, encoding="utf-8")
    if cases:
        listed = [case.to_json() if isinstance(case, Case) else dict(case) for case in cases]
        (target / "cases.json").write_text(jsontext.pretty(listed), encoding="utf-8")
    if fixtures:
        from atrium.fixtures import with_features  # needs numpy, which a client or the command need not have

        told = [with_features(model, parse_signature(dict(document or {})), fixture) for fixture in fixtures]
        (target / FIXTURES).write_text(jsontext.pretty(told), encoding="utf-8")
    if card:
        (target / "card.md").write_text(card, encoding="utf-8")
    if parsing:
        (target / "parsing.json").write_text(jsontext.pretty(dict(parsing)), encoding="utf-8")
    return target


def _write_model(model: Any, target: Path, *, has_example: bool) -> None:
    if isinstance(model, str | Path):
        _copy(Path(model), target)
    elif hasattr(model, "SerializeToString"):
        (target / "model.onnx").write_bytes(model.SerializeToString())
    elif hasattr(model, "get_params") and (hasattr(model, "predict") or hasattr(model, "transform")):
        _write_estimator(model, target, has_example)
    elif callable(model):
        _write_function(model, target)
    else:
        raise TypeError(
            f"a {type(model).__name__} is no model that can be saved; give a scikit-learn estimator, "
            "an ONNX model, a predict function, or the path of a model folder"
        )


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    elif source.is_file():
        shutil.copyfile(source, target / source.name)
    else:
        raise FileNotFoundError(f"{source} is neither a model folder nor a model file")


def _write_function(function: Callable[..., Any], target: Path) -> None:
    path = inspect.getsourcefile(function)
    if path is None or not Path(path).is_file():
        raise TypeError("the function has no source file; write it into model.py and give that folder")
    shutil.copyfile(path, target / "model.py")
    entry = {"module": "model", "function": function.__name__}
    (target / "atrium.json").write_text(json.dumps(entry), encoding="utf-8")


def _write_estimator(model: Any, target: Path, has_example: bool) -> None:
    import cloudpickle

    (target / "model.pkl").write_bytes(cloudpickle.dumps(model))
    requirements = _requirements(("cloudpickle", "numpy", "scikit-learn", "pandas"))
    (target / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
    document: dict[str, Any] = {
        "flavors": {
            "python_function": {
                "env": {"virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.sklearn",
                "model_path": "model.pkl",
                "predict_fn": "predict",
                "python_version": platform.python_version(),
            },
            "sklearn": {
                "code": None,
                "pickled_model": "model.pkl",
                "serialization_format": "cloudpickle",
                "sklearn_version": metadata.version("scikit-learn"),
            },
        },
        "model_uuid": uuid.uuid4().hex,
        "utc_time_created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }
    if has_example:
        document["saved_input_example_info"] = {"artifact_path": "input_example.json", "type": "ndarray"}
    (target / "MLmodel").write_text(_yaml(document), encoding="utf-8")
    environment = {
        "python": platform.python_version(),
        "build_dependencies": ["pip"],
        "dependencies": ["-r requirements.txt"],
    }
    (target / "python_env.yaml").write_text(_yaml(environment), encoding="utf-8")


def _requirements(names: Iterable[str]) -> list[str]:
    lines = []
    for name in names:
        try:
            lines.append(f"{name}=={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return lines


def _yaml(document: Mapping[str, Any]) -> str:
    if importlib.util.find_spec("yaml") is None:
        return jsontext.pretty(document)  # every JSON document is YAML
    import yaml

    return str(yaml.safe_dump(dict(document), sort_keys=True))


def _listed(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _listed(entry) for name, entry in value.items()}
    return value
