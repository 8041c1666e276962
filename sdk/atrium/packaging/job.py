"""The steps of packaging, each with its time, its outcome and, when it fails, what to do."""

import json
import platform
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
from atrium.cases import Model, run_cases
from atrium.frameworks import ALL, CannotConvert, CannotLoad, Framework, Source, known
from atrium.frameworks.base import advice_on_module
from atrium.frameworks.onnx import OnnxModel, probe
from atrium.mlmodel import InvalidModel, input_example, read_source, signature_of
from atrium.oip.arrays import DTYPES, Array, from_array, to_array
from atrium.oip.tensors import FLOATS, Tensor, show_shape
from atrium.package import CASES, STEPS, Case, InvalidPackage, digest, manifest, parse_cases, write_manifest
from atrium.packaging.agreement import Agreement, compare, compare_roughly, text_probes
from atrium.packaging.golden import NoGoldenRows, golden_cases
from atrium.packaging.quantise import QUANTISED, SAME, TOLERANCE, write_int8
from atrium.parsing import FILE as PARSING
from atrium.parsing import InvalidRules, read_rules
from atrium.runner.replica import CONVERTED, load_replica
from atrium.signature import InvalidSignature, Signature, TensorSpec, check_examples, parse_signature
from atrium.told import listed, patterns_of, tell

SIDECARS = ("cases.json", "signature.json", "card.md", PARSING)
BUILT_CASE_TOLERANCE = 1e-4
MAX_EXAMPLE_ITEMS = 20
MEASURED_S = 1.0
MEASURED_CALLS = 300


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
    quantised: Model | None = None
    onnx_file: Path | None = None
    cases: list[Case] = field(default_factory=list)
    golden: list[Case] = field(default_factory=list)

    def model_of(self) -> Model:
        """The model as it was handed in; only after the step `load`."""
        assert self.model is not None
        return self.model

    def note(self, words: str) -> None:
        """Keep what the author should look at although packaging goes on."""
        self.result.setdefault("notes", []).append(words)
        print(words, flush=True)

    @property
    def golden_rows(self) -> int:
        return sum(case.inputs[0].shape[0] for case in self.golden)

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
        except (Exception, SystemExit) as error:
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
        _tell_environment,
        _read,
        _find_signature,
        _load,
        _run_cases,
        _convert,
        _quantise,
        _measure,
        _write,
        _check,
    ]
    result = _go_through(job, work_steps)
    return {**result, "told": patterns_of(result)}


def _go_through(job: Job, work_steps: list[Callable[[Job], None]]) -> dict[str, Any]:
    try:
        for step in work_steps:
            step(job)
    except StepFailed as error:
        _print_trace(error, source=job.source_root.resolve())
        return _failure(job, str(error), error.advice)
    except SystemExit as error:
        message = tell("the model's code ends the program: exit %(code)s", code=str(error))
        return _failure(job, message, tell("Take sys.exit out of it."))
    except Exception as error:
        traceback.print_exc()
        advice = tell("Read the log of this job for the trace.")
        return _failure(job, f"{type(error).__name__}: {error}", advice)
    return {"status": "packaged", **job.result, "steps": job.steps}


def _in_own_code(
    error: BaseException | None, source: Path
) -> tuple[BaseException, list[traceback.FrameSummary]] | None:
    """The error or its cause that went through the model's own files, with the steps from there on."""
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        for at, frame in enumerate(frames):
            if source in Path(frame.filename).resolve().parents:
                return error, frames[at:]
        error = error.__cause__
    return None


def _print_trace(error: BaseException, *, source: Path) -> None:
    """Say in the log where in the model's own files it went wrong; nothing where it was elsewhere."""
    found = _in_own_code(error, source)
    if found is not None:
        cause, frames = found
        lines = [*traceback.format_list(frames), *traceback.format_exception_only(cause)]
        print("".join(lines), end="", flush=True)


def _advice_on_answering(error: BaseException, *, source: Path) -> str:
    """What to do where the model raises on a case."""
    if advice := advice_on_module(error):
        return advice
    found = _in_own_code(error, source)
    if found is None:
        return tell("Ship a cases.json with inputs that the model takes, or correct the signature.")
    frame = [each for each in found[1] if source in Path(each.filename).resolve().parents][-1]
    return tell(
        "Your code raises it at line %(line)d of %(file)s; the log shows the way there. If it should answer this "
        "input, correct it there; if not, ship a cases.json with inputs that it takes.",
        line=frame.lineno or 0,
        file=str(Path(frame.filename).resolve().relative_to(source)),
    )


def _failure(job: Job, message: str, advice: str) -> dict[str, Any]:
    step = job.steps[-1]
    print(f"{step['name']} failed: {message}\n{advice}", flush=True)
    waiting = [
        {"name": name, "status": "skipped", "seconds": 0.0, "message": ""}
        for name in STEPS[STEPS.index(step["name"]) + 1 :]
    ]
    failure = {"step": step["name"], "message": message, "advice": advice}
    return {"status": "failed", "failure": failure, **job.result, "steps": [*job.steps, *waiting]}


def _tell_environment(job: Job) -> None:
    with job.step("environment", tell("looking at the environment")) as step:
        name = str(job.params.get("environment") or "base")
        step["message"] = tell(
            "%(name)s: %(note)s; %(count)d packages, Python %(python)s",
            name=name,
            note=_environment_note(job),
            count=len(list(metadata.distributions())),
            python=platform.python_version(),
        )


def _environment_note(job: Job) -> str:
    """Why it is this environment: for which packages it was made, or that the base has them all."""
    packages = job.params.get("own_packages")
    if packages:
        return tell(
            "an environment of its own, for %(packages)s",
            packages=listed([_lacking(each) for each in packages]),
        )
    if packages is None:
        return tell("as it is here")
    return tell("the base environment has all that the model asks for")


def _lacking(package: Mapping[str, Any] | str) -> str:
    """A package that the base does not have so, with what it has instead; jobs of an earlier release bring it so."""
    if isinstance(package, str):
        return package
    if package["base"] is None:
        return tell("%(package)s (the base has none)", package=package["package"])
    return tell("%(package)s (the base has %(version)s)", package=package["package"], version=package["base"])


def _read(job: Job) -> None:
    with job.step("read", tell("looking for the model")) as step:
        try:
            job.source = read_source(job.source_root)
        except InvalidModel as error:
            advice = tell("Hand in the folder that MLflow's save_model wrote.")
            raise StepFailed(str(error), advice) from error
        for framework in known():
            found = framework.detect(job.source)
            if found is not None:
                job.framework, job.entry = framework, dict(found.entry)
                step["message"] = tell("%(framework)s: %(why)s", framework=framework.name, why=found.reason)
                job.result |= {"framework": framework.name, "detected_by": found.reason}
                return
        names = [path.relative_to(job.source_root).as_posix() for path in job.source_root.rglob("*")][:10]
        raise StepFailed(
            tell("no model was recognised among %(names)s", names=", ".join(sorted(names)) or "–"),
            tell(
                "Hand in an MLflow model folder, one .onnx file, one pickled scikit-learn model, "
                "or a model.py with a predict function and a signature.json."
            ),
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
        raise StepFailed(
            tell("%(name)s is not JSON: %(error)s", name=name, error=str(error)),
            tell("Correct %(name)s and hand it in again.", name=name),
        ) from error


def _find_signature(job: Job) -> None:
    with job.step("signature", tell("reading the signature")) as step:
        try:
            document = _json_sidecar(job, "signature.json") or job.params.get("signature")
            if document:
                job.signature = parse_signature(document)
                check_examples(job.signature)
                step["message"] = "signature.json"
            else:
                job.signature = signature_of(job.source)
                step["message"] = (
                    tell("the MLmodel file's signature") if job.signature else tell("none given")
                )
        except (InvalidSignature, ValueError, KeyError, TypeError) as error:
            raise StepFailed(
                tell("the signature is wrong: %(error)s", error=str(error)), tell("Correct signature.json.")
            ) from error
        rules = _check_rules(job)
        if rules:
            step["message"] = tell(
                "%(before)s; parsing rules: %(count)d", before=step["message"], count=rules
            )


def _check_rules(job: Job) -> int:
    """How many parsing rules are shipped; a rule that cannot be applied would be silent later, so it ends here."""
    try:
        return len(read_rules(_json_sidecar(job, PARSING) or {}))
    except InvalidRules as error:
        raise StepFailed(
            tell("%(name)s cannot be applied: %(error)s", name=PARSING, error=str(error)),
            tell(
                "Correct %(name)s: each entry is a name and a JMESPath expression over `inputs` and `outputs`.",
                name=PARSING,
            ),
        ) from error


def _load(job: Job) -> None:
    with job.step("load", tell("loading the model")) as step:
        differences = environment_differences(job.source.root / "requirements.txt")
        job.result["environment"] = {"differences": differences}
        advice = tell("Save the model in the same environment as the portal's, or hand it in as ONNX.")
        if differences:
            named = "; ".join(differences)
            advice = tell("%(before)s Versions that differ: %(versions)s.", before=advice, versions=named)
        try:
            job.model = job.framework.load(job.source.root, job.entry, job.signature)
            job.signature = _complete(job)
        except CannotLoad as error:
            raise StepFailed(str(error), advice_on_module(error) or error.advice or advice) from error
        job.result["signature"] = job.signature.to_json()
        step["message"] = tell(
            "loaded with %(framework)s; %(inputs)d inputs, %(outputs)d outputs",
            framework=job.framework.name,
            inputs=len(job.signature.inputs),
            outputs=len(job.signature.outputs),
        )
        if differences:
            step["message"] = tell(
                "%(before)s; other versions than it was saved with: %(versions)s",
                before=step["message"],
                versions="; ".join(differences),
            )


def _complete(job: Job) -> Signature:
    """The signature with what only the loaded model tells: missing outputs, or all of it."""
    assert job.model is not None
    given = job.signature or job.framework.guess_signature(job.model)
    if given is None:
        raise StepFailed(
            tell("there is no signature, and the model does not tell one"),
            tell("Add a signature.json, or save the model with a signature (mlflow.models.infer_signature)."),
        )
    declared = given.outputs
    given = job.framework.complete(job.model, given)
    if _contradicts(declared, given.outputs):
        job.note(
            tell(
                "The signature declares the outputs %(declared)s, but the model gives %(found)s; the version has what "
                "the model gives. Correct the signature if callers rely on the declared one.",
                declared=_in_short(declared),
                found=_in_short(given.outputs),
            )
        )
    if not given.outputs:
        raise StepFailed(tell("the signature names no outputs"), tell("Name them in signature.json."))
    return given


def _contradicts(declared: list[TensorSpec], found: list[TensorSpec]) -> bool:
    """Whether an output is declared whose like the model does not give: numbers for words, fractions for classes."""
    given = {(_sort(spec), len(spec.shape)) for spec in found}
    return any((_sort(spec), len(spec.shape)) not in given for spec in declared)


def _sort(spec: TensorSpec) -> str:
    return "BYTES" if spec.datatype == "BYTES" else "FP" if spec.datatype in FLOATS else "INT"


def _in_short(specs: list[TensorSpec]) -> str:
    return ", ".join(f"{spec.name} {spec.datatype} {show_shape(spec.shape)}" for spec in specs)


_LEANER = {"mlflow": "mlflow-skinny", "xgboost": "xgboost-cpu"}
"""The same code in a package that brings less, which the portal installs instead."""


def _version_here(name: str) -> str:
    """The version of a package here; empty when it is absent."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def environment_differences(requirements: Path) -> list[str]:
    """Packages that the model was saved with in another version than is installed here."""
    if not requirements.is_file():
        return []
    differences = []
    for line in requirements.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, version = line.split(";")[0].strip().partition("==")
        name = name.split("[")[0].strip()
        if not version or name.startswith(("#", "-")):
            continue
        here = _version_here(name) or _version_here(_LEANER.get(name, name)) or "absent"
        if here != version.strip():
            differences.append(f"{name} {version.strip()} (here: {here})")
    return differences


def _run_cases(job: Job) -> None:
    assert job.signature is not None
    assert job.model is not None
    with job.step("cases", tell("running the shipped cases")) as step:
        try:
            cases = parse_cases(_json_sidecar(job, CASES) or [], job.signature)
        except InvalidPackage as error:
            raise StepFailed(str(error), tell("Correct cases.json so that it fits the signature.")) from error
        origin = tell("shipped")
        if not cases:
            cases, origin = [_build_case(job)], tell("built from an example")
        job.cases = [_with_answers(job, case) for case in cases]
        _note_missing_numbers(job)
        results = run_cases(job.model, job.cases)
        job.result["cases"] = [result.to_json() for result in results]
        failed = [result for result in results if not result.passed]
        if failed:
            raise StepFailed(
                tell(
                    "%(failed)d of %(all)d cases fail; '%(name)s': %(why)s",
                    failed=len(failed),
                    all=len(results),
                    name=failed[0].name,
                    why=failed[0].message,
                ),
                tell(
                    "Correct the expected answers in cases.json, raise the case's tolerance, or hand in "
                    "the model that gives them."
                ),
            )
        job.golden, told = _golden(job)
        job.result["golden"] = {"rows": job.golden_rows, "message": told}
        step["message"] = tell("%(count)d %(origin)s, all pass", count=len(results), origin=origin)
        if told:
            step["message"] = tell("%(before)s; %(more)s", before=step["message"], more=told)


def _note_missing_numbers(job: Job) -> None:
    """Say which outputs are NaN throughout: seldom meant, and more often a model that was not fitted."""
    assert job.signature is not None
    for spec in job.signature.outputs:
        answers = [to_array(each) for case in job.cases for each in case.expected if each.name == spec.name]
        floats = [array for array in answers if array.dtype.kind == "f" and array.size]
        if floats and all(np.isnan(array).all() for array in floats):
            job.note(
                tell(
                    "The output '%(name)s' is nothing but NaN in all cases. Look at whether the model is fitted and "
                    "the example is what it takes; ship a cases.json with inputs that it answers.",
                    name=spec.name,
                )
            )


def _golden(job: Job) -> tuple[list[Case], str]:
    """Golden rows that the model as handed in answers, and what to say of them."""
    assert job.signature is not None
    try:
        cases = golden_cases(job.source_root.parent / "golden", job.signature)
        for case in cases:
            job.model_of().predict({tensor.name: to_array(tensor) for tensor in case.inputs})
    except NoGoldenRows as error:
        return [], tell("no golden rows: %(why)s", why=str(error))
    except Exception as error:
        raised = f"{type(error).__name__}: {error}"
        return [], tell("no golden rows: the model raises on them: %(error)s", error=raised)
    return cases, tell("golden: %(name)s", name=cases[0].name) if cases else ""


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


def _with_answers(job: Job, case: Case) -> Case:
    """A case without expected answers gets those of the model as it was handed in."""
    assert job.model is not None
    if case.expected:
        return case
    try:
        answers = job.model.predict({tensor.name: to_array(tensor) for tensor in case.inputs})
        expected = [_named(name, array) for name, array in answers.items()]
    except Exception as error:
        raise StepFailed(
            tell(
                "the model fails on the case '%(name)s': %(error)s",
                name=case.name,
                error=f"{type(error).__name__}: {error}",
            ),
            _advice_on_answering(error, source=job.source_root.resolve()),
        ) from error
    return replace(case, expected=expected)


def _named(name: str, array: Array) -> Tensor:
    return from_array(name, array)


def _convert(job: Job) -> None:
    with job.step("convert", tell("converting to ONNX")) as step:
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
        job.onnx_file = job.source.root / str(job.entry["file"])
        return outcome | {"reason": tell("it came as ONNX")}
    if job.params.get("convert") is False:
        return outcome | {"reason": tell("the author asked to keep its own framework")}
    target = job.target / CONVERTED
    try:
        job.framework.convert(job.model, job.signature, target)
        converted = OnnxModel(target, job.signature)
        golden = [replace(case, tolerance=_tolerance(job.cases)) for case in job.golden]
        found = compare(job.model, converted, [*job.cases, *text_probes(job.cases), *golden])
    except (CannotConvert, CannotLoad) as error:
        target.unlink(missing_ok=True)
        return outcome | {"reason": _stays(job, str(error))}
    outcome["outputs"] = {name: output.to_json() for name, output in found.outputs.items()}
    outcome["differences"] = {name: output["difference"] for name, output in outcome["outputs"].items()}
    if found.too_far:
        target.unlink(missing_ok=True)
        reason = tell("the converted model answers differently: %(why)s", why=found.too_far)
        return outcome | {"reason": _stays(job, reason)}
    job.converted, job.onnx_file = converted, target
    reason = tell(
        "answers agree on %(rows)s; largest difference %(worst)s",
        rows=_compared(job),
        worst=f"{found.worst:.2g}",
    )
    return outcome | {"converted": True, "reason": reason}


def _stays(job: Job, why: str) -> str:
    return tell("served by %(framework)s: %(why)s", framework=job.framework.name, why=why)


def _compared(job: Job) -> str:
    """On what answers were compared."""
    if job.golden:
        return tell("%(cases)d cases and %(rows)d golden rows", cases=len(job.cases), rows=job.golden_rows)
    if len(job.cases) == 1:
        return tell("the one case")
    return tell("%(cases)d cases", cases=len(job.cases))


def _tolerance(cases: list[Case]) -> float:
    """What golden rows may differ by: as much as the most tolerant case, at least the built one's."""
    return max([BUILT_CASE_TOLERANCE, *(case.tolerance for case in cases)])


def _quantise(job: Job) -> None:
    with job.step("quantise", tell("trying int8")) as step:
        outcome = _try_int8(job)
        job.result["quantisation"] = outcome
        if job.params.get("quantise") and not outcome["offered"]:
            raise StepFailed(
                tell("int8 was asked for, but %(why)s", why=outcome["reason"]),
                tell("Package without int8, or allow a larger tolerance."),
            )
        step["message"] = outcome["reason"]


def _try_int8(job: Job) -> dict[str, Any]:
    """Make the int8 twin and compare it; it is offered where the answers hold, and served when asked for."""
    tolerance = float(job.params.get("quantise_tolerance") or TOLERANCE)
    outcome: dict[str, Any] = {"offered": False, "chosen": False, "reason": "", "tolerance": tolerance}
    served = job.onnx_file
    if served is None:
        return outcome | {"reason": tell("only models that are served as ONNX can be int8")}
    assert job.signature is not None
    twin = job.target / QUANTISED
    try:
        operators = write_int8(served, twin)
        model = OnnxModel(twin, job.signature)
        found = compare_roughly(
            job.converted or job.model_of(), model, job.cases, job.golden, tolerance=tolerance, same=SAME
        )
    except (CannotConvert, CannotLoad) as error:
        twin.unlink(missing_ok=True)
        return outcome | {"reason": tell("no int8: %(why)s", why=str(error))}
    outcome |= {
        "outputs": {name: output.to_json() for name, output in found.outputs.items()},
        "operators": operators,
        "size": twin.stat().st_size,
        "latency": _latency(model, _one_item(job.cases[0])),
    }
    if found.too_far:
        twin.unlink(missing_ok=True)
        return outcome | {"reason": tell("int8 changes the answers: %(why)s", why=found.too_far)}
    facts = {"rows": _compared(job), "worst": f"{found.worst:.2g}"}
    if not job.params.get("quantise"):
        twin.unlink()
        reason = tell("int8 holds on %(rows)s; largest difference %(worst)s; offered", **facts)
        return outcome | {"offered": True, "reason": reason}
    job.quantised = model
    job.cases = [_widened(case, found) for case in job.cases]
    (job.target / CONVERTED).unlink(missing_ok=True)
    reason = tell("int8 holds on %(rows)s; largest difference %(worst)s; served as int8", **facts)
    return outcome | {"offered": True, "chosen": True, "reason": reason}


def _widened(case: Case, found: Agreement) -> Case:
    """The case with the tolerance that int8 needs, so that the runner's own check knows of it."""
    allowed = max((output.allowed for output in found.outputs.values()), default=0.0)
    return replace(case, tolerance=max(case.tolerance, allowed))


def _measure(job: Job) -> None:
    assert job.model is not None
    with job.step("measure", tell("measuring time and size")) as step:
        inputs = _one_item(job.cases[0])
        before = _latency(job.model, inputs)
        size = sum(entry["size"] for entry in manifest(job.source.root).values())
        job.result["latency"] = {"before": before, "after": before}
        job.result["size"] = {"before": size, "after": size}
        served = job.quantised or job.converted
        if served is not None:
            file = job.target / (QUANTISED if job.quantised is not None else CONVERTED)
            job.result["latency"]["after"] = _latency(served, inputs)
            job.result["size"]["after"] = file.stat().st_size
        after = job.result["latency"]["after"]
        step["message"] = tell(
            "one item: %(before)s ms before, %(after)s ms after",
            before=f"{before['p50_ms']:.3g}",
            after=f"{after['p50_ms']:.3g}",
        )


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
    with job.step("write", tell("writing the package")) as step:
        shutil.copytree(job.source.root, job.target / "model", ignore=_left_out(job), dirs_exist_ok=True)
        entry = dict(job.entry)
        if job.framework.name == "onnx":
            entry["onnx"] = f"model/{entry['file']}"
        if job.quantised is not None:
            entry["onnx"] = QUANTISED
        cases = jsontext.pretty([case.to_json() for case in job.cases])
        (job.target / CASES).write_text(cases, encoding="utf-8")
        for name in ("card.md", PARSING):
            path = _sidecar(job, name)
            if path is not None:
                shutil.copyfile(path, job.target / name)
        lock = job.source_root.parent / "environment.lock"
        text = lock.read_text(encoding="utf-8") if lock.is_file() else _installed()
        (job.target / "environment.lock").write_text(text, encoding="utf-8")
        write_manifest(job.target, _document(job, entry))
        files = manifest(job.target)
        job.result |= {"manifest": files, "digest": digest(files)}
        step["message"] = tell(
            "%(count)d files, digest %(digest)s", count=len(files), digest=job.result["digest"][:12]
        )


def _left_out(job: Job) -> Callable[[str, list[str]], set[str]]:
    """What does not go into model/: caches everywhere, and at the top what the package has a place of its own for."""
    top = str(job.source.root)

    def ignored(folder: str, names: list[str]) -> set[str]:
        return {
            name for name in names if name in ("__pycache__", ".git") or (folder == top and name in SIDECARS)
        }

    return ignored


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
    with job.step("check", tell("loading the package as a runner does")) as step:
        try:
            replica = load_replica(job.target)
        except Exception as error:
            raise StepFailed(
                tell(
                    "the finished package does not serve: %(error)s", error=f"{type(error).__name__}: {error}"
                ),
                tell("This is a fault of the packaging; report it with the log of this job."),
            ) from error
        step["message"] = tell("serves; %(ms)s ms a call", ms=f"{replica.call_s * 1000:.3f}")
