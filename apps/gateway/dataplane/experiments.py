"""Which arms of which experiments a call is in: two hashes of the caller per experiment, nothing is asked or kept.

Experiments stand in layers. A layer deals the callers by a salt of its own, so where a caller stands in one layer
says nothing of the others; experiments of one layer have slices of it that do not overlap. Within a slice the arm is
dealt by the salt of the experiment, so that what ran in the slice before leaves no trace in it. Source: Tang et al.,
"Overlapping Experiment Infrastructure" (2010).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from apps.gateway.dataplane.routing import point_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to answer: by another deployment, with values for parameters, or as ever (the control)."""

    id: int
    share: float
    """Of the experiment's callers; all shares together are 1."""
    deployment: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Experiment:
    """The slice of a layer that it has, as places in [0, 1), and its arms."""

    layer: str
    """The salt of the layer."""
    salt: str
    begins: float
    ends: float
    arms: tuple[Arm, ...]

    @classmethod
    def parse(cls, raw: dict[str, Any]) -> Experiment:
        return cls(
            layer=str(raw["layer"]),
            salt=str(raw["salt"]),
            begins=float(raw["begins"]),
            ends=float(raw["ends"]),
            arms=tuple(
                Arm(
                    id=int(arm["id"]),
                    share=float(arm["share"]),
                    deployment=str(arm.get("deployment") or ""),
                    parameters=dict(arm.get("parameters") or {}),
                )
                for arm in raw["arms"]
            ),
        )

    @property
    def moves(self) -> bool:
        """Whether it sends callers to another deployment."""
        return any(arm.deployment for arm in self.arms)

    @property
    def sets(self) -> bool:
        """Whether it gives values to parameters."""
        return any(arm.parameters for arm in self.arms)

    def arm_of(self, caller: str) -> Arm | None:
        """The arm of a caller; None for who stands outside of the slice."""
        if not self.begins <= point_of(caller, self.layer) < self.ends:
            return None
        point, reached = point_of(caller, self.salt), 0.0
        for arm in self.arms:
            reached += arm.share
            if point < reached:
                return arm
        return self.arms[-1]


@dataclass(frozen=True, slots=True)
class Part:
    """What a caller is in: the ids of the arms, and what they change of a call."""

    unit: int
    """Who it is, as a digest that says nothing of the name."""
    arms: tuple[int, ...]
    deployment: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, list[int]]:
        """How the log has it: the unit, then the arms."""
        return {"arms": [self.unit, *self.arms]}


def part_of(
    experiments: Iterable[Experiment],
    caller: str,
    salt: str,
    *,
    may_move: bool,
    may_set: bool,
    answers: Callable[[str], bool],
) -> Part | None:
    """The arms of a caller, or None outside of all experiments.

    Those that move callers leave out a call that names its version or is pinned, and those that set parameters one
    whose body cannot be read here: whatever the arm would be, so that the arms stay comparable. An arm whose
    deployment answers nobody is as good as no experiment.
    """
    arms: list[int] = []
    deployment = ""
    parameters: dict[str, Any] = {}
    for experiment in experiments:
        if (experiment.moves and not may_move) or (experiment.sets and not may_set):
            continue
        arm = experiment.arm_of(caller)
        if arm is None or (arm.deployment and not answers(arm.deployment)):
            continue
        arms.append(arm.id)
        deployment = arm.deployment or deployment
        parameters |= arm.parameters
    if not arms:
        return None
    return Part(unit_of(caller, salt), tuple(arms), deployment, parameters)


def unit_of(caller: str, salt: str) -> int:
    """A caller's digest of 53 bits, as the database has it: a whole number with a sign."""
    return int(point_of(caller, salt) * 2**53) - 2**52


def with_parameters(text: bytes, values: dict[str, Any]) -> bytes:
    """A request's JSON with these parameters where the caller gave none of the name. What is no request stays as it
    is: the runner refuses it in its own words. One without parameters keeps every byte, and is not even read.
    """
    if b'"parameters"' not in text:
        start = text.find(b"{") + 1
        is_object = start and not text[: start - 1].strip() and text[start : start + 64].lstrip()[:1] == b'"'
        return b'{"parameters":' + orjson.dumps(values) + b"," + text[start:] if is_object else text
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    given = document.get("parameters") if isinstance(document, dict) else text
    if given is not None and not isinstance(given, dict):
        return text
    return orjson.dumps(document | {"parameters": values | (given or {})})
