"""The package: one directory with one digest that holds everything a runner needs.

    package.json       what it is: capability, version, framework, runtime, entry, signature, limits
    model/…            the model as its author gave it
    model.onnx         the converted model, when its answers agree with the original's
    cases.json         shipped cases: inputs with their expected answers and a tolerance
    card.md            the model card
    parsing.json       JMESPath expressions: which part of a logged call is what
    environment.lock   what the environment was built from

The digest is the SHA-256 over the lines "<path> NUL <sha256 of the file> LF" of all files, sorted by path.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atrium import jsontext
from atrium.oip.tensors import InvalidTensor, Tensor, read_json, show, write_json
from atrium.signature import Signature, check_inputs, parse_signature

FORMAT = "atrium-package/1"
MANIFEST = "package.json"
CASES = "cases.json"
DEFAULT_TOLERANCE = 1e-5
# What the packaging job does, in this order.
STEPS = (
    *("environment", "read", "signature", "load", "cases", "convert", "quantise", "measure", "write"),
    "check",
)
CHUNK = 1 << 20


class InvalidPackage(ValueError):
    """A package that cannot be served; the text names the file and what is expected."""


@dataclass(frozen=True, slots=True)
class Case:
    """A shipped case: for these inputs the model must answer this, within the tolerance."""

    name: str
    inputs: list[Tensor]
    expected: list[Tensor] = field(default_factory=list)
    tolerance: float = DEFAULT_TOLERANCE

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "inputs": [write_json(tensor) for tensor in self.inputs],
            "expected": [write_json(tensor) for tensor in self.expected],
            "tolerance": self.tolerance,
        }


@dataclass(frozen=True, slots=True)
class Package:
    """An opened package directory. Opening reads JSON only; no model is loaded."""

    path: Path
    capability: str
    version: str
    framework: str
    runtime: str
    entry: dict[str, Any]
    signature: Signature
    cases: list[Case]
    batching: dict[str, Any] = field(default_factory=dict)
    platform: str = ""

    def metadata(self) -> dict[str, Any]:
        """The model metadata of the Open Inference Protocol."""
        return {
            "name": self.capability,
            "versions": [self.version],
            "platform": self.platform or f"{self.framework}_{self.runtime}",
            "inputs": _plain(self.signature.inputs),
            "outputs": _plain(self.signature.outputs),
        }


def _plain(specs: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)} for spec in specs]


def open_package(path: Path) -> Package:
    """Read a package directory; raises InvalidPackage or InvalidSignature naming what is wrong."""
    document = _read_object(path / MANIFEST)
    if document.get("format") != FORMAT:
        raise InvalidPackage(f"{MANIFEST}: format is {show(document.get('format'))}, expected '{FORMAT}'")
    for key in ("capability", "version", "framework", "runtime"):
        if not isinstance(document.get(key), str):
            raise InvalidPackage(f"{MANIFEST}: '{key}' must be a string, got {show(document.get(key))}")
    if document["runtime"] not in ("onnx", "python"):
        raise InvalidPackage(f"{MANIFEST}: runtime is {show(document['runtime'])}; use 'onnx' or 'python'")
    signature = parse_signature(document.get("signature"))
    cases_path = path / CASES
    cases = parse_cases(jsontext.loads(cases_path.read_bytes()), signature) if cases_path.exists() else []
    return Package(
        path=path,
        capability=document["capability"],
        version=document["version"],
        framework=document["framework"],
        runtime=document["runtime"],
        entry=dict(document.get("entry") or {}),
        signature=signature,
        cases=cases,
        batching=dict(document.get("batching") or {}),
        platform=str(document.get("platform") or ""),
    )


def write_manifest(path: Path, document: Mapping[str, Any]) -> None:
    """Write package.json; the format line is added here."""
    (path / MANIFEST).write_text(jsontext.pretty({"format": FORMAT, **document}), encoding="utf-8")


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InvalidPackage(f"{path.name} is missing in {path.parent.name}; package the version again")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidPackage(f"{path.name} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidPackage(f"{path.name} must hold a JSON object")
    return document


def parse_cases(document: Any, signature: Signature | None = None) -> list[Case]:
    """Shipped cases from JSON; with a signature, their inputs must keep to it."""
    if not isinstance(document, list):
        raise InvalidPackage(f"{CASES} must hold a list of cases, got {show(document)}")
    return [_read_case(entry, at, signature) for at, entry in enumerate(document)]


def _read_case(entry: Any, at: int, signature: Signature | None) -> Case:
    if not isinstance(entry, dict):
        raise InvalidPackage(f"{CASES}[{at}] must be an object, got {show(entry)}")
    name = str(entry.get("name") or f"case {at + 1}")
    tolerance = entry.get("tolerance", DEFAULT_TOLERANCE)
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or tolerance < 0:
        raise InvalidPackage(
            f"{CASES}, case '{name}': tolerance must be a number from 0, got {show(tolerance)}"
        )
    try:
        inputs = [read_json(tensor) for tensor in entry.get("inputs") or []]
        expected = [read_json(tensor) for tensor in entry.get("expected") or []]
        if signature is not None:
            check_inputs(signature, inputs)
    except InvalidTensor as error:
        raise InvalidPackage(f"{CASES}, case '{name}': {error}") from error
    return Case(name, inputs, expected, float(tolerance))


def manifest(path: Path) -> dict[str, dict[str, Any]]:
    """Every file below a directory as {relative path: {"sha256", "size"}}, sorted; links are refused."""
    files: dict[str, dict[str, Any]] = {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_symlink():
            raise InvalidPackage(f"{name} is a link; a package holds plain files only")
        if file.is_file():
            files[name] = {"sha256": sha256_of(file), "size": file.stat().st_size}
    return dict(sorted(files.items()))


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def digest(files: Mapping[str, Mapping[str, Any]]) -> str:
    """The one digest of a package from its manifest; the order of the manifest does not matter."""
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(f"{name}\0{files[name]['sha256']}\n".encode())
    return total.hexdigest()
