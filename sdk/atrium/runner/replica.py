"""One packaged version, loaded, checked by its shipped cases, and ready to answer."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from atrium.cases import Model, run_cases
from atrium.frameworks import by_name
from atrium.frameworks.onnx import OnnxModel, probe
from atrium.oip.arrays import Array, to_array
from atrium.package import InvalidPackage, Package, open_package
from atrium.told import tell

CONVERTED = "model.onnx"
INLINE_BELOW_S = 0.0005
TIMED_CALLS = 20


@dataclass(slots=True)
class Replica:
    """A loaded model with its package; `call_s` is what one call of it takes here."""

    package: Package
    model: Model
    call_s: float
    joins_calls: bool

    @property
    def inline(self) -> bool:
        """Whether calls are so short and so safe that they run in the event loop itself."""
        return self.package.runtime == "onnx" and self.call_s < INLINE_BELOW_S


def load_model(package: Package) -> Model:
    """The model of a package: the converted one by onnxruntime, else by its own framework."""
    if package.runtime == "onnx":
        file = package.path / str(package.entry.get("onnx") or CONVERTED)
        return OnnxModel(file, package.signature)
    framework = by_name(package.framework)
    return framework.load(package.path / "model", package.entry, package.signature)


def load_replica(path: Path) -> Replica:
    """Open, load, run the shipped cases and time one call; raises with the reason when a case fails."""
    package = open_package(path)
    model = load_model(package)
    results = run_cases(model, package.cases)
    failed = [result for result in results if not result.passed]
    if failed:
        first = failed[0]
        raise InvalidPackage(
            tell(
                "%(failed)d of %(all)d shipped cases fail; case '%(name)s': %(message)s",
                failed=len(failed),
                all=len(results),
                name=first.name,
                message=first.message,
            )
        )
    joins = package.signature.batched and _joins(package)
    return Replica(package, model, time_calls(model, package), joins)


def _joins(package: Package) -> bool:
    if package.runtime == "onnx":
        return True
    return bool(package.batching.get("max_batch", 0)) or by_name(package.framework).joins_calls()


def time_calls(model: Model, package: Package, calls: int = TIMED_CALLS) -> float:
    """The median time of one call in seconds, on the first shipped case or a neutral input."""
    inputs = example_inputs(package)
    took: list[float] = []
    deadline = time.perf_counter() + 2.0
    for _ in range(calls):
        started = time.perf_counter()
        try:
            model.predict(inputs)
        except Exception:
            if package.cases:
                raise
            return 1.0  # a neutral input that the model refuses tells nothing: assume a slow model
        took.append(time.perf_counter() - started)
        if time.perf_counter() > deadline:
            break
    return median(took)


def example_inputs(package: Package) -> Mapping[str, Array]:
    if package.cases:
        return {tensor.name: to_array(tensor) for tensor in package.cases[0].inputs}
    return probe(package.signature.inputs)


def describe(replica: Replica) -> dict[str, Any]:
    """What the runner says about its replica."""
    package = replica.package
    return {
        "capability": package.capability,
        "version": package.version,
        "framework": package.framework,
        "runtime": package.runtime,
        "cases": len(package.cases),
        "call_ms": round(replica.call_s * 1000, 3),
        "inline": replica.inline,
    }
