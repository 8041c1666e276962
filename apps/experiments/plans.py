"""Plans of experiments: written, changed and thrown away before anything moves."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.catalog.models import Capability, Version
from apps.core import audit
from apps.core.errors import Invalid
from apps.core.policy import require
from apps.experiments.models import MODEL, Arm, Experiment
from apps.experiments.policy import may_change_draft, may_write_experiment
from apps.experiments.selectors import arms_of, experiments, room_of
from apps.experiments.slices import WHOLE
from apps.releases.policies import policy_for

if TYPE_CHECKING:
    from apps.accounts.models import User

MOST_ARMS = 6
MOST_PARAMETERS = 20
MOST_BYTES = 4000


@dataclass(frozen=True)
class ArmPlan:
    """An arm as somebody asks for it: a version's number in the layer of models, else parameters; neither: control."""

    name: str
    share: int
    version: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """An experiment as somebody asks for it. `begins` None: the first free place of the layer."""

    name: str
    hypothesis: str
    measure: str
    effect: float
    size: int
    arms: Sequence[ArmPlan]
    layer: str = MODEL
    begins: int | None = None


@transaction.atomic
def create_experiment(capability: Capability, asked: Asked, *, by: User) -> Experiment:
    """Write a plan down; nothing moves. Raises NotAllowed, or Invalid with what is wrong."""
    require(may_write_experiment(by, capability))
    fields = _fields(capability, asked)
    experiment = Experiment.objects.create(
        capability=capability, salt=secrets.token_hex(8), created_by=by, **fields
    )
    _write_arms(experiment, asked)
    audit.record("experiments.experiment.created", experiment, by=by, **told(experiment))
    return experiment


@transaction.atomic
def change_experiment(experiment: Experiment, asked: Asked, *, by: User) -> Experiment:
    """Write a draft anew. Raises NotAllowed once it has begun, Invalid."""
    experiment = locked(experiment)
    require(may_change_draft(by, experiment))
    for name, value in _fields(experiment.capability, asked, but=experiment.pk).items():
        setattr(experiment, name, value)
    experiment.save()
    experiment.arms.all().delete()
    _write_arms(experiment, asked)
    experiment = experiments().get(pk=experiment.pk)
    audit.record("experiments.experiment.changed", experiment, by=by, **told(experiment))
    return experiment


@transaction.atomic
def delete_draft(experiment: Experiment, *, by: User) -> None:
    """Throw a plan away. Raises NotAllowed once it has begun: what ran stays."""
    experiment = locked(experiment)
    require(may_change_draft(by, experiment))
    audit.record("experiments.experiment.deleted", experiment, by=by, **told(experiment))
    experiment.delete()


def check(capability: Capability, asked: Asked) -> None:
    """Whether a plan can be: raises Invalid with all that is wrong with it."""
    wrong: dict[str, str] = {}
    for name in ("name", "hypothesis", "layer"):
        if not getattr(asked, name).strip():
            wrong[name] = _("is empty")
    if asked.measure not in Experiment.Measure.values:
        wrong["measure"] = _("must be one of %(names)s") % {"names": ", ".join(Experiment.Measure.values)}
    if not math.isfinite(asked.effect) or asked.effect <= 0:
        wrong["effect"] = _("must be above 0")
    if not 1 <= asked.size <= WHOLE:
        wrong["size"] = _("must be 1 to 100 %%") % {}
    elif asked.begins is not None and not 0 <= asked.begins <= WHOLE - asked.size:
        wrong["begins"] = _("must be 0 to %(most)d, so that the slice ends within the layer") % {
            "most": WHOLE - asked.size
        }
    if asked.measure == Experiment.Measure.BUSINESS and policy_for(capability).metric is None:
        wrong["measure"] = _("the release policy of this capability has no business metric yet")
    _refuse(wrong | _wrong_arms(asked.layer.strip(), asked.arms))


def _fields(capability: Capability, asked: Asked, *, but: int | None = None) -> dict[str, Any]:
    """The row of a plan that can be."""
    check(capability, asked)
    layer = asked.layer.strip()[:40]
    room = room_of(capability, layer, size=asked.size, begins=asked.begins, but=but)
    is_business = asked.measure == Experiment.Measure.BUSINESS
    return {
        "name": asked.name.strip()[:100],
        "hypothesis": asked.hypothesis.strip()[:4000],
        "layer": layer,
        "begins": room.mine.begins if room.mine else 0,
        "size": asked.size,
        "measure": asked.measure,
        "metric": policy_for(capability).metric if is_business else None,
        "effect": asked.effect,
    }


def _wrong_arms(layer: str, arms: Sequence[ArmPlan]) -> dict[str, str]:
    if not 2 <= len(arms) <= MOST_ARMS:
        return {
            "arms": _("an experiment has a control and 1 to %(most)d other arms") % {"most": MOST_ARMS - 1}
        }
    if any(not 1 <= arm.share <= WHOLE - 1 for arm in arms) or sum(arm.share for arm in arms) != WHOLE:
        total = sum(arm.share for arm in arms)
        return {"arms": _("the shares add up to %(sum)d %%; they must add up to 100 %%") % {"sum": total}}
    names = [arm.name.strip() for arm in arms]
    if not all(names) or len(set(names)) < len(names):
        return {"arms": _("each arm needs a name of its own")}
    control, *others = arms
    if control.version or control.parameters:
        return {"arms": _("the first arm is the control; it changes nothing")}
    for arm in others:
        if layer == MODEL and (not arm.version or arm.parameters):
            words = _("in the layer “model” the arm “%(name)s” names a version and no parameters")
            return {"arms": words % {"name": arm.name}}
        if layer != MODEL and (arm.version or not arm.parameters):
            words = _("outside of the layer “model” the arm “%(name)s” gives parameters and no version")
            return {"arms": words % {"name": arm.name}}
        if len(arm.parameters) > MOST_PARAMETERS or len(json.dumps(dict(arm.parameters))) > MOST_BYTES:
            words = _("the arm “%(name)s” gives more than %(most)d parameters, or very long ones")
            return {"arms": words % {"name": arm.name, "most": MOST_PARAMETERS}}
    return {}


def _refuse(wrong: Mapping[str, str]) -> None:
    if wrong:
        raise Invalid(
            _("The experiment cannot be planned so: %(what)s.")
            % {"what": "; ".join(f"{name}: {words}" for name, words in wrong.items())},
            fields=dict(wrong),
        )


def _write_arms(experiment: Experiment, asked: Asked) -> None:
    numbers = [arm.version for arm in asked.arms if arm.version]
    versions = {
        version.number: version
        for version in Version.objects.filter(capability=experiment.capability, number__in=numbers)
    }
    for number in numbers:
        if number not in versions:
            _refuse({"arms": _("this capability has no version %(number)s") % {"number": number}})
    Arm.objects.bulk_create(
        Arm(
            experiment=experiment,
            position=position,
            name=arm.name.strip()[:60],
            share=arm.share,
            version=versions.get(arm.version),
            parameters=dict(arm.parameters),
        )
        for position, arm in enumerate(asked.arms)
    )


def told(experiment: Experiment) -> dict[str, Any]:
    """What the audit log keeps of a plan."""
    arms = [
        {"id": arm.pk, "name": arm.name, "share": arm.share, **arm.changes} for arm in arms_of(experiment)
    ]
    return {
        "capability": experiment.capability.slug, "name": experiment.name, "layer": experiment.layer,
        "slice": [experiment.begins, experiment.ends], "measure": experiment.measure,
        "effect": experiment.effect, "salt": experiment.salt, "arms": arms,
    }  # fmt: skip


def locked(experiment: Experiment) -> Experiment:
    """The experiment as it is now. Its capability is locked, so that nobody else takes a slice meanwhile."""
    Capability.objects.select_for_update().get(pk=experiment.capability_id)
    Experiment.objects.select_for_update().get(pk=experiment.pk)
    return experiments().get(pk=experiment.pk)
