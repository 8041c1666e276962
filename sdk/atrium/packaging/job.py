"""The steps of packaging, each with its time, its outcome and, when it fails, what to do."""

import json
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from atrium import jsontext, work
from atrium.cases import CaseResult, Model, difference, run_cases
from atrium.frameworks import ALL, CannotConvert, CannotLoad, Framework, Source
from atrium.frameworks.onnx import OnnxModel, probe
from atrium.frameworks.sklearn import SciKitLearnModel, outputs_of
from atrium.mlmodel import InvalidModel, input_example, read_source, signature_of
from atrium.oip.arrays import DTYPES, Array, from_array, to_array
from atrium.oip.tensors import Tensor
from atrium.package import CASES, Case, InvalidPackage, digest, manifest, parse_cases, write_manifest
from atrium.runner.replica import CONVERTED, load_replica
from atrium.signature import InvalidSignature, Signature, parse_signature

STEPS = ("read", "signature", "load", "cases", "convert", "measure", "write", "check")
SIDECARS = ("cases.json", "signature.json", "card.md", "parsing.json")
BUILT_CASE_TOLERANCE = 1e-4
MAX_EXAMPLE_ITEMS = 20
MEASURED_S = 1.0
MEASURED_CALLS = 300
TEXT_CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "in capitals": bytes.upper,
    "with other letters": lambda text: text + " ÉCOLE naïve 光纤中断".encode(),
    "first half": lambda text: text[: len(text) // 2],
    "empty": lambda _: b"",
}


class StepFailed(Exception):
    """A step cannot go on: what is wrong, and what the author can do about it."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


@dataclass(slots=True)
class Job:
    """What is known so far; `result` becomes result.json."""

    source_root: Path
    target: Path
    params: dict[str, Any]
    result: dict[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    source: Source = field(default_factory=lambda: Source(Path()))
    framework: Framework = ALL[0]
    entry: dict[str, Any] = field(default_factory=dict)
    signature: Signature | None = None
    model: Model | None = None
    converted: Model | None = None
    cases: list[Case] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[dict[str, Any]]:
        """Record a step; an exception becomes its failure and ends the job."""
        entry: dict[str, Any] = {"name": name, "status": "running", "seconds": 0.0, "message": doing}
        self.steps.append(entry)
        work.progress(STEPS.index(name) / len(STEPS), doing)
        print(f"{name}: {doing}", flush=True)
        started = time.monotonic()
        try:
            yield entry
        except Exception as error:
            entry |= {"status": "failed", "message": str(error)}
            raise
        else:
            entry["status"] = "done"
            print(f"{name}: {entry['message']}", flush=True)
        finally:
            entry["seconds"] = round(time.monotonic() - started, 3)


def package(source: Path, target: Path, params: Mapping[str, Any]) -> dict[str, Any]:
    """Package `source` into `target`; returns the document of result.json, also when it fails."""
    job = Job(source, target, dict(params))
    work_steps: list[Callable[[Job], None]] = [
        _read,
        _find_signature,
        _load,
        _run_cases,
        _convert,
        _measure,
        _write,
        _check,
    ]
    try:
        for step in work_steps:
            step(job)
    except StepFailed as error:
        return _failure(job, str(error), error.advice)
    except Exception as error:
        traceback.print_exc()
        return _failure(job, f"{type(error).__name__}: {error}", "Read the log of this job for the trace.")
    return {"status": "packaged", **job.result, "steps": job.steps}


def _failure(job: Job, message: str, advice: str) -> dict[str, Any]:
    step = job.steps[-1]
    print(f"{step['name']} failed: {message}\n{advice}", flush=True)
    waiting = [
        {"name": name, "status": "skipped", "seconds": 0.0, "message": ""}
        for name in STEPS[STEPS.index(step["name"]) + 1 :]
    ]
    failure = {"step": step["name"], "message": message, "advice": advice}
    return {"status": "failed", "failure": failure, **job.result, "steps": [*job.steps, *waiting]}


def _read(job: Job) -> None:
    with job.step("read", "looking for the model") as step:
        try:
            job.source = read_source(job.source_root)
        except InvalidModel as error:
            raise StepFailed(str(error), "Hand in the folder that MLflow's save_model wrote.") from error
        for framework in ALL:
            found = framework.detect(job.source)
            if found is not None:
                job.framework, job.entry = framework, dict(found.entry)
                step["message"] = f"{framework.name}: {found.reason}"
                job.result |= {"framework": framework.name, "detected_by": found.reason}
                return
        names = [path.relative_to(job.source_root).as_posix() for path in job.source_root.rglob("*")][:10]
        raise StepFailed(
            f"no model was recognised among {', '.join(sorted(names)) or 'no files'}",
            "Hand in an MLflow model folder, one .onnx file, one pickled scikit-learn model, "
            "or a model.py with a predict function and a signature.json.",
        )


def _sidecar(job: Job, name: str) -> Path | None:
    for folder in (job.source.root, *job.source.root.parents):
        if (folder / name).is_file():
            return folder / name
        if folder == job.source_root:
            break
    return None


def _json_sidecar(job: Job, name: str) -> Any:
    path = _sidecar(job, name)
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StepFailed(f"{name} is not JSON: {error}", f"Correct {name} and hand it in again.") from error


def _find_signature(job: Job) -> None:
    with job.step("signature", "reading the signature") as step:
        try:
            document = _json_sidecar(job, "signature.json") or job.params.get("signature")
            if document:
                job.signature = parse_signature(document)
                step["message"] = "signature.json"
            else:
                job.signature = signature_of(job.source)
                step["message"] = "the MLmodel file's signature" if job.signature else "none given"
        except (InvalidSignature, ValueError, KeyError, TypeError) as error:
            raise StepFailed(f"the signature is wrong: {error}", "Correct signature.json.") from error


def _load(job: Job) -> None:
    with job.step("load", f"loading the {job.framework.name} model") as step:
        differences = _environment_differences(job.source.root / "requirements.txt")
        job.result["environment"] = {"differences": differences}
        advice = "Save the model in the same environment as the portal's, or hand it in as ONNX."
        if differences:
            advice = f"{advice} Versions that differ: {'; '.join(differences)}."
        try:
            job.model = job.framework.load(job.source.root, job.entry, job.signature)
            job.signature = _complete(job)
        except CannotLoad as error:
            raise StepFailed(str(error), advice) from error
        if isinstance(job.model, SciKitLearnModel):
            job.model.signature = job.signature
        job.result["signature"] = job.signature.to_json()
        step["message"] = f"loaded; {len(job.signature.inputs)} inputs, {len(job.signature.outputs)} outputs"
        if differences:
            step["message"] += f"; other versions than it was saved with: {'; '.join(differences)}"


def _complete(job: Job) -> Signature:
    """The signature with what only the loaded model tells: missing outputs, or all of it."""
    assert job.model is not None
    given = job.signature or job.framework.guess_signature(job.model)
    if given is None:
        raise StepFailed(
            "there is no signature, and the model does not tell one",
            "Add a signature.json, or save the model with a signature (mlflow.models.infer_signature).",
        )
    named = any(spec.kind for spec in given.outputs)
    if isinstance(job.model, SciKitLearnModel) and not named:
        return replace(given, outputs=outputs_of(job.model.estimator))
    if not given.outputs:
        raise StepFailed("the signature names no outputs", "Name them in signature.json.")
    return given


def _environment_differences(requirements: Path) -> list[str]:
    """Packages that the model was saved with in another version than is installed here."""
    if not requirements.is_file():
        return []
    differences = []
    for line in requirements.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, version = line.split(";")[0].strip().partition("==")
        name = name.split("[")[0].strip()
        if not version or name.startswith(("#", "-")):
            continue
        try:
            here = metadata.version(name)
        except metadata.PackageNotFoundError:
            here = "absent"
        if here != version.strip():
            differences.append(f"{name} {version.strip()} (here: {here})")
    return differences


def _run_cases(job: Job) -> None:
    assert job.signature is not None
    assert job.model is not None
    with job.step("cases", "running the shipped cases") as step:
        try:
            cases = parse_cases(_json_sidecar(job, CASES) or [], job.signature)
        except InvalidPackage as error:
            raise StepFailed(str(error), "Correct cases.json so that it fits the signature.") from error
        origin = "shipped"
        if not cases:
            cases, origin = [_build_case(job)], "built from an example"
        job.cases = [_with_answers(job.model, case) for case in cases]
        results = run_cases(job.model, job.cases)
        job.result["cases"] = [result.to_json() for result in results]
        failed = [result for result in results if not result.passed]
        if failed:
            raise StepFailed(
                f"{len(failed)} of {len(results)} cases fail; '{failed[0].name}': {failed[0].message}",
                "Correct the expected answers in cases.json, raise the case's tolerance, or hand in "
                "the model that gives them.",
            )
        step["message"] = f"{len(results)} {origin}, all pass"


def _build_case(job: Job) -> Case:
    """A case from the MLflow input example, the signature's examples, or a neutral input."""
    assert job.signature is not None
    arrays = input_example(job.source, job.signature)
    name = "input example"
    if arrays is None:
        arrays = _signature_example(job.signature)
        name = "signature example"
    if arrays is None:
        arrays = dict(probe(job.signature.inputs))
        name = "neutral input"
    inputs = [
        from_array(spec.name, arrays[spec.name][:MAX_EXAMPLE_ITEMS], spec.datatype)
        for spec in job.signature.inputs
    ]
    return Case(name, inputs, tolerance=BUILT_CASE_TOLERANCE)


def _signature_example(signature: Signature) -> dict[str, Array] | None:
    if any(spec.example is None for spec in signature.inputs):
        return None
    arrays = {}
    for spec in signature.inputs:
        array = np.array(spec.example, dtype=DTYPES[spec.datatype])
        arrays[spec.name] = array[np.newaxis] if array.ndim == len(spec.shape) - 1 else array
    return arrays


def _with_answers(model: Model, case: Case) -> Case:
    """A case without expected answers gets those of the model as it was handed in."""
    if case.expected:
        return case
    try:
        answers = model.predict({tensor.name: to_array(tensor) for tensor in case.inputs})
        expected = [_named(name, array) for name, array in answers.items()]
    except Exception as error:
        raise StepFailed(
            f"the model fails on the case '{case.name}': {type(error).__name__}: {error}",
            "Ship a cases.json with inputs that the model takes, or correct the signature.",
        ) from error
    return replace(case, expected=expected)


def _named(name: str, array: Array) -> Tensor:
    return from_array(name, array)


def _convert(job: Job) -> None:
    with job.step("convert", "converting to ONNX") as step:
        job.target.mkdir(parents=True, exist_ok=True)
        outcome = _try_conversion(job)
        job.result["conversion"] = outcome
        job.result["runtime"] = "onnx" if outcome["converted"] or job.framework.name == "onnx" else "python"
        step["message"] = outcome["reason"]


def _try_conversion(job: Job) -> dict[str, Any]:
    """Convert and compare on the cases; the outcome says why when the model stays as it is."""
    assert job.signature is not None
    assert job.model is not None
    outcome: dict[str, Any] = {"converted": False, "reason": "", "differences": {}}
    if job.framework.name == "onnx":
        return outcome | {"reason": "it came as ONNX"}
    if job.params.get("convert") is False:
        return outcome | {"reason": "the author asked to keep its own framework"}
    target = job.target / CONVERTED
    try:
        job.framework.convert(job.model, job.signature, target)
        converted = OnnxModel(target, job.signature)
        differences, failed = _compare(job.model, converted, [*job.cases, *_text_probes(job.cases)])
    except (CannotConvert, CannotLoad) as error:
        target.unlink(missing_ok=True)
        return outcome | {"reason": f"served by {job.framework.name}: {error}"}
    outcome["differences"] = {name: _finite(value) for name, value in differences.items()}
    if failed is not None:
        target.unlink(missing_ok=True)
        reason = f"the converted model answers case '{failed.name}' differently: {failed.message}"
        return outcome | {"reason": f"served by {job.framework.name}: {reason}"}
    job.converted = converted
    worst = max(differences.values(), default=0.0)
    reason = f"answers agree on {len(job.cases)} cases; largest difference {worst:.2g}"
    return outcome | {"converted": True, "reason": reason}


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None


def _text_probes(cases: list[Case]) -> list[Case]:
    """Texts as people send them, made from the cases: other letters, capitals, nothing at all."""
    probes: list[Case] = []
    for case in cases[:5]:
        if not any(tensor.datatype == "BYTES" for tensor in case.inputs):
            continue
        for word, change in TEXT_CHANGES.items():
            inputs = [
                replace(tensor, values=[change(text) for text in tensor.flat()])
                if tensor.datatype == "BYTES"
                else tensor
                for tensor in case.inputs
            ]
            probes.append(Case(f"{case.name}, {word}", inputs, tolerance=case.tolerance))
    return probes


def _compare(
    original: Model, converted: Model, cases: list[Case]
) -> tuple[dict[str, float], CaseResult | None]:
    """The largest difference per output between the two, and the first case that the converted one fails."""
    results = run_cases(converted, cases)
    failed = next((result for result in results if not result.passed), None)
    differences: dict[str, float] = {}
    for case in cases:
        inputs = {tensor.name: to_array(tensor) for tensor in case.inputs}
        try:
            answers, other = original.predict(inputs), converted.predict(inputs)
        except Exception as error:
            raise CannotConvert(f"the converted model raises {type(error).__name__}: {error}") from error
        for name, array in answers.items():
            apart = difference(np.asarray(array), np.asarray(other[name]))
            differences[name] = max(differences.get(name, 0.0), apart)
            if apart > case.tolerance and failed is None:
                message = f"output '{name}' differs by {apart:.3g}, more than {case.tolerance:g}"
                failed = CaseResult(case.name, False, apart, message)
    return differences, failed


def _measure(job: Job) -> None:
    assert job.model is not None
    with job.step("measure", "measuring time and size") as step:
        inputs = _one_item(job.cases[0])
        before = _latency(job.model, inputs)
        size = sum(entry["size"] for entry in manifest(job.source.root).values())
        job.result["latency"] = {"before": before, "after": before}
        job.result["size"] = {"before": size, "after": size}
        if job.converted is not None:
            job.result["latency"]["after"] = _latency(job.converted, inputs)
            job.result["size"]["after"] = (job.target / CONVERTED).stat().st_size
        after = job.result["latency"]["after"]
        step["message"] = f"one item: {before['p50_ms']} ms before, {after['p50_ms']} ms after"


def _one_item(case: Case) -> dict[str, Array]:
    return {tensor.name: to_array(tensor)[:1] for tensor in case.inputs}


def _latency(model: Model, inputs: Mapping[str, Array]) -> dict[str, float]:
    """p50 and p99 of one call in milliseconds, over at most a second."""
    took: list[float] = []
    until = time.perf_counter() + MEASURED_S
    while len(took) < MEASURED_CALLS and (not took or time.perf_counter() < until):
        started = time.perf_counter()
        model.predict(inputs)
        took.append((time.perf_counter() - started) * 1000)
    p50, p99 = np.percentile(took, [50, 99])
    return {"p50_ms": round(float(p50), 4), "p99_ms": round(float(p99), 4), "calls": len(took)}


def _write(job: Job) -> None:
    assert job.signature is not None
    with job.step("write", "writing the package") as step:
        ignore = shutil.ignore_patterns("__pycache__", ".git", *SIDECARS)
        shutil.copytree(job.source.root, job.target / "model", ignore=ignore, dirs_exist_ok=True)
        entry = dict(job.entry)
        if job.framework.name == "onnx":
            entry["onnx"] = f"model/{entry['file']}"
        cases = jsontext.pretty([case.to_json() for case in job.cases])
        (job.target / CASES).write_text(cases, encoding="utf-8")
        for name in ("card.md", "parsing.json"):
            path = _sidecar(job, name)
            if path is not None:
                shutil.copyfile(path, job.target / name)
        (job.target / "environment.lock").write_text(_installed(), encoding="utf-8")
        write_manifest(job.target, _document(job, entry))
        files = manifest(job.target)
        job.result |= {"manifest": files, "digest": digest(files)}
        step["message"] = f"{len(files)} files, digest {job.result['digest'][:12]}"


def _document(job: Job, entry: dict[str, Any]) -> dict[str, Any]:
    assert job.signature is not None
    return {
        "capability": str(job.params.get("capability") or "model"),
        "version": str(job.params.get("version") or job.params.get("number") or "0.0.0"),
        "framework": job.framework.name,
        "runtime": job.result["runtime"],
        "entry": entry,
        "signature": job.signature.to_json(),
        "batching": dict(job.params.get("batching") or {}),
        "environment": str(job.params.get("environment") or "base"),
    }


def _installed() -> str:
    """What is installed where the model was packaged and has passed its cases."""
    lines = {f"{dist.metadata['Name']}=={dist.version}" for dist in metadata.distributions()}
    return "".join(f"{line}\n" for line in sorted(lines, key=str.lower))


def _check(job: Job) -> None:
    with job.step("check", "loading the package as a runner does") as step:
        try:
            replica = load_replica(job.target)
        except Exception as error:
            raise StepFailed(
                f"the finished package does not serve: {type(error).__name__}: {error}",
                "This is a fault of the packaging; report it with the log of this job.",
            ) from error
        step["message"] = f"serves; {replica.call_s * 1000:.3f} ms a call"
