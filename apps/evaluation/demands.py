"""Gates that are asked of a report beside those of its suite: apps register who asks, in their `ready()`.

They are judged on the figures that the report holds, when somebody wants to open a release on it; its bytes and its
verdict, which are its suite's, stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.core.telling import say as _
from apps.evaluation.gates import Asked, Gate, Result, judge, read_gates, unsatisfiable
from apps.evaluation.selectors import content_of, latest_suite, task_of, what_it_asks

if TYPE_CHECKING:
    from apps.catalog.models import Capability
    from apps.evaluation.models import Report


@dataclass(frozen=True)
class Demand:
    """Gates as a suite holds them, and who asks for them, in words: “Release policy #3”."""

    by: str
    gates: Sequence[Mapping[str, Any]]


Demanding = Callable[["Capability"], Demand]
_demanding: dict[str, Demanding] = {}


def register(name: str, demanding: Demanding) -> None:
    """Add who asks for more than the suite does; the same name replaces."""
    _demanding[name] = demanding


def demands_of(capability: Capability) -> list[Demand]:
    """What is asked of the capability's reports now beside their suite, by all who ask for something."""
    asked = [demanding(capability) for demanding in _demanding.values()]
    return [demand for demand in asked if demand.gates]


def judged(report: Report, demand: Demand) -> list[Result]:
    """What the report's figures say of each gate, in the reader's language."""
    if not demand.gates:
        return []
    content = content_of(report)
    measured = content["measured"]
    facts = measured["figures"], measured.get("differences"), content.get("unmeasured") or ""
    return [judge(Gate(**gate), *facts) for gate in demand.gates]


def problems_of(capability: Capability, gates: list[dict[str, Any]]) -> list[str]:
    """Why reports by the capability's newest suite could never pass these gates; empty if they can."""
    suite = latest_suite(capability)
    task = (suite.task if suite else "") or task_of(capability)
    read, problems = read_gates(gates, task, own_scorer=bool(suite and suite.scorer.strip()))
    if problems or suite is None:
        return problems
    asked = what_it_asks(
        capability,
        suite.data,
        target=suite.target,
        slices=suite.slices,
        groups=suite.groups,
        classes=any(gate.metric == "roc_auc" for gate in read),
    )
    return unsatisfiable(read, asked)


def name(metric: str, demands: Sequence[Demand]) -> bool:
    """Whether one of their gates is about this figure."""
    return any(gate.get("metric") == metric for demand in demands for gate in demand.gates)


def problems_with(asked: Asked, demands: Sequence[Demand], *, task: str, own_scorer: bool) -> list[str]:
    """Why no report by a suite that asks this could ever pass what others ask of it beside the suite."""
    found: list[str] = []
    for demand in demands:
        read, problems = read_gates(list(demand.gates), task, own_scorer=own_scorer)
        found += [
            _("%(who)s asks for more than this suite can show: %(why)s") % {"who": demand.by, "why": why}
            for why in problems or unsatisfiable(read, asked)
        ]
    return found
