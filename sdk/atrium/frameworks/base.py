"""The one interface behind which a framework stands.

To add a framework: subclass Framework, implement `detect` and `load`, add `complete` where the model knows
its outputs and `convert` where models can become ONNX. Packaging calls, in this order: detect, load,
guess_signature (when the author gave none), complete, convert. The runner calls load alone.
A plug-in imports its framework late, inside its methods: the runner loads only what it serves.

One that ships with the portal is appended to `frameworks.ALL`; anybody's own comes in a package of theirs:

    # pyproject.toml                                        # requirements.txt beside the model
    [project.entry-points."atrium.frameworks"]              acme-lookup==1.2
    lookup = "acme_lookup:Lookup"

The model names the package among its requirements, so it is installed in the environment in which the model is
packaged and served, and nowhere else. An atrium.json (it may be {}) beside the model tells the portal that the folder
is one although it knows none of its files. A whole example stands in tests/sdk/plugin/acme_lookup.py, and both it and
every shipped one pass the same tests/sdk/test_framework_contract.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from atrium.cases import Model
from atrium.oip.arrays import Array
from atrium.signature import Signature
from atrium.told import tell


class CannotLoad(Exception):
    """The model cannot be loaded here; the text says why, `advice` what to do where the plug-in knows it."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


PACKAGES = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
"""Packages that are not called like the module in them."""


def advice_on_module(error: BaseException | None) -> str:
    """What to do where a module that is not installed stands behind the error; empty where none does."""
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__
    if error is None or not error.name:
        return ""
    module = error.name.partition(".")[0]
    return tell(
        "The module '%(module)s' is not installed here. Add the line `%(line)s` to the requirements.txt beside the "
        "model, with the version that you used, such as `%(line)s==1.2.3`, and hand it in again. If '%(module)s' is "
        "your own code, ship it in the model's folder.",
        module=module,
        line=PACKAGES.get(module, module),
    )


class CannotConvert(Exception):
    """The model stays with its own framework; the text says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """What an author handed in: a folder, and its MLmodel document when it is an MLflow model."""

    root: Path
    mlmodel: dict[str, Any] = field(default_factory=dict)

    def flavour(self, name: str) -> dict[str, Any] | None:
        """The named flavour of the MLmodel file, or None."""
        flavours = self.mlmodel.get("flavors")
        found = flavours.get(name) if isinstance(flavours, dict) else None
        return found if isinstance(found, dict) else None

    def single(self, *patterns: str) -> Path | None:
        """The only file that one of the patterns matches, looked for at the top and then below."""
        for pattern in patterns:
            for find in (self.root.glob, self.root.rglob):
                files = sorted(path for path in find(pattern) if path.is_file())
                if len(files) == 1:
                    return files[0]
        return None


@dataclass(frozen=True, slots=True)
class Detection:
    """Why a source is of this framework, and how to load it: `entry` goes into package.json as it is."""

    entry: dict[str, Any]
    reason: str


class Framework(ABC):
    """A way to recognise, load and convert models."""

    name: ClassVar[str]

    @abstractmethod
    def detect(self, source: Source) -> Detection | None:
        """Say whether the source is of this framework, by its files alone; nothing is loaded."""

    @abstractmethod
    def load(self, root: Path, entry: Mapping[str, Any], signature: Signature | None) -> Model:
        """Load the model below `root`; raises CannotLoad. Without a signature only to `guess_signature`."""

    def guess_signature(self, model: Model) -> Signature | None:
        """The signature when the model alone tells it."""
        return None

    def complete(self, model: Model, signature: Signature) -> Signature:
        """The signature with what only the loaded model tells, such as outputs that nobody named."""
        return signature

    def convert(self, model: Model, signature: Signature, target: Path) -> None:
        """Write the model as ONNX with the signature's names; raises CannotConvert."""
        raise CannotConvert(tell("models of %(name)s are served by %(name)s itself", name=self.name))

    def joins_calls(self) -> bool:
        """Whether several calls may be answered by one call on their rows together."""
        return True


__all__ = [
    "Array",
    "CannotConvert",
    "CannotLoad",
    "Detection",
    "Framework",
    "Model",
    "Source",
]
