"""Is this upload a model? Judged by names and by its MLmodel text alone; no model is ever opened here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import yaml
from django.utils.translation import gettext as _

from apps.core import objects
from apps.core.errors import Invalid
from apps.core.manifests import Entry, Manifest
from atrium.graph import FILE as GRAPH

MLMODEL = "MLmodel"
MODEL_SUFFIXES = frozenset(
    {
        ".onnx",
        ".pkl",
        ".pickle",
        ".joblib",
        ".skops",
        ".ubj",
        ".xgb",
        ".lgb",
        ".bst",
        ".pt",
        ".pth",
        ".pt2",
        ".txt",
        ".json",
    }
)
CODE_FILES = frozenset({"model.py", "predict.py", "__init__.py", "atrium.json"})
CERTAIN_SUFFIXES = MODEL_SUFFIXES - {".txt", ".json"}
"""Nothing but a model is called so."""
_LARGEST_MLMODEL = 1 << 20
_FILE_KEYS = ("pickled_model", "data", "model_path", "model_data", "python_model", "code", "loader_path")


def check_source(manifest: Manifest) -> None:
    """Raises Invalid that names what is missing for this to be a model, and what to do."""
    if GRAPH in manifest:
        return  # a composite: its members are packages that were checked before
    described = sorted((path for path in manifest if PurePosixPath(path).name == MLMODEL), key=len)
    if described:
        _check_mlmodel(manifest, described[0])
        return
    if any(PurePosixPath(path).name in CODE_FILES for path in manifest):
        return
    if any(PurePosixPath(path).suffix.lower() in CERTAIN_SUFFIXES for path in manifest):
        return
    names = ", ".join(list(manifest)[:5])
    raise Invalid(
        _(
            "There is no model among the files (%(names)s). Upload an MLflow model folder with its MLmodel file, "
            "one .onnx file, or a Python folder with a predict function in model.py."
        )
        % {"names": names},
        fields={"file": _("holds no model")},
    )


def _check_mlmodel(manifest: Manifest, place: str) -> None:
    document = _read_mlmodel(manifest[place])
    folder = place.removesuffix(MLMODEL)
    flavours = document.get("flavors")
    if not isinstance(flavours, dict) or not flavours:
        raise Invalid(
            _(
                "The MLmodel file names no flavors, so nobody knows how to load the model. Save it with mlflow again."
            ),
            fields={"file": _("MLmodel has no flavors")},
        )
    for flavour, named in _named_files(flavours):
        if not _present(folder + named, manifest):
            raise Invalid(
                _(
                    "The MLmodel file's flavor %(flavour)s names “%(name)s”, but this file is missing in the upload. "
                    "Upload the whole folder that mlflow saved."
                )
                % {"flavour": flavour, "name": named[:120]},
                fields={"file": _("%(name)s is missing") % {"name": named[:120]}},
            )


def _read_mlmodel(entry: Entry) -> dict[str, Any]:
    if entry["size"] > _LARGEST_MLMODEL:
        raise Invalid(_("The MLmodel file is larger than 1 MB; that cannot be right. Save the model again."))
    with objects.open_object(entry["sha256"]) as stream:
        text = stream.read(_LARGEST_MLMODEL)
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        place = str(error).splitlines()[0][:200] if str(error) else ""
        raise Invalid(
            _("The MLmodel file is no readable YAML: %(place)s. Save the model with mlflow again.")
            % {"place": place},
            fields={"file": _("MLmodel cannot be read")},
        ) from error
    if not isinstance(document, dict):
        raise Invalid(_("The MLmodel file does not describe a model. Save the model with mlflow again."))
    return document


def _named_files(flavours: dict[Any, Any]) -> Iterator[tuple[str, str]]:
    """The files that the flavours say they are loaded from."""
    for flavour, settings in flavours.items():
        if isinstance(settings, dict):
            for key in _FILE_KEYS:
                if isinstance(settings.get(key), str) and settings[key]:
                    yield str(flavour), settings[key]


def _present(name: str, manifest: Manifest) -> bool:
    return name in manifest or any(path.startswith(f"{name.rstrip('/')}/") for path in manifest)
