"""The packages that a model was saved with: read from its requirements.txt, and whether the base has them."""

from __future__ import annotations

import hashlib
import json
import platform
import sysconfig
from collections.abc import Iterable

import yaml
from django.utils.translation import gettext as _
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from apps.core.errors import Invalid

MOST_LINES = 300
# What runner and packaging need beside the model, in whatever version goes with it.
RUNNER = (
    *("numpy", "pandas", "pyyaml", "joblib", "cloudpickle", "onnx", "onnxruntime", "orjson", "jmespath"),
    *("uvicorn", "uvloop", "httptools"),
)
# The same code in a package that brings less: mlflow without its server, xgboost without CUDA.
_LEANER = {"mlflow": "mlflow-skinny", "xgboost": "xgboost-cpu"}
_CONVERTERS = {"scikit-learn": ["skl2onnx"], "xgboost-cpu": ["onnxmltools", "skl2onnx"]}
_CONVERTERS["lightgbm"] = _CONVERTERS["xgboost-cpu"]
# What a framework loads its models with, for those that came without a word on packages.
OF_FRAMEWORK = {
    "sklearn": "scikit-learn",
    "xgboost": "xgboost-cpu",
    "lightgbm": "lightgbm",
    "pytorch": "torch",
    "mlflow": "mlflow-skinny",
}


def read(text: str) -> list[Requirement]:
    """The requirements of a requirements.txt. Raises Invalid naming the line that cannot be taken.

    Names with versions only: an address, a path or an option could reach beyond the allowed package hosts.
    """
    lines = [line.split(" #")[0].strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if len(lines) > MOST_LINES:
        raise Invalid(
            _("requirements.txt has %(count)d lines; at most %(most)d are taken.")
            % {"count": len(lines), "most": MOST_LINES}
        )
    return [_read_line(line) for line in lines]


def _read_line(line: str) -> Requirement:
    try:
        found = Requirement(line)
    except InvalidRequirement as error:
        raise _refused(line) from error
    if found.url is not None:
        raise _refused(line)
    return found


def _refused(line: str) -> Invalid:
    return Invalid(
        _(
            "requirements.txt: “%(line)s” cannot be taken. Write package names with versions, such as "
            "numpy==2.2.6; addresses, paths and options are refused."
        )
        % {"line": line[:120]},
        fields={"file": _("requirements.txt cannot be taken")},
    )


def read_conda(text: str) -> list[Requirement]:
    """The pip requirements of a conda.yaml; the interpreter and pip itself are the portal's. Raises Invalid."""
    try:
        document = yaml.safe_load(text)
        entries = list(document["dependencies"])
    except (yaml.YAMLError, TypeError, KeyError, ValueError) as error:
        raise Invalid(_("conda.yaml cannot be read: it names no dependencies.")) from error
    lines = [line for entry in entries if isinstance(entry, dict) for line in entry.get("pip") or []]
    return read("\n".join(str(line) for line in lines))


def leaner(requirements: Iterable[Requirement]) -> list[Requirement]:
    """The same requirements with the packages that bring less, and without what does not apply here."""
    found = []
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        kept = Requirement(str(requirement))
        kept.marker = None
        kept.name = _LEANER.get(canonicalize_name(kept.name), kept.name)
        found.append(kept)
    return found


def missing_in(pins: dict[str, str], requirements: Iterable[Requirement]) -> list[tuple[str, str | None]]:
    """Those that an environment with these versions does not satisfy, with the version that it has instead."""
    found = []
    for requirement in leaner(requirements):
        name = canonicalize_name(requirement.name)
        has = pins.get(name)
        if name == "mlflow-skinny" and has is not None:
            continue  # it only loads the model; any version of it reads every MLmodel file
        if has is None or not requirement.specifier.contains(has, prereleases=True):
            found.append((str(requirement), has))
    return found


def pins_of(lock: str) -> dict[str, str]:
    """{package: version} of a lock."""
    found: dict[str, str] = {}
    for line in lock.splitlines():
        name, pinned, rest = line.partition("==")
        if pinned and line[:1].isalnum() and rest.split():
            found[canonicalize_name(name.split("[")[0].strip())] = rest.split()[0].rstrip(";\\")
    return found


def pinned(requirement: Requirement, pins: dict[str, str]) -> Requirement:
    """The requirement in the version that a lock has, or as it is where the lock has none."""
    version = pins.get(canonicalize_name(requirement.name))
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return Requirement(f"{requirement.name}{extras}=={version}") if version else requirement


def to_lock(requirements: Iterable[Requirement]) -> list[str]:
    """What uv is asked to lock: the model's packages, their converters, and what a runner needs."""
    lines = [str(requirement) for requirement in leaner(requirements)]
    named = {canonicalize_name(requirement.name) for requirement in leaner(requirements)}
    extra = [name for package in sorted(named) for name in _CONVERTERS.get(package, [])]
    lines += [name for name in dict.fromkeys([*RUNNER, *extra]) if name not in named]
    return lines


def digest(lines: Iterable[str]) -> str:
    """What the same lines on the same kind of machine have in common, for finding a lock that was made before."""
    about = [platform.python_version(), sysconfig.get_platform(), *sorted(lines)]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()
