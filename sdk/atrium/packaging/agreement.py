"""Do two models give the same answers? Compared on the shipped cases, texts made from them, and golden rows."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from atrium.cases import CaseResult, Model, difference, run_cases
from atrium.frameworks import CannotConvert
from atrium.oip.arrays import Array, to_array
from atrium.package import Case
from atrium.told import tell

TEXT_CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "in capitals": bytes.upper,
    "with other letters": lambda text: text + " ÉCOLE naïve 光纤中断".encode(),
    "first half": lambda text: text[: len(text) // 2],
    "empty": lambda _: b"",
}
PROBED_CASES = 5


@dataclass(slots=True)
class OutputAgreement:
    """How far apart one output lies: the largest difference, what is allowed, and the share of equal items."""

    difference: float = 0.0
    allowed: float = 0.0
    same: float = 1.0

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        document["difference"] = self.difference if self.difference < float("inf") else None
        return document


@dataclass(slots=True)
class Agreement:
    """Per output how far apart two models lie, and in words why that is too far; empty words: they agree."""

    outputs: dict[str, OutputAgreement] = field(default_factory=dict)
    too_far: str = ""

    @property
    def worst(self) -> float:
        return max((output.difference for output in self.outputs.values()), default=0.0)


def text_probes(cases: list[Case]) -> list[Case]:
    """Texts as people send them, made from the cases: other letters, capitals, nothing at all."""
    probes: list[Case] = []
    for case in cases[:PROBED_CASES]:
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


def compare(original: Model, other: Model, cases: list[Case]) -> Agreement:
    """Whether `other` answers every case as `original` does, within the case's tolerance.

    Raises CannotConvert when one of them raises on a case.
    """
    found = Agreement()
    failed = next((result for result in run_cases(other, cases) if not result.passed), None)
    for case in cases:
        for name, (left, right) in _answers(original, other, case).items():
            apart = difference(left, right)
            output = found.outputs.setdefault(name, OutputAgreement())
            output.difference = max(output.difference, apart)
            output.allowed = max(output.allowed, case.tolerance)
            if apart > case.tolerance and failed is None:
                message = _differs(name, apart, f"{case.tolerance:g}")
                failed = CaseResult(case.name, False, apart, message)
    if failed is not None:
        found.too_far = tell("case '%(name)s': %(why)s", name=failed.name, why=failed.message)
    return found


def compare_roughly(
    original: Model, other: Model, cases: list[Case], golden: list[Case], *, tolerance: float, same: float
) -> Agreement:
    """Whether `other` can stand in for `original` with coarser numbers.

    Numbers with a fraction may differ by `tolerance` times the largest magnitude of that output, at least by
    `tolerance` itself. Everything else (classes, texts) must be equal on every case, and on the share `same`
    of the golden items. Raises CannotConvert when one of them raises.
    """
    found = Agreement()
    counts: dict[str, tuple[int, int]] = {}
    scales: dict[str, float] = {}
    for case in [*cases, *golden]:
        for name, (left, right) in _answers(original, other, case).items():
            output = found.outputs.setdefault(name, OutputAgreement())
            if left.dtype.kind == "f" and left.shape == right.shape:
                output.difference = max(output.difference, difference(left, right))
                finite = np.abs(left[np.isfinite(left)])
                scales[name] = max(scales.get(name, 1.0), float(finite.max(initial=0.0)))
                output.allowed = tolerance * scales[name]
                continue
            equal = _equal_items(left, right)
            before = counts.get(name, (0, 0))
            counts[name] = (before[0] + equal, before[1] + len(left))
            output.same = counts[name][0] / max(counts[name][1], 1)
            if equal < len(left) and case in cases and not found.too_far:
                found.too_far = tell(
                    "output '%(name)s' of the case '%(case)s' is another one", name=name, case=case.name
                )
    for name, output in found.outputs.items():
        if found.too_far:
            break
        if output.difference > output.allowed:
            found.too_far = _differs(name, output.difference, f"{output.allowed:.3g}")
        elif output.same < same:
            found.too_far = tell(
                "output '%(name)s' is equal on %(share)s of the golden rows, less than %(wanted)s",
                name=name,
                share=f"{output.same:.1%}",
                wanted=f"{same:.0%}",
            )
    return found


def _differs(name: str, apart: float, allowed: str) -> str:
    return tell(
        "output '%(name)s' differs by %(apart)s, more than %(allowed)s",
        name=name,
        apart=f"{apart:.3g}",
        allowed=allowed,
    )


def _equal_items(left: Array, right: Array) -> int:
    if left.shape != right.shape:
        return 0
    return sum(difference(left[at : at + 1], right[at : at + 1]) == 0 for at in range(len(left)))


def _answers(original: Model, other: Model, case: Case) -> dict[str, tuple[Array, Array]]:
    inputs = {tensor.name: to_array(tensor) for tensor in case.inputs}
    try:
        answers, others = original.predict(inputs), other.predict(inputs)
    except Exception as error:
        raised = f"{type(error).__name__}: {error}"
        raise CannotConvert(
            tell("on the case '%(name)s' it raises %(error)s", name=case.name, error=raised)
        ) from error
    return {name: (np.asarray(array), np.asarray(others[name])) for name, array in answers.items()}
