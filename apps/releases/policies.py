"""Release policies: a capability's own, its team's default, and the platform's. A change is the next number."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import Site, Team, User
from apps.catalog.models import Capability
from apps.core import audit
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.core.telling import say as _
from apps.evaluation import demands
from apps.evaluation.demands import Demand
from apps.evaluation.gates import read_gates
from apps.evaluation.selectors import tasks_of
from apps.releases import business
from apps.releases.judgement import least_replayed
from apps.releases.models import Policy, Release
from apps.releases.policy import may_write_policy
from apps.releases.shares import Shares
from apps.requests import services as requests

if TYPE_CHECKING:
    from django.db.models import QuerySet

Holder = Capability | Team
MOST_REPLAYED = 500
MOST_TOLD = 20
DEFAULT_SIGNERS = [{"role": "qa", "count": 2}]
DEFAULT_STAGES = [
    {"weight": 1, "worse_by": 0.05},
    {"weight": 5, "worse_by": 0.03},
    {"weight": 20, "worse_by": 0.02},
    {"weight": 50, "worse_by": 0.01},
]
_NUMBER_OR_NONE = (int, float, NoneType)
_STAGE: dict[str, tuple[type, ...]] = {
    "weight": (int,), "worse_by": (int, float), "site": (str,), "budget": (bool,), "metric": (bool,),
    "slow_ms": _NUMBER_OR_NONE, "memory_mb": _NUMBER_OR_NONE, "server_cpu": _NUMBER_OR_NONE,
    "costlier_by": _NUMBER_OR_NONE,
}  # fmt: skip
_SIGNER: dict[str, tuple[type, ...]] = {"role": (str,), "count": (int,)}
_LARGEST = 1e9
_BUDGETS = ("latency_p99_ms", "latency_p95_ms")
PLATFORM: dict[str, Any] = {"signers": DEFAULT_SIGNERS, "stages": DEFAULT_STAGES, "four_eyes": True}


def rule_of(
    signers: list[dict[str, Any]],
    team_id: int,
    four_eyes: bool,
    excluded: list[int],
    *,
    deputies: bool = True,
) -> requests.Rule:
    """What a release that is opened under such a policy asks of its signers."""
    needs = [requests.Need(item["role"], team_id, int(item.get("count", 1))) for item in signers]
    return requests.Rule(steps=needs, exclude_user_ids=excluded, four_eyes=four_eyes, deputies=deputies)


def _type_problems(signers: Any, stages: Any) -> list[str]:
    """They are kept as they were sent: a number that is written as a text would be one when a stage is judged, too."""
    if not isinstance(signers, list) or not isinstance(stages, list):
        return [_("signers and stages are lists of objects")]
    told = [
        (_("signer %(number)d: %(why)s"), signers, _SIGNER),
        (_("stage %(number)d: %(why)s"), stages, _STAGE),
    ]
    return [
        words % {"number": number, "why": why}
        for words, items, kinds in told
        for number, item in enumerate(items, start=1)
        for why in _wrong(item, kinds)
    ]


def _wrong(item: Any, kinds: dict[str, tuple[type, ...]]) -> list[str]:
    if not isinstance(item, dict):
        return [_("%(value)r is no object") % {"value": item}]
    return [
        _("%(name)s cannot be %(value)r") % {"name": name, "value": item[name]}
        for name, kind in kinds.items()
        if name in item and not _fits(item[name], kind)
    ]


def _fits(value: Any, kind: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in kind
    if isinstance(value, int | float) and not -_LARGEST < value < _LARGEST:
        return False
    return isinstance(value, kind)


def _refuse(problems: list[str]) -> None:
    if problems:
        raise Invalid("; ".join(problems), fields={"policy": "; ".join(problems)})


def _problems(signers: Any, stages: Any) -> list[str]:
    problems: list[str] = []
    if not signers or not all(signer.get("role") and signer.get("count", 1) >= 1 for signer in signers):
        problems.append(_("name at least one role that signs, each with a count of 1 or more"))
    problems += _share_problems(stages)
    if any(not 0 < float(stage.get("worse_by", 0)) <= 0.5 for stage in stages):
        problems.append(_("each stage says which rise of bad answers it must notice: above 0, at most 0.5"))
    if any(float(stage.get("slow_ms") or 1) <= 0 for stage in stages):
        problems.append(_("slow_ms is the time after which an answer is a bad one: above 0"))
    return problems


@dataclass(frozen=True)
class _Asked:
    """A stage as a policy asks for it."""

    weight: int
    site: str


def _share_problems(stages: Any) -> list[str]:
    """Each stage raises the candidate's share somewhere, and names a site that there is."""
    asked = [_Asked(stage.get("weight", 0), str(stage.get("site") or "")) for stage in stages]
    problems: list[str] = []
    sites = {stage.site for stage in asked if stage.site}
    known = set(Site.objects.filter(slug__in=sites, archived_at=None).values_list("slug", flat=True))
    problems += [_("there is no site “%(site)s” in use") % {"site": site} for site in sorted(sites - known)]
    shares = Shares()
    for stage in asked:
        if not 1 <= stage.weight <= 99 or not shares.raised_by(stage):
            problems.append(_("stages must grow from 1 % to at most 99 %; 100 % follows by itself"))
            break
        shares = shares.after(stage)
    if any(stage.get("server_cpu") and stage.get("site") for stage in stages):
        problems.append(
            _("the load of a server is judged at a stage for all sites: it is about all the traffic")
        )
    if any(stage.get("server_cpu") is not None and float(stage["server_cpu"]) <= 0 for stage in stages):
        problems.append(_("server_cpu is how many cores of a server may be busy: above 0"))
    if any(stage.get("costlier_by") and stage.get("site") for stage in stages):
        problems.append(
            _("processor time per row is compared at a stage for all sites: servers answer all of them")
        )
    if any(not 0.05 <= float(stage.get("costlier_by") or 0.05) <= 10 for stage in stages):
        problems.append(_("costlier_by is by which part a row may cost more processor time: 0.05 to 10"))
    return problems


def _metric_problems(stages: Any, metric: Any) -> list[str]:
    if any(stage.get("metric") for stage in stages) and not metric:
        return [_("a stage asks for the business metric, and there is none")]
    try:
        if metric:
            business.parse(metric)
    except ValueError as error:
        return [str(error)]
    return []


def _stand_in_problems(stages: Any, calls: int) -> list[str]:
    """Whether the calls of one subscriber, replayed, could ever rule out the rise that the last stage asks about."""
    if not stages or not 0 < float(stages[-1].get("worse_by", 0)) <= 0.5:
        return []  # told elsewhere
    if stages[-1].get("metric"):
        return [_("the last stage asks for the business metric, which replayed calls cannot show")]
    least = least_replayed(float(stages[-1]["worse_by"]))
    if calls >= least:
        return []
    return [
        _("replayed calls can stand in from %(least)d on; %(calls)d are replayed")
        % {"least": least, "calls": calls}
    ]


def _replay_problems(stages: Any, calls: int, hours: int, days: int) -> list[str]:
    problems: list[str] = []
    if not stages:
        problems.append(_("subscribers are asked during the last stage, and there is no stage"))
    if not 1 <= calls <= MOST_REPLAYED:
        problems.append(_("at most %(most)d calls of each subscriber are replayed") % {"most": MOST_REPLAYED})
    if not (1 <= hours <= 720 and 1 <= days <= 365):
        problems.append(
            _("subscribers have 1 to 720 hours to object, and keep the old version 1 to 365 days")
        )
    return problems


def _gate_problems(holder: Holder, gates: list[dict[str, Any]]) -> list[str]:
    """Whether the reports that there will be can pass them: of the capability, or of each that follows the team's."""
    if not gates:
        return []
    if isinstance(holder, Capability):
        return demands.problems_of(holder, gates)
    read, problems = read_gates(gates)
    if any(gate.slice for gate in read):
        problems.append(
            _("a slice is one of a capability's own data; ask for it in the policy of the capability")
        )
    if problems:
        return problems
    capabilities = following(holder)
    tasks = tasks_of(capabilities)
    unfit = {task: read_gates(gates, task)[1] for task in {"", *tasks.values()}}
    found: list[str] = [
        _("%(capability)s: %(why)s") % {"capability": name, "why": why}
        for pk, name in capabilities.values_list("pk", "name")
        for why in unfit[tasks.get(pk, "")]
    ]
    return found[:MOST_TOLD]


@transaction.atomic
def create_policy(
    holder: Holder,
    *,
    by: User,
    signers: list[dict[str, Any]],
    stages: list[dict[str, Any]],
    gates: list[dict[str, Any]] | None = None,
    four_eyes: bool = True,
    deputies: bool = True,
    promote_by_gate: bool = False,
    shadow_calls: int = 0,
    deadline_days: int = 14,
    stage_days: int = 14,
    metric: dict[str, Any] | None = None,
    replay_calls: int = 0,
    consent_hours: int = 72,
    pin_days: int = 30,
    replays_stand_in: bool = False,
) -> Policy:
    """Make the next release policy of a capability, or the default of a team for those that have none of their own.

    Raises Invalid when nobody could ever sign under it, or no report could pass its gates.
    """
    team = team_of(holder)
    require(may_write_policy(by, team))
    _refuse(_type_problems(signers, stages))
    problems = _problems(signers, stages) + _gate_problems(holder, gates or [])
    if not 1 <= deadline_days <= 365:
        problems.append(_("there must be 1 to 365 days to sign"))
    if not 1 <= stage_days <= 365:
        problems.append(_("a stage waits 1 to 365 days for its evidence"))
    problems += _metric_problems(stages, metric)
    if replay_calls:
        problems += _replay_problems(stages, replay_calls, consent_hours, pin_days)
    if replays_stand_in:
        problems += _stand_in_problems(stages, replay_calls)
    _refuse(problems)
    # Somebody outside the signers is taken as the author; opening a release asks again about the real one.
    why = requests.why_rule_unsatisfiable(rule_of(signers, team.pk, four_eyes, []), author=User())
    if why:
        raise Invalid(_("Nobody could sign under this policy: %(why)s.") % {"why": why})
    type(holder).objects.select_for_update(no_key=True).get(pk=holder.pk)
    policy = Policy.objects.create(
        team=team,
        capability=holder if isinstance(holder, Capability) else None,
        number=of_holder(holder).count() + 1,
        signers=signers,
        gates=gates or [],
        four_eyes=four_eyes,
        deputies=deputies,
        stages=stages,
        promote_by_gate=promote_by_gate,
        shadow_calls=shadow_calls,
        deadline_days=deadline_days,
        stage_days=stage_days,
        metric=metric or None,
        replay_calls=replay_calls,
        consent_hours=consent_hours,
        pin_days=pin_days,
        replays_stand_in=replays_stand_in,
        created_by=by,
    )
    audit.record("releases.policy.created", policy, by=by, number=policy.number)
    return policy


def team_of(holder: Holder) -> Team:
    """Whose people sign under the holder's policy."""
    return holder.team if isinstance(holder, Capability) else holder


def of_holder(holder: Holder) -> QuerySet[Policy]:
    """Its own policies: for a team those of its capabilities are none of them."""
    if isinstance(holder, Capability):
        return Policy.objects.filter(capability=holder)
    return Policy.objects.filter(team=holder, capability=None)


def following(team: Team) -> QuerySet[Capability]:
    """The team's capabilities for which nobody wrote a policy of their own."""
    own = Policy.objects.filter(
        team=team, capability__isnull=False, created_by__isnull=False, withdrawn_at=None
    )
    return Capability.objects.filter(team=team).exclude(pk__in=own.values("capability")).order_by("slug")


def team_policy(team: Team) -> Policy | None:
    """The default for the team's capabilities; None while the platform's counts."""
    return of_holder(team).order_by("-number").first()


def policy_for(capability: Capability) -> Policy:
    """The newest that somebody wrote for the capability, else its team's default, else the platform's.

    The platform's is written down, by nobody, when it is first asked for: what counted then can be read later.
    """
    platforms = of_holder(capability).filter(created_by=None).order_by("-number")
    found = own_policy(capability) or team_policy(capability.team) or platforms.first()
    if found is not None:
        return found
    number = of_holder(capability).count() + 1
    default, _made = Policy.objects.get_or_create(
        capability=capability, number=number, team=capability.team, defaults=PLATFORM
    )
    return default


def own_policy(capability: Capability) -> Policy | None:
    """What somebody wrote for the capability and nobody has withdrawn."""
    written = of_holder(capability).exclude(created_by=None).filter(withdrawn_at=None)
    return written.order_by("-number").first()


@transaction.atomic
def withdraw_policy(policy: Policy, *, by: User) -> Policy:
    """Let a capability follow its team's default again, or the platform's. Open releases keep theirs.

    Raises Conflict where this is not what counts for the capability now, Invalid where it could not pass the gates of
    the team's default.
    """
    require(may_write_policy(by, policy.team))
    if policy.capability is None:
        raise Conflict(_("The default of a team is not withdrawn. Write the next one."))
    Capability.objects.select_for_update(no_key=True).get(pk=policy.capability.pk)
    if own_policy(policy.capability) != policy:
        raise Conflict(_("Policy #%(number)d does not count any more.") % {"number": policy.number})
    default = team_policy(policy.team)
    problems = demands.problems_of(policy.capability, default.gates) if default and default.gates else []
    _refuse(problems)
    written = of_holder(policy.capability).filter(withdrawn_at=None).exclude(created_by=None)
    written.update(withdrawn_at=timezone.now(), withdrawn_by=by)
    audit.record("releases.policy.withdrawn", policy, by=by, number=policy.number)
    policy.refresh_from_db()
    return policy


def latency_budget(release: Release) -> float | None:
    """From how many milliseconds on an answer is slow by what suite and policy ask of its report; None where neither
    names a latency. The highest percentile says the most of single answers, and of two the stricter counts.
    """
    asked = [*release.report.run.suite.gates, *release.policy.gates]
    for metric in _BUDGETS:
        found = [gate["threshold"] for gate in asked if gate["metric"] == metric and not gate.get("relative")]
        if found:
            return float(min(found))
    return None


def unwritten() -> Policy:
    """The platform's policy, for reading where nobody has written one."""
    return Policy(number=0, **PLATFORM)


def demand_of(policy: Policy) -> Demand:
    """The gates of a policy, as what a report has to pass beside its suite's."""
    of_team, own = _("The team's release policy #%(number)d"), _("Release policy #%(number)d")
    words = of_team if policy.capability_id is None else own
    return Demand(words % {"number": policy.number}, policy.gates)


def demanded(capability: Capability) -> Demand:
    """What the policy that counts now asks of the capability's reports."""
    return demand_of(policy_for(capability))
